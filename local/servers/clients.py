"""How tests talk to a database: as an oracle, never through the code under test."""

import hashlib
import ssl
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pymysql
import valkey
from psycopg import sql

Parameters = Sequence[Any] | None
Rows = list[tuple[Any, ...]]

_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Account:
    """A user of a database server and its password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens.

    Attributes:
        host: a host name.
        port: a TCP port.
        ca_file: PEM of the authority that the server is verified against; None for no TLS.
        verifies_name: False if the server's certificate is made out to another name on purpose.
    """

    host: str
    port: int
    ca_file: Path | None
    verifies_name: bool = True


class Client(ABC):
    """One engine's way to log in and to run a statement. Every call is a login of its own."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Keep where the server listens."""
        self.endpoint = endpoint

    @abstractmethod
    def execute(
        self, account: Account, database: str, statement: str, parameters: Parameters = None
    ) -> Rows:
        """Log in, run one statement in its own transaction, and return its rows, if any.

        Raises:
            psycopg.Error, pymysql.MySQLError or valkey.ValkeyError: as the driver reports it.
        """

    def version(self, account: Account, database: str) -> str:
        """Return the server's version, as it tells it."""
        return str(self.execute(account, database, "SELECT version()")[0][0])

    @abstractmethod
    def logs_in(self, account: Account, database: str) -> bool:
        """Tell whether the server accepts the account's password.

        Raises:
            psycopg.Error, pymysql.MySQLError or valkey.ValkeyError: anything but a refused
                password.
        """

    @abstractmethod
    def create_user(self, administrator: Account, database: str, user: Account) -> None:
        """Create a user who works in `database` like an application, by the administrator."""

    @abstractmethod
    def drop_user(self, administrator: Account, database: str, username: str) -> None:
        """Drop a user that `create_user` made, with what it owns."""


class PostgresClient(Client):
    """PostgreSQL through psycopg."""

    def connect(
        self, account: Account, database: str, options: str = ""
    ) -> psycopg.Connection[tuple[Any, ...]]:
        """Log in, with TLS verified, in autocommit mode.

        Args:
            account: who logs in.
            database: where.
            options: command-line options for the session, such as `-c name=value`.
        """
        ca_file = self.endpoint.ca_file
        name_checked = "verify-full" if self.endpoint.verifies_name else "verify-ca"
        return psycopg.connect(
            host=self.endpoint.host,
            port=self.endpoint.port,
            user=account.username,
            password=account.password,
            dbname=database,
            sslmode=name_checked if ca_file else "disable",
            sslrootcert=str(ca_file) if ca_file else None,
            connect_timeout=_CONNECT_SECONDS,
            client_encoding="utf8",
            autocommit=True,
            options=options,
        )

    def execute(
        self, account: Account, database: str, statement: str, parameters: Parameters = None
    ) -> Rows:
        """Log in, run one statement in its own transaction, and return its rows, if any."""
        with self.connect(account, database) as connection:
            cursor = connection.execute(statement, parameters)
            return list(cursor.fetchall()) if cursor.description is not None else []

    def logs_in(self, account: Account, database: str) -> bool:
        """Tell whether the server accepts the account's password."""
        try:
            self.connect(account, database).close()
        except psycopg.OperationalError as error:
            # libpq gives no SQLSTATE for a failed login; our servers speak English.
            if "password authentication failed" in str(error):
                return False
            raise
        return True

    def create_user(self, administrator: Account, database: str, user: Account) -> None:
        """Create a user who works in `database` like an application, by the administrator."""
        name = sql.Identifier(user.username)
        with self.connect(administrator, database) as connection:
            # The verifier instead of the password: the statement is logged.
            verifier = connection.pgconn.encrypt_password(
                user.password.encode(), user.username.encode(), b"scram-sha-256"
            ).decode()
            with connection.transaction():
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(verifier))
                )
                connection.execute(
                    sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                        sql.Identifier(database), name
                    )
                )
                # PostgreSQL 15 no longer lets everyone create in the schema public.
                connection.execute(
                    sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(name)
                )

    def drop_user(self, administrator: Account, database: str, username: str) -> None:
        """Drop a user that `create_user` made, with what it owns."""
        name = sql.Identifier(username)
        with self.connect(administrator, database) as connection, connection.transaction():
            # From 16 on, whoever creates a role must still grant it to itself to act for it.
            connection.execute(
                sql.SQL("GRANT {} TO {}").format(name, sql.Identifier(administrator.username))
            )
            connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
            connection.execute(sql.SQL("DROP ROLE {}").format(name))


