"""Logging in to PostgreSQL, and saying exactly why it failed.

libpq reports every failure as text, and what the server contributes to that text follows the
server's ``lc_messages``: "refused" cannot be told from "no such host" by reading it. The SQLSTATE
that the server sends is dropped by libpq's interface, but not by its protocol trace. So the
connection is made with a trace into memory; when it fails, the trace holds the server's
ErrorResponse with its code, and shows whether authentication had succeeded before.
"""

import os
import re
import select
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from shared.deadline import Deadline
from shared.errors import (
    AccountLocked,
    CertificateUntrusted,
    DatabaseError,
    HostNameMismatch,
    LoginRefused,
    NameNotResolved,
    PasswordNotAsked,
    PermissionDenied,
    ServerBusy,
    StatementFailed,
    TlsFailed,
    TlsNotOffered,
    TlsRequired,
    Unreachable,
)
from shared.model import Login
from shared.tls import Trust

APPLICATION_NAME = "secret-rotation"
"""How the sessions name themselves in pg_stat_activity and in the log."""

DEFAULT_PORT = 5432
DEFAULT_DATABASE = "postgres"
CONNECT_SECONDS = 10.0
"""Longest wait for a login: a reachable server answers in well under a second."""

PASSWORD_METHODS = "scram-sha-256,md5,password"  # noqa: S105 (names of methods)
"""Authentication methods that ask for the password. Under ``trust`` a login would prove nothing."""

ERROR_RESPONSE = re.compile(r'^B\t\d+\tErrorResponse\t.*? C "(\w{5})"', re.MULTILINE)
AUTHENTICATED = re.compile(r"^B\t\d+\tAuthenticationSASLFinal\t", re.MULTILINE)
"""The server's last SCRAM message: it is sent only when the password was right."""
ATTEMPT = re.compile(r"^connection to server .*? failed: (.*)$")
"""What libpq says about one address, without the names that it quotes before."""

VALID_UNTIL_HINT = (
    "Compare the secret with the role; an expired VALID UNTIL looks exactly the same, see "
    "pg_roles.rolvaliduntil."
)
PG_HBA_HINT = "Let the role in by pg_hba.conf (hostssl, scram-sha-256), for this database and host."

ClientError = tuple[str, type[DatabaseError]]

CLIENT_ERRORS: tuple[ClientError, ...] = (
    ("could not translate host name", NameNotResolved),
    ("server does not support SSL", TlsNotOffered),
    ("certificate verify failed", CertificateUntrusted),
    ("does not match host name", HostNameMismatch),
    ("host name from server certificate", HostNameMismatch),
    ("authentication method requirement", PasswordNotAsked),
    ("SSL", TlsFailed),
    ("certificate", TlsFailed),
)
"""What libpq itself says; libpq is built into psycopg's wheels without translations."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a login failed.

    Attributes:
        sqlstate: The server's code; None when the server did not answer with an error.
        authenticated: Whether the password had been accepted before.
        text: libpq's message, one line: about the last address, where a name has several.
    """

    sqlstate: str | None
    authenticated: bool
    text: str


def log_in(
    login: Login, trust: Trust, deadline: Deadline
) -> psycopg.Connection[tuple[object, ...]]:
    """Open a connection in autocommit mode.

    Raises:
        LoginRefused: The server refuses this password, and only then.
        DatabaseError: Any other subclass for anything else.
    """
    seconds = deadline.seconds(CONNECT_SECONDS, f"log in to {login.host}")
    conninfo = make_conninfo(
        host=login.host,
        port=login.port or DEFAULT_PORT,
        user=login.username,
        password=login.password,
        dbname=login.dbname or DEFAULT_DATABASE,
        application_name=APPLICATION_NAME,
        client_encoding="UTF8",
        require_auth=PASSWORD_METHODS,
        **trust.libpq(login.host, tls=login.tls),
    )
    with _memory_file() as trace:
        pgconn = pq.PGconn.connect_start(conninfo.encode())
        if pgconn.status != pq.ConnStatus.BAD:
            pgconn.trace(trace.fileno())
            pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        in_time = _poll(pgconn, seconds)
        if in_time and pgconn.status == pq.ConnStatus.OK:
            pgconn.untrace()
            pgconn.nonblocking = 1
            connection = psycopg.Connection[tuple[object, ...]](pgconn)
            connection.autocommit = True
            connection.prepare_threshold = None
            return connection
        failure = _failure(pgconn, trace)
        pgconn.finish()
    if not in_time:
        msg = f"{_address(login)} did not complete a login within {seconds:.0f} seconds."
        raise Unreachable(msg)
    raise error_of(failure, login)


