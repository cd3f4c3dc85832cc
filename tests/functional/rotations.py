"""What the functional tests share: secrets that rotate, and a record of all that is said.

::

    def test_something(postgres: Server, rotating: Rotating) -> None:
        secret = rotating.secret(postgres)                # user, secret and function, all fresh
        secret.rotate()                                   # raises what a step raised
        assert secret.logs_in()

When a test is over, everything that the function wrote, raised or made PostgreSQL write is searched
for every password that any secret of the test ever held.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from local.engines import ENGINES
from local.secretsmanager import Outcome, SecretsManagerService
from local.secretsmanager.versions import Version
from local.servers import Server
from shared.errors import RotationError
from shared.rotator import Rotator
from shared.runtime import SERVICE, UnexpectedError, handler_for

ROTATORS: Mapping[str, type[Rotator]] = {
    name: declared.rotator() for name, declared in ENGINES.items()
}
"""Imported before any test runs: a function's logger keeps the output that it finds then."""

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")

LONG_ENOUGH_TO_SEARCH = 8
"""Shorter passwords, of tests about such, occur in texts by chance."""

_numbers = count(1)


def new_name(prefix: str = "app") -> str:
    """Return a user name that no other test uses."""
    return f"{prefix}_{next(_numbers)}"


class _Output:
    """Standard output, whichever it is at the moment of writing."""

    @staticmethod
    def write(text: str) -> int:
        return sys.stdout.write(text)

    @staticmethod
    def flush() -> None:
        sys.stdout.flush()


class Record:
    """All that the function says: standard output and error, log lines, metrics."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured
        self._text = ""

    def text(self) -> str:
        """Return everything so far."""
        captured = self._captured.readouterr()
        self._text += captured.out + captured.err
        return self._text

    def forget(self) -> None:
        """Begin anew."""
        self.text()
        self._text = ""

    def lines(self) -> list[dict[str, Any]]:
        """Return the JSON lines so far: log lines and metrics."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def metrics(self) -> list[str]:
        """Return the names of the metrics counted so far."""
        return [
            metric["Name"]
            for line in self.lines()
            for group in line.get("_aws", {}).get("CloudWatchMetrics", [])
            for metric in group["Metrics"]
        ]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take down what any logger says meanwhile, as Lambda does."""
        root, ours = logging.getLogger(), logging.getLogger(SERVICE)
        everything = logging.StreamHandler(_Output())
        streams = [each for each in ours.handlers if isinstance(each, logging.StreamHandler)]
        before = [handler.stream for handler in streams]
        root.addHandler(everything)
        for handler in streams:
            handler.setStream(_Output())
        try:
            yield
        finally:
            root.removeHandler(everything)
            for handler, stream in zip(streams, before, strict=True):
                handler.setStream(stream)


class RotatingSecret:
    """One user of one server, its secret, and the function that rotates it.

    Attributes:
        service: The Secrets Manager that holds the secret.
        server: The database server.
        arn: The secret's ARN.
    """

    def __init__(self, service: SecretsManagerService, server: Server, arn: str) -> None:
        self.service = service
        self.server = server
        self.arn = arn

    def rotate(self, token: str | None = None) -> Outcome:
        """Rotate, and raise what the last step raised if it did not end well."""
        outcome = self.service.rotate(self.arn, token)
        if outcome.error is not None:
            raise outcome.error
        return outcome

    def fails(self, *, retried: bool = False) -> RotationError | UnexpectedError:
        """Rotate, and return what the last step raised; by default the service does not retry."""
        retries, self.service.retries = self.service.retries, 3 if retried else 0
        try:
            outcome = self.service.rotate(self.arn)
        finally:
            self.service.retries = retries
        assert isinstance(outcome.error, RotationError | UnexpectedError), outcome.error
        return outcome.error

    def fails_again(self) -> RotationError | UnexpectedError:
        """Rotate once more, with the same token if the attempt has not ended itself.

        Returns:
            What a step raises.
        """
        token = self.label("AWSPENDING") or self.prepare()
        with pytest.raises((RotationError, UnexpectedError)) as caught:
            self.step(token, *STEPS)
        assert isinstance(caught.value, RotationError | UnexpectedError)
        return caught.value

    def prepare(self) -> str:
        """Put AWSPENDING on a version without a value, and return the version's id."""
        self.service.prepare_rotation(self.arn, token := str(uuid4()))
        return token

    def step(self, token: str, *steps: str) -> None:
        """Invoke the function for these steps; raise what it raises."""
        for step in steps:
            self.service.invoke_step(self.arn, token, step)

    def abandon(self) -> None:
        """Take AWSPENDING off, as an operator does whose rotation is stuck, if it still is on."""
        if (token := self.label("AWSPENDING")) is not None:
            self.service.abandon(self.arn, token)

    def document(self, stage: str = "AWSCURRENT") -> dict[str, Any]:
        """Return the value of the version with that label."""
        document = json.loads(self.service.value(self.arn, stage=stage))
        assert isinstance(document, dict)
        return document

    def label(self, stage: str) -> str | None:
        """Return the id of the version with that label."""
        return self.service.labels(self.arn).get(stage)

    def versions(self) -> list[Version]:
        """Return all versions, oldest first."""
        return self.service.versions(self.arn)

    def edit(self, **fields: Any) -> None:  # noqa: ANN401 (any JSON value)
        """Store another AWSCURRENT, as an operator does."""
        self.store({**self.document(), **fields})

    def store(self, value: object) -> None:
        """Store any text, or any JSON value, as AWSCURRENT."""
        text = value if isinstance(value, str) else json.dumps(value)
        self.service.client().put_secret_value(SecretId=self.arn, SecretString=text)

    def tag(self, **tags: str) -> None:
        """Set tags: ``strategy="single-user"`` sets ``rotation:strategy``."""
        self.service.client().tag_resource(
            SecretId=self.arn,
            Tags=[
                {"Key": f"rotation:{key.replace('_', '-')}", "Value": value}
                for key, value in tags.items()
            ],
        )

    @property
    def username(self) -> str:
        """The user that AWSCURRENT names."""
        return str(self.document()["username"])

    def logs_in(self, stage: str = "AWSCURRENT") -> bool:
        """Tell whether the database accepts the version with that label."""
        document = self.document(stage)
        return self.server.logs_in(document["username"], document["password"])


