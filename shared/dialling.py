"""A verified connection for a protocol that begins with TLS: opened and logged in to in time."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from shared.deadline import Deadline
from shared.errors import (
    DatabaseError,
    ServerBusy,
    TlsNotOffered,
    TlsRequired,
    Unreachable,
)
from shared.model import Login
from shared.network import cut_after, open_socket, why_not
from shared.tls import Trust, tls_error

SILENCE_SECONDS = 2.0
"""After so much of it a server is asked whether it speaks plaintext; and longest for its answer."""

NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})
"""OpenSSL's reasons, by version, for an answer that is no TLS."""
HANGS_UP = (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError)

HUNG_UP_HINT = (
    "It has as many clients as it allows, speaks no TLS at this port, or wants a certificate of "
    "its clients; Secrets Manager repeats the rotation by itself."
)
PROTOCOL_HINT = "Check `port` and `engine` in the secret: what answers there is another server."


@contextmanager
def dialled(
    login: Login, port: int, trust: Trust, deadline: Deadline, hello: bytes
) -> Iterator[ssl.SSLSocket]:
    """Connect, and log in within ``with``; when that fails, the connection is closed.

    It may take :meth:`~shared.deadline.Deadline.login_seconds`. An :class:`OSError` within
    ``with`` is told as one of the errors below; one without a number means that the answer was none
    of the protocol.

    Args:
        login: Whom to log in, and where.
        port: Where the login has no port.
        trust: Who may vouch for the server.
        deadline: When to give up at the latest.
        hello: What a server without TLS answers at once.

    Yields:
        The socket, verified; whoever takes it on closes it.

    Raises:
        TlsRequired: The secret asks for plaintext, in which a password would be read by others.
        TlsNotOffered, TlsFailed: There is no TLS, or none that can be trusted.
        ServerBusy: The server hung up without a word.
        Unreachable: There is no server, or it said nothing in time.
        OutOfTime: There is no time to begin.
    """
    port = login.port or port
    circumstances = f"Login of {login.username} at {login.host}:{port}"
    if not login.tls:
        msg = f"{circumstances}: the protocol sends the password itself, and never without TLS."
        raise TlsRequired(msg)
    seconds = deadline.login_seconds("log in")
    end = time.monotonic() + seconds
    opened = open_socket(login.host, port, seconds)
    try:
        with cut_after(opened.fileno(), end - time.monotonic()):
            opened = secured = trust.context_for(login.host).wrap_socket(
                opened, server_hostname=login.host, do_handshake_on_connect=False
            )
            _shake_hands(secured, seconds, hello, circumstances)
            secured.settimeout(None)
            yield secured
    except BaseException as failure:
        opened.close()
        if not isinstance(failure, OSError):
            raise
        if time.monotonic() >= end:
            msg = f"{circumstances} was not completed within {seconds:.0f} seconds."
            raise Unreachable(msg) from None
        # Not chained: a driver's frames hold the password.
        raise _connection_error(failure, circumstances) from None


def _shake_hands(secured: ssl.SSLSocket, seconds: float, hello: bytes, circumstances: str) -> None:
    """Do TLS's handshake; where a server is silent, find out whether it only speaks no TLS.

    Some wait for the end of a line that never comes. It is asked on a connection of its own, since
    one that speaks TLS may only be slow.
    """
    secured.settimeout(min(seconds / 3, SILENCE_SECONDS))
    try:
        secured.do_handshake()
    except TimeoutError:
        with (
            suppress(OSError),
            socket.create_connection(secured.getpeername()[:2], secured.gettimeout()) as asking,
        ):
            asking.sendall(hello)
            if asking.recv(1):
                raise TlsNotOffered(f"{circumstances}: the server speaks no TLS.") from None
        secured.settimeout(seconds)
        secured.do_handshake()


def _connection_error(failure: OSError, circumstances: str) -> DatabaseError:
    """Tell what kept a login from being answered."""
    if isinstance(failure, HANGS_UP):
        return ServerBusy(f"{circumstances}: the server hung up.", hint=HUNG_UP_HINT)
    if isinstance(failure, ssl.SSLError):
        if failure.reason in NO_TLS:
            return TlsNotOffered(f"{circumstances}: what answers there speaks no TLS.")
        return tls_error(failure, circumstances)
    if failure.errno is None and not isinstance(failure, TimeoutError):
        msg = f"{circumstances}: the answer is none of the protocol."
        return Unreachable(msg, hint=PROTOCOL_HINT)
    return Unreachable(f"{circumstances}: {why_not(failure)}.")
