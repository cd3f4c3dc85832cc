"""Logging in to PostgreSQL, and saying exactly why it failed.

libpq reports every failure as text, and what the server contributes to that text follows the
server's ``lc_messages``: "refused" cannot be told from "no such host" by reading it. The SQLSTATE
that the server sends is dropped by libpq's interface, but not by its protocol trace. So the
connection is made with a trace into memory; when it fails, the trace holds the server's
ErrorResponse with its code, and shows whether authentication had succeeded before.
"""

import contextlib
import os
import re
import select
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from rotators.postgres.engine import POSTGRES
from shared.deadline import Deadline
from shared.errors import (
    AccountLocked,
    CertificateUntrusted,
    DatabaseError,
    HostNameMismatch,
    LoginRefused,
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
from shared.network import REACHING_SECONDS, resolve
from shared.tls import Trust

APPLICATION_NAME = "secret-rotation"
"""How the sessions name themselves in pg_stat_activity and in the log."""

DEFAULT_PORT = POSTGRES.default_port
DEFAULT_DATABASE = "postgres"

PASSWORD_METHODS = "scram-sha-256,md5"  # noqa: S105 (names of methods)
"""How a server may ask for the password.

Never in clear: who answers under the host's name would learn it, and who may write the secret can
choose the host. Not at all (``trust``) would prove nothing. MD5 stays, for verifiers that are older
than SCRAM: what it gives away is a salted digest.

Over TLS the channel is bound to SCRAM where server and verifier can (``channel_binding=prefer``):
a server in the middle, even one whose certificate is trusted, cannot pass the login on to the real
one. It cannot be demanded (``require``), since that would shut out every MD5 verifier.
"""

ERROR_RESPONSE = re.compile(r'^B\t\d+\tErrorResponse\t.*? C "(\w{5})"', re.MULTILINE)
AUTHENTICATED = re.compile(r"^B\t\d+\tAuthenticationSASLFinal\t", re.MULTILINE)
"""The server's last SCRAM message: it is sent only when the password was right."""
ATTEMPT = re.compile(r"^connection to server .*? failed: (.*)$")
"""What libpq says about one address, without the names that it quotes before."""

VALID_UNTIL_HINT = (
    "Compare the secret with the role. If its time is over (pg_roles.rolvaliduntil), which looks "
    "exactly the same: ALTER ROLE {user} VALID UNTIL 'infinity'."
)
IAM_HINT = "On RDS a member of rds_iam cannot log in with a password: REVOKE rds_iam FROM {user}."
PG_HBA_HINT = (
    "Let the role in by pg_hba.conf (hostssl, scram-sha-256), for this database and host. "
    + IAM_HINT
)
CLEAR_HINT = (
    "Let the server ask for scram-sha-256 in pg_hba.conf: no password is sent in clear. " + IAM_HINT
)
TRUST_HINT = "Demand the role's password in pg_hba.conf (hostssl, scram-sha-256)."
DATABASE_HINT = "Let the role in: GRANT CONNECT ON DATABASE {database} TO {user}."
LOGIN_HINT = "Let the role log in again: ALTER ROLE {user} LOGIN; or stop rotating its secret."
FOREIGN_PROTOCOL_HINT = (
    "Check `port` and `engine` in the secret: what answers there does not speak PostgreSQL."
)

ClientError = tuple[str, type[DatabaseError], str | None]

CLIENT_ERRORS: tuple[ClientError, ...] = (
    ("server does not support SSL", TlsNotOffered, None),
    ("certificate verify failed", CertificateUntrusted, None),
    ("does not match host name", HostNameMismatch, None),
    ("host name from server certificate", HostNameMismatch, None),
    ("requested a cleartext password", PasswordNotAsked, CLEAR_HINT),
    ("authentication method requirement", PasswordNotAsked, TRUST_HINT),
    ("invalid response to SSL negotiation", Unreachable, FOREIGN_PROTOCOL_HINT),
    ("expected authentication request", Unreachable, FOREIGN_PROTOCOL_HINT),
    ("SSL", TlsFailed, None),
    ("certificate", TlsFailed, None),
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


Connection = psycopg.Connection[tuple[object, ...]]


def database_of(login: Login) -> str:
    """Return the database that a login means."""
    return login.dbname or DEFAULT_DATABASE


def log_in(login: Login, trust: Trust, deadline: Deadline, database: str) -> Connection:
    """Open a connection in autocommit mode.

    It may take :meth:`~shared.deadline.Deadline.login_seconds`. Each address of the host is tried
    in turn; those before the last have a part of REACHING_SECONDS to be reached, so that a silent
    one leaves time for the others.

    Raises:
        LoginRefused: The server refuses this password, and only then.
        DatabaseError: Any other subclass for anything else.
    """
    seconds = deadline.login_seconds(f"log in to {login.host}")
    end = time.monotonic() + seconds
    reaching = min(seconds, REACHING_SECONDS)
    found = resolve(login.host, login.port or DEFAULT_PORT, reaching)
    *others, last = dict.fromkeys(str(each[4][0]) for each in found)
    for address in others:
        with contextlib.suppress(Unreachable):
            reached_by = min(time.monotonic() + reaching / (len(others) + 1), end)
            return _attempt(login, trust, address, database, (reached_by, end))
    return _attempt(login, trust, last, database, (end, end))


def _attempt(
    login: Login, trust: Trust, address: str, database: str, ends: tuple[float, float]
) -> Connection:
    """Log in at one address; ``ends`` are when it must be reached, and when all must be done."""
    conninfo = make_conninfo(
        host=login.host,
        hostaddr=address,
        port=login.port or DEFAULT_PORT,
        user=login.username,
        password=login.password,
        dbname=database,
        application_name=APPLICATION_NAME,
        client_encoding="UTF8",
        require_auth=PASSWORD_METHODS,
        channel_binding="prefer",
        **trust.libpq(login.host, tls=login.tls),
    )
    began = time.monotonic()
    with _trace_file() as trace:
        pgconn = pq.PGconn.connect_start(conninfo.encode())
        if pgconn.status != pq.ConnStatus.BAD:
            pgconn.trace(trace.fileno())
            pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        in_time = _poll(pgconn, *ends)
        if in_time and pgconn.status == pq.ConnStatus.OK:
            pgconn.untrace()
            pgconn.nonblocking = 1
            connection = Connection(pgconn)
            connection.autocommit = True
            connection.read_only = False  # whatever default_transaction_read_only says
            connection.prepare_threshold = None
            return connection
        failure = _failure(pgconn, trace)
        pgconn.finish()
    if not in_time:
        seconds = time.monotonic() - began
        msg = (
            f"{_address(login)} ({address}) did not complete a login within {seconds:.0f} seconds."
        )
        raise Unreachable(msg)
    raise error_of(failure, login, database)


def _trace_file() -> IO[bytes]:
    """Return a file that never reaches a disk (where the system can, and lets us)."""
    try:
        return os.fdopen(os.memfd_create("libpq-trace"), "w+b")
    except (AttributeError, OSError):
        return tempfile.TemporaryFile()


WAITING: Mapping[int, int] = {
    pq.PollingStatus.READING: select.POLLIN,
    pq.PollingStatus.WRITING: select.POLLOUT,
}
"""What libpq waits for to what the kernel is asked."""


def _poll(pgconn: pq.abc.PGconn, reached_by: float, end: float) -> bool:
    """Drive the login to its end; return False when time is over first."""
    # As libpq's documentation has it. Polled before the socket is connected, libpq itself would
    # wait, for minutes where a firewall drops packets.
    state: int = pq.PollingStatus.WRITING
    while pgconn.status != pq.ConnStatus.BAD and state in WAITING:
        reached = pgconn.status != pq.ConnStatus.STARTED
        left = (end if reached else reached_by) - time.monotonic()
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
    "42501": (PermissionDenied, DATABASE_HINT),
    "3D000": (StatementFailed, "Correct `dbname` in the secret."),
    "53": (ServerBusy, None),
    "57": (ServerBusy, None),
}
"""SQLSTATE, or its class, to our error and its hint (None for the error's own)."""


def error_of(failure: Failure, login: Login, database: str) -> DatabaseError:
    """Return the error for a failed login; pure."""
    where = f"Login of {login.username} at {_address(login)}"
    code = failure.sqlstate
    if code is None:
        msg = f"{where} failed: {failure.text}."
        attempt = ATTEMPT.match(failure.text)
        reason = attempt[1] if attempt else failure.text
        found = (each[1:] for each in CLIENT_ERRORS if each[0] in reason)
        kind, hint = next(found, (Unreachable, None))
    else:
        msg = f"{where} was answered with SQLSTATE {code}: {failure.text}."
        unknown = (StatementFailed, None)
        kind, hint = SERVER_ERRORS.get(code) or SERVER_ERRORS.get(code[:2]) or unknown
        if code == "28000" and failure.authenticated:
            # Known after the password was checked: NOLOGIN.
            kind, hint = AccountLocked, LOGIN_HINT
        elif code == "28000" and not login.tls:
            kind, hint = TlsRequired, None  # what pg_hba.conf wants
    if hint is not None:
        hint = hint.format(user=quoted(login.username), database=quoted(database))
    return kind(msg, hint=hint, proves_password=failure.authenticated)


def quoted(name: str) -> str:
    """Return the name of a role or database as statements have it."""
    return sql.Identifier(name).as_string()
