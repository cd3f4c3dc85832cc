"""The tables of docs/failure-modes.md: what they say, and of which code."""

from pathlib import Path

import pytest

from tests.conformance.conftest import note_on_stale_rows
from tests.kit import failure_modes
from tests.kit.failure_modes import (
    MATRIX,
    TABLES,
    WINDOWS,
    CrashRow,
    code_of,
    main,
    offset_of,
    stale_rows,
)
from tests.kit.pairs import SUBJECTS, Subject

DOCUMENT = """
before
<!-- crash matrix: begin -->
| a | b |
|---|---|
<!-- crash matrix: end -->
between
<!-- pause matrix: begin -->
<!-- pause matrix: end -->
<!-- window: begin -->
<!-- window: end -->
after
"""


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a document of its own, with empty tables."""
    path = tmp_path / "failure-modes.md"
    path.write_text(DOCUMENT)
    monkeypatch.setattr(failure_modes, "DOCUMENT", path)
    return path


def crash_row(subject: Subject, code: str, lost: int = 0) -> CrashRow:
    """Return a row that was measured on that code."""
    return CrashRow(subject.name, code, "1.2", 3, 4, 5, 6, 7, lost, 9)


def test_no_table_shows_a_loss() -> None:
    """Every row is of a known engine and strategy, in their order, and shows no loss."""
    known = [subject.name for subject in SUBJECTS]
    for table in TABLES:
        rows = table.read()
        assert list(rows) == [name for name in known if name in rows]
        assert [name for name, row in rows.items() if not row.well] == []


def test_windows_are_as_promised() -> None:
    """Applications are shut out for one login and one request, and only where it says so."""
    windows = WINDOWS.read()
    assert windows
    for subject in SUBJECTS:
        row = windows[subject.name]
        assert (row.requests, row.connections) == ((1, 1) if subject.interrupts else (0, 0))
        assert subject.interrupts or row.refused == 0


def test_rows_are_written_and_read(document: Path) -> None:
    """A row is written in its place, once, and read back as it was; the rest of the page stays."""
    second, first = (crash_row(SUBJECTS[index], "c0de") for index in (1, 0))
    for row in (second, first, second):
        MATRIX.add(row)
    assert list(MATRIX.read().values()) == [first, second]
    text = document.read_text()
    assert text.startswith("\nbefore\n")
    assert text.endswith("\nafter\n")
    assert text.count(SUBJECTS[1].name) == 1


def test_rows_of_other_code_are_stale(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row is stale that is missing or carries another digest; then the command ends with 1."""
    for subject in SUBJECTS:
        MATRIX.add(crash_row(subject, code_of(subject)))
    assert not any(each.startswith("crash matrix") for each in stale_rows())
    MATRIX.add(crash_row(SUBJECTS[3], "0ther"))
    assert f"crash matrix: {SUBJECTS[3].name}" in stale_rows()
    assert f"window: {SUBJECTS[0].name}" in stale_rows()
    assert main(["--require-fresh"]) == 1
    assert f"crash matrix: {SUBJECTS[3].name}" in capsys.readouterr().out


def test_fresh_rows_need_no_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where every row is of this code, the command ends with 0 and the tests add no note."""
    monkeypatch.setattr(failure_modes, "TABLES", ())
    assert main(["--require-fresh"]) == 0
    assert capsys.readouterr().out == ""
    assert note_on_stale_rows() is None


def test_stale_rows_are_noted(document: Path) -> None:
    """The note counts the stale rows and says which command measures them."""
    note = note_on_stale_rows()
    assert note is not None
    assert note.startswith(f"{3 * len(SUBJECTS)} rows")
    assert "`make test-matrix`" in note


def test_code_is_the_core_and_one_rotator() -> None:
    """The two rotators have digests of their own, and all subjects of one have the same."""
    by_engine = {subject.engine: code_of(subject) for subject in SUBJECTS}
    assert by_engine["mysql"] == by_engine["mariadb"] != by_engine["postgres"]
    assert {code_of(each) for each in SUBJECTS if each.engine == "mysql"} == {by_engine["mysql"]}


def test_samples_begin_at_different_boundaries() -> None:
    """Samples of the same rate take other boundaries for other subjects, in every run the same."""
    offsets = [offset_of(subject, 10) for subject in SUBJECTS]
    assert all(0 <= each < 10 for each in offsets)
    assert len(set(offsets)) > 5
    assert offset_of(SUBJECTS[0], 10) == offset_of(Subject("postgres", "single-user", False), 10)
