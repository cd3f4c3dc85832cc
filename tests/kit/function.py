"""The rotation function as the service sees it: invoked by its name, and sometimes killed."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.kit.function_process import FUNCTION_NAME, LONGEST_PACKET

ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join(each for each in sys.path if each)
"""A rotator may live outside this repository: its function finds it where the tests do."""
DEFAULT_SECONDS = 60.0
"""The function's timeout, as in the template."""


class FunctionFailed(Exception):
    """The function raised an error.

    Attributes:
        kind: The error's class.
    """

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {text}")


class FunctionKilled(Exception):
    """The function's process ended without a word."""


class FunctionTimedOut(FunctionKilled):
    """The function's time was over."""


class Function:
    """One execution environment after another, each for one invocation; ``with`` starts and ends.

    Args:
        handler_name: ``module.attribute``.
        environment: The function's variables, on top of this process's PATH.
        log: File to which the function's output is appended.
        seconds: The function's timeout.
    """

    def __init__(
        self,
        handler_name: str,
        environment: Mapping[str, str],
        log: Path,
        *,
        seconds: float = DEFAULT_SECONDS,
    ) -> None:
        self.seconds = seconds
        self.variables: dict[str, str] = {}
        """Variables that the next invocations get besides."""
        self._handler_name = handler_name
        self._environment = {"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH, **environment}
        self._log = log
        self._child = 0
        self._killed = False
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Self:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # The log's handle may be closed here: the process has its own.
        with theirs, self._log.open("a") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.kit.function_process"),
                    *(self._handler_name, str(theirs.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
            )
        self._child = self._answer()["process"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()
        self._process.wait(self.seconds + 10)

    @property
    def process_id(self) -> int:
        """The process of the environment that carries out the next invocation."""
        return self._child

    def __call__(self, event: Mapping[str, Any], context: object = None) -> None:
        """Carry out one invocation; a handler for the service's ``register``.

        Raises:
            FunctionFailed: The function raised.
            FunctionKilled: Its process was killed; FunctionTimedOut, because its time was over.
        """
        del context
        with self._one_at_a_time:
            if self._killed:
                self._await_next_environment()
            request = {
                "process": self._child,
                "event": event,
                "seconds": self.seconds,
                "environment": self.variables,
            }
            self._channel.send(json.dumps(request).encode())
            in_time, _, _ = select.select([self._channel], [], [], self.seconds)
            if not in_time:
                self.kill()  # as Lambda does
            answer = self._answer()
            if "status" in answer:
                self._await_next_environment(answer)
        if not in_time:
            raise FunctionTimedOut(f"{FUNCTION_NAME} had not ended after {self.seconds} seconds")
        if "status" in answer:
            raise FunctionKilled(f"{FUNCTION_NAME} ended with status {answer['status']}")
        if not answer["succeeded"]:
            raise FunctionFailed(answer["kind"], answer["text"])

    def kill(self) -> None:
        """Kill the environment (SIGKILL) and return once its process has ended.

        Called from the threads of service and proxy, while the function waits for them.
        """
        self._killed = True
        try:
            descriptor = os.pidfd_open(self._child)
        except ProcessLookupError:
            return
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], self.seconds)
        finally:
            os.close(descriptor)

    def _await_next_environment(self, answer: dict[str, Any] | None = None) -> None:
        """Read on to the announcement of the environment that follows a killed one.

        An invocation may have been answered just before the kill; that answer is passed over.
        """
        while answer is None or "process" not in answer:
            answer = self._answer()
        self._child = answer["process"]
        self._killed = False

    def _answer(self) -> dict[str, Any]:
        packet = self._channel.recv(LONGEST_PACKET)
        if not packet:
            tail = self._log.read_text()[-3000:]
            raise RuntimeError(f"The function's process has ended; its log ends:\n{tail}")
        answer: dict[str, Any] = json.loads(packet)
        return answer
