"""What a run of the conformance tests ends with."""

import pytest

from tests.kit.failure_modes import stale_rows


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Note at the end which proofs are of other code; releasing is what this stops, not testing."""
    if (note := note_on_stale_rows()) is not None:
        terminalreporter.section("note")
        terminalreporter.line(note)


def note_on_stale_rows() -> str | None:
    """Say how many rows of the tables were measured on other code; None when none was."""
    stale = stale_rows()
    if not stale:
        return None
    return (
        f"{len(stale)} rows of docs/failure-modes.md are missing, or were measured on other code; "
        "`make test-matrix` measures and writes them."
    )
