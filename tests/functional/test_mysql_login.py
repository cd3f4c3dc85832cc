"""Logging in to real MySQL and MariaDB servers: every way it can fail has its own error."""

import importlib.util
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from pymysql.connections import Connection as DriverConnection

from local.proxy import Direction, Proxy
from local.servers import Authority, Server, start
from rotators.mysql import connection as connection_module
from rotators.mysql.connection import PROGRAM_NAME
from shared import network
from shared.deadline import Deadline
from shared.errors import (
    AccountLocked,
    AccountUnusable,
    DatabaseError,
    LoginRefused,
    NameNotResolved,
    OutOfTime,
    PasswordExpired,
    PermissionDenied,
    ServerBusy,
    StatementFailed,
    TlsNotOffered,
    TlsRequired,
    Unreachable,
)
from shared.model import Login
from shared.tls import Trust
from tests.functional.mysql_family import (
    KINDS,
    MARIADB_KINDS,
    age_password,
    create,
    impostor,
    login_of,
    new_name,
    open_session,
    raw,
    session_of,
    setting,
)

PASSWORD = "correct horse battery staple"
WRONG = "incorrect zebra"
FIRST_WORD = (Direction.FROM_DATABASE, 0)
"""Of the server; a message of the proxy."""


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, server_of: Callable[[str], Server]) -> Server:
    """Each server of the family in turn."""
    return server_of(request.param)


@pytest.fixture
def mysql(server_of: Callable[[str], Server]) -> Server:
    """A MySQL server."""
    return server_of("mysql")


def failure_of(server: Server, login: Login, **options: object) -> DatabaseError:
    """Return the error that a login ends in."""
    with pytest.raises(DatabaseError) as caught:
        open_session(server, login, **options).close()  # type: ignore[arg-type]
    error = caught.value
    for shown in (str(error), repr(error), error.advice):
        assert login.password not in shown
    assert error.__suppress_context__ or error.__context__ is None
    return error


def expired(server: Server, name: str) -> None:
    """Let a password expire."""
    create(server, name, PASSWORD, options="PASSWORD EXPIRE")


@pytest.mark.parametrize("kind", MARIADB_KINDS)
def test_expired_is_seen_whatever_the_server_does_with_it(
    kind: str, server_of: Callable[[str], Server]
) -> None:
    """MariaDB may let an expired account in or not; both are PasswordExpired here."""
    server = server_of(kind)
    name = new_name()
    expired(server, name)
    for disconnects in (0, 1):
        with setting(server, "disconnect_on_expired_password", disconnects):
            assert type(failure_of(server, login_of(server, name, PASSWORD))) is PasswordExpired


def test_password_past_its_lifetime(server: Server) -> None:
    """A password that has grown older than its lifetime is PasswordExpired, and proven."""
    name = new_name()
    create(server, name, PASSWORD, options="PASSWORD EXPIRE INTERVAL 30 DAY")
    age_password(server, name)
    error = failure_of(server, login_of(server, name, PASSWORD))
    assert type(error) is PasswordExpired
    assert error.proves_password
    assert type(failure_of(server, login_of(server, name, WRONG))) is LoginRefused


def test_account_limit_proves_the_password(server: Server) -> None:
    """An account's own connection limit is ServerBusy and proves the password."""
    name = new_name()
    create(server, name, PASSWORD, options="WITH MAX_USER_CONNECTIONS 1")
    with closing(raw(server, name, PASSWORD)):
        error = failure_of(server, login_of(server, name, PASSWORD))
        assert type(error) is ServerBusy
        assert error.proves_password
        assert type(failure_of(server, login_of(server, name, WRONG))) is LoginRefused


def test_global_user_limit_proves_the_password(mysql: Server) -> None:
    """The server's max_user_connections is ServerBusy and proves the password.

    On MySQL only: MariaDB does not let it be changed unless it was set at the start.
    """
    name = new_name()
    create(mysql, name, PASSWORD)
    with setting(mysql, "max_user_connections", 1), closing(raw(mysql, name, PASSWORD)):
        error = failure_of(mysql, login_of(mysql, name, PASSWORD))
        assert type(error) is ServerBusy
        assert error.proves_password
        assert type(failure_of(mysql, login_of(mysql, name, WRONG))) is LoginRefused


