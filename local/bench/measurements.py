"""Pairs, medians and bars."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from local.bench.conversation import Order
from local.bench.recording import DRIVERS
from local.bench.script import Script
from local.engines import ENGINES as DECLARED
from local.engines import Declared
from local.lambda_runtime import LambdaRuntime
from local.secretsmanager import SecretsManagerService
from local.servers import Server
from local.servers.server import random_password
from shared.engine import By
from shared.model import Step
from shared.settings import StrategyName
from shared.tls import RDS_AND_AMAZON_ROOTS

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
STEPS = [str(step) for step in Step]
TURNS = 2
"""After so many rotations the same user's turn comes again."""

ENGINES = tuple(each for each in DECLARED.values() if each.folder in DRIVERS)
"""What is measured: each engine for whose driver there is a floor."""

IMPORT = """
import sys, time, botocore.config, botocore.exceptions, botocore.session
from importlib import import_module
began = time.perf_counter()
import_module(sys.argv[1])
print(time.perf_counter() - began)
"""
"""What our own modules and Powertools cost, where the SDK is there already."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two measurements of the same work, made right after each other, in seconds."""

    function: float
    floor: float

    @property
    def ratio(self) -> float:
        """How often the floor goes into the function."""
        return self.function / self.floor


@dataclass(frozen=True, slots=True)
class Result:
    """What many pairs come to; seconds are medians, and so is the ratio."""

    pairs: int
    function: float
    floor: float
    ratio: float


def result_of(pairs: Sequence[Pair]) -> Result:
    """Take the medians."""
    return Result(
        len(pairs),
        median(pair.function for pair in pairs),
        median(pair.floor for pair in pairs),
        median(pair.ratio for pair in pairs),
    )


