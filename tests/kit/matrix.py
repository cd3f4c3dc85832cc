"""The crash matrix: a kill at every boundary, and each way to recover from it.

One *chain* is the life of one secret::

    first rotation, killed      recovery    one more rotation     (now there were two of them)
    the user's rights change
    a later rotation, killed    recovery    one more rotation

Recovery is a *retry* (the service repeats the rotation with the same token) or follows an
*abandoned* attempt (an operator takes AWSPENDING off the version, and a rotation begins under a new
token). Each boundary is killed in two chains: first retried and later abandoned, and the other way
round. At every boundary of the killed rotation and of its recovery, and after each rotation, the
promise is looked at; at the end of each, rights, owners and JSON keys too.

A *storm* is several kills in a row at random boundaries, each retried or abandoned at random.
"""

import multiprocessing
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from queue import Empty
from random import Random
from typing import Any
from uuid import uuid4

from tests.kit.boundaries import Boundary
from tests.kit.lane import Lane, Trial
from tests.kit.oracles.oracle import Place
from tests.kit.pairs import Subject

LANES = 3
"""Processes at work at the same time: on two cores, one waits while two work."""

LONGEST_STORM = 5


class Recovery(StrEnum):
    """What follows a kill."""

    RETRY = "retry"
    ABANDON = "abandon"

    @property
    def other(self) -> "Recovery":
        """The other way."""
        return Recovery.ABANDON if self is Recovery.RETRY else Recovery.RETRY


@dataclass(frozen=True)
class Boundaries:
    """Every boundary of a healthy rotation: of the first one, and of a later one."""

    first: tuple[Boundary, ...]
    later: tuple[Boundary, ...]


@dataclass
class Report:
    """What came of some chains and storms.

    Attributes:
        kills: How many functions were killed.
        holds: How many were held.
        in_the_middle: How many of these were let go in the middle of another delivery.
        rotations: How many rotations ended well after all.
        wrong: What was wrong, each with where.
        passwords: All passwords that were in use.
        seconds: How long it took.
    """

    kills: int = 0
    holds: int = 0
    in_the_middle: int = 0
    rotations: int = 0
    storms: int = 0
    wrong: list[str] = field(default_factory=list)
    passwords: set[str] = field(default_factory=set)
    seconds: float = 0.0

    def add(self, other: "Report") -> None:
        """Take another report in."""
        self.kills += other.kills
        self.holds += other.holds
        self.in_the_middle += other.in_the_middle
        self.rotations += other.rotations
        self.storms += other.storms
        self.wrong += other.wrong
        self.passwords |= other.passwords


class Task(ABC):
    """One secret's life."""

    @abstractmethod
    def run(self, trial: Trial, report: Report) -> None:
        """Live it, and report."""


@dataclass(frozen=True)
class Chain(Task):
    """One secret's life with two kills; a boundary that its rotation does not have is None."""

    in_first: Boundary | None
    in_later: Boundary | None
    recovery: Recovery

    def run(self, trial: Trial, report: Report) -> None:
        """Kill, recover and rotate once more; the same again, later."""
        _run_chain(trial, self, report)


@dataclass(frozen=True)
class Storm(Task):
    """One secret's life with many kills."""

    seed: str
    first: tuple[Boundary, ...] = field(repr=False)
    later: tuple[Boundary, ...] = field(repr=False)

    def run(self, trial: Trial, report: Report) -> None:
        """Kill, retry and abandon at random."""
        _run_storm(trial, self, report)


def boundaries_of(lane: Lane) -> Boundaries:
    """Find all boundaries by rotating without a kill.

    Raises:
        AssertionError: The healthy rotation is not healthy.
    """
    trial = lane.new_trial()
    passed = []
    for number in range(3):
        if number == 2:  # the first one after two
            trial.change_rights()
        _, wrong = trial.attempt(str(uuid4()), looking=True)
        wrong += trial.wrong_at_end()
        assert not wrong, wrong
        passed.append(tuple(sorted(lane.tripwire.passed)))
    return Boundaries(first=passed[0], later=passed[2])


def chains_of(boundaries: Boundaries, every: int = 1, offset: int = 0) -> Iterator[Chain]:
    """Yield the chains that kill at every boundary, or at every tenth, say.

    A sample takes its boundaries from all channels, and goes both ways of recovery in turn.

    Args:
        boundaries: Of a healthy rotation.
        every: 1 for all of them, 10 for every tenth.
        offset: The first one.
    """
    longest = max(len(boundaries.first), len(boundaries.later))
    for turn, index in enumerate(range(offset, longest, every)):
        kills = [each[index] if index < len(each) else None for each in _both(boundaries)]
        chosen = list(Recovery) if every == 1 else [list(Recovery)[turn % 2]]
        for recovery in chosen:
            yield Chain(kills[0], kills[1], recovery)


def _both(boundaries: Boundaries) -> tuple[tuple[Boundary, ...], tuple[Boundary, ...]]:
    return boundaries.first, boundaries.later


def storms_of(subject: Subject, boundaries: Boundaries, number: int) -> Iterator[Storm]:
    """Yield storms, the same ones in every run."""
    for index in range(number):
        yield Storm(f"{subject.name}, storm {index}", boundaries.first, boundaries.later)


