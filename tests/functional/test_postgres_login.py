"""Logging in to PostgreSQL: every way it can fail has its own error, and keeps to its time."""

import hashlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.proxy import Proxy
from local.servers import Authority, Server
from rotators.postgres.connection import APPLICATION_NAME, Failure, error_of
from rotators.postgres.rotator import PostgresRotator
from rotators.postgres.session import PostgresSession
from shared.deadline import CHANGE_SECONDS, Deadline
from shared.errors import (
    BadSetting,
    DatabaseError,
    HostNameMismatch,
    LoginRefused,
    NameNotResolved,
    PasswordNotAsked,
    PermissionDenied,
    ServerBusy,
    StatementFailed,
    TlsFailed,
    TlsRequired,
    Unreachable,
)
from shared.model import Login
from shared.tls import Trust
from tests.functional.rotations import new_name

PASSWORD = "correct horse battery staple"


@pytest.fixture(params=["postgres", "postgres-18"])
def server(request: pytest.FixtureRequest, server_of: Callable[[str], Server]) -> Server:
    """The oldest and the newest PostgreSQL in turn."""
    return server_of(request.param)


@pytest.fixture
def user(server: Server) -> str:
    """A fresh user with PASSWORD."""
    server.create_user(name := new_name(), PASSWORD)
    return name


def login_of(server: Server, username: str, password: str = PASSWORD, **fields: object) -> Login:
    """Return the login that a secret for this server holds; ``fields`` are other keys of it."""
    usual = {"host": server.host, "port": server.port, "dbname": server.database}
    return _login(username=username, password=password, **{**usual, **fields})


def _login(**fields: object) -> Login:
    return Login.parse(json.dumps({"engine": "postgres", **fields}), where="the test's secret")


def connect(login: Login, trust: Trust, seconds: float = 20) -> PostgresSession:
    """Log in as the function does."""
    return PostgresRotator.connect(_Connecting(trust), login, Deadline(seconds))  # type: ignore[arg-type]


class _Connecting:
    def __init__(self, trust: Trust) -> None:
        self.trust = trust


def failure_of(login: Login, trust: Trust, seconds: float = 20) -> DatabaseError:
    """Return the error that a login ends in; no password is in it."""
    with pytest.raises(DatabaseError) as caught:
        connect(login, trust, seconds).close()
    error = caught.value
    for shown in (str(error), repr(error), error.advice):
        assert login.password not in shown
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


# What the server answers


def test_hints_name_the_statement(server: Server, user: str) -> None:
    """What is wrong with a role, or with the database of the secret, is told with what mends it."""
    server.execute(f"CREATE DATABASE closed_to_{user}")
    server.execute(f"REVOKE CONNECT ON DATABASE closed_to_{user} FROM PUBLIC")
    trust = Trust(server.ca_file)
    closed = failure_of(login_of(server, user, dbname=f"closed_to_{user}"), trust)
    assert f'GRANT CONNECT ON DATABASE "closed_to_{user}" TO "{user}"' in closed.advice
    missing = failure_of(login_of(server, user, dbname="no_such_database"), trust)
    assert type(missing) is StatementFailed
    assert "dbname" in missing.advice
    assert "VALID UNTIL" in failure_of(login_of(server, user, "wrong"), trust).advice
    server.execute(f"ALTER ROLE {user} NOLOGIN")
    locked = failure_of(login_of(server, user), trust)
    assert f'ALTER ROLE "{user}" LOGIN' in locked.advice
    assert all(each.proves_password for each in (closed, missing, locked))


def test_connection_limit_of_the_role_proves_the_password(server: Server, user: str) -> None:
    """A role's own limit is told only to who has the right password."""
    server.execute(f"ALTER ROLE {user} CONNECTION LIMIT 0")
    right = failure_of(login_of(server, user), Trust(server.ca_file))
    assert type(right) is ServerBusy
    assert right.proves_password
    wrong = failure_of(login_of(server, user, "wrong"), Trust(server.ca_file))
    assert type(wrong) is LoginRefused


