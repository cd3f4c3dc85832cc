"""The crash matrix for people: ``python -m tests.kit.failure_modes [--write] [name …]``.

Runs the whole matrix, for every engine and strategy or for those whose names contain a word that is
given, and writes one row of the table in ``docs/failure-modes.md`` for each.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

from local.servers import Server, start
from tests.kit.function import ROOT
from tests.kit.lane import Lane
from tests.kit.matrix import (
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

DOCUMENT = ROOT / "docs" / "failure-modes.md"
BEGIN, END = "<!-- crash matrix: begin -->", "<!-- crash matrix: end -->"
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

    def __str__(self) -> str:
        return "| " + " | ".join(map(str, astuple(self))) + " |"

    @classmethod
    def read(cls, line: str) -> "Row":
        """Read a row of the table."""
        subject, version, *numbers = (cell.strip() for cell in line.strip().strip("|").split("|"))
        return cls(subject, version, *map(int, numbers))


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
    report = run_all(place, subject, tasks, folder)
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


def read_rows(document: Path = DOCUMENT) -> dict[str, Row]:
    """Read the table: the subject's name to its row."""
    _, _, rest = document.read_text().partition(BEGIN)
    lines = rest.partition(END)[0].strip().splitlines()[2:]
    return {row.subject: row for row in map(Row.read, lines)}


def write_rows(rows: Mapping[str, Row], document: Path = DOCUMENT) -> None:
    """Write the table between its marks, in the order of the subjects."""
    table = [
        "| " + " | ".join(HEADINGS) + " |",
        "|---|---|" + "---:|" * (len(HEADINGS) - 2),
        *(str(rows[subject.name]) for subject in SUBJECTS if subject.name in rows),
    ]
    text = "\n".join([BEGIN, *table, END])
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    document.write_text(pattern.sub(lambda _: text, document.read_text()))


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; return 1 where a kill lost something."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.failure_modes", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/failure-modes.md")
    parser.add_argument("names", nargs="*", help="parts of servers' and strategies' names")
    chosen = parser.parse_args(arguments)
    lost = 0
    with ExitStack() as stack:
        server_of = cache(lambda kind: prepared(stack.enter_context(start(kind))))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for subject in SUBJECTS:
            if chosen.names and not any(name in subject.name for name in chosen.names):
                continue
            proof = prove(server_of(subject.kind), subject, folder)
            print(proof.row, *proof.report.wrong, sep="\n", flush=True)  # noqa: T201 - for a person
            lost += proof.row.lost
            if chosen.write:
                write_rows(read_rows() | {subject.name: proof.row})
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
