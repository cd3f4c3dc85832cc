"""Names and sockets in bounded time, and the threads that this takes."""

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from shared import network
from shared.errors import NameNotResolved
from shared.network import cut_after, resolve

HOST, PORT = "localhost", 5432


@pytest.fixture(autouse=True)
def no_threads_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without a thread that an earlier one has kept."""
    monkeypatch.setattr(network, "_idle", type(network._idle)())


@pytest.fixture
def wire() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def kept() -> list[threading.Thread]:
    """Return the threads that wait for a job, as soon as there is one."""
    end = time.monotonic() + 5
    while not network._idle and time.monotonic() < end:
        time.sleep(0.001)
    return [thread for thread, _ in network._idle]


def test_one_thread_serves_again(wire: tuple[socket.socket, socket.socket]) -> None:
    """One job after the other is done by the same thread, of whichever kind they are."""
    resolve(HOST, PORT, 5)
    (first,) = kept()
    with cut_after(wire[0].fileno(), 5):
        assert not network._idle
    assert kept() == [first]
    resolve(HOST, PORT, 5)
    assert kept() == [first]


def test_a_resolver_that_hangs_keeps_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread is left behind, and comes back when it has its answer."""
    answer, ask = threading.Event(), socket.getaddrinfo

    def hang(*arguments: object, **_: object) -> list[tuple[object, ...]]:
        answer.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(NameNotResolved, match=f"{HOST} was not resolved within 0 seconds"):
        resolve(HOST, PORT, 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", ask)
    assert resolve(HOST, PORT, 5)
    (other,) = kept()
    answer.set()
    end = time.monotonic() + 5
    while len(network._idle) < 2 and time.monotonic() < end:
        time.sleep(0.001)
    assert len({thread for thread, _ in network._idle} | {other}) == 2


def test_what_is_over_in_time_is_not_cut(wire: tuple[socket.socket, socket.socket]) -> None:
    """The next one who uses the thread has all of its own time."""
    ours, theirs = wire
    with cut_after(ours.fileno(), 0.05):
        pass
    kept()
    with cut_after(ours.fileno(), 5):
        time.sleep(0.1)
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"


def test_what_takes_too_long_is_cut(wire: tuple[socket.socket, socket.socket]) -> None:
    """Whoever waits for a word gets an end instead; and so does the next one."""
    ours, theirs = wire
    began = time.monotonic()
    with cut_after(ours.fileno(), 0.05):
        assert ours.recv(1) == b""
    assert 0.04 < time.monotonic() - began < 2
    assert theirs.recv(1) == b""


def test_no_time_is_cut_at_once(wire: tuple[socket.socket, socket.socket]) -> None:
    """Time that was over before it began is no error of its own."""
    with cut_after(wire[0].fileno(), -1):
        assert wire[0].recv(1) == b""


def resolved() -> None:
    """Resolve, in a child."""
    resolve(HOST, PORT, 5)


def test_a_fork_has_threads_of_its_own() -> None:
    """Those of the parent are not in the child, and nothing waits for them there."""
    resolve(HOST, PORT, 5)
    assert kept()
    child = multiprocessing.get_context("fork").Process(target=resolved)
    child.start()
    child.join(10)
    assert child.exitcode == 0
