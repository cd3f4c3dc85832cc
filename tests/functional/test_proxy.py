"""The proxy that stands between a test's client and a real server."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from local.proxy import CutConnection, Direction, Proxy
from local.servers import Account, Server, start
from local.servers.clients import Client, Endpoint, MySQLClient, PostgresClient

TO, FROM = Direction.TO_DATABASE, Direction.FROM_DATABASE
# Messages that end a conversation, whose loss no client notices: libpq sends Terminate and TLS's
# close_notify, which PostgreSQL answers; PyMySQL sends COM_QUIT.
GOOD_BYES = {
    "postgres": {TO: 2, FROM: 1},
    "mysql": {TO: 1, FROM: 0},
    "mariadb": {TO: 1, FROM: 0},
}
QUESTION = "SELECT 40 + 2"


@pytest.fixture(scope="module", params=["postgres", "mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Run one server of each engine."""
    with start(request.param) as running:
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """Stand in front of the server."""
    with Proxy(server.host, server.port) as standing:
        yield standing


def through(proxy: Proxy, server: Server) -> Client:
    """Return a client that verifies the server through the proxy."""
    client = PostgresClient if server.engine == "postgres" else MySQLClient
    return client(Endpoint(proxy.host, proxy.port, server.ca_file))


def ask(proxy: Proxy, server: Server) -> object:
    """Log in through the proxy and ask the server a question."""
    answer = through(proxy, server).execute(server.superuser, server.database, QUESTION)[0][0]
    proxy.settle()
    return answer


def counts(proxy: Proxy) -> tuple[int, int]:
    """Return how many messages went either way."""
    return proxy.messages(TO), proxy.messages(FROM)


def swallows(connection: socket.socket) -> bool:
    """Tell whether nothing arrives any more, after what was on its way already."""
    connection.settimeout(0.2)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return True
    return False


def test_verified_tls_passes_through(server: Server, proxy: Proxy) -> None:
    """A client that verifies authority and host name works through the proxy."""
    assert ask(proxy, server) == 42
    assert proxy.connections == 1


def test_counts_are_the_same_in_every_run(server: Server, proxy: Proxy) -> None:
    """The same conversation has the same messages, and reset counts from zero again."""
    ask(proxy, server)
    first = counts(proxy)
    ask(proxy, server)
    assert counts(proxy) == (2 * first[0], 2 * first[1])
    proxy.reset()
    assert counts(proxy) == (0, 0)
    ask(proxy, server)
    assert counts(proxy) == first
    assert min(first) > 3


def test_callback_sees_every_message_before_it_is_forwarded(server: Server, proxy: Proxy) -> None:
    """The call-back is told each direction's messages in order, from 0, leaving none out."""
    seen: list[tuple[Direction, int]] = []
    proxy.on_message = lambda direction, index: seen.append((direction, index))
    ask(proxy, server)
    for direction in Direction:
        indices = [index for each, index in seen if each is direction]
        assert indices == list(range(proxy.messages(direction)))


def test_answer_is_held_back_until_the_callback_returns(server: Server, proxy: Proxy) -> None:
    """At the last answer's call-back the server has done its work and the client knows nothing."""
    ask(proxy, server)
    last_answer = proxy.messages(FROM) - GOOD_BYES[server.engine][FROM] - 1
    proxy.reset()
    client_returned = threading.Event()
    found: list[bool] = []

    def look(direction: Direction, index: int) -> None:
        if (direction, index) == (FROM, last_answer):
            found.append(client_returned.wait(0.2))

    proxy.on_message = look
    ask(proxy, server)
    client_returned.set()
    assert found == [False]


@pytest.mark.parametrize("direction", list(Direction))
def test_cut_at_every_message(server: Server, proxy: Proxy, direction: Direction) -> None:
    """Wherever the conversation is cut, the client gets an error soon and the server goes on."""
    ask(proxy, server)
    total = proxy.messages(direction)
    for cut_at in range(total - GOOD_BYES[server.engine][direction]):
        proxy.reset()

        def cut(way: Direction, index: int, cut_at: int = cut_at) -> None:
            if (way, index) == (direction, cut_at):
                raise CutConnection

        proxy.on_message = cut
        with pytest.raises(Exception, match=r"(?i)clos|reset|lost|EOF|eof"):
            ask(proxy, server)
    proxy.on_message = None
    assert ask(proxy, server) == 42


