"""The window: what a client notices that reads AWSCURRENT and logs in, all the time.

Two looks at the same thing. A client in a thread of its own counts refused logins and takes the
time. And the boundaries of one rotation tell what lies between the moment at which AWSCURRENT stops
logging in and the one at which it does again: how many requests, how many logins.
"""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self
from uuid import uuid4

from tests.kit.boundaries import Channel
from tests.kit.lane import Lane, Trial

ROTATIONS = 20
LOGINS_BETWEEN = 2
"""So many logins of the client between two rotations: nobody rotates ten times a second."""
CLIENT_SECONDS = 30.0
"""Longest wait for the client's next login."""


@dataclass(frozen=True)
class Window:
    """What a client noticed.

    Attributes:
        rotations: How many there were meanwhile.
        logins: How many logins the client made.
        refused: How many of them were refused.
        longest: Seconds from the start of the first refused login of a row to the end of the next
            accepted one, at the most; 0 where none was refused.
        requests: Requests to Secrets Manager while AWSCURRENT did not log in, in one rotation.
        connections: Logins that the function began in that time.
    """

    rotations: int
    logins: int
    refused: int
    longest: float
    requests: int
    connections: int


class Attempt(NamedTuple):
    """One login of the client: when it read AWSCURRENT, when it had its answer, and which."""

    began: float
    ended: float
    accepted: bool


class Client:
    """Logs in with AWSCURRENT without pause, from ``with`` until its end."""

    def __init__(self, trial: Trial) -> None:
        self.attempts: list[Attempt] = []
        self._trial = trial
        self._over = threading.Event()
        self._progress = threading.Condition()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def await_logins(self, number: int) -> None:
        """Wait until the client has made so many logins more, or cannot make any."""
        with self._progress:
            wanted = len(self.attempts) + number
            self._progress.wait_for(
                lambda: len(self.attempts) >= wanted or self._error is not None, CLIENT_SECONDS
            )

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                attempt = self._log_in()
                with self._progress:
                    self.attempts.append(attempt)
                    self._progress.notify_all()
        except BaseException as error:  # noqa: BLE001 - raised again where the test sees it
            with self._progress:
                self._error = error
                self._progress.notify_all()

    def _log_in(self) -> Attempt:
        lane = self._trial.lane
        began = time.monotonic()
        document = json.loads(lane.service.value(self._trial.arn))
        accepted = lane.oracle.logs_in(document["username"], document["password"])
        return Attempt(began, time.monotonic(), accepted)


def measure(lane: Lane, rotations: int = ROTATIONS) -> Window:
    """Rotate one secret many times under a client, then once more under a magnifying glass.

    Raises:
        AssertionError: A rotation did not end well.
    """
    trial = lane.new_trial()
    with Client(trial) as client:
        for _ in range(rotations):
            client.await_logins(LOGINS_BETWEEN)
            _, wrong = trial.attempt(str(uuid4()))
            assert not wrong, wrong
        client.await_logins(LOGINS_BETWEEN)
    requests, connections = _shut_out(trial)
    return Window(
        rotations=rotations,
        logins=len(client.attempts),
        refused=sum(not attempt.accepted for attempt in client.attempts),
        longest=longest_interruption(client.attempts),
        requests=requests,
        connections=connections,
    )


def longest_interruption(attempts: Sequence[Attempt]) -> float:
    """Return the longest time from a refused login to the next accepted one, in seconds."""
    longest, since = 0.0, None
    for attempt in attempts:
        if since is None and not attempt.accepted:
            since = attempt.began
        if since is not None:
            longest = max(longest, attempt.ended - since)
        if attempt.accepted:
            since = None
    return longest


def _shut_out(trial: Trial) -> tuple[int, int]:
    """Count requests and logins of one rotation while AWSCURRENT does not log in."""
    lane = trial.lane
    seen: list[tuple[bool, int, int]] = []

    def look() -> None:
        current = next(trial.stored())
        accepted = lane.oracle.accepts(current.username, current.password)
        requests = sum(each.channel is Channel.REQUEST for each in lane.tripwire.passed)
        seen.append((accepted, requests, lane.proxy.connections))

    lane.tripwire.reset(look=look)
    lane.service.rotate(trial.arn, str(uuid4())).check()
    lane.proxy.settle()
    lane.tripwire.settle()
    refused = [index for index, (accepted, _, _) in enumerate(seen) if not accepted]
    if not refused:
        return 0, 0
    # The first look at which AWSCURRENT is refused comes right after the change.
    _, *before = seen[refused[0]]
    _, *after = seen[refused[-1] + 1]
    return after[0] - before[0], after[1] - before[1]
