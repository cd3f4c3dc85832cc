"""A secret of a real user on a real server, in a Secrets Manager of its own, for one function."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from local.engines import ENGINES
from local.lambda_runtime.runtime import LambdaRuntime
from local.secretsmanager import SecretsManagerService
from local.servers import Server, start
from local.servers.server import random_password
from shared.settings import StrategyName


@dataclass(frozen=True, slots=True)
class Scratch:
    """What a function finds around it.

    Attributes:
        server: The database server, with a user ``app``.
        service: Holds that user's secret, whose rotation function is `runtime`.
        runtime: The function.
        secret: The secret's ARN.
    """

    server: Server
    service: SecretsManagerService
    runtime: LambdaRuntime
    secret: str

    @property
    def keeps_former_password(self) -> bool:
        """Whether the former password works on until the next rotation: by the default strategy."""
        value = json.loads(self.service.value(self.secret))
        engine = ENGINES[self.server.engine].engine
        strategies = engine.strategies_for(administrator="masterarn" in value)
        return strategies[0] is StrategyName.DUAL_PASSWORD


def make_secret(
    service: SecretsManagerService,
    server: Server,
    name: str,
    ending: str | None = None,
    *,
    username: str = "app",
) -> str:
    """Make a user and its secret; return its ARN, whose ending may be given.

    It names an administrator where the engine can do nothing without one.
    """
    value = make_user(server, username)
    if not ENGINES[server.engine].engine.strategies_for(administrator=False):
        who = {"username": server.administrator.username, "password": server.administrator.password}
        value["masterarn"] = service.create_secret(f"{name}-administrator", value | who)
    return service.create_secret(name, value, ending=ending)


def make_user(server: Server, username: str) -> dict[str, str | int]:
    """Make a user; return what its secret holds."""
    password = random_password()
    server.create_user(username, password)
    return {
        "engine": server.engine,
        "host": server.host,
        "port": server.port,
        "dbname": server.database,
        "username": username,
        "password": password,
    }


@contextmanager
def scratch(
    kind: str,
    start_function: Callable[[Mapping[str, str]], LambdaRuntime],
    name: str | None = None,
) -> Iterator[Scratch]:
    """Start a server, an endpoint and a function, and make the secret.

    Args:
        kind: The server, such as ``postgres`` or ``mysql``.
        start_function: Returns the function for the variables that lead it here.
        name: The secret's name.

    Raises:
        ServerUnavailable: The server cannot be had.
    """
    service = SecretsManagerService(retries=0)
    with start(kind) as server, service.endpoint() as endpoint:
        secret = make_secret(service, server, name or f"example/{kind}")
        environment = endpoint.environment() | {"DATABASE_CA_FILE": str(server.ca_file)}
        with start_function(environment) as runtime:
            function = f"arn:aws:lambda:{service.region}:{service.account}:function:{kind}"
            service.functions[function] = lambda event: _discard(runtime.invoke(event))
            service.enable_rotation(secret, function)
            yield Scratch(server, service, runtime, secret)


def _discard(_: object) -> None:
    """Secrets Manager looks at no function's result."""
