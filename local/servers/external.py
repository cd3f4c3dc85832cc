"""A server of the user's own, given by URL in the environment."""

import contextlib
import os
from pathlib import Path
from typing import ClassVar, Never
from urllib.parse import parse_qs, unquote, urlsplit

from local.servers.clients import (
    Account,
    Client,
    Endpoint,
    MariaDBClient,
    MySQLClient,
    PostgresClient,
    ValkeyClient,
)
from local.servers.errors import ServerUnavailable
from local.servers.server import DATABASE, Server

_VARIABLES = {
    "postgres": "ROTATION_TEST_POSTGRES_URL",
    "mysql": "ROTATION_TEST_MYSQL_URL",
    "mariadb": "ROTATION_TEST_MARIADB_URL",
    "valkey": "ROTATION_TEST_VALKEY_URL",
}
_CLIENTS: dict[str, tuple[type[Client], int]] = {
    "postgres": (PostgresClient, 5432),
    "mysql": (MySQLClient, 3306),
    "mariadb": (MariaDBClient, 3306),
    "valkey": (ValkeyClient, 6379),
}


def url_of(kind: str) -> str | None:
    """Return the URL that the environment gives for this kind of server, or None."""
    variable = _VARIABLES.get(kind)
    return os.environ.get(variable) if variable else None


class ExternalServer(Server):
    """A server that somebody else runs.

    It has no superuser: oracles and fixtures run as the administrator. Users made through it are
    dropped again when it is closed.
    """

    engine: ClassVar = "external"

    def __init__(self, kind: str, url: str) -> None:
        """Read the URL and log in once.

        Args:
            kind: a key of the table above.
            url: `<anything>://user:password@host[:port][/database]?ca=/path/to/ca.pem`.

        Raises:
            ServerUnavailable: a part of the URL is missing, or the server refuses the login.
        """
        variable = _VARIABLES[kind]
        parts = urlsplit(url)
        ca_files = parse_qs(parts.query).get("ca", [])
        if not (parts.hostname and parts.username and parts.password and ca_files):
            raise ServerUnavailable(
                f"{variable} lacks user, password, host or ?ca=.",
                hint=f"Write {kind}://user:password@host:port/database?ca=/path/to/ca.pem.",
            )
        client, default_port = _CLIENTS[kind]
        self.kind = kind
        self.engine = kind  # type: ignore[misc]  # a local server's class tells it, here the URL
        self.host = parts.hostname
        self.port = parts.port or default_port
        self.ca_file = Path(ca_files[0])
        self.database = unquote(parts.path.lstrip("/")) or DATABASE
        self.administrator = Account(unquote(parts.username), unquote(parts.password))
        self.superuser = self.administrator
        self._client = client(Endpoint(self.host, self.port, self.ca_file))
        self._made: list[str] = []
        if not self.logs_in(self.administrator.username, self.administrator.password):
            raise ServerUnavailable(
                f"{self.host}:{self.port} refuses the administrator's password.",
                hint=f"Correct user and password in {variable}.",
            )
        self.version = self._client.version(self.administrator, self.database)

    def create_user(self, name: str, password: str) -> None:
        """Create an application's user, to be dropped when this object is closed."""
        super().create_user(name, password)
        self._made.append(name)

    def close(self) -> None:
        """Drop the users that were made; the server itself goes on."""
        while self._made:
            with contextlib.suppress(Exception):  # a test may have dropped it
                self.drop_user(self._made.pop())

    def _not_ours(self, what: str) -> Never:
        raise ServerUnavailable(
            f"{what} is out of reach on a server given by {_VARIABLES[self.kind]}.",
            hint="Unset the variable for this test.",
        )

    def log_text(self) -> str:
        """Raise ServerUnavailable."""
        self._not_ours("The server's log")

    def failed_logins(self) -> int:
        """Raise ServerUnavailable."""
        self._not_ours("The server's log")

    def set_read_only(self, on: bool) -> None:  # noqa: FBT001 - a switch
        """Raise ServerUnavailable."""
        del on
        self._not_ours("Its configuration")

    def restart(self) -> None:
        """Raise ServerUnavailable."""
        self._not_ours("Its process")

    def stop(self) -> None:
        """Raise ServerUnavailable."""
        self._not_ours("Its process")

    def stop_hard(self) -> None:
        """Raise ServerUnavailable."""
        self._not_ours("Its process")
