"""Kills followed by a crash of the server: what was answered must have been stored.

A change that is in force need not be stored. Whoever is killed between the two, and whose retry
finds the password in force and believes it stored, loses it when the server starts again. So at
every boundary between change and promotion the function is killed, and the server as well: before
the recovery, and, in another secret's life, after it. Elsewhere one boundary in ten is enough.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

from tests.kit.boundaries import Boundary
from tests.kit.lane import Lane, Trial
from tests.kit.matrix import Report

ELSEWHERE = 10
"""Of so many boundaries before the change, or after the promotion, one."""
ALWAYS = 3
"""So many boundaries right after the change are in every sample: what follows it, stores it."""


@dataclass(frozen=True)
class Crash:
    """One kill, and when the server crashes."""

    killed_at: Boundary
    after_recovery: bool

    def __str__(self) -> str:
        moment = "recovery" if self.after_recovery else "the kill"
        return f"killed at {self.killed_at}, server restarted after {moment}"


def crashes_of(passed: Sequence[Boundary], change: int, promotion: int, every: int) -> list[Crash]:
    """Choose kills and crashes.

    Args:
        passed: The boundaries of a healthy rotation, in their order.
        change: The place of the first one after the change.
        promotion: The place of the first one after the promotion.
        every: 1 for all, 10 for every tenth.
    """
    between = passed[change : promotion + 1]
    chosen = [*between[:ALWAYS], *between[ALWAYS::every]]
    elsewhere = (*passed[:change], *passed[promotion + 1 :])[:: ELSEWHERE * every]
    found = [Crash(boundary, after_recovery=True) for boundary in (*chosen, *elsewhere)]
    before = chosen if every == 1 else chosen[:1]
    return found + [Crash(boundary, after_recovery=False) for boundary in before]


def prove_restarts(lane: Lane, restart: Callable[[], None], every: int) -> Report:
    """Kill the function and crash the server, in one secret's life after the other.

    Args:
        lane: On a server that nobody else uses meanwhile.
        restart: Kills the server and starts it again.
        every: 1 for every boundary, 10 for every tenth.
    """
    report = Report()

    def crash() -> None:
        restart()
        lane.oracle.open()

    for each in crashes_of(*_order(lane), every):
        trial = lane.new_trial()
        report.wrong += [f"{each}: {wrong}" for wrong in _lived(trial, each, crash)]
        report.passwords |= trial.passwords
        report.kills += 1
        report.rotations += 1
    return report


def _order(lane: Lane) -> tuple[list[Boundary], int, int]:
    """Rotate without a kill; return the boundaries, where the change is and where the promotion."""
    trial = lane.new_trial()
    token = str(uuid4())

    def state() -> list[object]:
        return [lane.oracle.state_of(username) for username in trial.usernames]

    before = state()
    changed: list[int] = []
    promoted: list[int] = []

    def look() -> str | None:
        place = len(lane.tripwire.passed) - 1
        if not changed and state() != before:
            changed.append(place)
        if not promoted and lane.service.labels(trial.arn)["AWSCURRENT"] == token:
            promoted.append(place)
        return None

    lane.tripwire.reset(look=look)
    lane.service.retries = 0
    outcome = lane.service.rotate(trial.arn, token)
    lane.proxy.settle()
    lane.tripwire.settle()
    assert outcome.succeeded, outcome.error
    assert changed, "the healthy rotation changed no user"
    return list(lane.tripwire.passed), changed[0], promoted[0]


def _lived(trial: Trial, each: Crash, crash: Callable[[], None]) -> Iterator[str]:
    token = str(uuid4())
    _, wrong = trial.attempt(token, kill_at=each.killed_at)
    yield from wrong
    if not trial.lane.tripwire.killed:
        yield "this rotation has no such boundary"
    if not each.after_recovery:
        crash()
    _, wrong = trial.attempt(token)
    yield from wrong
    if each.after_recovery:
        crash()
    yield from trial.wrong_at_end()
