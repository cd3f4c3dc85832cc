"""An account in memory: secrets, a function that rotates them, its log; and the command over it.

Real: the Secrets Manager of `local/`, over HTTP, and the rotation's own code, with an engine in
memory. Simulated: Lambda and its logs (:mod:`local.lambda_service`).
"""

import io
import json
import logging
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from threading import Lock
from typing import Any
from uuid import uuid4

from console.account import APPLICATION
from console.app import run
from local.lambda_service import LambdaService
from local.secretsmanager import ConnectionLost, Context, SecretsManagerService
from local.secretsmanager.endpoint import Endpoint
from local.template import ROOT
from shared.errors import DatabaseError
from shared.model import Stage
from shared.runtime import SERVICE, handler_for
from tests.conformance.simulated import Account, Database, SimulatedRotator

HANDLER = "rotators.postgres.rotator.handler"
LONG_ENOUGH = 8
"""Shorter passwords occur in texts by chance."""
CALLER = f"app/{APPLICATION}"
"""As the service's log of requests names the command."""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Said:
    """What the command said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def verdict(self) -> str:
        """The last line."""
        return self.out.rstrip("\n").rpartition("\n")[2]

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    def row(self, name: str) -> str:
        """Return the table's line about a secret."""
        (line,) = (each for each in self.out.splitlines() if each.split()[:1] == [name])
        return line


