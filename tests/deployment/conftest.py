"""The policy simulator, once for all tests that ask it; and figures, printed at the end."""

from collections.abc import Iterator

import pytest

from tests.deployment.simulator import Simulator


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    """The running simulator."""
    with Simulator() as running:
        yield running


class Reports:
    """Lines that the terminal shows after the tests, whether they passed or not."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Show this line."""
        self.lines.append(line)


_REPORTS = Reports()


@pytest.fixture
def reports() -> Reports:
    """Where a test puts the figures that it measured."""
    return _REPORTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    if _REPORTS.lines:
        terminalreporter.section("measured")
        for line in _REPORTS.lines:
            terminalreporter.line(line)
