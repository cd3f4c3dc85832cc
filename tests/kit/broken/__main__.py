"""``python -m tests.kit.broken [name …]``: how many broken rotators fail the test for them."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.broken.classes import DEFECTS
from tests.kit.broken.defect import Defect

CLASSES = Path(__file__).with_name("classes.py")


class Score:
    """Runs of each defect its one test, and keeps what came of it."""

    def __init__(self, defects: Iterable[Defect]) -> None:
        self.wanted = {f"Test{each.name}": each for each in defects}
        self.found: dict[str, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave one test of each class; what is not asked of them is no news."""
        plugin: Any = config.pluginmanager.get_plugin("tests.kit.plugin")
        config.stash[plugin.NOT_ASKED].clear()
        items[:] = [
            item
            for item in items
            if isinstance(item, pytest.Function)
            and item.cls is not None
            and (defect := self.wanted.get(item.cls.__name__)) is not None
            and item.name == defect.test
        ]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the outcome: only a test that fails in its own words has found something."""
        name = report.nodeid.split("::")[1]
        if report.when == "call" or report.outcome == "failed":
            kept = f"{report.when} {report.outcome}: {report.longreprtext}"
            self.found[name] = f"{self.found.get(name, '')}{kept}"

    def misses(self) -> list[str]:
        """Return a line for each defect that its test has not found out as it should."""
        lines = []
        for name, defect in self.wanted.items():
            told = self.found.get(name, "the test was not run")
            promise = f"{defect.promise.__module__}.{defect.promise.__qualname__}"
            by_its_promise = told.startswith("call failed") and f"docstring of {promise};" in told
            if not by_its_promise:
                lines.append(f"{defect.name} ({defect.wrong}) {defect.test}: {told[-1500:]}")
        return lines


def main(names: list[str]) -> int:
    """Run them; return 1 if one was not found out."""
    began = time.monotonic()
    defects = [each for each in DEFECTS if not names or each.name in names]
    score = Score(defects)
    arguments = [
        str(CLASSES),
        "-q",
        "--no-header",
        "--no-summary",
        "-p",
        "no:cacheprovider",
    ]
    pytest.main(arguments, plugins=[score])
    misses = score.misses()
    took = time.monotonic() - began
    print(*misses, sep="\n\n")  # noqa: T201 - for a person
    print(  # noqa: T201 - for a person
        f"{len(defects) - len(misses)} of {len(defects)} broken rotators fail the test named for "
        f"them, in {took:.0f} seconds."
    )
    return int(bool(misses))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