def test_blocked_by_failed_logins(mysql: Server) -> None:
    """FAILED_LOGIN_ATTEMPTS reached is AccountLocked for any password, and proves nothing."""
    name = new_name()
    create(mysql, name, PASSWORD, options="FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME 1")
    assert type(failure_of(mysql, login_of(mysql, name, WRONG))) is LoginRefused
    for password in (WRONG, WRONG, PASSWORD):
        error = failure_of(mysql, login_of(mysql, name, password))
        assert type(error) is AccountLocked
        assert not error.proves_password
        assert "UNLOCK" in error.advice


def test_offline_server_is_busy(mysql: Server) -> None:
    """A server in offline mode is ServerBusy, and only after the right password."""
    name = new_name()
    create(mysql, name, PASSWORD)
    with setting(mysql, "offline_mode", 1):
        error = failure_of(mysql, login_of(mysql, name, PASSWORD))
        assert type(error) is ServerBusy
        assert error.proves_password
        assert type(failure_of(mysql, login_of(mysql, name, WRONG))) is LoginRefused


def test_database_of_the_secret(server: Server) -> None:
    """A database the user may not use, or that is missing, has its own error and proves it."""
    name = new_name()
    create(server, name, PASSWORD)
    error = failure_of(server, login_of(server, name, PASSWORD, dbname="mysql"))
    assert type(error) is PermissionDenied
    assert error.proves_password
    administrator = server.administrator
    error = failure_of(
        server,
        login_of(server, administrator.username, administrator.password, dbname="no such"),
    )
    assert type(error) is StatementFailed
    assert error.proves_password
    assert "dbname" in error.advice
    assert type(failure_of(server, login_of(server, name, WRONG, dbname="mysql"))) is LoginRefused


def test_administrators_database_is_his_own(server: Server) -> None:
    """An administrator logs in without the database of the secret that he rotates."""
    name = new_name()
    create(server, name, PASSWORD)
    administrator = replace(login_of(server, name, PASSWORD), dbname="mysql")
    with open_session(server, administrator) as session:
        assert session._connection.run("ask", "SELECT DATABASE()") == [(None,)]
    error = failure_of(server, login_of(server, name, PASSWORD, dbname="mysql"))
    assert type(error) is PermissionDenied


def test_account_without_password_login(mysql: Server) -> None:
    """An account whose plugin the server or the client does not have is AccountUnusable."""
    name = new_name()
    # The account's row is made to name a plugin that is not loaded, as after an upgrade to 9.
    create(mysql, name, PASSWORD)
    mysql.execute(
        "UPDATE mysql.user SET plugin = 'mysql_native_password', authentication_string = "
        "'*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19' WHERE User = %s",
        (name,),
    )
    mysql.execute("FLUSH PRIVILEGES")
    error = failure_of(mysql, login_of(mysql, name, PASSWORD))
    assert type(error) is AccountUnusable
    mysql.execute("DROP USER %s@'%%'", (name,))


def test_server_that_drips_ends_before_the_deadline(mysql: Server) -> None:
    """A server that always says a little more does not stretch the time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            client, _ = listener.accept()
            with client, suppress(OSError):
                for byte in (80).to_bytes(3, "little") + b"\x00\x0a" + b"8" * 75:
                    client.sendall(bytes([byte]))
                    time.sleep(0.1)

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        login = login_of(mysql, "app", PASSWORD, port=listener.getsockname()[1])
        error = failure_of(mysql, login, seconds=2)
        assert time.monotonic() - began < 1.5
        thread.join()
    assert type(error) is Unreachable
    assert "did not complete a login within" in error.message


@pytest.fixture
def swallowing_port() -> Iterator[int]:
    """A port whose backlog is full, so that it drops what comes."""
    with socket.socket() as listener, socket.socket() as filling, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (filling, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield listener.getsockname()[1]


@pytest.mark.parametrize("first", ["closed", "silent"])
def test_addresses_share_the_time(
    mysql: Server, swallowing_port: int, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first address that is dead does not keep the second one from being tried."""
    name = new_name()
    create(mysql, name, PASSWORD)
    ports = {"closed": 1, "silent": swallowing_port}
    addresses = [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))
        for port in (ports[first], mysql.port)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    monkeypatch.setattr(network, "REACHING_SECONDS", 2)
    began = time.monotonic()
    session_of(mysql, name, PASSWORD).close()
    assert time.monotonic() - began < 2


