"""One connection to a server: opened under a deadline, over verified TLS, its errors told by code.

valkey-py speaks the protocol, on a socket that is opened here. By itself it would wait for DNS and
for each read anew, leave the host's name in the certificate unchecked, tell the server about
itself, which a user may be forbidden, and drop the code from some of the server's errors.
"""

import re
import ssl
import time
from collections.abc import Mapping
from typing import Any

from valkey._parsers import _RESP2Parser
from valkey.connection import AbstractConnection
from valkey.exceptions import ResponseError, ValkeyError

from shared.deadline import Deadline
from shared.errors import (
    CapabilityMissing,
    DatabaseError,
    LoginRefused,
    PermissionDenied,
    RotationError,
    ServerBusy,
    ServerReadOnly,
    StatementFailed,
    TlsFailed,
    TlsNotOffered,
    TlsRequired,
    Unreachable,
)
from shared.model import Login
from shared.network import cut_after, open_socket, why_not
from shared.tls import Trust, tls_error

CONNECT_SECONDS = 10.0
"""Longest wait for a login in a hurry: a reachable server answers in well under a second."""
CHANGE_SECONDS = 5.0
"""What a login leaves of a longer time: enough to change a password, and to prove it."""
ANSWER_SECONDS = 15.0
"""Longest silence of the server; saving its users takes milliseconds."""

CODE = re.compile(r"[A-Z]{2,20}(?= )")
"""Of an error of the server's: its first word."""

REFUSED_HINT = (
    "Compare the secret with the user; the server says the same of one that is missing or off: "
    "`ACL GETUSER {user}` tells."
)
RIGHTS_HINT = "Grant what the rotator's README lists for an administrator: `ACL SETUSER {user} …`."
CLUSTER_HINT = "A cluster's nodes have users of their own each; this rotator changes one server's."
PROTOCOL_HINT = "Check `port` and `engine` in the secret: what answers there is no Valkey or Redis."
CLOSED_HINT = (
    "It has as many clients as `maxclients` allows, or speaks no TLS at this port; Secrets Manager "
    "repeats the rotation by itself."
)
CLIENT_CERTIFICATE_HINT = (
    "The function shows no certificate of its own: set `tls-auth-clients no` or `optional`."
)

ERRORS: Mapping[str, tuple[type[RotationError], str | None]] = {
    "WRONGPASS": (LoginRefused, REFUSED_HINT),
    "NOPERM": (PermissionDenied, RIGHTS_HINT),
    "DENIED": (PermissionDenied, "Set a password for `default`, or `protected-mode no`."),
    "LOADING": (ServerBusy, None),
    "BUSY": (ServerBusy, "A script runs: wait for its end, or `SCRIPT KILL`."),
    "OOM": (ServerBusy, "The server's memory is full: raise `maxmemory`."),
    "MISCONF": (ServerReadOnly, "The server cannot write its snapshots: see its log."),
    "READONLY": (ServerReadOnly, None),
    "MASTERDOWN": (ServerReadOnly, None),
    "NOREPLICAS": (ServerReadOnly, "Too few replicas are connected: see `min-replicas-to-write`."),
    "MOVED": (CapabilityMissing, CLUSTER_HINT),
    "CLUSTERDOWN": (CapabilityMissing, CLUSTER_HINT),
}
"""The server's code to our error and its hint (None for the error's own); what is not here is a
failure of which nothing is known. Only WRONGPASS is an answer to a password."""

Answer = Any
"""What the server says to one command: text, number, list or None."""


class _Parser(_RESP2Parser):
    """Leaves each error as the server wrote it: its first word is the code."""

    EXCEPTION_CLASSES: dict[str, object] = {}  # noqa: RUF012 (as the driver declares it)


class _Driver(AbstractConnection):
    """The driver on one open socket; it never opens another, so no login is lost unseen."""

    def __init__(self, opened: ssl.SSLSocket) -> None:
        super().__init__(
            decode_responses=True,
            encoding_errors="replace",
            parser_class=_Parser,
            lib_name=None,
            lib_version=None,
        )
        self._opened = opened

    def _connect(self) -> ssl.SSLSocket:
        return self._opened

    def _host_error(self) -> str:
        return "the server"

    def repr_pieces(self) -> list[tuple[str, Any]]:
        """Return nothing: a representation has no use here."""
        return []