def _memory_file() -> IO[bytes]:
    """Return a file that never reaches a disk (where the system can: Linux)."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("libpq-trace"), "w+b")
    return tempfile.TemporaryFile()


WAITING: Mapping[int, int] = {
    pq.PollingStatus.READING: select.POLLIN,
    pq.PollingStatus.WRITING: select.POLLOUT,
}
"""What libpq waits for to what the kernel is asked."""


def _poll(pgconn: pq.abc.PGconn, seconds: float) -> bool:
    """Drive the login to its end; return False when time is over first."""
    end = time.monotonic() + seconds
    # As libpq's documentation has it. Polled before the socket is connected, libpq itself would
    # wait, for minutes where a firewall drops packets.
    state: int = pq.PollingStatus.WRITING
    while pgconn.status != pq.ConnStatus.BAD and state in WAITING:
        left = end - time.monotonic()
        if left <= 0:
            return False
        poller = select.poll()
        poller.register(pgconn.socket, WAITING[state])
        if poller.poll(left * 1000):
            state = pgconn.connect_poll()
    return True


def _failure(pgconn: pq.abc.PGconn, trace: IO[bytes]) -> Failure:
    lines = pgconn.get_error_message().strip().splitlines() or ["no message"]
    text = next((line for line in reversed(lines) if ATTEMPT.match(line)), lines[0])
    pgconn.untrace()  # writes out what libpq still holds back: the server's last words
    trace.seek(0)
    traced = trace.read().decode(errors="replace")
    error = ERROR_RESPONSE.search(traced)
    # Beyond the error's beginning the trace quotes the user's name, which may be anything.
    before = traced[: error.start()] if error else traced
    return Failure(error[1] if error else None, AUTHENTICATED.search(before) is not None, text)


def _address(login: Login) -> str:
    return f"{login.host}:{login.port or DEFAULT_PORT}"


SERVER_ERRORS: Mapping[str, tuple[type[DatabaseError], str | None]] = {
    "28P01": (LoginRefused, VALID_UNTIL_HINT),
    "28000": (PermissionDenied, PG_HBA_HINT),
    "42501": (PermissionDenied, None),
    "3D000": (StatementFailed, "Correct `dbname` in the secret."),
    "53": (ServerBusy, None),
    "57": (ServerBusy, None),
}
"""SQLSTATE, or its class, to our error and its hint (None for the error's own)."""


def error_of(failure: Failure, login: Login) -> DatabaseError:
    """Return the error for a failed login; pure."""
    where = f"Login of {login.username} at {_address(login)}"
    code = failure.sqlstate
    if code is None:
        msg = f"{where} failed: {failure.text}."
        attempt = ATTEMPT.match(failure.text)
        reason = attempt[1] if attempt else failure.text
        kind = next((kind for part, kind in CLIENT_ERRORS if part in reason), Unreachable)
        return kind(msg)
    msg = f"{where} was answered with SQLSTATE {code}: {failure.text}."
    if code == "28000" and (failure.authenticated or not login.tls):
        # Known after the password was checked: NOLOGIN. Before, without TLS: pg_hba.conf wants it.
        kind = AccountLocked if failure.authenticated else TlsRequired
        return kind(msg, proves_password=failure.authenticated)
    kind, hint = SERVER_ERRORS.get(code) or SERVER_ERRORS.get(code[:2]) or (StatementFailed, None)
    return kind(msg, hint=hint, proves_password=failure.authenticated)
