"""A note at the end of a run."""

import pytest

from tests.histories.record import note_on_stale_record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Note at the end that the record is of other code; that stops a release, not the tests."""
    if (note := note_on_stale_record()) is not None:
        terminalreporter.section("note")
        terminalreporter.line(note)
