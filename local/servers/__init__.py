"""Real database servers for tests and the demo.

    with start("mysql") as server:
        server.create_user("app", password)
        assert server.logs_in("app", password)

A server is taken from this machine if it has one, else brought from Debian's package archive into
a private cache (`archive`), without root and without changing the system. Each runs unprivileged,
on a free port of loopback, in a temporary folder, with an authority of its own and TLS required,
and is gone when the program is (`keeper`).

To test against a server of your own, put the administrator's login into the environment:

| kind       | variable                   |
|------------|----------------------------|
| `postgres` | ROTATION_TEST_POSTGRES_URL |
| `mysql`    | ROTATION_TEST_MYSQL_URL    |
| `mariadb`  | ROTATION_TEST_MARIADB_URL  |
| `valkey`   | ROTATION_TEST_VALKEY_URL   |

as in `mysql://administrator:password@database.example:3306/app?ca=/path/to/ca.pem`, with what a
URL reserves percent-encoded. What needs the server's own log or its process then raises
`ServerUnavailable`.

All of a run's workers would share it, and it counts one failed login like the other: let there be
none, `make test WORKERS=0`.

Other variables: ROTATION_SERVERS_CACHE (folder of downloaded servers), ROTATION_SERVERS_USER (who
runs servers if root starts them), ROTATION_DEBIAN_MIRROR (another mirror of Debian's archive).
"""

from collections.abc import Sequence

from local.servers.archive import RECIPES
from local.servers.certificates import LOOPBACK_NAMES, Authority
from local.servers.clients import Account
from local.servers.errors import ServerUnavailable
from local.servers.external import ExternalServer, url_of
from local.servers.installations import installation
from local.servers.mysql import MariaDBServer, MySQLServer
from local.servers.postgres import PostgresServer
from local.servers.server import LocalServer, Server
from local.servers.valkey import ValkeyServer

KINDS = tuple(RECIPES)
"""What `start` can start: an engine, in the version that is easiest to have, or a version."""

_SERVERS: dict[str, type[LocalServer]] = {
    server.engine: server for server in (PostgresServer, MySQLServer, MariaDBServer, ValkeyServer)
}

__all__ = ["KINDS", "Account", "Authority", "Server", "ServerUnavailable", "prepare", "start"]


def _server_class(kind: str) -> type[LocalServer]:
    if kind not in RECIPES:
        raise ServerUnavailable(
            f"There is no kind of server {kind!r}.", hint=f"Choose one of {', '.join(KINDS)}."
        )
    return _SERVERS[kind.partition("-")[0]]


def prepare(kind: str) -> str:
    """Have a server ready to start: its programs fetched, its data folder initialised.

    Args:
        kind: one of `KINDS`.

    Returns:
        The server's version.

    Raises:
        ServerUnavailable: the server cannot be had; the message tells what to do.
    """
    server = _server_class(kind)
    programs = installation(kind)
    if not server.template_folder(programs).exists():
        server(programs).close()
    return programs.version


def start(
    kind: str, *, tls: bool = True, certificate_names: Sequence[str] = LOOPBACK_NAMES
) -> Server:
    """Start a database server and return it once it answers; use it as a context manager.

    Args:
        kind: one of `KINDS`, such as `postgres`, `postgres-18`, `mysql`, `mariadb`.
        tls: False for a server that does not know TLS.
        certificate_names: host names and addresses that its certificate is made out to; others
            than `localhost` make verification of the name fail.

    Raises:
        ServerUnavailable: the server cannot be had; the message tells what to do.
    """
    server = _server_class(kind)
    own = url_of(kind)
    if own and tls and certificate_names == LOOPBACK_NAMES:
        return ExternalServer(kind, own)
    return server(installation(kind), tls=tls, certificate_names=certificate_names)