def test_resolver_that_gives_no_answer(mysql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS that stays silent is given up in time, though the system's resolver has no limit."""
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(10) and [])
    began = time.monotonic()
    error = failure_of(mysql, login_of(mysql, "app", PASSWORD), seconds=1.5)
    answered.set()
    assert time.monotonic() - began < 1.2
    assert type(error) is NameNotResolved
    assert "within" in error.message


def test_server_that_has_to_wake_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow login is waited for as long as the time allows, but for what a change needs."""
    monkeypatch.setattr("shared.deadline.LOGIN_SECONDS", 0.5)
    account = server.administrator
    with Proxy(server.host, server.port) as proxy:
        proxy.on_message = lambda *message: time.sleep(1) if message == FIRST_WORD else None
        login = login_of(server, account.username, account.password, port=proxy.port)
        open_session(server, login, seconds=20).close()
        proxy.reset()
        error = failure_of(server, login, seconds=3)
    assert type(error) is Unreachable
    assert "did not complete a login within" in error.message


def test_postgresql_behind_the_port(mysql: Server, server_of: Callable[[str], Server]) -> None:
    """A PostgreSQL server, which waits for the client to begin, is told soon, and by name."""
    login = login_of(mysql, "app", PASSWORD, port=server_of("postgres").port)
    began = time.monotonic()
    error = failure_of(mysql, login)
    assert time.monotonic() - began < 5
    assert type(error) is Unreachable
    assert "PostgreSQL" in error.message
    assert "`engine`" in error.advice


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_server_without_tls(
    kind: str,
    server_of: Callable[[str], Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without TLS on the server: refused by default, plaintext only if the secret says so.

    MySQL besides wants a package that is not built in by default, and the error says so.
    """
    trust = Trust(server_of(kind).ca_file)
    with start(kind, tls=False) as server:
        account = server.administrator
        login = login_of(server, account.username, account.password)
        assert type(failure_of(server, login, trust=trust)) is TlsNotOffered
        plain = login_of(server, account.username, account.password, ssl=False)
        open_session(server, plain, trust=trust).close()
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        if kind == "mariadb":
            open_session(server, plain, trust=trust).close()
        else:
            # With the password in the server's cache, and without.
            for _ in range(2):
                error = failure_of(server, plain, trust=trust)
                assert type(error) is TlsRequired
                assert "cryptography" in error.advice
                server.execute("FLUSH PRIVILEGES")