def test_md5_role_logs_in(server: Server, user: str) -> None:
    """A role whose password is stored as MD5 still can log in, and be refused."""
    digest = hashlib.md5((PASSWORD + user).encode(), usedforsecurity=False).hexdigest()
    server.execute(f"ALTER ROLE {user} PASSWORD 'md5{digest}'")
    with rule(server, f"hostssl all {user} 127.0.0.1/32 md5"):
        connect(login_of(server, user), Trust(server.ca_file)).close()
        error = failure_of(login_of(server, user, "wrong"), Trust(server.ca_file))
    assert type(error) is LoginRefused


def test_role_that_no_rule_lets_in(server: Server, user: str) -> None:
    """A role that pg_hba.conf keeps out is denied, and the hint names that file."""
    with rule(server, f"hostssl all {user} 127.0.0.1/32 reject"):
        error = failure_of(login_of(server, user), Trust(server.ca_file))
    assert type(error) is PermissionDenied
    assert "pg_hba.conf" in error.advice


def test_trusted_role_proves_nothing(server: Server, user: str) -> None:
    """Where the server asks for no password, any password would pass: that is no login."""
    with rule(server, f"hostssl all {user} 127.0.0.1/32 trust"):
        error = failure_of(login_of(server, user, "anything"), Trust(server.ca_file))
    assert type(error) is PasswordNotAsked
    assert "pg_hba.conf" in error.advice
    assert not error.proves_password


def test_role_that_the_server_asks_for_a_clear_password(server: Server, user: str) -> None:
    """The method `password`, which RDS uses for IAM tokens, gets none, and is told from `trust`."""
    with rule(server, f"hostssl all {user} 127.0.0.1/32 password"):
        error = failure_of(login_of(server, user), Trust(server.ca_file))
    assert type(error) is PasswordNotAsked
    assert "cleartext" in error.message
    assert "scram-sha-256" in error.advice
    assert f'REVOKE rds_iam FROM "{user}"' in error.advice


@pytest.mark.parametrize("tls", [False, True])
def test_server_that_asks_for_the_password_in_clear_gets_nothing(tls: bool, tmp_path: Path) -> None:
    """Whoever can answer under the host's name, by whatever certificate, learns no password."""
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    with asking_for_clear_passwords(authority if tls else None, tmp_path) as (port, heard):
        login = _login(host="localhost", port=port, username="u", password=PASSWORD, ssl=tls)
        error = failure_of(login, Trust(tmp_path / "ca.pem"))
    assert type(error) is PasswordNotAsked
    assert "cleartext" in error.message
    assert len(heard) == 1
    assert b"u\0" in heard[0]
    assert not any(PASSWORD.encode() in each for each in heard)


@pytest.mark.parametrize(
    "name",
    ['C "28P01"', "AuthenticationOk", "AuthenticationSASLFinal", "x\nB\t9\tAuthenticationOk"],
)
def test_user_name_cannot_forge_an_answer(server: Server, name: str) -> None:
    """A user name that looks like a message of the protocol does not change the verdict."""
    error = failure_of(login_of(server, name, "wrong"), Trust(server.ca_file))
    assert type(error) is LoginRefused
    assert not error.proves_password


@pytest.mark.parametrize(
    ("severity", "text"),
    [
        ("ВАЖНО", "пользователь не прошёл проверку подлинности"),
        ("致命错误", "用户 Password 认证失败"),
        ("FATAL", "Passwort-Authentifizierung für Benutzer »u« fehlgeschlagen"),
    ],
)
def test_language_of_the_server_does_not_matter(severity: str, text: str) -> None:
    """Whatever lc_messages says, the code tells that the password was refused."""
    with answering(severity, "28P01", text) as port:
        error = failure_of(_plain("localhost", port), Trust())
    assert type(error) is LoginRefused


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("57P03", ServerBusy),
        ("57P01", ServerBusy),
        ("53300", ServerBusy),
        ("53200", ServerBusy),
        ("0A000", StatementFailed),
        ("28000", TlsRequired),
    ],
)
def test_other_answers_have_their_own_errors(code: str, kind: type[DatabaseError]) -> None:
    """A server that starts up, shuts down or knows another protocol is no refusal."""
    with answering("FATAL", code, "whatever") as port:
        error = failure_of(_plain("localhost", port), Trust())
    assert type(error) is kind
    assert code in error.message