class Connection:
    """An open connection; not yet logged in when it is made.

    Args:
        opened: Connected, with TLS verified; owned by this object from now on.
        username: Whose login it is, for messages.
        deadline: When to give up at the latest.
    """

    def __init__(self, opened: ssl.SSLSocket, username: str, deadline: Deadline) -> None:
        self._opened = opened
        self._driver = _Driver(opened)
        self.username = username
        self.deadline = deadline

    def ask(self, *commands: tuple[str, ...]) -> list[Answer]:
        """Send commands in one message and return the answers, a :class:`ResponseError` too.

        Raises:
            ValkeyError: There is no answer.
        """
        seconds = self.deadline.seconds(ANSWER_SECONDS, f"ask for {commands[0][0]}")
        with cut_after(self._opened.fileno(), seconds):
            packed = self._driver.pack_commands(commands)  # type: ignore[no-untyped-call]
            self._driver.send_packed_command(packed)  # type: ignore[no-untyped-call]
            return [self._answer() for _ in commands]

    def run(self, *commands: tuple[str, ...]) -> list[Answer]:
        """Do the same, where an error is no answer.

        Raises:
            RotationError: What :data:`ERRORS` says of the first one.
            Unreachable: There is no answer.
        """
        try:
            answers = self.ask(*commands)
        except ValkeyError:
            # Not chained: the driver's frames hold what was sent.
            msg = "The server stopped answering in the middle of a session."
            raise Unreachable(msg) from None
        for command, answer in zip(commands, answers, strict=True):
            if isinstance(answer, ResponseError):
                raise error_of(answer, " ".join(command[:2]), self.username)
        return answers

    def close(self) -> None:
        """Close it, which the server takes for the end of all that it holds; never raises."""
        self._driver.disconnect()  # type: ignore[no-untyped-call]
        self._opened.close()

    def _answer(self) -> Answer:
        try:
            return self._driver.read_response()  # type: ignore[no-untyped-call]
        except ResponseError as error:
            return error


def error_of(failure: ResponseError, command: str, username: str) -> RotationError:
    """Return our error for one of the server's.

    Its text is left out but for the code: of a command that it does not know the server quotes the
    arguments, and with them a password.
    """
    code = CODE.match(str(failure))
    told = code[0] if code else "an error"
    kind, hint = ERRORS.get(told, (StatementFailed, None))
    hint = hint.format(user=username) if hint else None
    return kind(f"The server answered {told} to {command} of {username}.", hint=hint)


def log_in(login: Login, port: int, trust: Trust, deadline: Deadline) -> Connection:
    """Log in.

    It may take what is left of the time, but for what a change needs; where little is left,
    CONNECT_SECONDS: a server that has to wake up first is waited for.

    Args:
        login: Whom to log in, and where.
        port: Where the login has no port.
        trust: Who may vouch for the server.
        deadline: When to give up at the latest.

    Raises:
        LoginRefused: The server refuses this password, and only then.
        DatabaseError: Any other subclass for anything else.
    """
    port = login.port or port
    circumstances = f"Login of {login.username} at {login.host}:{port}"
    if not login.tls:
        msg = f"{circumstances}: AUTH sends the password itself, which never goes without TLS."
        raise TlsRequired(msg)
    patience = max(CONNECT_SECONDS, deadline.remaining() - CHANGE_SECONDS)
    seconds = deadline.seconds(patience, "log in")
    end = time.monotonic() + seconds
    opened = open_socket(login.host, port, seconds)
    opened.settimeout(seconds)
    try:
        with cut_after(opened.fileno(), end - time.monotonic()):
            context = trust.context_for(login.host)
            secured = context.wrap_socket(opened, server_hostname=login.host)
            connection = Connection(secured, login.username, deadline)
            opened = secured
            (answer,) = connection.ask(("AUTH", login.username, login.password))
    except (OSError, ValkeyError) as failure:
        opened.close()
        if time.monotonic() >= end:
            msg = f"{circumstances} was not completed within {seconds:.0f} seconds."
            raise Unreachable(msg) from None
        # Not chained: the driver's frames hold the password.
        raise _login_error(failure, circumstances) from None
    if answer == "OK":
        return connection
    connection.close()
    if isinstance(answer, ResponseError):
        raise error_of(answer, f"AUTH at {login.host}:{port}", login.username)
    raise Unreachable(f"{circumstances}: the answer is none of Valkey's.", hint=PROTOCOL_HINT)


def _login_error(failure: Exception, circumstances: str) -> DatabaseError:
    """Tell what kept a login from being answered; never quotes the driver."""
    cause = failure.__context__ if isinstance(failure, ValkeyError) else failure
    if isinstance(cause, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError):
        return ServerBusy(f"{circumstances}: the server hung up.", hint=CLOSED_HINT)
    if isinstance(cause, ssl.SSLError):
        if cause.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            return TlsNotOffered(f"{circumstances}: what answers there speaks no TLS.")
        if cause.reason and "CERTIFICATE_REQUIRED" in cause.reason:
            return TlsFailed(
                f"{circumstances}: the server wants a certificate of its client.",
                hint=CLIENT_CERTIFICATE_HINT,
            )
        return tls_error(cause, circumstances)
    if isinstance(cause, OSError):
        return Unreachable(f"{circumstances}: {why_not(cause)}.")
    return Unreachable(f"{circumstances}: no answer of Valkey's came.", hint=PROTOCOL_HINT)
