"""The tables of ``docs/failure-modes.md``: crash matrix, pause matrix and window.

``python -m tests.kit.failure_modes [--write] [--only TABLE] [name …]`` measures: whole, for every
engine and strategy or for those whose names contain a word that is given; and with ``--write``,
writes a row of each table. ``--require-fresh`` measures nothing: it says which rows were measured
on other code than this.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from local.engines import ENGINES
from local.servers import Server, start
from tests.kit.digest import digest
from tests.kit.function import ROOT
from tests.kit.lane import Lane
from tests.kit.matrix import (
    Boundaries,
    Report,
    Task,
    boundaries_of,
    chains_of,
    run_all,
    run_here,
    storms_of,
)
from tests.kit.oracles import Place, oracle_for
from tests.kit.pairs import SUBJECTS, Subject
from tests.kit.pauses import pauses_of
from tests.kit.restarts import prove_restarts
from tests.kit.twins import TwinLane
from tests.kit.window import measure

DOCUMENT = ROOT / "docs" / "failure-modes.md"
STORMS = 8


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        subject: Its name.
        code: The digest of the code that it was measured on.
    """

    subject: str
    code: str

    @property
    def well(self) -> bool:
        """Whether nothing was lost."""
        return True

    @classmethod
    def read(cls, cells: Sequence[str]) -> Self:
        """Read a row of the table."""
        kinds: list[Any] = [field.type for field in fields(cls)]
        return cls(*(kind(cell) for kind, cell in zip(kinds, cells, strict=True)))


@dataclass(frozen=True)
class CrashRow(Row):
    """One row of the crash matrix."""

    version: str
    first: int
    later: int
    kills: int
    storms: int
    rotations: int
    lost: int
    seconds: int

    @property
    def well(self) -> bool:
        """Whether nothing was lost."""
        return self.lost == 0


@dataclass(frozen=True)
class PauseRow(Row):
    """One row of the pause matrix."""

    version: str
    holds: int
    in_the_middle: int
    rotations: int
    lost: int
    seconds: int

    @property
    def well(self) -> bool:
        """Whether nothing was lost."""
        return self.lost == 0


@dataclass(frozen=True)
class WindowRow(Row):
    """One row of the table of windows."""

    rotations: int
    logins: int
    refused: int
    milliseconds: int
    connections: int
    requests: int


@dataclass(frozen=True)
class Proof:
    """What came of a matrix, or of a part of it."""

    subject: Subject
    version: str
    boundaries: Boundaries
    report: Report

    @property
    def crash_row(self) -> CrashRow:
        """The row of the crash matrix."""
        report = self.report
        return CrashRow(
            self.subject.name,
            code_of(self.subject),
            self.version,
            len(self.boundaries.first),
            len(self.boundaries.later),
            report.kills,
            report.storms,
            report.rotations,
            len(report.wrong),
            round(report.seconds),
        )

    @property
    def pause_row(self) -> PauseRow:
        """The row of the pause matrix."""
        report = self.report
        return PauseRow(
            self.subject.name,
            code_of(self.subject),
            self.version,
            report.holds,
            report.in_the_middle,
            report.rotations,
            len(report.wrong),
            round(report.seconds),
        )


@cache
def code_of(subject: Subject) -> str:
    """Return the digest of the code that rotates a subject: the core's and the rotator's."""
    package = ("rotators", ENGINES[subject.engine].folder)
    return digest([ROOT / "shared", ROOT.joinpath(*package)])


def prepared(server: Server) -> Server:
    """Make what all users of a server share."""
    with oracle_for(Place.of(server)) as oracle:
        oracle.prepare_server()
    return server


def prove(
    server: Server,
    subject: Subject,
    folder: Path,
    *,
    every: int = 1,
    storms: int = STORMS,
    place: Place | None = None,
) -> Proof:
    """Run the crash matrix of one subject on a prepared server, which is restarted besides.

    Args:
        server: Where.
        subject: What.
        folder: For the functions' logs.
        every: 1 for every boundary, 10 for every tenth.
        storms: How many storms besides.
        place: Where the server is, with another handler or oracle than the engine's.
    """
    place = place or Place.of(server)
    offset = offset_of(subject, every)

    def restart() -> None:
        server.stop_hard()
        server.restart()

    with Lane(place, subject, folder) as lane:
        boundaries = boundaries_of(lane)
        tasks: list[Task] = [
            *chains_of(boundaries, every, offset),
            *storms_of(subject, boundaries, storms),
        ]
        if every > 1:
            report = run_here(lane, tasks)
            report.add(prove_restarts(lane, restart, every))
            return _proof(server, subject, boundaries, report)
        again = boundaries_of(lane)
    report = run_all(place, subject, tasks, folder)
    with Lane(place, subject, folder) as lane:
        report.add(prove_restarts(lane, restart, every))
    if boundaries != again:
        report.wrong.append("two healthy rotations did not have the same boundaries")
    return _proof(server, subject, boundaries, report)


def prove_pauses(
    server: Server,
    subject: Subject,
    folder: Path,
    *,
    every: int = 1,
    place: Place | None = None,
) -> Proof:
    """Run the pause matrix of one subject on a prepared server; arguments as :func:`prove`."""
    place = place or Place.of(server)
    with TwinLane(place, subject, folder) as lane:
        boundaries = boundaries_of(lane)
        tasks = [*pauses_of(boundaries, every, offset_of(subject, every))]
        if every > 1:
            return _proof(server, subject, boundaries, run_here(lane, tasks))
    report = run_all(place, subject, tasks, folder, kind=TwinLane)
    return _proof(server, subject, boundaries, report)


