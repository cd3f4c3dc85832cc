"""TLS as a database shows it to whoever connects from here: no driver, no login, no password.

A first connection asks for TLS, and verifies chain and name as a rotation does. On PostgreSQL a
second one begins a login in clear, as a user that there need not be, and hangs up where the server
goes on to ask for a password. MySQL and MariaDB tell only whoever has logged in that they refuse
logins in clear: measured on MySQL 9 and MariaDB 10.11, whose answers to a stranger are the same.

PostgreSQL: https://www.postgresql.org/docs/current/protocol-message-formats.html
MySQL, MariaDB: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
"""

import os
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from shared.tls import Trust

SECONDS = 3.0
"""How long a server may take for each answer."""
USER = "rotation_posture"
"""Who begins to log in; a server's log may name it."""

TLS_REQUEST = struct.pack("!ii", 8, 80877103)
PROTOCOL_3 = 196608

CLIENT_PROTOCOL_41 = 0x200
CLIENT_SSL = 0x800
CLIENT_SECURE_CONNECTION = 0x8000
CLIENT_PLUGIN_AUTH = 0x80000
UTF8MB4 = 45
ERROR_PACKET = 0xFF


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a server shows.

    Attributes:
        reached: Whether it answered at all.
        version: Of TLS, such as ``TLSv1.3``; empty where none came about.
        code: What was wrong with TLS, a name of the registry; empty where nothing.
        takes_clear: Whether a login without TLS would be let in; None where it does not tell.
        why: In words, where something is wrong.
    """

    reached: bool = True
    version: str = ""
    code: str = ""
    takes_clear: bool | None = None
    why: str = ""


class NotOffered(Exception):
    """The server does without TLS."""


def shake(protocol: str, host: str, port: int) -> Handshake:
    """Look at a server; never raises for what it does.

    Args:
        protocol: ``postgres``, ``mysql`` or ``mariadb``.
        host: Its name.
        port: Its port.
    """
    is_postgres = protocol == "postgres"
    secure = _postgres_secure if is_postgres else _mysql_secure
    version, code, why = "", "", ""
    try:
        with _connected(host, port) as connection:
            version = secure(connection, host)
    except ssl.SSLCertVerificationError as error:
        is_name = error.verify_code in {62, 64}
        code = "HostNameMismatch" if is_name else "CertificateUntrusted"
        why = str(error.verify_message)
    except ssl.SSLError as error:
        code, why = "TlsFailed", str(error.reason)
    except NotOffered:
        code, why = "TlsNotOffered", "The server does without TLS."
    except (OSError, EOFError) as error:
        return Handshake(reached=False, why=str(error) or type(error).__name__)
    takes_clear = _postgres_takes_clear(host, port) if is_postgres else None
    return Handshake(version=version, code=code, takes_clear=takes_clear, why=why)


@contextmanager
def _connected(host: str, port: int) -> Iterator[socket.socket]:
    with socket.create_connection((host, port), SECONDS) as connection:
        connection.settimeout(SECONDS)
        yield connection


@cache
def _trust(ca_file: str | None) -> Trust:
    return Trust(ca_file)


def _over_tls(connection: socket.socket, host: str) -> str:
    """Make TLS of a connection, as a rotation does, and return its version."""
    context = _trust(os.environ.get("DATABASE_CA_FILE")).context_for(host)
    with context.wrap_socket(connection, server_hostname=host) as secured:
        return secured.version() or ""


def _postgres_secure(connection: socket.socket, host: str) -> str:
    connection.sendall(TLS_REQUEST)
    if _read(connection, 1) != b"S":
        raise NotOffered
    return _over_tls(connection, host)


def _postgres_takes_clear(host: str, port: int) -> bool | None:
    """Begin a session in clear: R asks for a password, E refuses."""
    told = f"user\0{USER}\0database\0postgres\0\0".encode()
    try:
        with _connected(host, port) as connection:
            connection.sendall(struct.pack("!ii", 8 + len(told), PROTOCOL_3) + told)
            return {b"R": True, b"E": False}.get(_read(connection, 1))
    except (OSError, EOFError):
        return None


def _mysql_greeting(connection: socket.socket) -> int:
    """Read the server's greeting and return what it is capable of."""
    packet = _packet(connection)
    if packet[0] == ERROR_PACKET:
        raise ConnectionRefusedError(packet[3:].decode(errors="replace"))
    after_version = packet.index(b"\0", 1) + 1
    # After the thread's id (4), the first part of the salt (8) and a filler (1).
    lower, _charset, _status, upper = struct.unpack_from("<HBHH", packet, after_version + 13)
    return int(lower | upper << 16)


def _mysql_secure(connection: socket.socket, host: str) -> str:
    if not _mysql_greeting(connection) & CLIENT_SSL:
        raise NotOffered
    wanted = CLIENT_PROTOCOL_41 | CLIENT_SSL | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH
    body = struct.pack("<IIB23x", wanted, 2**24 - 1, UTF8MB4)
    connection.sendall(len(body).to_bytes(3, "little") + b"\1" + body)
    return _over_tls(connection, host)


def _packet(connection: socket.socket) -> bytes:
    head = _read(connection, 4)
    return _read(connection, int.from_bytes(head[:3], "little"))


def _read(connection: socket.socket, length: int) -> bytes:
    """Read so many bytes.

    Raises:
        EOFError: The server hangs up before.
    """
    told = b""
    while len(told) < length:
        part = connection.recv(length - len(told))
        if not part:
            raise EOFError("The server hung up.")
        told += part
    return told
