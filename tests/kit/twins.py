"""A lane whose function has two execution environments, each with boundaries of its own.

While one environment is held, another one carries out what comes next, as Lambda would start one.
Both speak with the same service and the same database under the same names. Whose request it is,
tells the endpoint that it came in by; whose message, the process that has the connection's socket.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from local.proxy import Direction, Proxy
from local.secretsmanager import SecretsManagerService
from local.secretsmanager.endpoint import Endpoint
from tests.kit.boundaries import Tripwire
from tests.kit.function import Function
from tests.kit.function_process import READ_TIMEOUT_VARIABLE
from tests.kit.lane import Lane

LOCK_SECONDS = "1"
"""How long a delivery waits for the lock of one that is held, in vain mostly."""

HELD_REQUEST_SECONDS = "55"
"""How long the SDK waits for an answer: one that is held must not be asked for twice."""

_by_twin: ContextVar[bool] = ContextVar("by_twin", default=False)
"""Whether what this thread carries out was asked for by the twin."""


class TwinLane(Lane):
    """A lane with a second environment of its function: :attr:`twin`, at :attr:`twin_tripwire`."""

    variables: ClassVar[Mapping[str, str]] = {
        "ROTATION_LOCK_SECONDS": LOCK_SECONDS,
        READ_TIMEOUT_VARIABLE: HELD_REQUEST_SECONDS,
    }
    proxy: "_TwinProxy"

    def _new_proxy(self) -> Proxy:
        return _TwinProxy(self.place.host, self.place.port, self._is_twins)

    def _enter_more(self, stack: ExitStack) -> None:
        endpoint = stack.enter_context(Endpoint(cast("SecretsManagerService", _Door(self.service))))
        environment = {**self.environment, **endpoint.environment()}
        log = self.log.with_suffix(".twin.log")
        self.logs.append(log)
        self.twin = stack.enter_context(Function(self.handler_name, environment, log))
        self.twin_tripwire = Tripwire(self.twin.kill)
        self.twin_arn = self.service.register("twin", self.twin)
        self.service.on_request = self._on_request
        self.proxy.on_message = self._on_message

    def settle_twin(self) -> None:
        """Wait until nothing of the twin is under way; the other one may be held."""
        self.proxy.settle_twin()
        self.twin_tripwire.settle()

    def settle(self) -> None:
        """Wait until nothing of either is under way."""
        self.proxy.settle()
        self.tripwire.settle()
        self.twin_tripwire.settle()

    def _is_twins(self, client: socket.socket) -> bool:
        return _owns(self.twin.process_id, client)

    def _on_request(self, operation: str, phase: Literal["before", "after"], number: int) -> None:
        self._passed().on_request(operation, phase, number)

    def _on_message(self, direction: Direction, index: int) -> None:
        self._passed().on_message(direction, index)

    def _passed(self) -> Tripwire:
        return self.twin_tripwire if _by_twin.get() else self.tripwire


class _Door:
    """The service as the twin's endpoint knows it."""

    def __init__(self, service: SecretsManagerService) -> None:
        self._service = service
        self.region = service.region

    def answer(self, *request: Any) -> tuple[int, bytes]:  # noqa: ANN401 - passed on
        """Answer a request of the twin's."""
        _by_twin.set(True)
        return self._service.answer(*request)

    def wait(self) -> None:
        """Nothing is under way through this door: the twin has ended before its endpoint does."""


class _TwinProxy(Proxy):
    """Knows which connections are the twin's."""

    def __init__(self, host: str, port: int, is_twins: Callable[[socket.socket], bool]) -> None:
        self._is_twins = is_twins
        self._twins: set[object] = set()
        self._twins_ended = threading.Condition()
        super().__init__(host, port)

    def settle_twin(self, seconds: float = 10.0) -> None:
        """Wait until every connection of the twin has ended.

        Raises:
            TimeoutError: One is still open after so many seconds.
        """
        with self._twins_ended:
            if not self._twins_ended.wait_for(lambda: not self._twins, seconds):
                raise TimeoutError("a connection of the twin is still open")

    def _serve(self, connection: Any) -> None:  # noqa: ANN401 - the base's own
        # Asked before anything is forwarded: until then the client cannot be done.
        if self._is_twins(connection.client):
            with self._twins_ended:
                self._twins.add(connection)
        super()._serve(connection)

    def _forward(self, connection: Any, direction: Direction) -> None:  # noqa: ANN401 - likewise
        _by_twin.set(connection in self._twins)
        super()._forward(connection, direction)

    def _forget(self, connection: Any) -> None:  # noqa: ANN401 - likewise
        super()._forget(connection)
        with self._twins_ended:
            self._twins.discard(connection)
            self._twins_ended.notify_all()


def _owns(process: int, client: socket.socket) -> bool:
    """Say whether a process of this machine has the other end of a connection on loopback.

    Source: proc(5), ``/proc/net/tcp`` and ``/proc/pid/fd``.
    """
    own, other = client.getsockname()[1], client.getpeername()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *rest = line.split()
        ports = tuple(int(address.partition(":")[2], 16) for address in (local, remote))
        if ports == (other, own):
            wanted = f"socket:[{rest[6]}]"
            return wanted in _descriptors(process)
    return False


def _descriptors(process: int) -> set[str]:
    """Return what a process has open; nothing, once it has ended."""
    found = set()
    with contextlib.suppress(OSError):
        for each in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                found.add(str(each.readlink()))
    return found
