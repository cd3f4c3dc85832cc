"""An application that never pauses: it reads AWSCURRENT, logs in afresh, and does so again.

It is what a rotation must not disturb, and it measures how much it was disturbed. It runs in a
process of its own, so that it competes with nothing but for processor time::

    with Client(endpoint.environment()) as client:
        client.watch(arn, server.ca_file)
        ...  # rotate
        report = client.stop()
        print(report.accepted, report.interruption)

A refused login is not waited out: the next attempt, with AWSCURRENT read anew, follows at once.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

import boto3

from local.servers import clients
from local.servers.clients import Account, Endpoint

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

ROOT = Path(__file__).parent.parent

DRIVERS: Mapping[str, type[clients.Client]] = {
    "postgres": clients.PostgresClient,
    "mysql": clients.MySQLClient,
    "mariadb": clients.MariaDBClient,
    "valkey": clients.ValkeyClient,
}
"""By the secret's `engine`."""

LEAD = 3
"""So many logins in a row succeed before a rotation may begin, and after it has ended."""

PATIENCE_SECONDS = 10.0
"""How long the client goes on after `stop` where its logins do not succeed any more."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One read of AWSCURRENT and one login with it.

    Attributes:
        began: Monotonic seconds.
        ended: Likewise.
        outcome: `accepted`, `refused`, or what else went wrong, without the driver's words.
    """

    began: float
    ended: float
    outcome: str


ACCEPTED, REFUSED = "accepted", "refused"


@dataclass(frozen=True, slots=True)
class Report:
    """What the client saw.

    Attributes:
        accepted: Logins that succeeded.
        refused: Logins that the database refused.
        errors: Anything else that went wrong.
        interruption: Seconds during which no login succeeded: the longest time from the start of a
            failed attempt to the end of the next successful one; 0.0 if none failed.
        recovered: Whether the last attempt succeeded.
    """

    accepted: int
    refused: int
    errors: list[str]
    interruption: float
    recovered: bool


def report_of(attempts: Iterable[Attempt]) -> Report:
    """Sum attempts up, in the order in which they were made."""
    report = Report(accepted=0, refused=0, errors=[], interruption=0.0, recovered=False)
    failing_since: float | None = None
    for attempt in attempts:
        succeeded = attempt.outcome == ACCEPTED
        if not succeeded and failing_since is None:
            failing_since = attempt.began
        away = 0.0 if failing_since is None else attempt.ended - failing_since
        report = replace(
            report,
            accepted=report.accepted + succeeded,
            refused=report.refused + (attempt.outcome == REFUSED),
            errors=report.errors
            + ([] if attempt.outcome in {ACCEPTED, REFUSED} else [attempt.outcome]),
            interruption=max(report.interruption, away),
            recovered=succeeded,
        )
        if succeeded:
            failing_since = None
    return report


class Client:
    """The application's process, as the program that starts it sees it.

    Args:
        environment: Leads its SDK to the local Secrets Manager; added to this process's own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.client"],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the program; the client ends with its input.
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            # Killed: it holds nothing that would need an orderly end.
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def watch(self, secret: str, ca_file: Path) -> None:
        """Begin to log in, and return when the first logins have succeeded.

        Args:
            secret: The secret's ARN or name.
            ca_file: PEM of the authority that the database is verified against.

        Raises:
            RuntimeError: The client could not log in, or ended.
        """
        report = self._ask({"watch": secret, "ca_file": str(ca_file)})
        if not report.recovered:
            raise RuntimeError(f"The client cannot log in with {secret}: {report}.")

    def stop(self) -> Report:
        """Return what the client saw, once its last logins have succeeded.

        Raises:
            RuntimeError: The client ended.
        """
        return self._ask({"stop": True})

    def _ask(self, command: Mapping[str, object]) -> Report:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("The client is not running.")
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("The client ended.")
        return Report(**json.loads(line))


def main() -> None:
    """Answer commands, one JSON object a line, until the input ends."""
    application = Application(boto3.client("secretsmanager"), sys.stdin)
    # A command is sent only when the one before was answered: none waits unseen in the buffer.
    for line in sys.stdin:
        command = json.loads(line)
        watching = "watch" in command
        if watching:
            application.watch(command["watch"], Path(command["ca_file"]))
        report = application.report()
        print(json.dumps(asdict(report)), flush=True)
        if watching and report.recovered:
            application.run()


class Application:
    """The loop of reading and logging in.

    Args:
        secretsmanager: The SDK's client.
        commands: Ends the loop as soon as something can be read from it.
    """

    def __init__(self, secretsmanager: "SecretsManagerClient", commands: IO[str]) -> None:
        self._secretsmanager = secretsmanager
        self._commands = commands
        self._secret = ""
        self._ca_file = Path()
        self._attempts: list[Attempt] = []

    def watch(self, secret: str, ca_file: Path) -> None:
        """Turn to another secret and forget what was seen before."""
        self._secret, self._ca_file, self._attempts = secret, ca_file, []

    def run(self) -> None:
        """Log in without pause until there is a command."""
        while not select.select([self._commands], [], [], 0)[0]:
            self._attempts.append(self._attempt())

    def report(self) -> Report:
        """Log in until enough logins in a row have succeeded, or time is over, and sum up."""
        until = time.monotonic() + PATIENCE_SECONDS
        in_a_row = 0
        while in_a_row < LEAD and time.monotonic() < until:
            self._attempts.append(self._attempt())
            in_a_row = in_a_row + 1 if self._attempts[-1].outcome == ACCEPTED else 0
        return report_of(self._attempts)

    def _attempt(self) -> Attempt:
        began = time.monotonic()
        try:
            outcome = ACCEPTED if self._log_in() else REFUSED
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted and shown
            outcome = type(error).__name__
        return Attempt(began, time.monotonic(), outcome)

    def _log_in(self) -> bool:
        answer = self._secretsmanager.get_secret_value(SecretId=self._secret)
        secret = json.loads(answer["SecretString"])
        endpoint = Endpoint(secret["host"], secret["port"], self._ca_file)
        account = Account(secret["username"], secret["password"])
        return DRIVERS[secret["engine"]](endpoint).logs_in(account, secret["dbname"])


if __name__ == "__main__":
    main()
