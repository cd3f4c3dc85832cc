"""The tutorial for new rotators: its snippets are the code, or run, and it names every file."""

import ast
import io
import re
import subprocess
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from itertools import pairwise

import pytest

from local.template import ROOT
from rotators.valkey.connection import ERRORS
from shared import errors

PAGE = ROOT / "docs" / "adding-a-rotator.md"
TEXT = PAGE.read_text()
BLOCK = re.compile(
    r"(?:^<!-- (run|quoted: \S+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
MOST_LINES = 200
GENERATED = {"docs", "build", "node_modules", "mutants", "broken"}
"""Folders of what is made, or, as the kit's broken rotators, derived from an engine."""
SEARCHED = (
    *("[!.]*.*", "Makefile", "events/*", "requirements/*"),
    *("local/**/*", "rotators/**/*", "tests/**/*"),
)


def blocks() -> Iterator[tuple[str, str, str]]:
    """Yield the mark, the language and the text of every snippet."""
    for found in BLOCK.finditer(TEXT):
        yield found[1] or "", found[2], found[3]


def code_lines(text: str) -> int:
    """Count the lines of a module without blanks, comments and docstrings."""
    silent = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            assert node.end_lineno is not None
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def test_every_snippet_is_held_to_something() -> None:
    """Each is quoted from a file, or runs, or is typed into a shell."""
    kinds = [("console" if language == "console" else mark) for mark, language, _ in blocks()]
    assert kinds.count("run") == 1
    assert len(kinds) > 10
    assert all(kinds)


@pytest.mark.parametrize(
    ("mark", "text"), [(m, t) for m, _, t in blocks() if m.startswith("quoted")]
)
def test_a_quotation_stands_in_its_file(mark: str, text: str) -> None:
    """What the page quotes are whole lines of the file that it names."""
    whole = (ROOT / mark.removeprefix("quoted: ")).read_text()
    assert f"\n{text}" in whole


def test_the_first_rotation_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The rotation by hand has ten lines, runs as it stands, and ends well."""
    (text,) = (text for mark, _, text in blocks() if mark == "run")
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "succeeded" in done.stdout
    assert "AWSPREVIOUS" in done.stdout


COMMANDS = [
    line.removeprefix("$ ").partition("  #")[0].strip()
    for _, language, text in blocks()
    if language == "console"
    for line in text.splitlines()
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_names_what_there_is(command: str) -> None:
    """Every target of make, every module, every file and every folder in a command exists."""
    words = command.split()
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    modules = [after for word, after in pairwise(words) if word == "-m"]
    for module in modules:
        path = ROOT / module.replace(".", "/")
        assert module == "pytest" or path.with_suffix(".py").exists() or path.is_dir()
    for word in words:
        name = word.rpartition("=")[2]
        if "/" in name and not name.startswith("."):
            assert (ROOT / name).exists(), name


def files_of_the_engine() -> Iterator[str]:
    """Yield every file in which the engine is named, or which is named after it."""
    for pattern in SEARCHED:
        for path in ROOT.glob(pattern):
            name = path.relative_to(ROOT).as_posix()
            if path.is_file() and not GENERATED & set(path.parts) and "__pycache__" not in name:
                try:
                    text = path.read_text()
                except UnicodeDecodeError:
                    continue
                if "valkey" in (name + text).lower():
                    yield name


def test_every_file_is_named() -> None:
    """Whoever adds an engine reads of every file that has to do with one."""
    named: set[str] = set(re.findall(r"`([\w./-]+)`", TEXT))
    not_for_you = {
        "local/new_rotator.py",  # takes it as a model
        "tests/test_new_rotator.py",
        "tests/test_tutorial.py",
        "tests/functional/test_events.py",
        "tests/conformance/test_outside.py",
    }
    missing = {
        each
        for each in set(files_of_the_engine()) - named - not_for_you
        if not each.startswith("tests/kit/broken/")  # they are broken on a good rotator of any kind
    }
    assert not missing
    for each in named:
        if "/" in each and "." in each.rpartition("/")[2]:
            assert (ROOT / each).exists() or each == "rotators/__init__.py", each


def test_every_error_of_a_database_is_in_the_table() -> None:
    """What a server can say has its row, and Valkey's codes stand where the code has them."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]*)\| (`\w+`(?:, `\w+`)*) \|$", TEXT, re.MULTILINE)
    raised = {name for *_, names in rows for name in re.findall(r"`(\w+)`", names)}
    known = {each.__name__ for each in _leaves(errors.DatabaseError)}
    assert known <= raised
    for code, (kind, _) in ERRORS.items():
        assert any(f"`{code}`" in said and f"`{kind.__name__}`" in names for _, said, names in rows)


def _leaves(kind: type[errors.DatabaseError]) -> Iterator[type[errors.DatabaseError]]:
    """Yield the classes below one that are raised themselves."""
    for each in kind.__subclasses__():
        if each is not errors.AccountUnusable:
            yield each
        yield from _leaves(each)


def test_the_rotator_is_as_short_as_is_told() -> None:
    """Connection and session of the example have together no more lines than the page says."""
    texts = [(ROOT / "rotators" / "valkey" / f"{name}.py") for name in ("connection", "session")]
    assert sum(code_lines(path.read_text()) for path in texts) <= MOST_LINES
    assert f"here, {MOST_LINES} lines" in TEXT
    counted = textwrap.dedent('''
        """Docstring."""

        NUMBER = (  # three lines
            1
        )
    ''')
    assert code_lines(counted) == 3