@pytest.mark.parametrize("refused", [False, True])
def test_trace_without_a_memory_file(
    server: Server, user: str, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """Where the system has no files in memory, or refuses the call, a temporary one serves."""

    def refuse(_name: str) -> int:
        raise PermissionError(1, "Operation not permitted")

    if refused:
        monkeypatch.setattr("os.memfd_create", refuse)
    else:
        monkeypatch.delattr("os.memfd_create")
    error = failure_of(login_of(server, user, "wrong"), Trust(server.ca_file))
    assert type(error) is LoginRefused


# The way to the server


def test_dns_that_does_not_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that hangs ends in an error in time."""
    over = threading.Event()

    def hang(*_args: object, **_kwargs: object) -> list[object]:
        over.wait(30)
        return []

    monkeypatch.setattr("socket.getaddrinfo", hang)
    began = time.monotonic()
    error = failure_of(login_of(server, "u"), Trust(server.ca_file), seconds=2)
    over.set()
    assert time.monotonic() - began < 2
    assert type(error) is NameNotResolved


@pytest.fixture
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let every name lead to 127.0.0.2 first, and to 127.0.0.1 then."""

    def lead(port: int) -> None:
        answers = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("127.0.0.2", "127.0.0.1")
        ]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_kwargs: answers)

    return lead


def test_address_that_is_silent_beside_one_that_answers(
    server: Server, user: str, two_addresses: Callable[[int], None]
) -> None:
    """A name with two addresses, of which a firewall swallows the first, leads to the second.

    The certificate is verified for the name, whichever address answers.
    """
    two_addresses(server.port)
    with full_backlog("127.0.0.2", server.port):
        connect(login_of(server, user), Trust(server.ca_file), seconds=4).close()
        error = failure_of(login_of(server, user, "wrong"), Trust(server.ca_file), seconds=4)
        other = login_of(server, user, host="elsewhere.example")
        assert type(failure_of(other, Trust(server.ca_file), seconds=4)) is HostNameMismatch
    assert type(error) is LoginRefused


def test_addresses_that_all_are_silent(two_addresses: Callable[[int], None]) -> None:
    """When no address answers, the time for all of them is that for one."""
    with full_backlog("127.0.0.1") as port, full_backlog("127.0.0.2", port):
        two_addresses(port)
        login = _login(host="db.example", port=port, username="u", password=PASSWORD)
        began = time.monotonic()
        error = failure_of(login, Trust(), seconds=2.5)
        assert time.monotonic() - began < 2.5
    assert type(error) is Unreachable