def test_driver_misses_a_package(mysql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyMySQL's RuntimeError about a missing package becomes an error of its own."""

    def missing(*_: object) -> None:
        raise RuntimeError("'cryptography' package is required")

    monkeypatch.setattr(DriverConnection, "connect", missing)
    login = login_of(mysql, "app", PASSWORD)
    assert type(failure_of(mysql, login)) is AccountUnusable
    login = login_of(mysql, "app", PASSWORD, ssl=False)
    assert type(failure_of(mysql, login)) is TlsRequired


@pytest.mark.parametrize("case", ["wrong password", "another host", "nobody", "client certificate"])
def test_refusal_names_all_that_it_may_be(server: Server, case: str) -> None:
    """What looks like a wrong password is named, and the address that the server sees."""
    name = new_name()
    options = "REQUIRE X509" if case == "client certificate" else ""
    if case != "nobody":
        create(server, name, PASSWORD, "10.%" if case == "another host" else "%", options)
    login = login_of(server, name, WRONG if case == "wrong password" else PASSWORD)
    error = failure_of(server, login)
    assert type(error) is LoginRefused
    assert f"'{name}'@'127.0.0.1'" in error.message
    for each in ("wrong password", "does not exist", "address", "REQUIRE X509"):
        assert each in error.advice


SALT = b"12345678901234567890\0"
CACHING, SHA256 = b"caching_sha2_password", b"sha256_password"
ASKING = {
    "in clear": (CACHING, [b"\xfemysql_clear_password\0"]),
    "in clear from the beginning": (b"mysql_clear_password", [b"\x01"]),
    "by a dialog": (CACHING, [b"\xfedialog\0\x04Password: "]),
    "by a dialog from the beginning": (b"dialog", [b"\x01\x04Password: "]),
    "as MySQL 4.0 did": (CACHING, [b"\xfemysql_old_password\x0012345678\0"]),
}
"""How a server asks for what it could read: the plugin in its greeting, and what it says then."""
ASKING_FOR_ALL = {
    "caching_sha2_password": (CACHING, [b"\x01\x04", b"\x01no key"]),
    "sha256_password": (CACHING, [b"\xfesha256_password\0" + SALT, b"\x01no key"]),
    "sha256_password from the beginning": (SHA256, [b"\x01no key"]),
}
"""How a server asks for the whole password; without TLS it is encrypted with a key of its own."""


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Trust]:
    """A certificate for this machine, and the trust in it."""
    folder, authority = tmp_path_factory.mktemp("impostor"), Authority()
    credentials = authority.issue()
    for name, content in (
        ("authority", authority.certificate),
        ("server", credentials.certificate + credentials.private_key),
    ):
        (folder / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server")
    return context, Trust(folder / "authority")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("asking", ASKING)
def test_password_is_never_handed_to_a_server_that_asks_for_it(
    mysql: Server, certified: tuple[ssl.SSLContext, Trust], asking: str, tls: bool
) -> None:
    """A server that asks for the password itself gets none, be it one that is trusted."""
    certificate, trust = certified
    plugin, answers = ASKING[asking]
    with impostor(plugin, answers, certificate if tls else None) as server:
        login = login_of(mysql, "app", PASSWORD, port=server.port, ssl=tls)
        error = failure_of(mysql, login, trust=trust)
    assert type(error) is AccountUnusable
    assert "in clear" in error.message
    assert b"app\0" in server.told
    assert PASSWORD.encode() not in server.told


@pytest.mark.parametrize("asking", ASKING_FOR_ALL)
def test_password_is_never_sent_in_clear(mysql: Server, asking: str) -> None:
    """Without TLS the plugins that send the whole password send it under a key, or not at all."""
    plugin, answers = ASKING_FOR_ALL[asking]
    with impostor(plugin, answers, None) as server:
        failure_of(mysql, login_of(mysql, "app", PASSWORD, port=server.port, ssl=False))
    assert b"app\0" in server.told
    assert PASSWORD.encode() not in server.told


@pytest.mark.parametrize("asking", ASKING_FOR_ALL)
def test_no_key_is_taken_from_a_server_without_the_package(
    mysql: Server, asking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `cryptography` is not built in, as by default, no key is used, and the hint says so."""
    monkeypatch.setattr("pymysql._auth._have_cryptography", False)
    plugin, answers = ASKING_FOR_ALL[asking]
    with impostor(plugin, answers, None) as server:
        error = failure_of(mysql, login_of(mysql, "app", PASSWORD, port=server.port, ssl=False))
    assert type(error) is TlsRequired
    assert "cryptography" in error.advice
    assert PASSWORD.encode() not in server.told


def test_session_names_itself(mysql: Server) -> None:
    """The server is told a program name, for its audit."""
    name = new_name()
    create(mysql, name, PASSWORD)
    sent = []
    original = DriverConnection.write_packet

    def record(self: object, payload: bytes) -> None:
        sent.append(payload)
        original(self, payload)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DriverConnection, "write_packet", record)
        session_of(mysql, name, PASSWORD).close()
    assert any(b"program_name" in each and PROGRAM_NAME.encode() in each for each in sent)


def test_sessions_do_not_depend_on_the_servers_sql_mode(server: Server) -> None:
    """NO_BACKSLASH_ESCAPES and ANSI_QUOTES on the server break neither quoting nor statements."""
    name = new_name()
    create(server, name, PASSWORD)
    odd = "a\\'b\"c`d\\"
    with setting(server, "sql_mode", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"):
        with session_of(server, name, PASSWORD) as session:
            session.change_password(name, odd)
        session_of(server, name, odd).close()


def test_statement_is_not_begun_without_time(mysql: Server) -> None:
    """A deadline that is over between two statements stops the second one before it is sent."""
    now = [0.0]
    deadline = Deadline(10, clock=lambda: now[0])
    account = mysql.administrator
    login = login_of(mysql, account.username, account.password)
    opened = connection_module.open_connection(login, 3306, Trust(mysql.ca_file), deadline)
    with closing(opened):
        opened.run("set a variable", "SET @a = 1")
        now[0] = 9.5
        with pytest.raises(OutOfTime, match="No time is left to set a variable"):
            opened.run("set a variable", "SET @a = 2")
        now[0] = 0.0
        assert opened.run("read it", "SELECT @a") == [(1,)]
