"""The pause matrix: a delivery is held at every boundary while the world moves on.

A delivery that hangs is not dead. At a boundary it is held; meanwhile another environment of the
function carries out what comes next:

=============  =====================================================================================
retried        the service repeats the rotation with the same token
abandoned      an operator takes AWSPENDING off the version, a rotation begins under a new token
overtaken      the rotation is repeated and ends, and the next one runs
=============  =====================================================================================

The one that was held is let go when the other has ended, or at one of the other's boundaries, where
the other stands still meanwhile. A step that was held ends by itself; the steps after it are not
delivered, for the service has given this attempt up.

Then this must hold:

* AWSCURRENT logs in (at every boundary, where the strategy promises that), and never goes back to
  an older version;
* what is over is over: a delivery whose rotation has ended changes no label and no user any more;
* no human is needed: what is unfinished is repeated, ends well or ends itself; one more rotation
  ends well, with the rights, owners and JSON keys of before.

A *pause chain* is the life of one secret, with two deliveries held: one of the first rotation, and
one of a later one, after the user's rights have changed.
"""

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import cast
from uuid import uuid4

from local.secretsmanager import Outcome
from local.secretsmanager.rotation import STEPS, event_for
from tests.kit.boundaries import Boundary
from tests.kit.function import FunctionFailed
from tests.kit.lane import Trial
from tests.kit.matrix import Boundaries, Report, Task, abandon
from tests.kit.twins import TwinLane

HEAD_START_SECONDS = 3.0
"""So long the other one stands still, at most, when the held one is let go in its middle."""

END_SECONDS = 70.0
"""Longest wait for the end of a delivery: the function's own time, and some more."""

STEP_OF_THE_MIDDLE = 7
"""From one chain to the next, how many boundaries later the held one is let go."""

LOCK_IS_HELD = "LockTimeout"
"""What another delivery may end with while one is held that has the lock."""

SHOWN = 4
"""So many findings of one pause are told."""

AWS_LABELS = frozenset({"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"})


class Way(StrEnum):
    """What happens while a delivery is held."""

    RETRIED = "retried"
    ABANDONED = "abandoned"
    OVERTAKEN = "overtaken"


@dataclass(frozen=True)
class Pause:
    """One delivery that is held.

    Attributes:
        held_at: Where.
        way: What happens meanwhile.
        let_go_at: The other's boundary at which it is let go; None for after the other's end.
    """

    held_at: Boundary
    way: Way
    let_go_at: Boundary | None

    def __str__(self) -> str:
        moment = "after it" if self.let_go_at is None else f"at its {self.let_go_at}"
        return f"held at {self.held_at}, {self.way}, let go {moment}"


@dataclass(frozen=True)
class PauseChain(Task):
    """One secret's life with two pauses; None where a rotation has no such boundary."""

    in_first: Pause | None
    in_later: Pause | None

    def run(self, trial: Trial, report: Report) -> None:
        """Hold, let go and rotate once more; the same again, later."""
        for phase, pause in (("first", self.in_first), ("later", self.in_later)):
            if phase == "later":
                trial.change_rights()
            if pause is not None:
                found = _Scene(trial, pause, report).play()
                if found:
                    report.wrong.append(f"{phase} rotation {pause}: {_shortened(found)}")
            if report.wrong:
                return  # what comes of it later says nothing
            report.wrong += [f"{phase} rotation, one more: {each}" for each in trial.rotate()]
            report.rotations += 1


def pauses_of(boundaries: Boundaries, every: int = 1, offset: int = 0) -> Iterator[PauseChain]:
    """Yield the chains that hold a delivery at every boundary, or at every tenth, say.

    Whole, each boundary is held in each way: in one of the two rotations the delivery is let go
    after the other's end, in the other one in its middle. In a sample, the ways take turns.

    Args:
        boundaries: Of a healthy rotation.
        every: 1 for all of them, 10 for every tenth.
        offset: The first one.
    """
    ways = list(Way)
    longest = max(len(boundaries.first), len(boundaries.later))
    for turn, index in enumerate(range(offset, longest, every)):
        chosen = ways if every == 1 else [ways[turn % len(ways)]]
        for way in chosen:
            in_the_middle = (turn + ways.index(way)) % 2 == 0
            # Elsewhere in a later rotation of a sample, so that it is not the same pause again.
            other = way if every == 1 else ways[(turn + 1) % len(ways)]
            yield PauseChain(
                _pause(boundaries.first, index, way, in_the_middle=in_the_middle),
                _pause(boundaries.later, index, other, in_the_middle=not in_the_middle),
            )


