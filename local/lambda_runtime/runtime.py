"""One execution environment of a Lambda function: its process, its limits, its reports."""

import contextlib
import json
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.lambda_runtime.api import Answer, Invocation, RuntimeApi

ROOT = Path(__file__).parent.parent.parent
_POLL_SECONDS = 0.05
_ACCOUNT = "123456789012"


class FunctionError(Exception):
    """The function answered with an error, as Lambda reports it.

    Attributes:
        type: The exception's class name, or Lambda's own, such as ``Runtime.ImportModuleError``.
        message: Its text.
    """

    def __init__(self, type_: str, message: str) -> None:
        super().__init__(f"{type_}: {message}")
        self.type = type_
        self.message = message


class FunctionTimedOut(FunctionError):
    """The function was killed at its deadline."""


class RuntimeExited(FunctionError):
    """The function's process ended while it worked: killed, out of memory, or by its own doing."""


@dataclass(frozen=True, slots=True)
class Report:
    """What Lambda's REPORT line says about one invocation.

    Attributes:
        init_milliseconds: Of a cold start, from the process's start until it asked for work; None
            for an invocation of an environment that was there already.
        milliseconds: The invocation itself.
        max_memory_mb: The highest memory in use so far (resident set).
    """

    init_milliseconds: float | None
    milliseconds: float
    max_memory_mb: float | None

    @property
    def billed_milliseconds(self) -> int:
        """What is paid for: initialisation counts, and every millisecond that was begun."""
        return math.ceil((self.init_milliseconds or 0.0) + self.milliseconds)


