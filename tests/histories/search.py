"""The histories: what is done to a rotation, and before which of its messages.

Held
    One delivery of a rotation is held before each of its messages, and let go before each message
    of what the service does meanwhile (:data:`SCENARIOS`), or when all that is over.
Pairs
    A rotation, which the service repeats when it fails, has two faults, each before or in each of
    its messages: :data:`ANYWHERE` and the tables that follow it.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from typing import NamedTuple

from tests.histories.scheduler import AT_THE_LOCK, Turns, token
from tests.histories.world import READS, STEPS, WRITES, Fault, Setup, Snapshot

ALONE, ADMINISTERED = False, True
STRATEGIES = (
    ("single-user", ALONE, "setSecret"),
    ("single-user", ALONE, "finishSecret"),
    ("single-user", ADMINISTERED, "setSecret"),
    ("single-user", ADMINISTERED, "finishSecret"),
    ("single-user-by-administrator", ADMINISTERED, "setSecret"),
    ("single-user-by-administrator", ADMINISTERED, "finishSecret"),
    ("alternating-users", ADMINISTERED, "finishSecret"),
    ("dual-password", ALONE, "finishSecret"),
    ("dual-password", ADMINISTERED, "finishSecret"),
)
"""Name, administrator, step of the promotion: which can be chosen for ``single-user`` only."""

FIRST, SECOND = token("T1"), token("T2")
NEVER = 10_000
"""More messages than there are in any history."""


# -- where a history begins --------------------------------------------------------------------


def nothing(world: Turns) -> None:
    """A secret that was never rotated."""


def one_rotation(world: Turns) -> None:
    """One rotation has ended well."""
    world.start(token("T0"))
    assert world.rotate(token("T0")) == "success"


def an_abandoned_change(world: Turns) -> None:
    """A rotation was killed after its change, and abandoned: some password is in force."""
    one_rotation(world)
    before = world.snapshot()
    for number in count():
        world.restore(before)
        world.begin_history()
        world.plan = {number: [Fault("kill")]}
        world.start(token("TX"))
        world.rotate(token("TX"), retries=0)
        if world.snapshot().accounts != before.accounts:
            break
    world.abandon(token("TX"))


BEGINNINGS: dict[str, Callable[[Turns], None]] = {
    "never rotated": nothing,
    "rotated once": one_rotation,
    "an abandoned change": an_abandoned_change,
}


# -- what the service does while one delivery is held -------------------------------------------


def retried(world: Turns, step: str) -> None:
    """It gives the delivery up, and repeats the rotation from createSecret."""
    world.messages = 0
    world.rotate(FIRST)


def delivered_twice(world: Turns, step: str) -> None:
    """It delivers the same step once more, and goes on with that."""
    world.messages = 0
    world.rotate(FIRST, step)


def abandoned(world: Turns, step: str) -> None:
    """The operator takes AWSPENDING off, and starts the next rotation."""
    world.abandon(FIRST)
    world.start(SECOND)
    world.messages = 0
    world.rotate(SECOND)


def abandoned_by_edit(world: Turns, step: str) -> None:
    """The operator edits AWSCURRENT, which abandons the rotation, and starts the next one."""
    world.edit("note", abandons=True)
    world.messages = 0
    if world.secret.versions.pending() is None:
        world.start(SECOND)
        world.rotate(SECOND)


def finished(world: Turns, step: str) -> None:
    """A twin ends the rotation, and the next one comes."""
    world.messages = -NEVER
    if world.rotate(FIRST, step) == "success":
        world.start(SECOND)
        world.messages = 0
        world.rotate(SECOND)


SCENARIOS: dict[str, Callable[[Turns, str], None]] = {
    "retried": retried,
    "delivered twice": delivered_twice,
    "abandoned": abandoned,
    "abandoned by an edit": abandoned_by_edit,
    "finished": finished,
}


@dataclass(frozen=True)
class Held:
    """One delivery is held, and let go; perhaps twice."""

    beginning: str
    scenario: str
    step: str
    holds: tuple[int, ...]
    releases: tuple[int, ...]
    plan: "Plan" = ()
    dies: bool = False
    """It dies where it is held, and the request that it was about to make arrives all the same."""

    def run(self, world: Turns, prepared: Snapshot) -> bool:
        """Run it on a world in which the steps before are done.

        Returns:
            Whether it came to all of its holds and releases.
        """
        world.restore(prepared)
        for number, fault in self.plan:
            world.plan.setdefault(number, []).append(fault)
        if not world.hold(self.step, FIRST, self.holds, self.releases, dies=self.dies):
            return False
        SCENARIOS[self.scenario](world, self.step)
        used = world.all_used
        world.let_go()
        return used

    def __str__(self) -> str:
        faults = "".join(f", {fault} at {number}" for number, fault in self.plan)
        held = "killed with a request on its way at" if self.dies else "held before"
        return (
            f"{self.scenario}, {self.beginning}: {self.step} {held} {self.holds}, "
            f"let go before {self.releases}{faults}"
        )


# -- faults ------------------------------------------------------------------------------------

ANYWHERE = (
    Fault("kill"),
    Fault("abandon"),
    *(
        Fault(f"edit {what} {how}")
        for what in ("note", "database", "alone")
        for how in ("abandons", "keeps")
    ),
)
IN_A_READ = (
    Fault("throttled"),
    Fault("stale 1"),
    Fault("stale 1", 2),
    Fault("stale 1", 3),
    Fault("stale 2"),
)
IN_A_WRITE = (Fault("throttled"), Fault("unsent"), Fault("lost"), Fault("unanswered"))
IN_THE_DATABASE = (Fault("disconnected"),)
"""Where each fault may come: before any message, in a request, in what a session does.

