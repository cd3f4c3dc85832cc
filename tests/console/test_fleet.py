"""A thousand secrets: within the service's quotas, in bounded time, killed in the middle or not."""

import time
from collections import Counter, deque
from threading import Lock

import pytest

from console.outcome import Exit
from local.secretsmanager import ServiceError
from tests.console.world import CALLER, World

NUMBER = 1_000
STATUS_SECONDS = 10.0
DOCTOR_SECONDS = 180.0
QUOTA = 50
"""RotateSecret and CancelRotateSecret, together, a second."""

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(600)]


class Quota:
    """Refuses what is above the service's quota, as the service does."""

    def __init__(self, world: World) -> None:
        self.refused = 0
        self._world = world
        self._lock = Lock()
        self._times = deque[float]()

    def __call__(self, operation: str, phase: str, _number: int) -> None:
        """Look at a request."""
        if phase != "before" or operation not in {"RotateSecret", "CancelRotateSecret"}:
            return
        with self._lock:
            now = time.monotonic()
            while self._times and self._times[0] < now - 1:
                self._times.popleft()
            if len(self._times) >= QUOTA:
                self.refused += 1
                raise ServiceError("ThrottlingException", "Rate exceeded")
            self._times.append(now)


@pytest.fixture(name="fleet")
def fleet_of(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A thousand secrets that nothing rotates, ten of which cannot be.

    The function is one here, and serves one event at a time. Lambda has as many as there are
    events: so that these do not wait for each other, none waits for a value that is not there.
    """
    monkeypatch.setattr("shared.store.STALE_READ_PAUSES", (0.0,))
    monkeypatch.setattr("console.attempts.POLL_SECONDS", 0.3)
    for number in range(NUMBER):
        wrong = "not the right one" if number % 100 == 0 else None
        world.secret(f"fleet/{number:04}", attached=False, password=wrong)
    return world


def test_a_fleet_is_attached_killed_in_the_middle(fleet: World) -> None:
    """At the quota; run again it ends, and attaches no secret twice."""
    fleet.run_killed("RotateSecret", "after", NUMBER // 2, "enable", "--all", "--yes", "--quiet")
    quota = Quota(fleet)
    fleet.service.on_request = quota
    said = fleet.run("enable", "--all", "--yes")
    assert quota.refused == 0
    assert "Throttl" not in said.out + said.err
    assert said.status == Exit.FAILURE
    assert (
        f"{NUMBER} secrets: {NUMBER - 10} attached, nothing in the way, 10 with LoginRefused."
        in said.verdict
    )
    attached = Counter(
        request.parameters["SecretId"]
        for request in fleet.service.requests
        if request.operation == "RotateSecret" and request.caller == CALLER
    )
    twice = [arn for arn, times in attached.items() if times > 1]
    # Of the ten that are detached again, those before the kill are tried again: their password may
    # have been mended.
    assert len(twice) <= 10
    assert all(int(arn.rpartition("/")[2][:4]) % 100 == 0 for arn in twice)
    slots = Counter(
        fleet.service.handle("DescribeSecret", {"SecretId": f"fleet/{number:04}"})
        .get("RotationRules", {})
        .get("ScheduleExpression")
        for number in range(NUMBER)
    )
    assert max(slots.values()) < NUMBER / 20


def test_how_a_fleet_stands_is_told_in_seconds(world: World) -> None:
    """`status` over all of it: a few pages of a list, one look at the log, the causes told."""
    for number in range(NUMBER):
        world.secret(f"fleet/{number:04}", password="not the right one" if number < 10 else None)
        if number < 20:
            world.service.rotate(f"fleet/{number:04}")
    began = time.monotonic()
    said = world.run("status")
    assert time.monotonic() - began < STATUS_SECONDS
    counted = f"{NUMBER} secrets: 10 locked out, {NUMBER - 20} never rotated, 10 well."
    assert said.verdict.startswith(counted)
    assert "10 with NoLoginWorks" in said.out
    own = Counter(each.operation for each in world.service.requests if each.caller == CALLER)
    assert own == {"ListSecrets": NUMBER / 100}


def test_a_fleet_is_examined_in_minutes(world: World) -> None:
    """`doctor --all` over all of it, and those that would fail are named."""
    for number in range(NUMBER):
        world.secret(password="not the right one" if number % 100 == 0 else None)
    began = time.monotonic()
    said = world.run("doctor", "--all")
    assert time.monotonic() - began < DOCTOR_SECONDS
    assert said.status == Exit.FAILURE
    assert "10 would fail" in said.verdict
