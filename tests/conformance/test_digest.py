"""What the digest of the code depends on, and what it does not."""

from pathlib import Path

import pytest

from tests.kit import digest as module
from tests.kit.digest import digest

BEFORE = '''
"""A module."""

SECONDS = 5.0
"""How long."""


def work(text: str) -> str:
    """Work."""
    return f"{text!r:>5}"  # as it should be
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that stands in for the project's."""
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def digest_of(folder: Path, text: str, name: str = "code.py") -> str:
    """Return the digest of one file with that text."""
    path = folder / name
    path.write_text(text)
    found = digest([path])
    path.unlink()
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""\n', ""),
        ("A module.", "One module."),
        ("How long.", "In seconds."),
        ('    """Work."""\n', ""),
        ("  # as it should be", ""),
        ("work(text: str)", "work(\n    text: str,\n)"),
    ],
)
def test_words_and_layout_do_not_count(folder: Path, old: str, new: str) -> None:
    """Comments, docstrings of every kind and line breaks leave the digest as it is."""
    assert old in BEFORE
    assert digest_of(folder, BEFORE.replace(old, new)) == digest_of(folder, BEFORE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("5.0", "5"), ("5.0", "6.0"), ("!r", "!s"), (">5", ">6"), ("str:", "int:")],
)
def test_code_counts(folder: Path, old: str, new: str) -> None:
    """Any other change of a module changes the digest."""
    assert old in BEFORE
    assert digest_of(folder, BEFORE.replace(old, new)) != digest_of(folder, BEFORE)


def test_names_of_files_count(folder: Path) -> None:
    """A module that is renamed changes the digest."""
    assert digest_of(folder, BEFORE, "other.py") != digest_of(folder, BEFORE)


def test_folders_are_read_whole(folder: Path) -> None:
    """A folder stands for all Python files in it, in any order, and for nothing else."""
    (folder / "inner").mkdir()
    first, second = folder / "first.py", folder / "inner" / "second.py"
    first.write_text("a = 1\n")
    second.write_text("b = 2\n")
    (folder / "README.md").write_text("words")
    assert digest([folder]) == digest([second, first]) == digest([first, folder])
    assert digest([folder]) != digest([first])


def test_paths_must_exist(folder: Path) -> None:
    """A path that is gone is an error, not an empty digest."""
    with pytest.raises(FileNotFoundError):
        digest([folder / "gone.py"])


def test_digest_is_the_same_in_every_version(folder: Path) -> None:
    """The digest of a text is this one, whichever version of Python reads it."""
    assert digest_of(folder, BEFORE) == "4e9e9fa282f4"