def test_server_that_wakes_up_slowly(
    server: Server, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that lets a login wait is waited for, as long as the time for a change is left."""
    monkeypatch.setattr("shared.deadline.LOGIN_SECONDS", 0.2)
    with Proxy(server.host, server.port) as proxy:
        proxy.on_message = lambda _, index: time.sleep(0.8) if index == 0 else None
        login = login_of(server, user).at(proxy.host, proxy.port)
        connect(login, Trust(server.ca_file), seconds=10).close()
        proxy.reset()
        error = failure_of(login, Trust(server.ca_file), seconds=1 + CHANGE_SECONDS)
    assert type(error) is Unreachable


def test_words_in_names_do_not_matter() -> None:
    """The kind of failure is read from what libpq says, not from a name that it quotes."""
    login = _login(host="certificate.SSL", port=1, username="certificate", password=PASSWORD)
    text = 'connection to server at "certificate.SSL" (10.0.0.1), port 1 failed: Connection refused'
    assert type(error_of(Failure(None, False, text), login, "d")) is Unreachable


# TLS


def test_session_is_encrypted_and_named(server: Server, user: str) -> None:
    """Sessions speak TLS 1.2 or better, and name themselves for the database's audit."""
    with connect(login_of(server, user), Trust(server.ca_file)) as session:
        ((tls, version, name),) = session._run(
            "SELECT ssl, version, application_name FROM pg_stat_ssl"
            " JOIN pg_stat_activity USING (pid) WHERE pid = pg_backend_pid()"
        )
    assert tls
    assert version in {"TLSv1.2", "TLSv1.3"}
    assert name == APPLICATION_NAME


def test_file_of_authorities_that_is_none(server: Server, user: str, tmp_path: Path) -> None:
    """DATABASE_CA_FILE that holds no certificate is a bad setting, not a bad server."""
    (tmp_path / "ca.pem").write_text("no certificate\n")
    with pytest.raises(BadSetting, match="holds no certificate"):
        connect(login_of(server, user), Trust(tmp_path / "ca.pem"))


@pytest.mark.parametrize("tls", [False, True])
def test_mysql_behind_the_port(mysql: Server, tls: bool) -> None:
    """A MySQL server behind the port is told as one that does not speak PostgreSQL."""
    login = _login(host=mysql.host, port=mysql.port, username="u", password=PASSWORD, ssl=tls)
    error = failure_of(login, Trust(mysql.ca_file))
    assert type(error) is Unreachable
    assert "does not speak PostgreSQL" in error.advice
    assert "`engine`" in error.advice


def test_alert_instead_of_a_handshake() -> None:
    """A server that agrees to TLS and then speaks none of it fails for TLS."""
    with answering_bytes(b"S", b"\x15\x03\x03\x00\x02\x02\x28") as port:
        login = _login(host="localhost", port=port, username="u", password=PASSWORD)
        error = failure_of(login, Trust())
    assert type(error) is TlsFailed


# Standing in for servers


@contextmanager
def rule(server: Server, line: str) -> Iterator[None]:
    """Put a rule before the others in pg_hba.conf for a while."""
    path: Path = server._data / "pg_hba.conf"  # type: ignore[attr-defined]
    before = path.read_text()
    path.write_text(f"{line}\n{before}")
    _reload(server, rules=2)
    try:
        yield
    finally:
        path.write_text(before)
        _reload(server, rules=1)


def _reload(server: Server, rules: int) -> None:
    """Have the server read pg_hba.conf again, and wait until new sessions see it."""
    server.execute("SELECT pg_reload_conf()")
    until = time.monotonic() + 10
    while server.execute("SELECT count(*) FROM pg_hba_file_rules") != [(rules,)]:
        assert time.monotonic() < until
    time.sleep(0.1)  # the file is read at once by the view, by the postmaster a moment later


def _plain(host: str, port: int) -> Login:
    return _login(host=host, port=port, username="u", password=PASSWORD, ssl=False)


@contextmanager
def answering(severity: str, code: str, text: str) -> Iterator[int]:
    """Answer each start of a session with an error, as a server without TLS does."""
    fields = {"S": severity, "V": "FATAL", "C": code, "M": text}
    body = b"".join(f"{key}{value}\0".encode() for key, value in fields.items()) + b"\0"
    with answering_bytes(b"E" + struct.pack("!I", len(body) + 4) + body) as port:
        yield port


@contextmanager
def answering_bytes(*answers: bytes) -> Iterator[int]:
    """Answer what arrives on a connection with ``answers``, one each time, and hang up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                for answer in answers:
                    client.recv(4096)
                    client.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


SSL_REQUEST = struct.pack("!II", 8, 80877103)
CLEARTEXT_PASSWORD_ASKED = struct.pack("!cII", b"R", 8, 3)


@contextmanager
def asking_for_clear_passwords(
    authority: Authority | None, folder: Path
) -> Iterator[tuple[int, list[bytes]]]:
    """Speak just enough of the protocol to ask for a clear password; tell what was heard."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    context: ssl.SSLContext | None = None
    if authority:
        issued = authority.issue()
        (folder / "server.pem").write_bytes(issued.certificate + issued.private_key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")

    def serve() -> None:
        client, _ = listener.accept()
        if context:
            assert client.recv(len(SSL_REQUEST)) == SSL_REQUEST
            client.sendall(b"S")
            client = context.wrap_socket(client, server_side=True)
        with client:
            heard.append(client.recv(4096))
            client.sendall(CLEARTEXT_PASSWORD_ASKED)
            while more := client.recv(4096):
                heard.append(more)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        thread.join(5)
        listener.close()
        assert not thread.is_alive()


@contextmanager
def full_backlog(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Give a port whose queue is full, so that the kernel drops the first packet of each client."""
    with socket.socket() as listener:
        listener.bind((address, port))
        listener.listen(0)
        port = listener.getsockname()[1]
        clients = [socket.socket() for _ in range(3)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex((address, port))
        try:
            yield port
        finally:
            for client in clients:
                client.close()
