"""The time that is left to an invocation."""

import pytest

from shared.deadline import RESERVE_SECONDS, Deadline
from shared.errors import OutOfTime


class Clock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0
        self.now += seconds


def deadline(seconds: float) -> tuple[Deadline, Clock]:
    """Return a deadline so many seconds away, and its clock."""
    clock = Clock()
    return Deadline(seconds, clock=lambda: clock.now, sleep=clock.sleep), clock


def test_reserve_is_kept_back() -> None:
    """The last second is for the error to reach the log."""
    found, clock = deadline(10)
    assert found.remaining() == 10 - RESERVE_SECONDS
    clock.now += 9.5
    assert found.remaining() == pytest.approx(-0.5)


def test_seconds_are_bounded_by_both() -> None:
    """A wait takes what it wants, or what is left."""
    found, clock = deadline(10)
    assert found.seconds(5, "wait") == 5
    assert found.seconds(50, "wait") == 9
    clock.now += 7
    assert found.seconds(5, "wait") == 2


def test_nothing_is_begun_when_time_is_over() -> None:
    """At the end there is an error that names what was not begun."""
    found, clock = deadline(10)
    clock.now += 9
    with pytest.raises(OutOfTime, match="No time is left to log in"):
        found.seconds(5, "log in")


def test_what_must_not_be_broken_off() -> None:
    """Work that needs its time is begun only if that is left."""
    found, clock = deadline(10)
    found.require(9, "change")
    clock.now += 0.1
    with pytest.raises(OutOfTime, match="Less than 9 seconds are left to change"):
        found.require(9, "change")


def test_pause_ends_with_the_time() -> None:
    """No pause goes beyond the end, and none is negative."""
    found, clock = deadline(10)
    found.pause(2)
    assert clock.now == 102
    found.pause(50)
    assert clock.now == 109
    found.pause(1)
    assert clock.now == 109