def _proof(server: Server, subject: Subject, boundaries: Boundaries, report: Report) -> Proof:
    if shown := passwords_in(server.log_text(), report.passwords):
        report.wrong.append(f"{shown} lines of the server's log show a password")
    return Proof(subject, server.version, boundaries, report)


def offset_of(subject: Subject, every: int) -> int:
    """Return at which boundary a sample begins: the same in every run, another for each subject."""
    return zlib.crc32(subject.name.encode()) % every


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


RowType = TypeVar("RowType", bound=Row)

Findings = list[str]


@dataclass(frozen=True)
class Table(Generic[RowType]):
    """A table of the document, between two marks.

    Args:
        mark: Names the marks.
        headings: Of its columns.
        row: The kind of its rows.
        measured: Measures a row on a prepared server, and says what was wrong.
    """

    mark: str
    headings: Sequence[str]
    row: type[RowType]
    measured: Callable[[Server, Subject, Path], tuple[RowType, Findings]]

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
        return {row.subject: row for row in map(self.row.read, cells)}

    def add(self, row: RowType) -> None:
        """Write a row, in its place among the subjects."""
        rows = self.read() | {row.subject: row}
        lines: list[str] = [
            _line(self.headings),
            "|---|---|" + "---:|" * (len(self.headings) - 2),
            *(_line(astuple(rows[each.name])) for each in SUBJECTS if each.name in rows),
        ]
        text = "\n".join([self.begin, *lines, self.end])
        pattern = re.compile(f"{re.escape(self.begin)}.*?{re.escape(self.end)}", re.DOTALL)
        DOCUMENT.write_text(pattern.sub(lambda _: text, DOCUMENT.read_text()))

    def stale(self) -> list[str]:
        """Name the rows that are missing, or were measured on other code than this."""
        rows = self.read()
        return [
            f"{self.mark}: {subject.name}"
            for subject in SUBJECTS
            if subject.name not in rows or rows[subject.name].code != code_of(subject)
        ]


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _crashes(server: Server, subject: Subject, folder: Path) -> tuple[CrashRow, Findings]:
    proof = prove(server, subject, folder)
    return proof.crash_row, proof.report.wrong


def _pauses(server: Server, subject: Subject, folder: Path) -> tuple[PauseRow, Findings]:
    proof = prove_pauses(server, subject, folder)
    return proof.pause_row, proof.report.wrong


def _window(server: Server, subject: Subject, folder: Path) -> tuple[WindowRow, Findings]:
    with Lane(Place.of(server), subject, folder) as lane:
        window = measure(lane)
    row = WindowRow(
        subject.name,
        code_of(subject),
        window.rotations,
        window.logins,
        window.refused,
        round(window.longest * 1000),
        window.connections,
        window.requests,
    )
    return row, []


MATRIX = Table(
    "crash matrix",
    (
        "server and strategy",
        "code",
        "version",
        "boundaries, first rotation",
        "boundaries, later rotation",
        "kills",
        "storms",
        "rotations that ended well",
        "lost",
        "seconds",
    ),
    CrashRow,
    _crashes,
)
PAUSES = Table(
    "pause matrix",
    (
        "server and strategy",
        "code",
        "version",
        "held",
        "let go in the middle",
        "rotations that ended well",
        "lost",
        "seconds",
    ),
    PauseRow,
    _pauses,
)
WINDOWS = Table(
    "window",
    (
        "server and strategy",
        "code",
        "rotations",
        "logins",
        "refused",
        "longest, milliseconds",
        "logins of the function in between",
        "requests in between",
    ),
    WindowRow,
    _window,
)
TABLES: tuple[Table[Any], ...] = (WINDOWS, MATRIX, PAUSES)


def stale_rows() -> list[str]:
    """Name the rows of all tables that are missing, or were measured on other code than this."""
    return [each for table in TABLES for each in table.stale()]


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for; return 1 where something was lost, or is stale."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.failure_modes", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/failure-modes.md")
    parser.add_argument("--only", choices=[each.mark for each in TABLES], help="one table alone")
    parser.add_argument("--require-fresh", action="store_true", help="measure nothing")
    parser.add_argument("names", nargs="*", help="parts of servers' and strategies' names")
    chosen = parser.parse_args(arguments)
    if chosen.require_fresh:
        return _require_fresh()
    tables = [each for each in TABLES if chosen.only in (None, each.mark)]
    lost = False
    with ExitStack() as stack:
        server_of = cache(lambda kind: prepared(stack.enter_context(start(kind))))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for subject in SUBJECTS:
            if chosen.names and not any(name in subject.name for name in chosen.names):
                continue
            for table in tables:
                row, findings = table.measured(server_of(subject.kind), subject, folder)
                print(row, *findings, sep="\n", flush=True)  # noqa: T201 - for a person
                lost = lost or not row.well
                if chosen.write:
                    table.add(row)
    return int(lost)


def _require_fresh() -> int:
    stale = stale_rows()
    if stale:
        print(  # noqa: T201 - for a person
            f"{len(stale)} rows of docs/failure-modes.md are missing, or were measured on other "
            "code. `make test-matrix` measures and writes them:",
            *stale,
            sep="\n  ",
        )
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
