"""What drivers lack: a name is resolved in bounded time, and silence has an end."""

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.errors import NameNotResolved


def resolve(host: str, port: int, seconds: float) -> list[tuple[Any, ...]]:
    """Return the addresses of a host, as :func:`socket.getaddrinfo` gives them, in its order.

    The system's resolver knows no time limit: it is asked by a thread that may be left behind.

    Raises:
        NameNotResolved: DNS does not know the host, or gave no answer in time.
    """
    answer: queue.SimpleQueue[list[tuple[Any, ...]]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError):  # UnicodeError: a label that is too long or empty
            answer.put([])

    threading.Thread(target=ask, daemon=True).start()
    try:
        addresses = answer.get(timeout=seconds)
    except queue.Empty:
        msg = f"The host name {host} was not resolved within {seconds:.0f} seconds."
        raise NameNotResolved(msg) from None
    if not addresses:
        raise NameNotResolved(f"The host name {host} cannot be resolved.")
    return addresses


@contextmanager
def cut_after(descriptor: int, seconds: float) -> Iterator[None]:
    """Cut a connection that is still at work after so long, whoever owns its socket by then.

    A statement's timeout is kept by the server; where the network swallows packets, nobody would
    end the wait before Lambda kills the function.
    """
    # A descriptor of our own: the connection may close its one while the timer fires.
    same = socket.socket(fileno=os.dup(descriptor))

    def cut() -> None:
        with contextlib.suppress(OSError):
            same.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        same.close()
