"""Everything that a rotation needs, started together and stopped together."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3

from local.client import Client
from local.engines import ENGINES
from local.isolation import forget_caller
from local.lambda_runtime import FunctionError, LambdaRuntime
from local.secretsmanager import SecretsManagerService
from local.servers import Server, start

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

FUNCTION_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Invocation:
    """One step as the function carried it out.

    Attributes:
        step: Its name.
        seconds: Without the start of the function's process.
        cold_start_seconds: The start of the process; None where it ran already.
        entry: What the function's log says of a step that succeeded; empty if it failed.
        error: How it failed, None if it succeeded.
    """

    step: str
    seconds: float
    cold_start_seconds: float | None
    entry: Mapping[str, Any]
    error: str | None


class Function:
    """A rotation function as Lambda would run it: in a process that can be killed.

    Args:
        runtime: Its execution environment.

    Attributes:
        on_invocation: Is told of each step when it has ended; None for nobody.
    """

    def __init__(self, runtime: LambdaRuntime) -> None:
        self._runtime = runtime
        self._read = 0
        self._stopped = False
        self.on_invocation: Callable[[Invocation], None] | None = None

    def __call__(self, event: Mapping[str, Any], context: object) -> None:
        """Carry out one step.

        Raises:
            FunctionError: It failed.
        """
        del context  # the runtime makes its own
        if self._stopped:
            raise FunctionError("Runtime.ExitError", "the demonstration is over")
        error: FunctionError | None = None
        try:
            self._runtime.invoke(event)
        except FunctionError as failure:
            error = failure
        invocation = self._last_invocation(event["Step"], error)
        if self.on_invocation is not None:
            self.on_invocation(invocation)
        if error is not None:
            raise error

    def _last_invocation(self, step: str, error: FunctionError | None) -> Invocation:
        report = self._runtime.reports[-1]
        cold = report.init_milliseconds
        return Invocation(
            step,
            report.milliseconds / 1000,
            None if cold is None else cold / 1000,
            self._new_entry(),
            None if error is None else str(error),
        )

    def _new_entry(self) -> Mapping[str, Any]:
        """Return the line that the last invocation has logged about its success, if it has."""
        log = self.log
        new, self._read = log[self._read :], len(log)
        for line in new.splitlines():
            if line.startswith("{"):
                entry: dict[str, Any] = json.loads(line)
                if "action" in entry:
                    return entry
        return {}

    @property
    def log(self) -> str:
        """What the function has logged so far."""
        return self._runtime.log

    def kill(self) -> None:
        """End its process by SIGKILL, whatever it is doing; the next invocation starts anew."""
        self._runtime.kill()

    def stop(self) -> None:
        """Kill it, and fail every further invocation at once."""
        self._stopped = True
        self.kill()


@dataclass
class World:
    """What is running.

    Attributes:
        service: Secrets Manager.
        secretsmanager: A client of its endpoint, as any program would make it.
        servers: By engine.
        functions: Likewise.
        function_arns: Likewise.
        administrator_arns: The administrators' secrets, likewise.
        client: The application.
    """

    service: SecretsManagerService
    secretsmanager: "SecretsManagerClient"
    client: Client
    servers: dict[str, Server] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    function_arns: dict[str, str] = field(default_factory=dict)
    administrator_arns: dict[str, str] = field(default_factory=dict)


Ready = Callable[[str, str, float], None]
"""Is told name and address of what has started, and how many seconds that took."""


@contextmanager
def running_world(ready: Ready) -> Iterator[World]:
    """Start everything, and stop it again whatever happens.

    Args:
        ready: Called for each part as soon as it runs, from several threads.

    Raises:
        ServerUnavailable: A database server cannot be had.
    """
    with ExitStack() as stack:
        began = time.monotonic()
        service = SecretsManagerService()
        endpoint = stack.enter_context(service.endpoint())
        forget_caller(endpoint.environment())
        client = stack.enter_context(Client({}))
        # The SDK finds the endpoint in AWS_ENDPOINT_URL_SECRETS_MANAGER, like everybody's.
        world = World(service, boto3.client("secretsmanager"), client)
        ready("Secrets Manager", endpoint.url, time.monotonic() - began)
        with ThreadPoolExecutor() as pool:
            starting = [pool.submit(_start_server, engine, ready) for engine in ENGINES]
        for engine, each in zip(ENGINES, starting, strict=True):
            world.servers[engine] = stack.enter_context(each.result())
        for engine in ENGINES:
            _add_function(world, engine, endpoint.environment(), stack)
        yield world


def _start_server(engine: str, ready: Ready) -> Server:
    began = time.monotonic()
    server = start(engine)
    name = f"{ENGINES[engine].engine.title} {server.version}"
    ready(name, f"{server.host}:{server.port}, TLS required", time.monotonic() - began)
    return server


def _add_function(
    world: World, engine: str, environment: Mapping[str, str], stack: ExitStack
) -> None:
    server = world.servers[engine]
    runtime = LambdaRuntime(
        ENGINES[engine].handler,
        environment={**environment, "DATABASE_CA_FILE": str(server.ca_file)},
        timeout_seconds=FUNCTION_SECONDS,
        name=f"rotate-{engine}",
    )
    function = Function(stack.enter_context(runtime))
    # Before the endpoint waits for rotations under way: they end at once.
    stack.callback(function.stop)
    world.functions[engine] = function
    world.function_arns[engine] = world.service.register(
        f"rotate-{engine}", function, timeout_seconds=FUNCTION_SECONDS
    )
    administrator = server.administrator
    world.administrator_arns[engine] = world.secretsmanager.create_secret(
        Name=f"demo/{engine}/administrator",
        SecretString=json.dumps(
            {
                "engine": engine,
                "host": server.host,
                "port": server.port,
                "username": administrator.username,
                "password": administrator.password,
            }
        ),
    )["ARN"]