def run(lane: Lane, task: Task) -> Report:
    """Carry out one task; what it stumbles over is in the report, too."""
    report = Report()
    try:
        trial = lane.new_trial()
        task.run(trial, report)
        report.passwords = trial.passwords
    except Exception:  # noqa: BLE001 - told to whoever waits for the report
        report.wrong.append(f"{task}: {traceback.format_exc()}")
    if shown := lane.passwords_in_log(report.passwords):
        report.wrong.append(f"{task}: {shown} passwords are in the function's log")
    return report


def _run_chain(trial: Trial, chain: Chain, report: Report) -> None:
    phases = (
        ("first", chain.in_first, chain.recovery),
        ("later", chain.in_later, chain.recovery.other),
    )
    for phase, boundary, recovery in phases:
        if phase == "later":
            trial.change_rights()
        if boundary is None:
            # The idle user may follow at its next turn only, where rights have changed meanwhile.
            _, wrong = trial.attempt(str(uuid4()), looking=True)
            report.wrong += wrong + trial.wrong_at_end()
        else:
            where = f"{phase} rotation killed at {boundary}, {recovery}"
            found = _kill_and_recover(trial, boundary, recovery, report)
            report.wrong += [f"{where}: {each}" for each in found]
        if report.wrong:
            return  # what comes of it later says nothing
        report.wrong += [f"{phase} rotation, one more: {each}" for each in trial.rotate()]
        report.rotations += 2


def _kill_and_recover(
    trial: Trial, boundary: Boundary, recovery: Recovery, report: Report
) -> list[str]:
    token = str(uuid4())
    _, wrong = trial.attempt(token, kill_at=boundary, looking=True)
    if trial.lane.tripwire.killed:
        report.kills += 1
    else:
        wrong.append("this rotation has no such boundary")
    if recovery is Recovery.ABANDON:
        token = abandon(trial, token)
    _, seen = trial.attempt(token, looking=True)
    return wrong + seen + trial.wrong_at_end()


def abandon(trial: Trial, token: str) -> str:
    """Give an attempt up as an operator does, and return the token of the next one."""
    if trial.lane.service.labels(trial.arn).get("AWSPENDING") == token:
        trial.lane.service.abandon(trial.arn, token)
    return str(uuid4())


def _run_storm(trial: Trial, storm: Storm, report: Report) -> None:
    random = Random(storm.seed)
    report.storms += 1
    for boundaries in (storm.first, storm.later):
        token = str(uuid4())
        for number in range(random.randint(2, LONGEST_STORM)):
            boundary = random.choice(boundaries)
            _, wrong = trial.attempt(token, kill_at=boundary, looking=True)
            report.kills += trial.lane.tripwire.killed
            report.wrong += [f"{storm.seed}, kill {number} at {boundary}: {each}" for each in wrong]
            if random.random() < 0.5 or not trial.lane.tripwire.killed:
                token = abandon(trial, token)
        if report.wrong:
            return
        _, wrong = trial.attempt(token, looking=True)
        wrong += trial.wrong_at_end() + trial.rotate()
        report.wrong += [f"{storm.seed}, recovery: {each}" for each in wrong]
        report.rotations += 2
        if boundaries is storm.first:
            trial.change_rights()  # whichever of a pair is active


def run_here(lane: Lane, tasks: Iterable[Task]) -> Report:
    """Carry out a few tasks one after the other: another lane takes longer to start than they do.

    Returns:
        One report of all.
    """
    report = Report()
    for task in tasks:
        report.add(run(lane, task))
    return report


def run_all(
    place: Place,
    subject: Subject,
    tasks: Sequence[Task],
    folder: Path,
    kind: type[Lane] = Lane,
) -> Report:
    """Carry out many tasks, several at the same time.

    Args:
        place: The server; ``prepare_server`` was called.
        subject: What is proven.
        tasks: What is to be carried out.
        folder: For the functions' logs.
        kind: Which lanes the tasks need.

    Returns:
        One report of all.
    """
    began = time.monotonic()
    # A fresh interpreter for each lane: this one may have threads, which a fork would break.
    context = multiprocessing.get_context("spawn")
    waiting: Any = context.Queue()
    done: Any = context.Queue()
    workers = [
        context.Process(
            target=_work, args=(kind, place, subject, folder, waiting, done), daemon=False
        )
        for _ in range(LANES)
    ]
    for each in [*tasks, *[None] * LANES]:
        waiting.put(each)
    for worker in workers:
        worker.start()
    report = Report()
    for part in _reports(done, len(tasks), workers):
        report.add(part)
    for worker in workers:
        worker.join(60)
    report.seconds = time.monotonic() - began
    return report


def _reports(done: Any, expected: int, workers: Iterable[Any]) -> Iterator[Report]:  # noqa: ANN401 - queues and processes of a context have no public type
    for _ in range(expected):
        while True:
            try:
                yield done.get(timeout=5)
                break
            except Empty:
                if not any(worker.is_alive() for worker in workers):
                    raise


def _work(
    kind: type[Lane],
    place: Place,
    subject: Subject,
    folder: Path,
    waiting: Any,  # noqa: ANN401 - as above
    done: Any,  # noqa: ANN401 - as above
) -> None:
    """Work in one lane until there is no task left."""
    with kind(place, subject, folder) as lane:
        while (task := _next(waiting)) is not None:
            done.put(run(lane, task))


def _next(waiting: Any) -> Task | None:  # noqa: ANN401 - as above
    """Return the next task; None when there is none, or nobody to do it for any more."""
    parent = multiprocessing.parent_process()
    while parent is None or parent.is_alive():
        with suppress(Empty):
            task: Task | None = waiting.get(timeout=5)
            return task
    return None
