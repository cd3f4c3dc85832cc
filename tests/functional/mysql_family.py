"""What the functional tests of the MySQL family share: users, sessions and an independent eye."""

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count

import pymysql

from local.servers import Server
from rotators.mysql.connection import open_connection
from rotators.mysql.mariadb import MariadbSession
from rotators.mysql.mysql import MysqlSession
from rotators.mysql.password_hashes import native_hash
from shared.deadline import Deadline
from shared.model import Login
from shared.tls import Trust

KINDS = ("mysql", "mariadb", "mariadb-11.8")
MARIADB_KINDS = ("mariadb", "mariadb-11.8")

_numbers = count(1)


def new_name(prefix: str = "app") -> str:
    """Return a user name that no other test uses."""
    return f"{prefix}{next(_numbers)}"


def login_of(server: Server, username: str, password: str, **fields: object) -> Login:
    """Return the login that a secret for this server would hold."""
    document = {
        "engine": server.engine,
        "host": server.host,
        "port": server.port,
        "username": username,
        "password": password,
        **fields,
    }
    return Login(
        engine=server.engine,
        host=str(document["host"]),
        port=int(str(document["port"])),
        username=username,
        password=password,
        dbname=str(document["dbname"]) if "dbname" in document else None,
        tls=document.get("ssl") is not False,
        document=document,
    )


def open_session(
    server: Server, login: Login, *, seconds: float = 30, trust: Trust | None = None
) -> MysqlSession | MariadbSession:
    """Log in as the code under test does."""
    trust = Trust(server.ca_file) if trust is None else trust
    connection = open_connection(login, 3306, trust, Deadline(seconds))
    return MariadbSession(connection) if connection.is_mariadb else MysqlSession(connection)


def session_of(
    server: Server, username: str, password: str, **fields: object
) -> MysqlSession | MariadbSession:
    """Open a session of that user."""
    return open_session(server, login_of(server, username, password, **fields))


def administrator_of(server: Server) -> MysqlSession | MariadbSession:
    """Open a session of the administrator, who holds what a master user of RDS holds."""
    return session_of(server, server.administrator.username, server.administrator.password)


def create(
    server: Server, username: str, password: str, host: str = "%", options: str = ""
) -> None:
    """Create one account by the superuser, without any right."""
    statement, value = "CREATE USER %s@%s IDENTIFIED BY %s ", password
    if server.engine == "mariadb":
        statement, value = "CREATE USER %s@%s IDENTIFIED BY PASSWORD %s ", native_hash(password)
    server.execute(statement + options.replace("%", "%%"), (username, host, value))


def age_password(server: Server, name: str) -> None:
    """Make the server believe that the password was set 31 days ago."""
    if server.engine == "mysql":
        server.execute(
            "UPDATE mysql.user SET password_last_changed = NOW() - INTERVAL 31 DAY WHERE User = %s",
            (name,),
        )
    else:
        server.execute(
            "UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.password_last_changed', "
            "UNIX_TIMESTAMP() - 31 * 86400) WHERE User = %s",
            (name,),
        )
    server.execute("FLUSH PRIVILEGES")


def accepts(server: Server, username: str, password: str) -> bool:
    """Say whether the server takes the password; the test's own login, with no database."""
    try:
        raw(server, username, password).close()
    except pymysql.OperationalError as error:
        if error.args[0] == 1045:
            return False
        raise
    return True


def raw(
    server: Server, username: str, password: str, database: str | None = None
) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    """Log in with the bare driver."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    return pymysql.connect(
        host=server.host,
        port=server.port,
        user=username,
        password=password.encode(),
        database=database,
        ssl=context,
        charset="utf8mb4",
        autocommit=True,
        read_timeout=60,
    )


@contextmanager
def setting(server: Server, name: str, value: object) -> Iterator[None]:
    """Give a global variable another value for a while."""
    ((before,),) = server.execute(f"SELECT @@GLOBAL.{name}")
    server.execute(f"SET GLOBAL {name} = %s", (value,))
    try:
        yield
    finally:
        server.execute(f"SET GLOBAL {name} = %s", (before,))


GREETING = (
    b"\x0a8.0.36\0\x01\0\0\x0012345678\0\xff%c\xff\x02\0\xff\xdf\x15"
    + b"\0" * 10
    + b"123456789012\0%s\0"
)
"""Of a server, but for a byte of its capabilities, and the plugin that it begins with."""
WITHOUT_TLS, WITH_TLS = 0xF7, 0xFF
SSL_REQUEST_SIZE = 36


@dataclass
class Impostor:
    """A server of the tests' own, and all that it was told, TLS taken off."""

    port: int
    told: bytes = b""


@contextmanager
def impostor(
    plugin: bytes, answers: Sequence[bytes], certificate: ssl.SSLContext | None
) -> Iterator[Impostor]:
    """Greet one client, and answer what it says, packet by packet.

    Args:
        plugin: How the client is asked to log in, in the greeting.
        answers: The packets after that, without their headers.
        certificate: For TLS; None for none.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        found = Impostor(listener.getsockname()[1])

        def serve() -> None:
            with suppress(OSError):
                client, _ = listener.accept()
                client.settimeout(5)
                capabilities = WITH_TLS if certificate else WITHOUT_TLS
                number = _send(client, 0, GREETING % (capabilities, plugin))
                if certificate is not None:
                    client.recv(SSL_REQUEST_SIZE)
                    client = certificate.wrap_socket(client, server_side=True)
                    number += 1
                for answer in answers:
                    found.told += client.recv(4096)
                    number = _send(client, number, answer)
                found.told += client.recv(4096)
                client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield found
        thread.join()


def _send(client: socket.socket, number: int, packet: bytes) -> int:
    client.sendall(len(packet).to_bytes(3, "little") + bytes([number]) + packet)
    return number + 2
