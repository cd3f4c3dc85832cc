"""What no test notices: ``.venv-mutants/bin/python -m tests.kit.mutants``, or ``make mutants``.

Lets mutmut change the modules that decide, one small change (a *mutant*) at a time, and run the
unit tests; then writes ``docs/mutants.md``: the share that some test noticed, and
every change that none did. A reason that somebody has written beside a change stays.

Which modules and which tests, says ``[tool.mutmut]`` in ``pyproject.toml``.
"""

import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.kit.digest import ROOT, digest

DOCUMENT = ROOT / "docs" / "mutants.md"
COLLECT_ONCE = ROOT / "tests" / "kit" / "collect_once.py"
UNNOTICED = frozenset({"survived", "no tests", "not checked", "suspicious", "skipped"})
"""What mutmut says of a change that no test has failed for; one that took too long was noticed."""

RESULT = re.compile(r"^\s+(?P<name>\S+): (?P<status>[a-z ]+)$", re.MULTILINE)
CLASS_MARK = "\N{LATIN LETTER LATERAL CLICK}"


@dataclass(frozen=True)
class Change:
    """A change that no test noticed.

    Attributes:
        where: Module and function.
        before: The lines that were changed, in one line.
        after: What became of them.
    """

    where: str
    before: str
    after: str

    @classmethod
    def of(cls, name: str, diff: str) -> "Change":
        """Return the change that mutmut has named, from the diff that it shows."""
        lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
        before = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
        after = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
        return cls(where_of(name), before, after)

    @property
    def cells(self) -> tuple[str, str, str]:
        """The change as cells of a table."""
        return self.where, _cell(self.before), _cell(self.after)


def where_of(name: str) -> str:
    """Return module and function in words: ``store: SecretStore.describe``."""
    module, _, function = name.removeprefix("shared.").rpartition(".")
    function = function.rpartition("__mutmut_")[0]
    function = function.removeprefix("x_").removeprefix("x" + CLASS_MARK).replace(CLASS_MARK, ".")
    return f"{module}: {function}"


def _cell(code: str) -> str:
    return f"`` {code} ``".replace("|", "\\|")


def decisive_modules() -> list[Path]:
    """Return the modules that are changed.

    Raises:
        FileNotFoundError: One is gone.
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    found = []
    for pattern in settings["only_mutate"]:
        paths = sorted(ROOT.glob(pattern))
        if not paths:
            raise FileNotFoundError(pattern)
        found += paths
    return found


def write(statuses: Mapping[str, str], changes: Iterable[Change], seconds: float) -> float:
    """Write the document's two tables and return the share that was noticed, in percent."""
    counts = Counter(status in UNNOTICED for status in statuses.values())
    share = 100 * counts[False] / len(statuses)
    text = DOCUMENT.read_text()
    reasons = reasons_in(text)
    score = (
        digest(decisive_modules()),
        len(statuses),
        counts[False],
        f"{share:.1f} %",
        round(seconds),
    )
    text = _replaced(text, "score", [_line(score)])
    rows = {change.cells: reasons.get(change.cells, "") for change in changes}
    ordered = sorted(rows.items())
    text = _replaced(text, "unnoticed", [_line((*cells, why)) for cells, why in ordered])
    DOCUMENT.write_text(text)
    return share


def reasons_in(text: str) -> dict[tuple[str, ...], str]:
    """Read the reasons that the document gives: cells of a change to why no test need notice it."""
    _, _, rest = text.partition("<!-- unnoticed: begin -->")
    lines = rest.partition("<!-- unnoticed: end -->")[0].strip().splitlines()[2:]
    found = {}
    for line in lines:
        *cells, reason = (cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1]))
        found[tuple(cells)] = reason
    return found


def _replaced(text: str, mark: str, lines: list[str]) -> str:
    """Put the lines below the heading of the table between two marks."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, _, rest = text.partition(begin)
    table, _, after = rest.partition(end)
    heading = table.strip().splitlines()[:2]
    return "\n".join([before + begin, *heading, *lines, end + after])


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _mutmut(*arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def _unnoticed(statuses: Mapping[str, str]) -> Iterator[Change]:
    for name, status in statuses.items():
        if status in UNNOTICED:
            yield Change.of(name, _mutmut("show", name))


def main() -> int:
    """Run mutmut anew and write the document."""
    began = time.monotonic()
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # what it remembers of an earlier run
    # Isolated: which ``tests`` and ``shared`` are imported, is mutmut's to say.
    subprocess.run([sys.executable, "-I", COLLECT_ONCE, "run"], cwd=ROOT, check=True)
    seconds = time.monotonic() - began
    found = _mutmut("results", "--all", "true")
    statuses = {each["name"]: each["status"] for each in RESULT.finditer(found)}
    share = write(statuses, _unnoticed(statuses), seconds)
    told = f"{share:.1f} % of {len(statuses)} changes were noticed; see docs/{DOCUMENT.name}"
    print(told)  # noqa: T201 - for a person
    return 0


if __name__ == "__main__":
    sys.exit(main())
