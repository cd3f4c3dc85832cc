"""Servers and lanes for the conformance tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from local.servers import Server, start
from tests.kit.failure_modes import prepared, stale_rows
from tests.kit.lane import Lane
from tests.kit.oracles import Place
from tests.kit.pairs import Subject


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


@pytest.fixture(scope="session")
def prepared_server_of() -> Iterator[Callable[[str], Server]]:
    """Return the running server of a kind with what all its users share, started when asked for."""
    with ExitStack() as servers:
        yield cache(lambda kind: prepared(servers.enter_context(start(kind))))


@pytest.fixture
def lane_of(
    prepared_server_of: Callable[[str], Server], tmp_path: Path
) -> Iterator[Callable[[Subject], Lane]]:
    """Return a lane of a subject, on the server that all tests share."""
    with ExitStack() as lanes:

        def lane(subject: Subject) -> Lane:
            place = Place.of(prepared_server_of(subject.kind))
            return lanes.enter_context(Lane(place, subject, tmp_path))

        yield lane


@pytest.fixture
def lane_on_own_server(tmp_path: Path) -> Iterator[Callable[[Subject], tuple[Lane, Server]]]:
    """Return a lane on a server that nobody else uses, and the server."""
    with ExitStack() as stack:

        def lane(subject: Subject) -> tuple[Lane, Server]:
            server = prepared(stack.enter_context(start(subject.kind)))
            return stack.enter_context(Lane(Place.of(server), subject, tmp_path)), server

        yield lane
