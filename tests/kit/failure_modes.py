"""Crash matrix and window for people: ``python -m tests.kit.failure_modes [--write] [name …]``.

Runs the whole matrix, for every engine and strategy or for those whose names contain a word that is
given, and measures the window; writes a row of each table in ``docs/failure-modes.md``.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from local.servers import Server, start
from tests.kit.function import ROOT
from tests.kit.lane import Lane
from tests.kit.matrix import (
    LANES,
    Boundaries,
    Report,
    Task,
    boundaries_of,
    chains_of,
    run_all,
    storms_of,
)
from tests.kit.oracles import Place, oracle_for
from tests.kit.pairs import SUBJECTS, Subject
from tests.kit.window import Window, measure

DOCUMENT = ROOT / "docs" / "failure-modes.md"
HEADINGS = (
    "server and strategy",
    "version",
    "boundaries, first rotation",
    "boundaries, later rotation",
    "kills",
    "storms",
    "rotations that ended well",
    "lost",
    "seconds",
)
WINDOW_HEADINGS = (
    "server and strategy",
    "rotations",
    "logins",
    "refused",
    "longest, milliseconds",
    "logins of the function in between",
    "requests in between",
)
STORMS = 8


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    subject: str
    version: str
    first: int
    later: int
    kills: int
    storms: int
    rotations: int
    lost: int
    seconds: int

    @classmethod
    def read(cls, cells: Sequence[str]) -> "Row":
        """Read a row of the table."""
        subject, version, *numbers = cells
        return cls(subject, version, *map(int, numbers))


@dataclass(frozen=True)
class WindowRow:
    """One row of the table of windows."""

    subject: str
    rotations: int
    logins: int
    refused: int
    milliseconds: int
    connections: int
    requests: int

    @classmethod
    def of(cls, subject: Subject, window: Window) -> "WindowRow":
        """Return the row of a subject."""
        return cls(
            subject.name,
            window.rotations,
            window.logins,
            window.refused,
            round(window.longest * 1000),
            window.connections,
            window.requests,
        )

    @classmethod
    def read(cls, cells: Sequence[str]) -> "WindowRow":
        """Read a row of the table."""
        subject, *numbers = cells
        return cls(subject, *map(int, numbers))


@dataclass(frozen=True)
class Proof:
    """What came of a matrix, or of a part of it."""

    subject: Subject
    version: str
    boundaries: Boundaries
    report: Report

    @property
    def row(self) -> Row:
        """The row for the table."""
        report = self.report
        return Row(
            self.subject.name,
            self.version,
            len(self.boundaries.first),
            len(self.boundaries.later),
            report.kills,
            report.storms,
            report.rotations,
            len(report.wrong),
            round(report.seconds),
        )


def prepared(server: Server) -> Server:
    """Make what all users of a server share."""
    with oracle_for(Place.of(server)) as oracle:
        oracle.prepare_server()
    return server


def prove(
    server: Server, subject: Subject, folder: Path, *, every: int = 1, storms: int = STORMS
) -> Proof:
    """Run the matrix of one subject on a prepared server.

    Args:
        server: Where.
        subject: What.
        folder: For the functions' logs.
        every: 1 for every boundary, 10 for every tenth.
        storms: How many storms besides.
    """
    place = Place.of(server)
    with Lane(place, subject, folder) as lane:
        boundaries = boundaries_of(lane)
        again = boundaries_of(lane) if every == 1 else boundaries
    tasks: list[Task] = [*chains_of(boundaries, every), *storms_of(subject, boundaries, storms)]
    # Each lane costs a second to start, which a sample does not win back.
    report = run_all(place, subject, tasks, folder, lanes=LANES if every == 1 else 2)
    if boundaries != again:
        report.wrong.append("two healthy rotations did not have the same boundaries")
    if shown := passwords_in(server.log_text(), report.passwords):
        report.wrong.append(f"{shown} lines of the server's log show a password")
    return Proof(subject, server.version, boundaries, report)


def passwords_in(log: str, passwords: Iterable[str]) -> int:
    """Count the lines of a log that hold a password; grep looks for thousands at once."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as patterns:
        patterns.write("\n".join(passwords))
        patterns.flush()
        found = subprocess.run(
            ["grep", "--count", "--text", "--fixed-strings", f"--file={patterns.name}"],
            input=log.encode(),
            capture_output=True,
            check=False,
        )
    return int(found.stdout)


RowType = TypeVar("RowType", Row, WindowRow)


@dataclass(frozen=True)
class Table(Generic[RowType]):
    """A table of the document, between two marks.

    Args:
        mark: Names the marks.
        headings: Of its columns.
        read_row: Makes a row of its cells.
    """

    mark: str
    headings: Sequence[str]
    read_row: Callable[[Sequence[str]], RowType]

    @property
    def begin(self) -> str:
        """The mark before the table."""
        return f"<!-- {self.mark}: begin -->"

    @property
    def end(self) -> str:
        """The mark after it."""
        return f"<!-- {self.mark}: end -->"

    def read(self) -> dict[str, RowType]:
        """Read the table: the subject's name to its row."""
        _, _, rest = DOCUMENT.read_text().partition(self.begin)
        lines = rest.partition(self.end)[0].strip().splitlines()[2:]
        cells = ([cell.strip() for cell in line.strip("| ").split("|")] for line in lines)
        return {row.subject: row for row in map(self.read_row, cells)}

    def add(self, row: RowType) -> None:
        """Write a row, in its place among the subjects."""
        rows: dict[str, RowType] = self.read() | {row.subject: row}
        lines: list[str] = [
            _line(self.headings),
            "|---|" + "---:|" * (len(self.headings) - 1),
            *(_line(astuple(rows[each.name])) for each in SUBJECTS if each.name in rows),
        ]
        text = "\n".join([self.begin, *lines, self.end])
        pattern = re.compile(f"{re.escape(self.begin)}.*?{re.escape(self.end)}", re.DOTALL)
        DOCUMENT.write_text(pattern.sub(lambda _: text, DOCUMENT.read_text()))


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


MATRIX = Table("crash matrix", HEADINGS, Row.read)
WINDOWS = Table("window", WINDOW_HEADINGS, WindowRow.read)


def measured(server: Server, subject: Subject, folder: Path) -> Window:
    """Measure the window of one subject on a prepared server."""
    with Lane(Place.of(server), subject, folder) as lane:
        return measure(lane)


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; return 1 where a kill lost something."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.failure_modes", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/failure-modes.md")
    parser.add_argument("--window", action="store_true", help="measure the window alone")
    parser.add_argument("names", nargs="*", help="parts of servers' and strategies' names")
    chosen = parser.parse_args(arguments)
    lost = 0
    with ExitStack() as stack:
        server_of = cache(lambda kind: prepared(stack.enter_context(start(kind))))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for subject in SUBJECTS:
            if chosen.names and not any(name in subject.name for name in chosen.names):
                continue
            server = server_of(subject.kind)
            window = WindowRow.of(subject, measured(server, subject, folder))
            print(window, flush=True)  # noqa: T201 - for a person
            if chosen.write:
                WINDOWS.add(window)
            if chosen.window:
                continue
            proof = prove(server, subject, folder)
            print(proof.row, *proof.report.wrong, sep="\n", flush=True)  # noqa: T201 - likewise
            lost += proof.row.lost
            if chosen.write:
                MATRIX.add(proof.row)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