@dataclass
class World:
    """The account.

    Attributes:
        function: The ARN of the function.
        fault: Raised by the engine at each login, while it is set.
        said: All that the command has said.
        reads_names: Whether the command was told to read the name of a user.
    """

    service: SecretsManagerService
    endpoint: Endpoint
    lambdas: LambdaService
    database: Database = field(default_factory=Database)
    function: str = ""
    fault: DatabaseError | None = None
    said: list[str] = field(default_factory=list)
    reads_names: bool = False
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.function = self.add_function("postgres")
        self.database.boundary = self._boundary

    def _boundary(self) -> None:
        if self.fault is not None:
            raise self.fault

    def add_function(self, name: str, *, handler: str = HANDLER, invocable: bool = True) -> str:
        """Make a function that rotates the users of the engine in memory."""
        rotator = type(
            "WorldRotator", (SimulatedRotator,), {"database": self.database, "__module__": __name__}
        )
        environment = {"SECRETS_MANAGER_ENDPOINT": self.endpoint.url}
        serves, serving, arns = handler_for(rotator, environment), Lock(), [""]

        def invoke(event: Mapping[str, Any]) -> object:
            # One at a time, as an execution environment of Lambda's does.
            with serving, _written() as written:
                try:
                    return serves(event, Context(name, arns[0], 60))  # type: ignore[arg-type]
                finally:
                    self.lambdas.write(arns[0], written.getvalue())

        arns[0] = self.lambdas.add(name, invoke, handler=handler, invocable=invocable)
        return arns[0]

    def secret(
        self,
        name: str = "",
        *,
        attached: bool = True,
        password: str | None = None,
        tags: Mapping[str, str] | None = None,
        rules: Mapping[str, Any] | None = None,
        **fields: str,
    ) -> str:
        """Make a user and its secret; return the secret's name.

        Args:
            name: The secret's name.
            attached: Whether the function rotates it.
            password: What the secret says, where it is not the right one.
            tags: Of the secret.
            rules: Its schedule.
            fields: More fields of its value.
        """
        number = next(self._numbers)
        name, right = name or f"app/{number}", f"Right-password-{number}-{uuid4()}"
        self.database.accounts[f"user{number}"] = Account([right])
        value = {
            "host": "localhost",
            "username": f"user{number}",
            "password": password or right,
            **fields,
        }
        arn = self.service.create_secret(name, value, tags)
        if attached:
            self.service.enable_rotation(arn, self.function, rules)
        return name

    def key(self, policy: str | None) -> str:
        """Make a customer's key with a policy; return its ARN."""
        arn = f"arn:aws:kms:{self.service.region}:{self.service.account}:key/{uuid4()}"

        def answer(_path: str, _target: str, _body: bytes) -> tuple[int, bytes, dict[str, str]]:
            # Recorded: GetKeyPolicy is the one request about keys that the command makes.
            document = {"Policy": policy, "PolicyName": "default"}
            return 200, json.dumps(document).encode(), {"Content-Type": "application/json"}

        self.service.others["kms"] = answer
        return arn

    def arn(self, name: str) -> str:
        """Return the ARN of a secret."""
        return self.service._operations.find(name).arn

    def hang(self, name: str) -> str:
        """Let a rotation have begun that nobody carries on; return its version."""
        token = str(uuid4())
        self.service.prepare_rotation(name, token)
        return token

    @contextmanager
    def ago(self, **time: float) -> Iterator[None]:
        """Let something have happened so long ago, by the service's clock."""
        self.service._ahead -= timedelta(**time)
        yield
        self.service._ahead += timedelta(**time)

    def run(self, *arguments: str) -> Said:
        """Carry out a command line."""
        out, err = io.StringIO(), io.StringIO()
        status = run(["--endpoint-url", self.endpoint.url, *arguments], out, err)
        self.said += [out.getvalue(), err.getvalue()]
        return Said(status, out.getvalue(), err.getvalue())

    def run_killed(self, operation: str, phase: str, nth: int, *arguments: str) -> None:
        """Carry out a command line in a process that is killed at one of its requests.

        Args:
            operation: Of the request.
            phase: ``before`` it has its effect, or ``after``.
            nth: Which one, from 1.
            arguments: The command line.
        """
        command = [sys.executable, "-m", "console", "--endpoint-url", self.endpoint.url]
        process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        seen, counting = count(1), Lock()

        def kill(asked: str, when: str, number: int) -> None:
            caller = self.service.requests[number - 1].caller
            if (asked, when, caller) != (operation, phase, CALLER):
                return
            with counting:
                if next(seen) == nth:
                    process.kill()
                    process.wait()
                    if phase == "before":
                        raise ConnectionLost("The request was never sent.")

        self.service.on_request = kill
        told = process.communicate(timeout=60)[0].decode()
        self.service.on_request = None
        self.said.append(told)
        assert process.returncode == -signal.SIGKILL, told
        self.service.wait()

    # -- what is looked at -----------------------------------------------------------------------

    def labels(self, name: str) -> dict[str, str]:
        """Return each label's version."""
        return self.service.labels(name)

    def logs_in(self, name: str) -> bool:
        """Say whether AWSCURRENT logs in."""
        value = json.loads(self.service.value(name, stage=Stage.CURRENT))
        return self.database.accepts(value["username"], value["password"])

    def asked(self, operation: str) -> int:
        """Count the command's own requests of an operation."""
        return sum(
            request.operation == operation and request.caller == CALLER
            for request in self.service.requests
        )

    def passwords(self) -> set[str]:
        """Return every password that any version has."""
        found = set()
        for name in self.service._operations.secrets:
            for version in self.service.versions(name):
                text = (version.value and version.value.string) or "{}"
                found.add(json.loads(text).get("password", text))
        return found

    def require_silence(self) -> None:
        """No password stands in anything that was said, nor was one asked for."""
        text = "".join(self.said)
        assert not [each for each in self.passwords() if len(each) >= LONG_ENOUGH and each in text]
        assert not ANSI.search(text)
        assert self.reads_names or self.asked("GetSecretValue") == 0


@contextmanager
def _written() -> Iterator[io.StringIO]:
    """Take down what the function's logger writes."""
    written = io.StringIO()
    handlers = [
        each
        for each in logging.getLogger(SERVICE).handlers
        if isinstance(each, logging.StreamHandler)
    ]
    before = [each.stream for each in handlers]
    for each in handlers:
        # Not by setStream, which flushes the former one: pytest has closed that by now.
        each.stream = written
    try:
        yield written
    finally:
        for each, stream in zip(handlers, before, strict=True):
            each.stream = stream