===============  ===================================================================================
kill             the process ends
abandon          the operator takes AWSPENDING off
edit             he edits AWSCURRENT: a key (``note``), the password (``alone``), the password here
                 and in the database (``database``); the service takes AWSPENDING off, or keeps it
throttled        the request is refused
unsent           it does not arrive
lost             it takes effect, its answer is lost, the SDK repeats it
unanswered       it takes effect, and no answer ever comes
stale            so many reads see the secret as it was before the last write, or the last but one
disconnected     the statement or login takes effect, and the session is lost
===============  ===================================================================================
"""

OPERATORS = ("abandon", "edit")
BESIDE_A_HELD_ONE = frozenset({"kill", "stale 1", "lost", "unanswered", "disconnected"})
"""Faults that the service's own deliveries have while another one is held."""


def faults_of(message: str) -> tuple[Fault, ...]:
    """Return what can go wrong before and in a message."""
    operation = message.split(" ", 1)[0]
    if operation in READS:
        return ANYWHERE + IN_A_READ
    if operation in WRITES:
        return ANYWHERE + IN_A_WRITE
    return ANYWHERE if operation == "close" else ANYWHERE + IN_THE_DATABASE


Plan = tuple[tuple[int, Fault], ...]


@dataclass(frozen=True)
class Faulty:
    """A rotation has faults, each with the number of its message."""

    beginning: str
    step: str
    plan: Plan

    def run(self, world: Turns, prepared: Snapshot) -> bool:
        """Run it on a world in which the rotation may begin."""
        world.restore(prepared)
        for number, fault in self.plan:
            world.plan.setdefault(number, []).append(fault)
        world.rotate(FIRST, self.step)
        return True

    def __str__(self) -> str:
        faults = ", ".join(f"{fault} at {number}" for number, fault in self.plan)
        return f"{self.beginning}: {faults or 'no fault'}"


IN_A_HOLD = "AWSCURRENT edited inside a hold"
UNREAD = "AWSCURRENT edited with the database, and read as it was"
NO_LOCK = "the lock does not hold"
ON_ITS_WAY = "a dead function's request arrives late"
TAKEN_UP = "abandoned before its value was stored, and taken up again"

REMAINS: Mapping[str, tuple[Callable[[Turns], bool], tuple[str, ...]]] = {
    IN_A_HOLD: (lambda world: world.edited_in_a_hold, ("H2", "H5", "H6", "H7")),
    UNREAD: (
        lambda world: (
            world.edited_both and world.saw_stale and world.setup.strategy == "dual-password"
        ),
        ("H2",),
    ),
    NO_LOCK: (lambda world: not world.setup.lock_holds, ("H2", "H5", "H6", "H7")),
    ON_ITS_WAY: (lambda world: world.arrived_late, ("H2", "H5", "H6", "H7")),
    TAKEN_UP: (
        lambda world: world.taken_up and world.setup.service.unnamed != "left",
        ("H5", "H6"),
    ),
}
"""What ``docs/failure-modes.md`` says that it remains: when, and what may fail to hold then.

Nothing is lost (H1) nor goes back (H3), and the next rotation mends it (H4).
"""

History = Held | Faulty


class Found(NamedTuple):
    """A history after which, or in which, something did not hold."""

    setup: Setup
    history: History
    wrong: str

    def __str__(self) -> str:
        return f"{self.setup.name}, {self.history}: {self.wrong}"


