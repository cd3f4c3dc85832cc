"""A playground: servers, a Secrets Manager, functions and secrets, until Ctrl-C.

    make stage

PostgreSQL, MySQL, MariaDB and Valkey with TLS, a Secrets Manager endpoint, the template's
functions, and for each server

- ``app/<server>``, to rotate with the AWS CLI as one likes,
- ``example/<server>``, which the events of ``events/`` are about, for `make invoke` and
  `sam local invoke`; Enter sets these up again,
- on PostgreSQL ``broken/...``, each with one common fault, and ``new/postgres``, which nothing
  rotates yet.

Lambda and CloudWatch Logs answer at the same endpoint, for the command `rotation` and the AWS CLI
(see :mod:`local.lambda_service`). Each rotation's outcome is told, and what its function has
written to its log. `compose.yaml` starts the same in a container.
"""

import argparse
import filecmp
import json
import os
import select
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from uuid import uuid4

from local.engines import FUNCTIONS
from local.lambda_runtime.functions import from_repository
from local.lambda_runtime.scratch import make_secret, make_user
from local.lambda_service import LambdaService
from local.secretsmanager import SecretsManagerService
from local.secretsmanager.endpoint import Endpoint
from local.servers import Server, ServerUnavailable, start
from local.template import ROOT, functions, load

PORT = 4566
TICK_SECONDS = 0.5

Value = dict[str, str | int]

FAULTS: Mapping[str, tuple[Callable[[Value], Value], dict[str, str]]] = {
    "wrong-password": (lambda value: value | {"password": "not the one"}, {}),
    "wrong-host": (lambda value: value | {"host": "db.invalid"}, {}),
    "closed-port": (lambda value: value | {"port": 9}, {}),
    "no-username": (lambda value: {key: value[key] for key in value if key != "username"}, {}),
    "misspelt-strategy": (lambda value: value, {"rotation:strategy": "singel-user"}),
    "hangs": (lambda value: value, {}),
}
"""What is wrong with a secret's value or tags; ``hangs`` has AWSPENDING on a version of its own."""


@dataclass
class Stage:
    """What is there, and how it is set up."""

    service: SecretsManagerService
    servers: Mapping[str, Server]
    made: set[str] = field(default_factory=set)
    lambdas: LambdaService = field(init=False)

    def __post_init__(self) -> None:
        self.lambdas = LambdaService(self.service)

    def function_of(self, kind: str) -> str:
        """Return the ARN of the function that rotates a server's secrets."""
        return f"arn:aws:lambda:{self.service.region}:{self.service.account}:function:{kind}"

    def start_functions(
        self,
        stack: ExitStack,
        variables: Mapping[str, str],
        listener: Callable[[str], object] = lambda _written: None,
    ) -> None:
        """Start the functions of all servers.

        Args:
            stack: Ends them.
            variables: What leads them to the endpoint.
            listener: Gets what they write to their logs, besides Lambda's.
        """
        declared = functions(load())
        for kind in self.servers:
            # Its ARN is what the secrets of this server name.
            function = replace(declared[FUNCTIONS[kind]], name=kind)
            runtime = stack.enter_context(from_repository(function, variables))
            arn = self.lambdas.add(
                kind,
                runtime.invoke,
                handler=function.handler,
                environment=function.environment,
                timeout_seconds=function.timeout_seconds,
            )

            def tell(written: str, arn: str = arn) -> None:
                self.lambdas.write(arn, written)
                listener(written)

            runtime.listener = tell

    def set_up(self) -> None:
        """Make every secret, and attach it."""
        for kind, server in self.servers.items():
            app = make_secret(self.service, server, f"app/{kind}", username="stage")
            self.service.enable_rotation(app, self.function_of(kind))
        # Its ARN is always the same, and so is the schedule that is made of it.
        newcomer = self.servers["postgres"]
        make_secret(self.service, newcomer, "new/postgres", "bEgins", username="newcomer")
        self.set_up_events()
        for fault, (spoil, tags) in FAULTS.items():
            value = spoil(make_user(self.servers["postgres"], fault))
            secret = self.service.create_secret(f"broken/{fault}", value, tags)
            self.service.enable_rotation(secret, self.function_of("postgres"))
            if fault == "hangs":
                self.service.prepare_rotation(secret, str(uuid4()))

    def set_up_events(self) -> None:
        """Make the secrets of the events, with the pending versions that these name, anew."""
        for kind, server in self.servers.items():
            for event_name, username in (("create-secret", "app"), ("attach", "attached")):
                event = json.loads((ROOT / "events" / f"{kind}-{event_name}.json").read_text())
                name, _, ending = event["SecretId"].rpartition(":")[2].rpartition("-")
                if name in self.made:
                    for each in (name, f"{name}-administrator"):  # forced, it need not be there
                        forget = {"SecretId": each, "ForceDeleteWithoutRecovery": True}
                        self.service.handle("DeleteSecret", forget)
                    server.drop_user(username)
                secret = make_secret(self.service, server, name, ending, username=username)
                self.made.add(name)
                self.service.enable_rotation(secret, self.function_of(kind))
                self.service.prepare_rotation(secret, event["ClientRequestToken"])

    def tell(self, variables: Mapping[str, str]) -> None:
        """Say what is there and what to type; lines that a shell can take begin with export."""
        for kind, server in self.servers.items():
            print(f"# {kind} {server.version}, its administrator: {server.url()}")
            print(f"#   function: {self.function_of(kind)}")
        for variable, value in variables.items():
            print(f"export {variable}={value}")
        print("# With these in another shell:")
        print("#   aws secretsmanager rotate-secret --secret-id app/postgres")
        print("#   .venv/bin/python -m console status --all")
        print("#   make invoke FUNCTION=PostgresRotator EVENT=events/postgres-create-secret.json")
        print(f"# Not well, and to be rotated: {', '.join(f'broken/{fault}' for fault in FAULTS)}")
        print("# Enter sets the secrets of events/ up again.")
        print("# Ready; stop with Ctrl-C.", flush=True)