def _pause(
    boundaries: tuple[Boundary, ...], index: int, way: Way, *, in_the_middle: bool
) -> Pause | None:
    if index >= len(boundaries):
        return None
    middle = boundaries[(index * STEP_OF_THE_MIDDLE + 3) % len(boundaries)]
    return Pause(boundaries[index], way, middle if in_the_middle else None)


def _shortened(wrong: Sequence[str]) -> str:
    """Return the first findings in one line: what is wrong stays so at every boundary after it."""
    rest = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return "; ".join(wrong[:SHOWN]) + rest


def _found_the_lock_held(outcome: Outcome) -> bool:
    error = outcome.error
    return isinstance(error, FunctionFailed) and error.kind == LOCK_IS_HELD


class _Delivery(threading.Thread):
    """Invokes the first environment, step by step, until it fails or is held."""

    def __init__(self, trial: Trial, token: str) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._trial = trial
        self._token = token
        self.over = threading.Event()

    def run(self) -> None:
        lane = self._trial.lane
        try:
            for step in STEPS:
                lane.function(event_for(step, self._trial.arn, self._token))
                if lane.tripwire.held.is_set():
                    break
        except BaseException as error:  # noqa: BLE001 - whatever ends it
            self.error = error
        self.over.set()


class _Watch:
    """Looks at the promise, one look at a time, and keeps in mind how far AWSCURRENT has come."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.lock = threading.Lock()
        self._newest = 0

    def look(self) -> str | None:
        """Say what is wrong at this moment."""
        with self.lock:
            return self._gone_back() or self._trial.look()

    def _gone_back(self) -> str | None:
        service, arn = self._trial.lane.service, self._trial.arn
        current = service.labels(arn)["AWSCURRENT"]
        ids = [version.version_id for version in service.versions(arn)]
        found = ids.index(current)
        if found < self._newest:
            return f"AWSCURRENT went back from version {self._newest} to version {found}"
        self._newest = found
        return None


class _Scene:
    """A delivery that is held, and all that follows."""

    def __init__(self, trial: Trial, pause: Pause, report: Report) -> None:
        self._trial = trial
        self._pause = pause
        self._report = report
        self._lane = cast("TwinLane", trial.lane)
        self._watch = _Watch(trial)
        self._token = str(uuid4())
        self._wrong: list[str] = []

    def play(self) -> list[str]:
        """Hold it, let the world move on, let it go; return what is wrong."""
        lane, trial = self._lane, self._trial
        lane.settle()
        lane.service.retries = 0
        lane.tripwire.reset(look=self._watch.look, hold_at=self._pause.held_at)
        lane.service.prepare_rotation(trial.arn, self._token)
        delivery = _Delivery(trial, self._token)
        delivery.start()
        try:
            while not lane.tripwire.held.wait(0.01):
                if delivery.over.is_set() and not lane.tripwire.held.wait(1):
                    return [f"this rotation has no such boundary: {delivery.error}"]
            self._report.holds += 1
            outcome = self._go_on(delivery)
            before = self._state()
            self._let_go(delivery)
            if outcome.succeeded:
                self._require_unchanged(before)
        finally:
            lane.tripwire.let_go()
            delivery.join(END_SECONDS)
        lane.settle()
        self._report.rotations += outcome.succeeded
        self._wrong += lane.tripwire.seen_wrong
        if delivery.error is not None and not isinstance(delivery.error, FunctionFailed):
            self._wrong.append(f"the held delivery: {delivery.error}")
        if outcome.succeeded and (wrong := self._watch.look()) is not None:
            self._wrong.append(f"in the end: {wrong}")
        # Whatever is wrong by now, a mended end would hide it.
        return self._wrong or self._repeat()

    def _go_on(self, delivery: _Delivery) -> Outcome:
        """Let the other environment carry out what comes next."""
        lane, trial, token = self._lane, self._trial, self._token
        lane.service.enable_rotation(trial.arn, lane.twin_arn)
        if self._pause.way is Way.OVERTAKEN:
            outcome = self._by_twin(token, None, delivery)
            if not outcome.succeeded:
                return outcome
            token = str(uuid4())
        elif self._pause.way is Way.ABANDONED:
            token = abandon(trial, token)
        return self._by_twin(token, self._pause.let_go_at, delivery)

    def _by_twin(self, token: str, let_go_at: Boundary | None, delivery: _Delivery) -> Outcome:
        lane = self._lane
        lane.settle_twin()
        lane.twin_tripwire.reset(look=self._watch.look, hold_at=let_go_at)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(lane.service.rotate, self._trial.arn, token)
            while let_go_at is not None and not other.done():
                if lane.twin_tripwire.held.wait(0.01):
                    self._in_the_middle(delivery, over=self._pause.way is Way.OVERTAKEN)
                    break
            # Its last words may come to that boundary when it has ended already.
            lane.twin_tripwire.let_go()
            outcome = other.result(END_SECONDS)
        try:
            lane.settle_twin()
        except TimeoutError as stuck:
            self._wrong.append(f"the other one, {outcome.error or 'ended well'}: {stuck}")
        self._wrong += lane.twin_tripwire.seen_wrong
        if let_go_at is None and not (outcome.succeeded or _found_the_lock_held(outcome)):
            self._wrong.append(f"the other one: {outcome.steps[-1].step} failed: {outcome.error}")
        return outcome

    def _in_the_middle(self, delivery: _Delivery, *, over: bool) -> None:
        """Let the held one go while the other one stands still, for a while."""
        self._report.in_the_middle += 1
        before = self._state()
        self._lane.tripwire.let_go()
        if delivery.over.wait(HEAD_START_SECONDS) and over:
            self._require_unchanged(before)
        self._lane.twin_tripwire.let_go()

    def _let_go(self, delivery: _Delivery) -> None:
        self._lane.tripwire.let_go()
        delivery.join(END_SECONDS)
        self._lane.settle()

    def _state(self) -> Mapping[str, Hashable]:
        """Read the labels, and the users' state in the database."""
        service, oracle = self._lane.service, self._lane.oracle
        labels = {f"label {each}": at for each, at in service.labels(self._trial.arn).items()}
        with self._watch.lock:
            users = {f"user {each}": oracle.state_of(each) for each in self._trial.usernames}
        return labels | users

    def _require_unchanged(self, before: Mapping[str, Hashable]) -> None:
        """Note what a delivery has changed whose rotation was over.

        It may have given its own version, which nobody uses, its value and labels of its own.
        """
        after = self._state()
        for name in sorted(before.keys() | after.keys()):
            own = name not in before and name.removeprefix("label ") not in AWS_LABELS
            if before.get(name) != after.get(name) and not (own and after[name] == self._token):
                self._wrong.append(f"over, it has changed: {name}")

    def _repeat(self) -> list[str]:
        """Repeat what is unfinished, as the service does at the next schedule; nobody helps."""
        lane, trial = self._lane, self._trial
        lane.service.enable_rotation(trial.arn, lane.function_arn)
        labels = lane.service.labels(trial.arn)
        pending = labels.get("AWSPENDING", labels["AWSCURRENT"])
        if pending == labels["AWSCURRENT"]:
            return []
        outcome, wrong = trial.attempt(pending)
        if outcome.succeeded:
            return wrong
        left = lane.service.labels(trial.arn).get("AWSPENDING")
        return (
            [f"AWSPENDING is left; repeated: {each}" for each in wrong] if left == pending else []
        )
