"""The moments at which a function is killed, or held.

Everything that a function does to the world passes through one of two doors: the Secrets Manager
endpoint and the proxy before the database. A kill between two such passages is the same as one at
the next passage, so these are all the moments there are::

    request        it has reached the service and has no effect yet
    answer         it has had its effect; the answer is not sent
    to-database    the message has left the function and does not reach the database
    from-database  the database has answered; the answer does not reach the function

Each is numbered within its own channel, from 0. A conversation over one channel is the same in
every run, while two channels may overtake each other: a good-bye to the database and the next
request to the service are under way at the same time.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from local.proxy import CutConnection, Direction
from local.secretsmanager import Killed


class Channel(StrEnum):
    """Where a boundary is."""

    REQUEST = "request"
    ANSWER = "answer"
    TO_DATABASE = "to-database"
    FROM_DATABASE = "from-database"


AFTER_AN_EFFECT = frozenset({Channel.ANSWER, Channel.FROM_DATABASE})


@dataclass(frozen=True, order=True)
class Boundary:
    """One moment of a rotation."""

    channel: Channel
    index: int

    def __str__(self) -> str:
        return f"{self.channel} {self.index}"


LONGEST_HOLD_SECONDS = 50.0
"""Less than the function's own time: a forgotten hold must not look like a dead function."""


class Tripwire:
    """Counts the boundaries that a function passes, looks around at each; kills or holds it at one.

    A function that is held waits until it is let go: nothing of it passes any boundary, what it
    sends besides (a good-bye to the database is not answered) stops at its own.

    Args:
        kill: Kills the function and returns once it is dead.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self._lock = threading.Lock()
        self._passing = threading.Condition()
        self._on_the_way = 0
        self.reset()

    def reset(
        self,
        kill_at: Boundary | None = None,
        look: Callable[[], str | None] | None = None,
        *,
        hold_at: Boundary | None = None,
    ) -> None:
        """Count from 0 again.

        Args:
            kill_at: Where the function is killed, once.
            hold_at: Where it is held, once, until :meth:`let_go`.
            look: Called at each boundary at which the world may have changed since the last one;
                returns what is wrong, None when all is well. It runs while the function waits, so
                it sees the world exactly as it is at this moment.
        """
        with self._lock:
            self.kill_at = kill_at
            self.hold_at = hold_at
            self.look = look
            self.held = threading.Event()
            self._let_go = threading.Event()
            self.killed = False
            self.passed: list[Boundary] = []
            self.seen_wrong: list[str] = []
            self._counts = dict.fromkeys(Channel, 0)

    def let_go(self) -> None:
        """Let the function go on; one that is not held yet will not be."""
        self._let_go.set()

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until nothing is on its way through a boundary.

        Raises:
            TimeoutError: Something still is, after so many seconds.
        """
        with self._passing:
            if not self._passing.wait_for(lambda: self._on_the_way == 0, seconds):
                raise TimeoutError("a boundary is still being passed")

    def on_request(self, operation: str, phase: Literal["before", "after"], number: int) -> None:
        """Be told by the service.

        Raises:
            Killed: The function is dead; the request has no effect, or its answer nobody to go to.
        """
        del number
        channel = Channel.REQUEST if phase == "before" else Channel.ANSWER
        if self._passes(channel, f" ({operation})"):
            raise Killed

    def on_message(self, direction: Direction, index: int) -> None:
        """Be told by the proxy.

        Raises:
            CutConnection: The function is dead; the message goes nowhere.
        """
        del index
        if self._passes(Channel(direction.value), ""):
            raise CutConnection

    def _passes(self, channel: Channel, note: str) -> bool:
        """Note one boundary, wait if the function is held at it; return whether it was killed.

        One at a time: while one is looked at, nothing else passes.
        """
        with self._passing:
            self._on_the_way += 1
        try:
            with self._lock:
                boundary = Boundary(channel, self._counts[channel])
                self._counts[channel] += 1
                self.passed.append(boundary)
                hit = boundary == self.kill_at and not self.killed
                if hit:
                    self.killed = True
                    self._kill()
                # Between an effect and the next request or message the world stands still.
                if self.look is not None and channel in AFTER_AN_EFFECT:
                    wrong = self.look()
                    if wrong is not None:
                        self.seen_wrong.append(f"at {boundary}{note}: {wrong}")
                if boundary == self.hold_at:
                    self.held.set()
                    self._let_go.wait(LONGEST_HOLD_SECONDS)
                return hit
        finally:
            with self._passing:
                self._on_the_way -= 1
                self._passing.notify_all()