class Keys:
    """Tells whether Enter was pressed; where there is no terminal, it never is."""

    def __init__(self) -> None:
        self._open = sys.stdin is not None  # None where a shell has closed it

    def pressed(self, seconds: float, stopped: Event) -> bool:
        """Wait so long for Enter, or for the end of the stage."""
        if not self._open:
            stopped.wait(seconds)
            return False
        readable, _, _ = select.select([sys.stdin.fileno()], [], [], seconds)
        if readable:
            self._open = bool(os.read(sys.stdin.fileno(), 4096))
        return bool(readable) and self._open


def write_ca_file(port: int, servers: Mapping[str, Server]) -> Path:
    """Write the servers' authorities into one file; each port's stage has its own."""
    name = "local-ca.pem" if port == PORT else f"local-ca-{port}.pem"
    path = ROOT / "build" / name
    path.parent.mkdir(exist_ok=True)
    _give_away(path.parent)
    path.write_text("".join(server.ca_file.read_text() for server in servers.values()))
    _give_away(path)
    return path


def give_to_built_functions(ca_file: Path) -> None:
    """Copy the authorities to where a function in a container sees them, /var/task.

    A `sam build` removes them, so this is done again and again.
    """
    for name in set(FUNCTIONS.values()):
        folder = ROOT / ".aws-sam" / "build" / name
        copy = folder / ca_file.name
        if folder.is_dir() and not (copy.exists() and filecmp.cmp(ca_file, copy, shallow=False)):
            shutil.copy(ca_file, copy)
            _give_away(copy)


def _give_away(path: Path) -> None:
    """Let what root has written in a container belong to whom the repository belongs to."""
    if os.geteuid() == 0:
        owner = ROOT.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def tell_log(written: str) -> None:
    """Print what a function has written, but for its metrics."""
    for line in written.splitlines():
        if not line.startswith('{"_aws"'):
            print(line, flush=True)


def main() -> int:
    """Set the stage, say how to use it, and tell what happens; return the exit status."""
    parser = argparse.ArgumentParser(prog="make stage")
    parser.add_argument("--port", type=int, default=PORT, help="of the endpoint; 0 for a free one")
    port: int = parser.parse_args().port
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopped.set())
    service = SecretsManagerService(retries=1)
    with ExitStack() as stack:
        try:
            # First of all: where another stage listens, nothing of it is touched.
            endpoint = stack.enter_context(service.endpoint(port))
            servers = {kind: stack.enter_context(start(kind)) for kind in FUNCTIONS}
        except OSError as error:
            print(f"Port {port}: {error.strerror}. Stop what listens there.", file=sys.stderr)
            return 2
        except ServerUnavailable as error:
            print(error, file=sys.stderr)
            return 1
        run(stack, Stage(service, servers), endpoint, stopped)
    return 0


def run(stack: ExitStack, stage: Stage, endpoint: Endpoint, stopped: Event) -> None:
    """Set everything up, and tell what happens until it is stopped."""
    ca_file = write_ca_file(endpoint.port, stage.servers)
    variables = endpoint.environment() | {"DATABASE_CA_FILE": str(ca_file)}
    stage.start_functions(stack, variables, tell_log)
    stage.set_up()
    stage.tell(variables | {"AWS_ENDPOINT_URL": endpoint.url})
    keys, told = Keys(), 0
    while not stopped.is_set():
        if keys.pressed(TICK_SECONDS, stopped):
            stage.set_up_events()
            print("# The secrets of events/ are as in the beginning.", flush=True)
        stage.service.advance(timedelta(0))  # what has fallen due by the real clock
        if endpoint.port == PORT:
            give_to_built_functions(ca_file)
        for outcome in stage.service.outcomes[told:]:
            print(f"# {outcome}", flush=True)
            told += 1


if __name__ == "__main__":
    sys.exit(main())