def test_cut_after_cuts_once(server: Server, proxy: Proxy) -> None:
    """After so many messages the connection is cut, and the next one passes."""
    proxy.cut_after(2, FROM)
    with pytest.raises(Exception, match=r"(?i)clos|reset|lost|eof"):
        ask(proxy, server)
    assert proxy.messages(FROM) == 2
    assert ask(proxy, server) == 42


def test_refuse_and_pass_again(server: Server, proxy: Proxy) -> None:
    """A refusing proxy refuses at once, and the same port works again afterwards."""
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), 5)
    proxy.pass_through()
    assert ask(proxy, server) == 42


def test_black_hole_swallows_new_and_open_connections(server: Server, proxy: Proxy) -> None:
    """A black hole accepts connections, answers nothing, and forwards nothing on open ones."""
    with (
        socket.create_connection(("127.0.0.1", proxy.port), 5) as before,
        socket.create_connection((server.host, server.port), 5),
    ):
        if server.engine != "postgres":
            assert before.recv(1)
        proxy.black_hole()
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as after:
            for connection in (before, after):
                connection.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # PostgreSQL's SSLRequest
                assert swallows(connection)
    proxy.pass_through()
    assert ask(proxy, server) == 42


def test_redirect_leads_to_another_server(server: Server, proxy: Proxy) -> None:
    """After a redirection new connections reach the other server, whose authority differs."""
    with start(server.kind) as other:
        proxy.redirect(other.host, other.port)
        other.create_user("only_there", "a password")
        account = Account("only_there", "a password")
        assert through(proxy, other).logs_in(account, other.database)
        with pytest.raises(Exception, match=r"(?i)certificate verify failed"):
            ask(proxy, server)


def test_a_process_can_be_killed_before_its_message_arrives(server: Server, proxy: Proxy) -> None:
    """A client killed by the call-back before its last request leaves no trace of that request."""
    server.execute("CREATE TABLE trace (moment int)")
    program = (
        "import sys; from pathlib import Path; from local.servers.clients import *;"
        "engine, port, ca, user, password, database, statement = sys.argv[1:];"
        "client = PostgresClient if engine == 'postgres' else MySQLClient;"
        "endpoint = Endpoint('localhost', int(port), Path(ca));"
        "client(endpoint).execute(Account(user, password), database, statement)"
    )
    arguments = [server.engine, str(proxy.port), str(server.ca_file), server.superuser.username]
    arguments += [server.superuser.password, server.database]

    def run() -> "subprocess.Popen[bytes]":
        statement = "INSERT INTO trace VALUES (1)"
        return subprocess.Popen([sys.executable, "-c", program, *arguments, statement])

    def rows() -> int:
        return len(server.execute("SELECT moment FROM trace"))

    try:
        assert run().wait(30) == 0
        proxy.settle()
        assert rows() == 1
        insert = proxy.messages(TO) - GOOD_BYES[server.engine][TO] - 1
        proxy.reset()
        started = threading.Event()

        def kill(direction: Direction, index: int) -> None:
            if (direction, index) == (TO, insert):
                assert started.wait(10)
                os.kill(victim.pid, signal.SIGKILL)
                raise CutConnection

        proxy.on_message = kill
        victim = run()
        started.set()
        assert victim.wait(30) == -signal.SIGKILL
        assert rows() == 1
    finally:
        server.execute("DROP TABLE trace")


def test_what_a_callback_raises_reaches_the_test(server: Server) -> None:
    """An assertion that fails in a call-back fails the test, not a thread that nobody watches."""

    def fail(direction: Direction, index: int) -> None:
        raise LookupError(direction, index)

    with (
        pytest.raises(LookupError),
        Proxy(server.host, server.port, on_message=fail) as failing,
        pytest.raises(Exception, match=r"(?i)clos|reset|lost|eof"),
    ):
        ask(failing, server)


@pytest.mark.parametrize("kind", ["postgres", "mysql", "mariadb"])
def test_plain_connections_have_message_boundaries_too(kind: str) -> None:
    """Without TLS the packets of the database's own protocol are counted, the same every time."""
    with start(kind, tls=False) as server, Proxy(server.host, server.port) as proxy:
        client = PostgresClient if server.engine == "postgres" else MySQLClient
        plain = client(Endpoint(proxy.host, proxy.port, None))

        def conversation() -> tuple[int, int]:
            proxy.reset()
            rows = plain.execute(server.superuser, server.database, QUESTION)
            proxy.settle()
            assert rows[0][0] == 42
            return counts(proxy)

        conversation()  # MySQL asks for the whole password only the first time
        assert conversation() == conversation()
        assert min(counts(proxy)) > 3
