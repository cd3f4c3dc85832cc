"""Pairs, medians and bars."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self
from uuid import uuid4

from local.lambda_runtime import LambdaRuntime
from local.secretsmanager import SecretsManagerService
from local.servers import Server
from local.servers.server import random_password
from shared.model import Step
from shared.tls import RDS_AND_AMAZON_ROOTS

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine's two sides.

    Attributes:
        name: As people write it.
        kind: What `local.servers` calls it.
        handler: The function's handler.
        floor: The script beside this module that does the same without the framework.
    """

    name: str
    kind: str
    handler: str
    floor: str

    @property
    def function_command(self) -> list[str]:
        """Start the function's process."""
        return [sys.executable, str(FOLDER / "function.py"), self.handler]

    @property
    def floor_command(self) -> list[str]:
        """Start the floor's process."""
        return [sys.executable, str(FOLDER / self.floor)]


ENGINES = (
    Engine("PostgreSQL", "postgres", "rotators.postgres.rotator.handler", "bare_postgres.py"),
    Engine("MySQL", "mysql", "rotators.mysql.rotator.handler", "bare_mysql.py"),
)


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

    def work(self, secret: str, token: str, *, whole: bool) -> float:
        """Have it work, and return the seconds that it took inside.

        Raises:
            RuntimeError: It ended; why is on the standard error.
        """
        command = json.dumps({"secret": secret, "token": token, "whole": whole})
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("The process has no pipes.")
        stdin.write(command + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError(f"{' '.join(self._command)} ended.")
        return float(json.loads(answer)["seconds"])


class Bench:
    """Makes secrets at one server, and measures both sides with them.

    Args:
        engine: Whose sides.
        server: Where the users are.
        service: Where the secrets are.
        environment: Leads an SDK to the service.
    """

    def __init__(
        self,
        engine: Engine,
        server: Server,
        service: SecretsManagerService,
        environment: Mapping[str, str],
    ) -> None:
        self.engine = engine
        self._server = server
        self._service = service
        self._secrets: dict[str, str] = {}
        self.environment = {
            **environment,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "DATABASE_CA_FILE": str(server.ca_file),
            "PYTHONPATH": str(ROOT),
        }

    def secret(self, user: str) -> str:
        """Return the ARN of the user's secret; make both, and switch rotation on, at first."""
        if user in self._secrets:
            return self._secrets[user]
        password, server = random_password(), self._server
        server.create_user(user, password)
        arn = self._service.create_secret(
            f"bench/{self.engine.kind}/{user}",
            {
                "engine": server.engine,
                "host": server.host,
                "port": server.port,
                "username": user,
                "password": password,
                "dbname": server.database,
            },
        )
        # Never invoked: the measured processes are handed their events here.
        function = self._service.register("bench", lambda _event, _context: None)
        self._service.enable_rotation(arn, function)
        self._secrets[user] = arn
        return arn

    def new_version(self, secret: str) -> str:
        """Begin a rotation as the service does: a version without a value, with AWSPENDING."""
        pending = self._service.labels(secret).get("AWSPENDING")
        if pending is not None and pending != self._service.labels(secret)["AWSCURRENT"]:
            self._service.abandon(secret, pending)
        token = str(uuid4())
        self._service.prepare_rotation(secret, token)
        return token

    def cold_starts(self, pairs: int) -> Result:
        """Measure from the start of a process until its first createSecret has returned."""
        secret = self.secret("cold")

        def measure(command: Sequence[str]) -> float:
            token = self.new_version(secret)
            began = time.perf_counter()
            with Measured(command, self.environment) as process:
                process.work(secret, token, whole=False)
                return time.perf_counter() - began

        return interleaved(
            pairs,
            lambda: measure(self.engine.function_command),
            lambda: measure(self.engine.floor_command),
        )

    def warm_rotations(self, pairs: int) -> Result:
        """Measure the four steps in processes that have made them before."""
        of_function, of_floor = self.secret("function"), self.secret("floor")
        environment = self.environment
        with (
            Measured(self.engine.function_command, environment) as function,
            Measured(self.engine.floor_command, environment) as floor,
        ):

            def measure(process: Measured, secret: str) -> float:
                return process.work(secret, self.new_version(secret), whole=True)

            return interleaved(
                pairs,
                lambda: measure(function, of_function),
                lambda: measure(floor, of_floor),
            )

    def memory_mb(self, rotations: int) -> float:
        """Return the highest resident size of the function under AWS's own runtime client.

        It trusts the built-in authorities of RDS, as on AWS, besides the server's own.
        """
        secret = self.secret("memory")
        with tempfile.NamedTemporaryFile() as authorities:
            authorities.write(RDS_AND_AMAZON_ROOTS.read_bytes() + self._server.ca_file.read_bytes())
            authorities.flush()
            environment = {**self.environment, "DATABASE_CA_FILE": authorities.name}
            with LambdaRuntime(self.engine.handler, environment=environment) as runtime:
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
    function: Callable[[], float],
    floor: Callable[[], float],
) -> Result:
    """Measure both sides in turn, each first in every other pair.

    Args:
        pairs: How many; one more comes first and is not counted.
        function: Measures the function once, in seconds.
        floor: Measures the floor.
    """
    measured = []
    for number in range(pairs + 1):
        if number % 2:
            pair = Pair(function=function(), floor=floor())
        else:
            of_floor = floor()
            pair = Pair(function=function(), floor=of_floor)
        measured.append(pair)
    return result_of(measured[1:])
