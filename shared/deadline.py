"""The time that is left to an invocation, and what may be done with it."""

import time
from collections.abc import Callable

from shared.errors import OutOfTime

RESERVE_SECONDS = 1.0
"""Kept back so that an error still reaches the log before Lambda kills the function."""

LOGIN_SECONDS = 10.0
"""Longest wait for a login in a hurry: a reachable server answers in well under a second."""
CHANGE_SECONDS = 5.0
"""What a longer wait leaves for a change: enough to make it, to prove it, and to undo it."""


class Deadline:
    """When this invocation must have answered.

    Args:
        remaining_seconds: The function's remaining time, as Lambda's context tells it.
        clock: Monotonic seconds; for tests.
        sleep: Waits; for tests.
    """

    def __init__(
        self,
        remaining_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._end = clock() + remaining_seconds - RESERVE_SECONDS

    def remaining(self) -> float:
        """Return the seconds that may still be used; negative when time is over."""
        return self._end - self._clock()

    def within(self, seconds: float) -> "Deadline":
        """Return an earlier deadline, for what must not take longer than ``seconds``."""
        left = min(seconds, self.remaining())
        return Deadline(left + RESERVE_SECONDS, self._clock, self._sleep)

    def seconds(self, at_most: float, purpose: str) -> float:
        """Return how long ``purpose`` may take: ``at_most``, or less when time is short.

        Raises:
            OutOfTime: Nothing is left; ``purpose`` was not begun.
        """
        remaining = self.remaining()
        if remaining <= 0:
            msg = f"No time is left to {purpose}."
            raise OutOfTime(msg)
        return min(at_most, remaining)

    def login_seconds(self, purpose: str) -> float:
        """Return how long a login may take: all that is left but CHANGE_SECONDS.

        A server that has to wake up first is so waited for. Where little is left, LOGIN_SECONDS;
        whoever is in a hurry has an earlier deadline.

        Raises:
            OutOfTime: Nothing is left; no login was begun.
        """
        return self.seconds(max(LOGIN_SECONDS, self.remaining() - CHANGE_SECONDS), purpose)

    def require(self, seconds: float, purpose: str) -> None:
        """Make sure that ``purpose``, which must not be broken off, has its time.

        Raises:
            OutOfTime: Less than ``seconds`` is left; ``purpose`` was not begun.
        """
        if self.remaining() < seconds:
            msg = f"Less than {seconds:.0f} seconds are left to {purpose}."
            raise OutOfTime(msg)

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        self._sleep(max(0.0, min(seconds, self.remaining())))
