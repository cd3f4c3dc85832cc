"""From a host's name to an open socket, in bounded time."""

import errno
import socket
import struct
import time
from contextlib import suppress

from shared.errors import Unreachable
from shared.network import resolve

REACHING_SECONDS = 10.0
"""Longest wait for DNS; and for all addresses of a host but the last one together."""
GREETING_SECONDS = 2.0
"""A server of the MySQL family speaks first, and at once unless it has to wake up."""
POSTGRESQL_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
POSTGRESQL_ANSWERS = frozenset({b"S", b"N"})


def open_socket(host: str, port: int, seconds: float) -> socket.socket:
    """Connect to the first address of the host that answers.

    Those before the last have a share of the time each, so that a silent one leaves some to the
    others; the last has what is left.

    Raises:
        NameNotResolved: DNS does not know the host, or gave no answer in time.
        Unreachable: No address answered in time.
    """
    end = time.monotonic() + seconds
    reaching = min(seconds, REACHING_SECONDS)
    addresses = resolve(host, port, reaching)
    share, reason = reaching / len(addresses), ""
    for place, (family, kind, protocol, _, address) in enumerate(addresses, start=1):
        left = end - time.monotonic()
        attempt = socket.socket(family, kind, protocol)
        attempt.settimeout(max(0.001, left if place == len(addresses) else min(share, left)))
        try:
            attempt.connect(address)
        except OSError as failure:
            attempt.close()
            reason = why_not(failure)
            continue
        attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return attempt
    raise Unreachable(f"No server could be reached at {host}:{port}: {reason}.")


def why_not(failure: OSError) -> str:
    """Say in a few words why a connection was not made, or broke."""
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    if isinstance(failure, ConnectionRefusedError):
        return "the port is closed"
    return errno.errorcode.get(failure.errno or 0, type(failure).__name__)


def is_postgresql(opened: socket.socket, seconds: float) -> bool:
    """Say whether a server that does not begin to speak is one of PostgreSQL.

    It is asked on a connection of its own, since one of MySQL may only be slow.

    Args:
        opened: A connection that nothing was said on yet.
        seconds: How long to wait for a word, and again for the answer.
    """
    seconds = min(seconds, GREETING_SECONDS)
    opened.settimeout(seconds)
    try:
        opened.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        with suppress(OSError):
            address = opened.getpeername()[:2]
            with socket.create_connection(address, seconds) as asking:
                asking.sendall(POSTGRESQL_SSL_REQUEST)
                return asking.recv(1) in POSTGRESQL_ANSWERS
    except OSError:
        pass
    return False