class Search:
    """All histories of one setup.

    Args:
        setup: The secret.
        world: It, if it is not to be the usual one.

    Attributes:
        found: Histories that went wrong.
        tolerated: How many went wrong where that is documented, by what it is.
        histories: How many there were.
        left: The state that the last one has left behind.
    """

    def __init__(self, setup: Setup, world: Turns | None = None) -> None:
        self.world = world or Turns(setup)
        self.left = self.world.snapshot()
        self.found: list[Found] = []
        self.tolerated: dict[str, int] = {}
        self.histories = 0
        self._fresh = self._snapshot_of_fresh()
        self._recoveries: dict[int, str | None] = {}
        self.beginning = cache(self._beginning)
        self.prepared = cache(self._prepared)

    def _snapshot_of_fresh(self) -> Snapshot:
        first = self.world.snapshot()
        self.world.restore(first)
        return first

    def _beginning(self, name: str) -> Snapshot:
        self.world.restore(self._fresh)
        self.world.begin_history()
        BEGINNINGS[name](self.world)
        return self.world.snapshot()

    def _prepared(self, beginning: str, step: str) -> tuple[Snapshot, dict[int, str]]:
        """Return the state in which T1 has come to a step, and the messages that were before it."""
        self.world.restore(self.beginning(beginning))
        self.world.begin_history()
        self.world.start(FIRST)
        for before in STEPS[: STEPS.index(step)]:
            assert self.world.deliver(before, FIRST)
        return self.world.snapshot(), self.world.said

    def run(
        self, history: History, *, traced: bool = False, remembers: bool = True
    ) -> tuple[bool, str | None]:
        """Run one history, and say whether it came to all that it was to do, and what is wrong."""
        prepared, messages = self.prepared(history.beginning, history.step)
        self.world.begin_history(traced=traced)
        self.world.remembers = remembers and not traced
        self.world.said, self.world.messages = dict(messages), len(messages)
        self._began_well = self.beginning(history.beginning).shut_out is False
        used = history.run(self.world, prepared)
        wrong = self.world.wrong or self._end()
        return used, wrong

    def traced(self, history: History) -> list[str]:
        """Run one history again, and tell what happens in it."""
        self._recoveries.clear()
        _, wrong = self.run(history, traced=True)
        return [*(self.world.trace or []), f"=> {wrong}"]

    def _step_of(self, beginning: str, number: int) -> str:
        """Return the step that a message of an undisturbed rotation belongs to."""
        return next(s for s in STEPS[::-1] if len(self.prepared(beginning, s)[1]) <= number)

    def count(self, history: History, wrong: str | None) -> None:
        """Count a history."""
        self.histories += 1
        if wrong is None:
            return
        for name, (holds, documented) in REMAINS.items():
            if holds(self.world) and wrong.startswith(documented):
                self._tolerate(name)
                return
        self.found.append(Found(self.world.setup, history, wrong))

    def _tolerate(self, name: str) -> None:
        self.tolerated[name] = self.tolerated.get(name, 0) + 1

    # -- how it ends -----------------------------------------------------------------------------

    def _end(self) -> str | None:
        """Say what is wrong with what a history has left behind."""
        world = self.world
        undisturbed = not (world.killed or world.blurred or world.edited())
        at_once = world.setup.promote_in == "setSecret" or not world.setup.shuts_out
        if undisturbed and at_once and self._began_well:
            world.require_current()
        self.left = left = world.snapshot()
        key = hash(left.key)
        if world.wrong is not None:
            return world.wrong
        if key not in self._recoveries:
            found = self._recover(left)
            self._recoveries[key] = self.world.wrong or found
        return self._recoveries[key]

    def _recover(self, left: Snapshot) -> str | None:
        """Say what is wrong with what comes next, when nothing disturbs it any more."""
        world = self.world
        world.plan = {}
        self._deliver_late(left)
        pending = left.versions.pending()
        starts = [left]
        if pending is not None:
            world.say(f"=== the service repeats {pending.rstrip('.-')}")
            world.restore(left)
            if world.rotate(pending) == "failed":
                return f"H5: a reattempt of {pending.rstrip('.-')} can never succeed"
            starts = [world.snapshot()]
            world.restore(left)
            world.abandon(pending)
            starts.append(world.snapshot())
        for start in starts:
            world.restore(start)
            outcome = self._rotate_anew("R1")
            if outcome == "ended":
                outcome = self._rotate_anew("R2")
            if outcome != "success":
                return f"H4: the next rotation ends with: {outcome}"
        return world.wrong

    def _deliver_late(self, left: Snapshot) -> None:
        """Deliver every step of what is over once more."""
        for late in (FIRST, SECOND):
            if late != left.live and late in left.versions.by_id:
                for step in STEPS:
                    self.world.restore(left)
                    self.world.deliver(step, late)

    def _rotate_anew(self, name: str) -> str:
        self.world.say(f"=== the next rotation: {name}")
        self.world.start(token(name))
        return self.world.rotate(token(name))

    # -- all of them -----------------------------------------------------------------------------

    def held(self, beginning: str, scenario: str, step: str, every: int = 1) -> Iterator[Held]:
        """Hold one delivery before each message, let it go before each of the others'.

        Args:
            beginning: Where the histories begin.
            scenario: What comes while it is held.
            step: Which delivery.
            every: Only every so many histories go on to something more, in the searches that do.

        Yields:
            Each history that came to its hold, after it was run.
        """
        del every
        for history, wrong in self._held(Held(beginning, scenario, step, (), ())):
            self.count(history, wrong)
            yield history

    def held_on_its_way(
        self, beginning: str, scenario: str, step: str, every: int = 1
    ) -> Iterator[Held]:
        """Kill it at each message, and let what it was about to write arrive late."""
        del every
        for history, wrong in self._held(Held(beginning, scenario, step, (), (), dies=True)):
            if self.world.arrived_late:
                self.count(history, wrong)
                yield history

    def _held(self, never: Held) -> Iterator[tuple[Held, str | None]]:
        for hold in count():
            if not (yield from self._released(replace(never, holds=(hold,)), 0)):
                return

    def _released(
        self, history: Held, first: int
    ) -> Generator[tuple[Held, str | None], None, bool]:
        """Let the held one go at the lock, before each message from ``first`` on, at the end.

        Returns:
            False when it has ended before its last hold.
        """
        for release in (AT_THE_LOCK, *range(first, NEVER)):
            each = replace(history, releases=(*history.releases, release))
            used, wrong = self.run(each)
            if self.world.held is not None and self.world.held.messages <= each.holds[-1]:
                return False
            if used or release != AT_THE_LOCK:
                yield each, wrong
            if not used and release != AT_THE_LOCK:
                return True
        return True

    def held_twice(
        self, beginning: str, scenario: str, step: str, every: int = 1
    ) -> Iterator[Held]:
        """Hold it, let it go, hold it once more, and let it go again."""
        for number, (once, _) in enumerate(self._held(Held(beginning, scenario, step, (), ()))):
            if number % every:
                continue
            self.run(once)
            first = self.world.let_go_before + 1
            for hold in range(once.holds[0] + 1, NEVER):
                twice = replace(once, holds=(*once.holds, hold))
                for history, wrong in self._released(twice, first):
                    self.count(history, wrong)
                    yield history
                if self.world.held is not None and self.world.held.messages <= hold:
                    break

    def held_with_a_fault(
        self, beginning: str, scenario: str, step: str, every: int = 1
    ) -> Iterator[Held]:
        """Hold it, and have one fault in, or before, each message of the others'."""
        for number, (once, _) in enumerate(self._held(Held(beginning, scenario, step, (), ()))):
            if number % every:
                continue
            self.run(once, remembers=False)
            messages = [each for each in self.world.said.items() if each[0] >= 0]
            for at, message in messages:
                for fault in faults_of(message):
                    if fault.kind in BESIDE_A_HELD_ONE and fault.much == 1:
                        history = replace(once, plan=((at, fault),))
                        _, wrong = self.run(history)
                        self.count(history, wrong)
                        yield history

    def pairs(self, beginning: str, every: int = 1) -> Iterator[Faulty]:
        """Have one fault, and two, in each message; of the first ones only every so many."""
        for number, once in enumerate(self.faulty(beginning, ())):
            yield once
            if number % every == 0:
                yield from self.faulty(beginning, once.plan)

    def faulty(self, beginning: str, plan: Plan) -> Iterator[Faulty]:
        """Have one fault more than ``plan``, in each message from its last one on."""
        self.run(self._with(beginning, plan), remembers=False)
        messages = dict(self.world.said)
        start, last = plan[-1] if plan else (0, Fault("abandon"))
        same = 0 if last.kind.split(" ")[0] in OPERATORS else 1
        for at in range(start + same, len(messages)):
            for fault in faults_of(messages[at]):
                if plan and fault.kind == last.kind == "abandon":
                    continue
                history = self._with(beginning, (*plan, (at, fault)))
                _, wrong = self.run(history)
                self.count(history, wrong)
                yield history

    def _with(self, beginning: str, plan: Plan) -> Faulty:
        return Faulty(beginning, self._step_of(beginning, plan[0][0]) if plan else STEPS[0], plan)