class MySQLClient(Client):
    """MySQL through PyMySQL."""

    ACCESS_DENIED: ClassVar = 1045
    APPLICATION_RIGHTS: ClassVar = (
        "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER,"
        " CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW,"
        " CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER"
    )

    def connect(
        self, account: Account, database: str | None
    ) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        """Log in, with TLS verified, in autocommit mode."""
        context = None
        if self.endpoint.ca_file:
            context = ssl.create_default_context(cafile=str(self.endpoint.ca_file))
            context.check_hostname = self.endpoint.verifies_name
        return pymysql.connect(
            host=self.endpoint.host,
            port=self.endpoint.port,
            user=account.username,
            # PyMySQL would send a str as Latin-1; servers take passwords as UTF-8.
            password=account.password.encode(),
            database=database,
            ssl=context,
            ssl_disabled=context is None,
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=60,
            charset="utf8mb4",
            autocommit=True,
        )

    def execute(
        self,
        account: Account,
        database: str | None,
        statement: str,
        parameters: Parameters = None,
    ) -> Rows:
        """Log in, run one statement in its own transaction, and return its rows, if any."""
        with self.connect(account, database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def logs_in(self, account: Account, database: str | None) -> bool:
        """Tell whether the server accepts the account's password."""
        try:
            self.connect(account, database).close()
        except pymysql.OperationalError as error:
            if error.args[0] == self.ACCESS_DENIED:
                return False
            raise
        return True

    def identified(self, password: str) -> tuple[str, str]:
        """Return the IDENTIFIED clause for a password, and the value to bind in it.

        MySQL writes `<secret>` to its logs in place of the password.
        """
        return "IDENTIFIED BY %s", password

    def create_user(self, administrator: Account, database: str, user: Account) -> None:
        """Create a user who works in `database` like an application, by the administrator."""
        identified, value = self.identified(user.password)
        escaped = database.replace("`", "``").replace("%", "%%")
        with self.connect(administrator, None) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE USER %s@'%%' {identified}", (user.username, value))
            cursor.execute(
                f"GRANT {self.APPLICATION_RIGHTS} ON `{escaped}`.* TO %s@'%%'", (user.username,)
            )

    def drop_user(self, administrator: Account, database: str, username: str) -> None:
        """Drop a user that `create_user` made, with what it owns."""
        del database
        self.execute(administrator, None, "DROP USER %s@'%%'", (username,))


def native_password_hash(password: str) -> str:
    """Return what `mysql_native_password` stores: `*` and SHA1(SHA1(password)) in hexadecimal."""
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()


class MariaDBClient(MySQLClient):
    """MariaDB through PyMySQL."""

    def identified(self, password: str) -> tuple[str, str]:
        """Return the IDENTIFIED clause with the password's hash: MariaDB may log the clear text."""
        return "IDENTIFIED BY PASSWORD %s", native_password_hash(password)


class ValkeyClient(Client):
    """Valkey and Redis through valkey-py. They have no named databases, and need none."""

    APPLICATION_RULES: ClassVar = (
        "on",
        "~{name}:*",
        "&{name}:*",
        "+@all",
        "-@admin",
        "-@dangerous",
    )

    def connect(self, account: Account) -> "valkey.Valkey":
        """Return a client that has logged in, with TLS verified, on one connection."""
        ca_file = self.endpoint.ca_file
        client = valkey.Valkey(
            host=self.endpoint.host,
            port=self.endpoint.port,
            username=account.username,
            password=account.password,
            ssl=ca_file is not None,
            ssl_ca_certs=str(ca_file) if ca_file else None,
            ssl_check_hostname=self.endpoint.verifies_name,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=60,
            decode_responses=True,
            single_connection_client=True,
            lib_name=None,
            lib_version=None,
        )
        assert client.connection is not None  # noqa: S101 - for the type checker
        client.connection.connect()
        return client

    def execute(
        self, account: Account, database: str, statement: str, parameters: Parameters = None
    ) -> Rows:
        """Log in, run one command, and return its answer as one row of one column.

        Args:
            account: who runs it.
            database: of no meaning here.
            statement: words with spaces between them; `%s` is a word that a parameter stands for.
            parameters: one value for each `%s`.
        """
        del database
        values = iter(parameters or ())
        words = [next(values) if word == "%s" else word for word in statement.split()]
        with self.connect(account) as client:
            return [(client.execute_command(*words),)]

    def version(self, account: Account, database: str) -> str:
        """Return the server's version, as it tells it."""
        ((told,),) = self.execute(account, database, "HELLO")  # which everybody may ask
        return str(dict(zip(told[::2], told[1::2], strict=True))["version"])

    def logs_in(self, account: Account, database: str) -> bool:
        """Tell whether the server accepts the account's password."""
        del database
        try:
            with self.connect(account):
                return True
        except valkey.AuthenticationError:
            return False

    def create_user(self, administrator: Account, database: str, user: Account) -> None:
        """Create a user who works on keys of its own like an application, by the administrator."""
        rules = [rule.format(name=user.username) for rule in self.APPLICATION_RULES]
        words = [user.username, "reset", password_rule(user.password), *rules]
        self.execute(administrator, database, f"ACL SETUSER{' %s' * len(words)}", words)
        self.execute(administrator, database, "ACL SAVE")

    def drop_user(self, administrator: Account, database: str, username: str) -> None:
        """Drop a user that `create_user` made; its keys stay."""
        self.execute(administrator, database, "ACL DELUSER %s", (username,))


def password_rule(password: str) -> str:
    """Return the rule that gives a user of Valkey a password, as its hash."""
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"
