"""What drivers lack: a name resolved and a socket opened in bounded time, and an end of silence."""

import contextlib
import errno
import os
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shared.errors import NameNotResolved, Unreachable

REACHING_SECONDS = 10.0
"""Longest wait for DNS; and for all addresses of a host but the last one together."""


_Job = Callable[[], None]
_idle: deque[tuple[threading.Thread, queue.SimpleQueue[_Job]]] = deque()


def _beside(job: _Job) -> None:
    """Do it in a thread that nothing waits for at the end; ``job`` raises nothing.

    The thread is kept for the next job: to start one takes longer than what it is for, mostly.
    """
    with contextlib.suppress(IndexError):
        while True:
            thread, jobs = _idle.pop()
            if thread.is_alive():  # a fork leaves dead ones
                jobs.put(job)
                return
    jobs = queue.SimpleQueue()
    jobs.put(job)
    threading.Thread(target=_work_on, args=(jobs,), daemon=True).start()


def _work_on(jobs: queue.SimpleQueue[_Job]) -> None:
    while True:
        jobs.get()()
        _idle.append((threading.current_thread(), jobs))


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

    _beside(ask)
    try:
        addresses = answer.get(timeout=seconds)
    except queue.Empty:
        msg = f"The host name {host} was not resolved within {seconds:.0f} seconds."
        raise NameNotResolved(msg) from None
    if not addresses:
        raise NameNotResolved(f"The host name {host} cannot be resolved.")
    return addresses


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


@contextmanager
def cut_after(descriptor: int, seconds: float) -> Iterator[None]:
    """Cut a connection that is still at work after so long, whoever owns its socket by then.

    A statement's timeout is kept by the server; where the network swallows packets, nobody would
    end the wait before Lambda kills the function.
    """
    # A descriptor of our own: the connection may close its one while the timer fires.
    same = socket.socket(fileno=os.dup(descriptor))

    over = queue.SimpleQueue[None]()

    def cut() -> None:
        try:
            over.get(timeout=max(0, seconds))
        except queue.Empty:
            with contextlib.suppress(OSError):
                same.shutdown(socket.SHUT_RDWR)

    _beside(cut)
    try:
        yield
    finally:
        over.put(None)
        same.close()
