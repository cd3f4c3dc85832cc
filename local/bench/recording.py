"""What a function sends while it works: calls to Secrets Manager, logins, statements, in order.

A message is a list, ready for JSON; connections are numbered as they are opened::

    ["call", "DescribeSecret", {"SecretId": ...}]
    ["login", 0, {"host": ..., "port": ..., "username": ..., "password": ..., "database": ...}]
    ["statement", 0, "SELECT ...", [parameters], whether it was refused]
    ["close", 0]
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

from shared.model import Login

Messages = list[list[Any]]
Patch = Any
"""What `unittest.mock.patch` gives."""


@contextmanager
def recorded(folder: str) -> Iterator[Messages]:
    """Give the list to which every message of this process is added, until ``with`` ends.

    Args:
        folder: The rotator's, below ``rotators/``; one of `DRIVERS`.
    """
    recording = Recording()
    with ExitStack() as patches:
        for each in (of_calls(recording), *DRIVERS[folder](recording)):
            patches.enter_context(each)
        yield recording.messages


class Recording:
    """The messages so far, and the connections that they are about."""

    def __init__(self) -> None:
        self.messages: Messages = []
        self._connections: list[object] = []

    def opened(self, connection: object, login: Login, database: str | None) -> None:
        """Note a login."""
        self._connections.append(connection)
        where = {"host": login.host, "port": login.port, "database": database}
        who = {"username": login.username, "password": login.password}
        self.messages.append(["login", len(self._connections) - 1, {**where, **who}])

    def told(self, word: str, connection: object, *more: object) -> list[Any]:
        """Note a message about a connection; one that ends before its login is done has none."""
        known = [number for number, each in enumerate(self._connections) if each is connection]
        message: list[Any] = [word, *known, *more]
        if known:
            self.messages.append(message)
        return message

    def closing(self, owner: Any) -> Patch:  # noqa: ANN401 - the class of a driver's connections
        """Return the patch that notes when a connection is closed."""
        close: Any = owner.close

        def noting(connection: Any) -> Any:  # noqa: ANN401
            self.told("close", connection)
            return close(connection)

        return patch.object(owner, "close", noting)


def of_calls(recording: Recording) -> Patch:
    """Return the patch of botocore's one way to send."""
    send: Any = BaseClient._make_api_call  # type: ignore[attr-defined] # noqa: SLF001

    def sending(client: Any, operation: str, parameters: dict[str, Any]) -> Any:  # noqa: ANN401
        recording.messages.append(["call", operation, dict(parameters)])
        return send(client, operation, parameters)

    return patch.object(BaseClient, "_make_api_call", sending)


def of_postgres(recording: Recording) -> Iterator[Patch]:
    """Yield the patches of psycopg, and of our login, which goes round it."""
    from psycopg import ClientCursor, Connection, Cursor  # noqa: PLC0415 - whichever driver

    from rotators.postgres import connection as ours  # noqa: PLC0415

    log_in, execute = ours.log_in, Cursor.execute

    def logging_in(login: Login, trust: Any, deadline: Any, database: str) -> Any:  # noqa: ANN401
        opened = log_in(login, trust, deadline, database)
        recording.opened(opened, login, database)
        return opened

    def executing(cursor: Any, query: Any, parameters: Any = None, **options: Any) -> Any:  # noqa: ANN401
        connection = cursor.connection
        text = query if isinstance(query, str) else query.as_string(connection)
        values = list(parameters or ())
        if isinstance(cursor, ClientCursor):
            text, values = cursor.mogrify(query, parameters), []
        recording.told("statement", connection, text, values, False)  # noqa: FBT003
        return execute(cursor, query, parameters, **options)

    yield patch.object(ours, "log_in", logging_in)
    yield patch.object(Cursor, "execute", executing)
    yield recording.closing(Connection)


def of_mysql(recording: Recording) -> Iterator[Patch]:
    """Yield the patches of PyMySQL."""
    from pymysql.connections import Connection  # noqa: PLC0415 - whichever driver there is
    from pymysql.cursors import Cursor  # noqa: PLC0415

    from rotators.mysql import connection as ours  # noqa: PLC0415

    execute: Any = Cursor.execute
    prepare = ours.Connection.prepare

    def preparing(connection: Any) -> None:  # noqa: ANN401
        login = connection.login
        recording.opened(connection._driver, login, login.document.get("dbname"))  # noqa: SLF001
        prepare(connection)

    def executing(cursor: Any, query: str, arguments: Any = None) -> Any:  # noqa: ANN401
        text = cursor.mogrify(query, arguments)
        message = recording.told("statement", cursor.connection, text, [], True)  # noqa: FBT003
        done = execute(cursor, query, arguments)
        message[-1] = False
        return done

    yield patch.object(ours.Connection, "prepare", preparing)
    yield patch.object(Cursor, "execute", executing)
    yield recording.closing(Connection)


DRIVERS: Mapping[str, Callable[[Recording], Iterator[Patch]]] = {
    "postgres": of_postgres,
    "mysql": of_mysql,
}
"""The rotators' folders to what notes their drivers' messages."""