class LambdaRuntime:
    """An execution environment that starts with its first invocation, as Lambda's do.

    Used as a context manager. After a timeout, a kill or a crash the next invocation starts a new
    process, and is cold. It serves one invocation at a time, as Lambda's do: those of other threads
    wait for it, where Lambda would start a second environment.

    Args:
        handler: Such as ``"rotators.postgres.rotator.handler"``.
        path: Folders on the function's import path, the function's own first: the repository, or a
            built function and ``python/`` of its layers.
        environment: The function's variables. Nothing else of this process's environment is seen.
        python: An interpreter that has ``awslambdaric`` and boto3, as Lambda's runtime has.
        memory_mb: The function's memory; a limit on its address space on Linux.
        timeout_seconds: After which an invocation is killed.
        name: The function's name.
        writes_bytecode: False for a built function, whose folder is read-only in Lambda.

    Attributes:
        reports: One for each invocation.
        listener: Gets what the function has written to its log, at the end of each invocation.
    """

    def __init__(
        self,
        handler: str,
        *,
        path: Sequence[Path] = (ROOT,),
        environment: Mapping[str, str] | None = None,
        python: Path = Path(sys.executable),
        memory_mb: int = 512,
        timeout_seconds: float = 60.0,
        name: str = "function",
        writes_bytecode: bool = True,
    ) -> None:
        self._handler = handler
        self._path = path
        self._environment = dict(environment or {})
        self._python = python
        self._memory_mb = memory_mb
        self._timeout_seconds = timeout_seconds
        self._name = name
        self._writes_bytecode = writes_bytecode
        self._api = RuntimeApi()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        self._serving = threading.Lock()
        self.reports: list[Report] = []
        self.listener: Callable[[str], object] | None = None

    def __enter__(self) -> Self:
        self._api.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._api.__exit__()
        self._log.close()

    @property
    def pid(self) -> int | None:
        """The process id of the environment, None while there is none."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> str:
        """What the function has written to its log so far, metrics included."""
        return self._log_from(0).decode(errors="replace")

    def _log_from(self, offset: int) -> bytes:
        # Not by seek: the function's process writes where this file stands.
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, offset)

    def kill(self) -> None:
        """End the environment at once, whatever it is doing; may be called from another thread."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()

    def invoke(self, event: object) -> object:
        """Return what the function returns for an event that JSON can hold.

        Raises:
            FunctionTimedOut: It had not answered when its time was over, and was killed.
            RuntimeExited: Its process ended.
            FunctionError: It raised, or could not be loaded.
        """
        with self._serving:
            written = os.fstat(self._log.fileno()).st_size
            try:
                return self._serve(event)
            finally:
                if self.listener:
                    self.listener(self._log_from(written).decode(errors="replace"))

    def _serve(self, event: object) -> object:
        began = time.monotonic()
        cold = self._process is None
        if cold:
            self._api.forget()
            self._start()
            self._wait_for("ready", began + self._timeout_seconds)
        ready = time.monotonic()
        invocation = self._invocation(json.dumps(event).encode())
        self._api.put(invocation)
        try:
            answer = self._wait_for(invocation.request_id, ready + self._timeout_seconds)
        finally:
            self.reports.append(
                Report(
                    init_milliseconds=(ready - began) * 1000 if cold else None,
                    milliseconds=(time.monotonic() - ready) * 1000,
                    max_memory_mb=self._max_memory_mb(),
                )
            )
        if answer.kind == "error":
            raise _error(answer.body)
        # Lambda freezes an environment between invocations; it has asked for work again by then.
        self._wait_for("ready", time.monotonic() + self._timeout_seconds)
        result: object = json.loads(answer.body)
        return result

    def _invocation(self, event: bytes) -> Invocation:
        request_id = str(uuid.uuid4())
        arn = f"arn:aws:lambda:{self._region}:{_ACCOUNT}:function:{self._name}"
        return Invocation(
            request_id,
            event,
            {
                "Lambda-Runtime-Aws-Request-Id": request_id,
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self._timeout_seconds) * 1e3)),
                "Lambda-Runtime-Invoked-Function-Arn": arn,
                "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
            },
        )

    @property
    def _region(self) -> str:
        return self._environment.get("AWS_REGION", "eu-central-1")

    def _start(self) -> None:
        command = [str(self._python), "-m", "awslambdaric", self._handler]
        if sys.platform == "linux":
            limit = f'ulimit -v {self._memory_mb * 1024} && exec "$@"'
            command = ["/bin/sh", "-c", limit, "sh", *command]
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_NAME": self._name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self._name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "LAMBDA_TASK_ROOT": str(self._path[0]),
            "_HANDLER": self._handler,
            "PYTHONPATH": os.pathsep.join(str(folder) for folder in self._path),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "error",
        } | self._environment
        if not self._writes_bytecode:
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self._process = subprocess.Popen(
            command,
            cwd=self._path[0],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def _wait_for(self, expected: str, deadline: float) -> Answer:
        """Return the answer that is ``ready`` or about that request.

        Raises:
            FunctionError: The function could not be loaded.
            FunctionTimedOut: `deadline`, of the monotonic clock, has passed.
            RuntimeExited: The process has ended.
        """
        while True:
            process = self._process
            exited = process is None or process.poll() is not None
            with contextlib.suppress(queue.Empty):
                answer = self._api.answers.get(timeout=0 if exited else _POLL_SECONDS)
                if answer.kind == "init":
                    self.kill()
                    raise _error(answer.body)
                if expected in (answer.kind, answer.request_id):
                    return answer
                continue
            if exited:
                status = process.returncode if process else "killed"
                self.kill()
                msg = f"the runtime exited with status {status}"
                raise RuntimeExited("Runtime.ExitError", msg)
            if time.monotonic() > deadline:
                self.kill()
                msg = f"Task timed out after {self._timeout_seconds:.2f} seconds"
                raise FunctionTimedOut("Sandbox.Timedout", msg)

    def _max_memory_mb(self) -> float | None:
        """Return the process's high-water mark, None where there is no process or no /proc."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name == "VmHWM":
                    return int(value.split()[0]) / 1024
        return None


def _error(body: bytes) -> FunctionError:
    told = json.loads(body)
    return FunctionError(told.get("errorType") or "Error", told.get("errorMessage") or "")
