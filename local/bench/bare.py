"""The measured process: the floor, which sends what it is told to and decides nothing.

A script could not do the work of a rotation with less: boto3's client, the driver when the first
login comes, and the messages one after the other. Its one argument names the driver's folder.
"""

import os
import ssl
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import cache
from typing import Any

import boto3

from local.bench.conversation import Order, converse

VERIFIER = "<verifier>"
"""Stands in a statement for the SCRAM verifier of the new password, which takes time to make."""
PROCESS = "<process>"
"""Stands for the number of the server's process."""


Connection = Any
"""The driver's own."""


class Driver(ABC):
    """Connections of one driver, by their numbers."""

    def __init__(self) -> None:
        self._open: dict[int, Any] = {}

    @abstractmethod
    def login(self, login: dict[str, Any]) -> Connection:
        """Log in over verified TLS."""

    @abstractmethod
    def statement(
        self,
        connection: Connection,
        text: str,
        parameters: list[Any],
        is_refused: bool,  # noqa: FBT001 - as the message has it
    ) -> None:
        """Run a statement and read its rows."""

    def send(self, word: str, number: int, *more: Any) -> None:  # noqa: ANN401 - of a message
        """Send one message."""
        if word == "login":
            self._open[number] = self.login(*more)
        elif word == "statement":
            self.statement(self._open[number], *more)
        else:
            self._open.pop(number).close()


class Postgres(Driver):
    """psycopg."""

    def __init__(self, new_password: str) -> None:
        super().__init__()
        self._new_password = new_password.encode()

    def login(self, login: dict[str, Any]) -> Connection:
        """Log in over verified TLS."""
        import psycopg  # noqa: PLC0415 - when it is needed, as in the function

        return psycopg.connect(
            host=login["host"],
            port=login["port"],
            user=login["username"],
            password=login["password"],
            dbname=login["database"],
            application_name="secret-rotation",
            client_encoding="UTF8",
            sslmode="verify-full",
            sslrootcert=os.environ["DATABASE_CA_FILE"],
            gssencmode="disable",
            autocommit=True,
            prepare_threshold=None,
        )

    def statement(
        self,
        connection: Connection,
        text: str,
        parameters: list[Any],
        is_refused: bool,  # noqa: FBT001 - as the message has it
    ) -> None:
        """Run statements of one message and read their rows."""
        del is_refused
        if VERIFIER in text:
            made = connection.pgconn.encrypt_password(self._new_password, b"", b"scram-sha-256")
            text = text.replace(VERIFIER, made.decode())
        text = text.replace(PROCESS, str(connection.info.backend_pid))
        cursor = connection.execute(text, parameters or None)
        while True:
            if cursor.description:
                cursor.fetchall()
            if not cursor.nextset():
                return


class Mysql(Driver):
    """PyMySQL."""

    def __init__(self, new_password: str) -> None:
        super().__init__()
        del new_password

    @staticmethod
    @cache
    def trust() -> ssl.SSLContext:
        """Read the authorities once, as the function does."""
        return ssl.create_default_context(cafile=os.environ["DATABASE_CA_FILE"])

    def login(self, login: dict[str, Any]) -> Connection:
        """Log in over verified TLS."""
        import pymysql  # noqa: PLC0415 - when it is needed, as in the function

        return pymysql.connect(
            host=login["host"],
            port=login["port"],
            user=login["username"],
            password=login["password"].encode(),
            database=login["database"],
            charset="utf8mb4",
            ssl=self.trust(),
            autocommit=None,
        )

    def statement(
        self,
        connection: Connection,
        text: str,
        parameters: list[Any],
        is_refused: bool,  # noqa: FBT001 - as the message has it
    ) -> None:
        """Run a statement and read its rows."""
        del parameters
        # A right that the user has not, and that the function does without.
        with connection.cursor() as cursor, suppress(*([Exception] if is_refused else [])):
            cursor.execute(text)
            cursor.fetchall()


DRIVERS: dict[str, Any] = {"postgres": Postgres, "mysql": Mysql}
"""The rotators' folders to the floor's drivers."""


def main(folder: str) -> None:
    """Make the client, and send what is asked for."""
    client: Any = boto3.client("secretsmanager")
    methods = {name: method for method, name in client.meta.method_to_api_mapping.items()}
    drivers: dict[str, Any] = {}

    def work(order: Order, number: int) -> None:
        if order["token"] not in drivers:
            drivers.clear()
            drivers[order["token"]] = DRIVERS[folder](order["new_password"])
        driver = drivers[order["token"]]
        for word, *message in order["messages"][number]:
            if word == "call":
                operation, parameters = message
                getattr(client, methods[operation])(**parameters)
            else:
                driver.send(word, *message)

    converse(work)


if __name__ == "__main__":
    main(sys.argv[1])
