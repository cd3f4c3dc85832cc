"""One connection to a server: its messages and their time, its errors told by their code.

valkey-py speaks the protocol, on a socket that is opened for it. By itself it would wait for DNS
and for each read anew, leave the host's name in the certificate unchecked, tell the server about
itself, which a user may be forbidden, and drop the code from some of the server's errors.
"""

import re
import ssl
from collections.abc import Mapping
from typing import Any

from valkey._parsers import _RESP2Parser
from valkey.connection import AbstractConnection
from valkey.exceptions import ResponseError, ValkeyError

from shared import errors
from shared.deadline import Deadline
from shared.dialling import dialled
from shared.model import Login
from shared.network import cut_after
from shared.tls import Trust

ANSWER_SECONDS = 15.0
"""Longest silence of the server; saving its users takes milliseconds."""

CODE = re.compile(r"[A-Z]{2,20}(?= )")
"""Of an error of the server's: its first word."""

REFUSED_HINT = (
    "Compare the secret with the user; the server says the same of one that is missing or off: "
    "`ACL GETUSER {user}` tells."
)
RIGHTS_HINT = "Grant what the rotator's README lists; `ACL GETUSER {user}` shows what there is."
CLUSTER_HINT = "A cluster's nodes have users of their own each; this rotator changes one server's."

ERRORS: Mapping[str, tuple[type[errors.RotationError], str | None]] = {
    "WRONGPASS": (errors.LoginRefused, REFUSED_HINT),
    "NOPERM": (errors.PermissionDenied, RIGHTS_HINT),
    "LOADING": (errors.ServerBusy, None),
    "BUSY": (errors.ServerBusy, "A script runs: wait for its end, or `SCRIPT KILL`."),
    "OOM": (errors.ServerBusy, "The server's memory is full: raise `maxmemory`."),
    "MISCONF": (errors.ServerReadOnly, "The server cannot write its snapshots: see its log."),
    "READONLY": (errors.ServerReadOnly, None),
    "MASTERDOWN": (errors.ServerReadOnly, None),
    "NOREPLICAS": (errors.ServerReadOnly, "Replicas are missing: see `min-replicas-to-write`."),
    "MOVED": (errors.CapabilityMissing, CLUSTER_HINT),
    "CLUSTERDOWN": (errors.CapabilityMissing, CLUSTER_HINT),
}
"""The server's code to our error and its hint (None for the error's own); what is not here is a
failure of which nothing is known. Only WRONGPASS is an answer to a password."""


class _Parser(_RESP2Parser):
    """Leaves each error as the server wrote it: its first word is the code."""

    EXCEPTION_CLASSES: dict[str, object] = {}  # noqa: RUF012 (as the driver declares it)


class _Driver(AbstractConnection):
    """The driver on one open socket; it never opens another, so no login is lost unseen."""

    def __init__(self, opened: ssl.SSLSocket) -> None:
        super().__init__(
            decode_responses=True, parser_class=_Parser, lib_name=None, lib_version=None
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

    def ask(self, *commands: tuple[str, ...]) -> list[Any]:
        """Send commands in one message and return the answers, a :class:`ResponseError` too.

        Raises:
            OSError: There is no answer; without a number, what came is none of the protocol.
        """
        seconds = self.deadline.seconds(ANSWER_SECONDS, f"ask for {commands[0][0]}")
        try:
            with cut_after(self._opened.fileno(), seconds):
                packed = self._driver.pack_commands(commands)  # type: ignore[no-untyped-call]
                self._driver.send_packed_command(packed)  # type: ignore[no-untyped-call]
                return [self._answer() for _ in commands]
        except ValkeyError as failure:
            # Not chained: the driver's frames hold what was sent.
            cause = failure.__context__
            raise (cause if isinstance(cause, OSError) else OSError()) from None

    def attempt(self, *commands: tuple[str, ...]) -> list[Any]:
        """Do the same in a session.

        Raises:
            Unreachable: There is no answer.
        """
        try:
            return self.ask(*commands)
        except OSError:
            raise errors.Unreachable("The server stopped answering in a session.") from None

    def run(self, *commands: tuple[str, ...]) -> list[Any]:
        """Do the same, where an error is no answer.

        Raises:
            RotationError: What :data:`ERRORS` says of the first one.
            Unreachable: There is no answer.
        """
        answers = self.attempt(*commands)
        for command, answer in zip(commands, answers, strict=True):
            if isinstance(answer, ResponseError):
                raise error_of(answer, " ".join(command[:2]), self.username)
        return answers

    def close(self) -> None:
        """Close it, which the server takes for the end of all that it holds; never raises."""
        self._driver.disconnect()  # type: ignore[no-untyped-call]
        self._opened.close()

    def _answer(self) -> Any:  # noqa: ANN401 (each command has an answer of its own kind)
        try:
            return self._driver.read_response()  # type: ignore[no-untyped-call]
        except ResponseError as error:
            return error


def error_of(failure: ResponseError, command: str, username: str) -> errors.RotationError:
    """Return our error for one of the server's.

    Its text is left out but for the code: of a command that it does not know the server quotes the
    arguments, and with them a password.
    """
    code = CODE.match(str(failure))
    told = code[0] if code else "an error"
    kind, hint = ERRORS.get(told, (errors.StatementFailed, None))
    message = f"The server answered {told} to {command}, as {username}."
    return kind(message, hint=hint and hint.format(user=username))


def log_in(login: Login, port: int, trust: Trust, deadline: Deadline) -> Connection:
    """Log in; see :func:`shared.dialling.dialled` for arguments and other errors.

    Raises:
        LoginRefused: The server refuses this password, and only then.
        RotationError: Any other subclass for anything else.
    """
    with dialled(login, port, trust, deadline, b"PING\r\n") as opened:
        connection = Connection(opened, login.username, deadline)
        (answer,) = connection.ask(("AUTH", login.username, login.password))
        if isinstance(answer, ResponseError):
            raise error_of(answer, f"AUTH at {login.host}", login.username)
        if answer != "OK":
            raise OSError  # none of the protocol
    return connection
