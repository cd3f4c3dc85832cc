"""The measured process: the floor for MySQL."""

import hashlib
import os
import ssl
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import pymysql

from local.bench.bare import Floor, Login
from local.bench.conversation import converse

if TYPE_CHECKING:
    from pymysql.connections import Connection as DriverConnection
    from pymysql.cursors import Cursor

    Connection = DriverConnection[Cursor]


@cache
def trust() -> ssl.SSLContext:
    """Read the authorities once, as the function does."""
    return ssl.create_default_context(cafile=os.environ["DATABASE_CA_FILE"])


class MysqlFloor(Floor["Connection"]):
    """The statements of a rotation, by PyMySQL."""

    def connect(self, login: Login) -> "Connection":
        """Log in over verified TLS, and bring the session into a known state."""
        connection = pymysql.connect(
            host=login["host"],
            port=int(login["port"]),
            user=login["username"],
            password=login["password"].encode(),
            database=login["dbname"],
            charset="utf8mb4",
            ssl=trust(),
            autocommit=None,
        )
        run(
            connection,
            "SET SESSION sql_mode = %s, autocommit = 1, lock_wait_timeout = %s, wait_timeout = %s",
            "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            10,
            60,
        )
        run(connection, "SELECT CURRENT_USER()")
        return connection

    def lock(self, connection: "Connection", secret: str) -> None:
        """Take the advisory lock."""
        name = ("rotation:" + hashlib.sha256(secret.encode()).hexdigest())[:64]
        run(connection, "SELECT GET_LOCK(%s, 0)", name)

    def change(self, connection: "Connection", pending: Login) -> None:
        """Change the password, and discard a second one that the user may have."""
        name = pending["username"]
        run(connection, "SELECT @@GLOBAL.read_only")
        run(connection, "ALTER USER %s@%s IDENTIFIED BY %s", name, "%", pending["password"])
        # Refused, as for the function: the user has not the right, and no second password.
        with suppress(pymysql.OperationalError):
            run(connection, "ALTER USER %s@%s DISCARD OLD PASSWORD", name, "%")


def run(connection: "Connection", statement: str, *arguments: object) -> None:
    """Run a statement and read its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments or None)
        cursor.fetchall()


if __name__ == "__main__":
    converse(MysqlFloor().work)