class Rotating:
    """Makes rotated secrets, each with a fresh handler.

    Attributes:
        service: The Secrets Manager of this test.
        record: What was said so far.
    """

    def __init__(self, service: SecretsManagerService, record: Record) -> None:
        self.service = service
        self.record = record
        self._passwords: set[str] = set()
        self._log_began: dict[Server, int] = {}

    def function(
        self,
        server: Server,
        *,
        timeout_seconds: float = 60,
        rotator: type[Rotator] | None = None,
        **environment: str,
    ) -> str:
        """Register a fresh handler with this environment, and return the function's ARN."""
        variables = {"DATABASE_CA_FILE": str(server.ca_file), **environment}
        kind = rotator or ROTATORS[server.engine]
        handler = handler_for(kind, {k: v for k, v in variables.items() if v != "unset"})
        name = new_name("function")
        return self.service.register(name, handler, timeout_seconds=timeout_seconds)

    def administrator(self, server: Server, **fields: Any) -> str:  # noqa: ANN401 (any JSON value)
        """Make a secret of the server's administrator, and return its ARN."""
        account = server.administrator
        login = {"username": account.username, "password": account.password}
        return self.service.create_secret(
            new_name("administrator"),
            {"engine": server.engine, "host": server.host, "port": server.port, **login, **fields},
        )

    def secret(
        self,
        server: Server,
        username: str | None = None,
        *,
        password: str = "the First passw0rd",
        create_user: bool = True,
        administrator: bool | str = False,
        strategy: str | None = None,
        tags: Mapping[str, str] | None = None,
        function: str | None = None,
        **fields: Any,  # noqa: ANN401 (any JSON value)
    ) -> RotatingSecret:
        """Make a user and its rotated secret.

        Args:
            server: Where the user is made.
            username: A new name when omitted.
            password: The user's first password.
            create_user: Whether to make the user in the database.
            administrator: Whether the secret names one; or his secret's ARN.
            strategy: The secret's tag; none when omitted.
            tags: Further tags.
            function: The function's ARN; a fresh one when omitted.
            **fields: Further keys of the secret, or other values for the usual ones.
        """
        username = new_name() if username is None else username
        if create_user:
            server.create_user(username, password)
        document: dict[str, Any] = {
            "engine": server.engine,
            "host": server.host,
            "port": server.port,
            "username": username,
            "password": password,
            "dbname": server.database,
        }
        if administrator:
            is_arn = isinstance(administrator, str)
            document["masterarn"] = administrator if is_arn else self.administrator(server)
        tags = {**(tags or {}), **({"rotation:strategy": strategy} if strategy else {})}
        arn = self.service.create_secret(new_name("secret"), {**document, **fields}, tags=tags)
        self.service.enable_rotation(arn, function or self.function(server))
        self.watch(server)
        return RotatingSecret(self.service, server, arn)

    def watch(self, server: Server) -> None:
        """Search what this server's log gains during the test, if it is one that keeps silent."""
        if server.engine == "postgres":
            self._log_began.setdefault(server, len(server.log_text()))

    def log_since(self, server: Server) -> str:
        """Return what the server's log gained since the test's first secret there."""
        return server.log_text()[self._log_began[server] :]

    def passwords(self) -> set[str]:
        """Return every password that any version of any secret holds."""
        found = set(self._passwords)
        for arn in self._arns():
            for version in self.service.versions(arn):
                found |= set(_passwords(version))
        return found

    def _arns(self) -> list[str]:
        pages = self.service.client().get_paginator("list_secrets").paginate()
        return [secret["ARN"] for page in pages for secret in page["SecretList"]]

    def require_silence(self) -> None:
        """Raise AssertionError if a password stands in anything that was said, raised or logged."""
        errors = [step.error for outcome in self.service.outcomes for step in outcome.steps]
        places = {
            "what the function wrote": self.record.text(),
            "what it raised": "".join(
                "".join(traceback.format_exception(error)) + repr(error)
                for error in errors
                if error is not None
            ),
        }
        for server in self._log_began:
            places[f"the log of {server.kind}"] = self.log_since(server)
        searched = [p for p in self.passwords() if len(p) >= LONG_ENOUGH_TO_SEARCH]
        for place, text in places.items():
            for password in searched:
                # Not `in` within the assertion: pytest would show the password, and the text.
                found = password in text or json.dumps(password)[1:-1] in text
                assert not found, f"A password stands in {place}."


def _passwords(version: Version) -> Iterator[str]:
    """Read a version's password, if it is a secret that has one."""
    try:
        document = json.loads((version.value.string if version.value else None) or "")
    except ValueError:
        return
    password = document.get("password") if isinstance(document, dict) else None
    if isinstance(password, str):
        yield password