class Measured:
    """A process that works on command; `with` starts and ends it.

    Args:
        command: Starts it.
        environment: All of its variables.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = environment

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def steps(
        self,
        secret: str,
        token: str,
        *,
        messages: list[list[Any]] | None = None,
        new_password: str = "",
        records: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Have it rotate, and yield its answer after each step.

        Raises:
            RuntimeError: It ended; why is on the standard error.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("The process has no pipes.")
        order: Order = {
            "secret": secret,
            "token": token,
            "steps": STEPS,
            "messages": messages or [],
            "new_password": new_password,
            "records": records,
        }
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        for _ in STEPS:
            answer = stdout.readline()
            if not answer:
                raise RuntimeError(f"{' '.join(self._command)} ended.")
            yield json.loads(answer)

    def rotate(self, secret: str, token: str, **how: Any) -> float:  # noqa: ANN401 - as `steps` has it
        """Have it rotate, and return the seconds that this took inside."""
        *_, last = self.steps(secret, token, **how)
        return float(sum(last["seconds"]))


class Bench:
    """Makes secrets at one server, and measures both sides with them.

    Args:
        declared: The engine.
        server: Where the users are.
        service: Where the secrets are.
        environment: Leads an SDK to the service.
    """

    def __init__(
        self,
        declared: Declared,
        server: Server,
        service: SecretsManagerService,
        environment: Mapping[str, str],
    ) -> None:
        self.declared = declared
        self.title = declared.engine.title
        self._server = server
        self._service = service
        self._secrets: dict[tuple[object, ...], str] = {}
        self.environment = {
            **environment,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "DATABASE_CA_FILE": str(server.ca_file),
            "PYTHONPATH": str(ROOT),
        }

    def function(self) -> Measured:
        """Return the function's process."""
        program = str(FOLDER / "function.py")
        return Measured([sys.executable, program, self.declared.handler], self.environment)

    def floor(self) -> Measured:
        """Return the floor's process."""
        program = str(FOLDER / "bare.py")
        return Measured([sys.executable, program, self.declared.folder], self.environment)

    def strategies(self) -> list[tuple[StrategyName, bool]]:
        """Return what the engine can do: each strategy, and whether by an administrator."""
        return [
            (strategy, by is By.ADMINISTRATOR)
            for strategy, ways in self.declared.engine.strategies.items()
            for by in sorted(ways)
        ]

    def secret(self, strategy: StrategyName, name: str, *, administrator: bool = False) -> str:
        """Return the ARN of a user's secret; make both, and switch rotation on, at first.

        Args:
            strategy: By which it is rotated.
            name: Of the secret; the user has a name that every engine takes.
            administrator: Whether the secret names one.
        """
        key = (name, strategy, administrator)
        if key in self._secrets:
            return self._secrets[key]
        user = f"bench_{len(self._secrets)}"
        password, server = random_password(), self._server
        server.create_user(user, password)
        login = {
            "engine": server.engine,
            "host": server.host,
            "port": server.port,
            "username": user,
            "password": password,
            "dbname": server.database,
        }
        if administrator:
            login["masterarn"] = self._administrator()
        elif strategy is StrategyName.DUAL_PASSWORD:
            server.execute("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO %s@'%%'", (user,))
        arn = self._service.create_secret(
            f"bench/{server.engine}/{name}/{user}", login, tags={"rotation:strategy": str(strategy)}
        )
        # Never invoked: the measured processes are handed their events here.
        function = self._service.register("bench", lambda _event, _context: None)
        self._service.enable_rotation(arn, function)
        self._secrets[key] = arn
        return arn

    def _administrator(self) -> str:
        if () not in self._secrets:
            account, server = self._server.administrator, self._server
            login = {"username": account.username, "password": account.password}
            self._secrets[()] = self._service.create_secret(
                f"bench/{server.engine}/administrator",
                {"engine": server.engine, "host": server.host, "port": server.port, **login},
            )
        return self._secrets[()]

    def new_version(self, secret: str) -> str:
        """Begin a rotation as the service does: a version without a value, with AWSPENDING."""
        pending = self._service.labels(secret).get("AWSPENDING")
        if pending is not None and pending != self._service.labels(secret)["AWSCURRENT"]:
            self._service.abandon(secret, pending)
        token = str(uuid4())
        self._service.prepare_rotation(secret, token)
        return token

    def password(self, secret: str) -> str:
        """Return the password in the version with AWSCURRENT."""
        return str(json.loads(self._service.value(secret))["password"])

    def username(self, secret: str) -> str:
        """Return the user in the version with AWSCURRENT."""
        return str(json.loads(self._service.value(secret))["username"])

    def logs_in(self, secret: str) -> bool:
        """Say whether the version with AWSCURRENT logs in."""
        login = json.loads(self._service.value(secret))
        return self._server.logs_in(login["username"], login["password"])

    def record(self, function: Measured, secret: str) -> list[Script]:
        """Have the function rotate, and return what it sends once it is warm, for each turn."""
        scripts = []
        for _ in range(2 * TURNS):
            labels, old = self._service.labels(secret), self.password(secret)
            token = self.new_version(secret)
            answers = list(function.steps(secret, token, records=True))
            values = {
                "new password": self.password(secret),
                "old password": old,
                "token": token,
                "current version": labels["AWSCURRENT"],
            }
            scripts.append(Script.of([answer["told"] for answer in answers], values))
        return scripts[-TURNS:]

    def order(self, script: Script, secret: str) -> dict[str, Any]:
        """Return what the floor is to do for the secret's next rotation."""
        labels, new = self._service.labels(secret), random_password()
        values = {
            "new password": new,
            "old password": self.password(secret),
            "token": (token := self.new_version(secret)),
            "current version": labels["AWSCURRENT"],
        }
        return {
            "secret": secret,
            "token": token,
            "messages": script.filled(values),
            "new_password": new,
        }

    def cold_starts(self, pairs: int) -> list[Result]:
        """Measure from the start of a process: until createSecret has returned, and to the end."""
        of_function, of_floor = (
            self.secret(StrategyName.SINGLE_USER, name) for name in ("cold", "cold_floor")
        )
        with self.function() as process:
            scripts = cycle(self.record(process, of_floor))

        def measure(make: Callable[[], Measured], order: dict[str, Any]) -> tuple[float, ...]:
            began = time.perf_counter()
            with make() as process:
                ends = [time.perf_counter() - began for _ in process.steps(**order)]
            return ends[0], ends[-1]

        return interleaved(
            pairs,
            lambda: measure(
                self.function, {"secret": of_function, "token": self.new_version(of_function)}
            ),
            lambda: measure(self.floor, self.order(next(scripts), of_floor)),
        )

    def warm_rotations(
        self, strategy: StrategyName, pairs: int, *, administrator: bool
    ) -> list[Result]:
        """Measure the four steps in processes that have made them before."""
        of_function, of_floor = (
            self.secret(strategy, name, administrator=administrator)
            for name in ("function", "floor")
        )
        with self.function() as function, self.floor() as floor:
            scripts = cycle(self.record(function, of_floor))
            for _ in range(2 * TURNS):
                function.rotate(of_function, self.new_version(of_function))
            return interleaved(
                pairs,
                lambda: (function.rotate(of_function, self.new_version(of_function)),),
                lambda: (floor.rotate(**self.order(next(scripts), of_floor)),),
            )

    def import_seconds(self, times: int) -> float:
        """Return what our own modules and Powertools take to import, in fresh interpreters.

        The least of several times: whatever else the machine does can only add to it.
        """
        command = [sys.executable, "-c", IMPORT, self.declared.handler.rpartition(".")[0]]
        return min(
            float(subprocess.check_output(command, env=self.environment)) for _ in range(times)
        )

    def memory_mb(self, rotations: int) -> float:
        """Return the highest resident size of the function under AWS's own runtime client.

        It trusts the built-in authorities of RDS, as on AWS, besides the server's own.
        """
        secret = self.secret(StrategyName.SINGLE_USER, "memory")
        with tempfile.NamedTemporaryFile() as authorities:
            authorities.write(RDS_AND_AMAZON_ROOTS.read_bytes() + self._server.ca_file.read_bytes())
            authorities.flush()
            environment = {**self.environment, "DATABASE_CA_FILE": authorities.name}
            with LambdaRuntime(self.declared.handler, environment=environment) as runtime:
                for _ in range(rotations):
                    token = self.new_version(secret)
                    for step in Step:
                        runtime.invoke(
                            {"Step": step, "SecretId": secret, "ClientRequestToken": token}
                        )
                highest = [report.max_memory_mb for report in runtime.reports]
        if None in highest:
            raise RuntimeError("This system has no /proc to read the memory from.")
        return max(each for each in highest if each is not None)


def interleaved(
    pairs: int,
    function: Callable[[], tuple[float, ...]],
    floor: Callable[[], tuple[float, ...]],
) -> list[Result]:
    """Measure both sides in turn, each first in every other pair.

    Args:
        pairs: How many; one more comes first and is not counted.
        function: Measures the function once, in seconds; several figures, perhaps.
        floor: Measures the floor.

    Returns:
        A result for each figure.
    """
    measured = []
    for number in range(pairs + 1):
        if number % 2:
            of_function, of_floor = function(), floor()
        else:
            of_floor = floor()
            of_function = function()
        measured.append([Pair(*both) for both in zip(of_function, of_floor, strict=True)])
    return [result_of(figure) for figure in zip(*measured[1:], strict=True)]
