"""Tells a server of PostgreSQL from one that is slow to greet."""

import socket
import struct
from contextlib import suppress

GREETING_SECONDS = 2.0
"""A server of the MySQL family speaks first, and at once unless it has to wake up."""
POSTGRESQL_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
POSTGRESQL_ANSWERS = frozenset({b"S", b"N"})


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
