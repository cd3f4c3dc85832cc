"""Valkey and Redis: what only they do at a login, and to a user's passwords."""

import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import valkey

from local.servers import Account, Server, start
from local.servers.clients import ValkeyClient
from local.servers.installations import installation
from local.servers.valkey import ADMINISTRATOR_RULES, ValkeyServer
from local.template import ROOT
from rotators.valkey.connection import error_of
from rotators.valkey.rotator import ValkeyRotator
from rotators.valkey.session import ValkeySession
from shared.deadline import Deadline
from shared.errors import (
    AccountLocked,
    AccountMissing,
    CapabilityMissing,
    LockTimeout,
    LoginRefused,
    PasswordNotAsked,
    PermissionDenied,
    RotationError,
    ServerBusy,
    ServerReadOnly,
    StatementFailed,
    StrategyNeedsAdministrator,
    TlsFailed,
    TlsRequired,
    Unreachable,
)
from shared.model import Login
from shared.session import Lock
from shared.tls import Trust
from tests.functional.rotations import Rotating, new_name

OLD, NEW = "the-old-password", "the-new-password"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf"


@pytest.fixture(params=["valkey", "valkey-redis"])
def server(request: pytest.FixtureRequest, server_of: Callable[[str], Server]) -> Server:
    """Valkey 8 and Redis 7 in turn."""
    return server_of(request.param)


@pytest.fixture
def user(server: Server) -> str:
    """A fresh user with OLD."""
    server.create_user(name := new_name(), OLD)
    return name


class _Connecting:
    def __init__(self, server: Server) -> None:
        self.trust = Trust(server.ca_file)

    default_port = ValkeyRotator.default_port


def connect(
    server: Server, account: Account, seconds: float = 20, **fields: object
) -> ValkeySession:
    """Log in as the function does; ``fields`` are other keys of the secret."""
    document: dict[str, object] = {"host": server.host, "port": server.port, **fields}
    document |= {"username": account.username, "password": account.password}
    login = Login.parse(json.dumps(document), where="the test's secret")
    return ValkeyRotator.connect(_Connecting(server), login, Deadline(seconds))  # type: ignore[arg-type]


def failure_of(
    server: Server, account: Account, seconds: float = 20, **fields: object
) -> RotationError:
    """Return the error that a login ends in; its password is not in it."""
    with pytest.raises(RotationError) as caught:
        connect(server, account, seconds, **fields).close()
    error = caught.value
    assert account.password not in repr((str(error), error.args))
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


def administrators(
    server: Server, seconds: float = 20, **fields: object
) -> "closing[ValkeySession]":
    """Open a session of the administrator's."""
    return closing(connect(server, server.administrator, seconds, **fields))


def set_user(server: Server, name: str, *rules: str) -> None:
    """Give a user rules, by the superuser; not saved."""
    server.execute(f"ACL SETUSER{' %s' * (len(rules) + 1)}", (name, *rules))


def rules_of(server: Server, name: str) -> set[str]:
    """Return a user's rules, but for its passwords."""
    ((users,),) = server.execute("ACL LIST")
    (found,) = (each.split() for each in users if each.split()[1] == name)
    return {rule for rule in found if not rule.startswith("#")}


# Logging in


def test_user_without_any_right_logs_in(server: Server) -> None:
    """A login sends AUTH and nothing else, so a user who may do nothing more logs in."""
    set_user(server, name := new_name(), "on", f">{OLD}", "-@all")
    connect(server, Account(name, OLD)).close()


def test_plaintext_is_never_tried(server: Server, user: str) -> None:
    """A secret that asks for plaintext is refused before anything is sent."""
    assert type(failure_of(server, Account(user, OLD), ssl=False)) is TlsRequired


@contextmanager
def one_answer(server: Server, answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on a port and treat the one who comes with ``answer``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with ExitStack() as stack:
                peer, _ = listener.accept()
                stack.enter_context(peer)
                answer(peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_server_that_hangs_up(server: Server) -> None:
    """Over TLS a server with too many clients hangs up without a word: that passes by itself."""
    with one_answer(server, lambda peer: peer.close()) as port:
        error = failure_of(server, Account("app", OLD), port=port)
    assert type(error) is ServerBusy
    assert "as many clients as it allows" in error.advice


def test_server_that_wants_a_certificate() -> None:
    """A server that asks its clients for certificates says so in a way of its own."""
    with start("valkey") as server:
        server.execute("CONFIG SET tls-auth-clients yes")
        error = failure_of(server, server.administrator)
    # Whether its last word comes through is a matter of luck.
    assert type(error) in (TlsFailed, ServerBusy)
    assert type(error) is TlsFailed or "certificate of its clients" in error.advice


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+PONG\r\n", b""])
def test_another_protocol_behind_tls(words: bytes, tmp_path: Path) -> None:
    """An answer over trusted TLS that is none of Valkey's is no refusal."""
    with start("valkey") as server:
        assert isinstance(server, ValkeyServer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        home = server._home
        context.load_cert_chain(home / "certificate.pem", home / "key.pem")

        def answer(peer: socket.socket) -> None:
            with context.wrap_socket(peer, server_side=True) as secured:
                secured.recv(4096)
                secured.sendall(words)

        with one_answer(server, answer) as port:
            error = failure_of(server, Account("app", OLD), port=port)
    assert type(error) in (Unreachable, ServerBusy)


CODES = {
    "WRONGPASS invalid username-password pair or user is disabled.": LoginRefused,
    "NOPERM User app has no permissions to run the 'acl|setuser' command": PermissionDenied,
    "NOAUTH Authentication required.": StatementFailed,
    "DENIED Redis is running in protected mode": StatementFailed,
    "LOADING Valkey is loading the dataset in memory": ServerBusy,
    "BUSY Valkey is busy running a script.": ServerBusy,
    "OOM command not allowed when used memory > 'maxmemory'.": ServerBusy,
    "MISCONF Valkey is configured to save RDB snapshots": ServerReadOnly,
    "READONLY You can't write against a read only replica.": ServerReadOnly,
    "MASTERDOWN Link with MASTER is down": ServerReadOnly,
    "NOREPLICAS Not enough good replicas to write.": ServerReadOnly,
    "MOVED 3999 127.0.0.1:6381": CapabilityMissing,
    "CLUSTERDOWN Hash slot not served": CapabilityMissing,
    "ERR unknown command 'AUTH', with args beginning with: 'the-old-password'": StatementFailed,
    "the-old-password": StatementFailed,
}


@pytest.mark.parametrize("text", CODES)
def test_every_code_has_its_error(text: str) -> None:
    """Only WRONGPASS is a refusal; nothing but the code is passed on."""
    error = error_of(valkey.ResponseError(text), "AUTH", "app")
    assert type(error) is CODES[text]
    assert OLD not in str(error)
    assert " ".join(text.split(" ")[1:2]) not in error.message.split()


# Passwords


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        (None, AccountMissing),
        (("off", f">{OLD}"), AccountLocked),
        (("on", "nopass"), PasswordNotAsked),
    ],
)
def test_user_that_is_not_changed(
    server: Server, rules: tuple[str, ...] | None, error: type[RotationError]
) -> None:
    """A missing user is not made; one that is off, or open to everybody, is left as it is."""
    name = new_name()
    if rules:
        set_user(server, name, *rules)
    before = server.execute("ACL LIST")
    with administrators(server) as session:
        for passwords in ((NEW,), (NEW, OLD)):
            change = session.set_both if OLD in passwords else session.change_password
            with pytest.raises(error) as caught:
                change(name, *passwords)
            assert type(caught.value) is error
    assert server.execute("ACL LIST") == before


def test_connected_replicas_are_told_of(
    server_of: Callable[[str], Server], caplog: pytest.LogCaptureFixture
) -> None:
    """Where replicas follow, which keep the old password, the log says so."""
    from rotators.valkey.session import require_primary  # noqa: PLC0415

    with caplog.at_level(logging.WARNING):
        require_primary(["master", 0, [["10.0.0.2", "6379", "0"]]])
    assert "1 replicas keep users of their own" in caplog.text


@pytest.mark.parametrize("lacking", ["acl|setuser", "acl|getuser", "acl|save", "role", "watch"])
def test_each_right_is_needed(server: Server, user: str, lacking: str) -> None:
    """An administrator without one of the rights changes nothing, and is told what to grant."""
    account = Account(new_name("dba"), OLD)
    set_user(server, account.username, "on", f">{OLD}", *ADMINISTRATOR_RULES, f"-{lacking}")
    with closing(connect(server, account)) as session:
        if lacking == "acl|getuser":
            assert session.account_problem(user) is None
        with pytest.raises(PermissionDenied, match=lacking.replace("|", " ").upper()) as caught:
            session.change_password(user, NEW)
        assert f"ACL GETUSER {account.username}" in caught.value.advice
    assert server.logs_in(user, OLD)


def test_readme_lists_what_is_needed() -> None:
    """The rights that the README tells DBAs to grant are those of the tests' administrator."""
    page = (ROOT / "rotators" / "valkey" / "README.md").read_text()
    assert f"ACL SETUSER administrator on >… {' '.join(ADMINISTRATOR_RULES)}\n" in page


# What the server keeps


class WithoutAclFile(ValkeyServer):
    """Users stand in the configuration."""

    def _accounts_settings(self) -> dict[str, str]:
        return {}

    def _bootstrap(self) -> None:
        super()._bootstrap()
        with self._configuration.open("a") as file:
            file.writelines(f"{each}\n" for each in self._accounts())


class WithoutAnyFile(WithoutAclFile):
    """Nothing is written anywhere: the configuration is read from the standard input."""

    def _command(self) -> list[str]:
        script = f"exec {self._installation.program} - <{self._configuration}"
        return ["/bin/sh", "-c", script]


@pytest.mark.parametrize("kind", ["valkey", "valkey-redis"])
@pytest.mark.parametrize("server_class", [ValkeyServer, WithoutAclFile])
def test_change_outlives_a_restart(kind: str, server_class: type[ValkeyServer]) -> None:
    """The server has the new password after a crash, whichever file it keeps users in."""
    with server_class(installation(kind)) as server:
        set_user(server, "app", "on", f">{OLD}")
        with administrators(server) as session:
            session.change_password("app", NEW)
        server.stop_hard()
        server.restart()
        assert server.logs_in("app", NEW)
        assert not server.logs_in("app", OLD)


def test_server_that_keeps_nothing() -> None:
    """A server whose next start would bring the old password back is refused before a change."""
    with WithoutAnyFile(installation("valkey")) as server:
        set_user(server, "app", "on", f">{OLD}")
        with administrators(server) as session, pytest.raises(CapabilityMissing) as caught:
            session.change_password("app", NEW)
        assert "aclfile" in caught.value.advice
        assert server.logs_in("app", OLD)


def test_lock_saves_what_is_not_saved(server: Server, user: str) -> None:
    """A delivery that finds its password in force makes sure of the file, too."""
    set_user(server, user, "resetpass", f">{NEW}")
    with administrators(server) as session:
        session.lock(ARN, 5)
    server.stop_hard()
    server.restart()
    assert server.logs_in(user, NEW)


def test_change_that_cannot_be_saved_is_undone() -> None:
    """When saving fails after the change, the passwords of before are in force again."""
    with start("valkey") as server:
        assert isinstance(server, ValkeyServer)
        server.create_user("app", OLD)
        set_user(server, "app", ">another")
        with administrators(server) as session:
            session.lock(ARN, 5)
            server._data.chmod(0o500)  # as where the disk is full, it can write no new file
            with pytest.raises(StatementFailed, match="EXEC"):
                session.change_password("app", NEW)
            assert server.logs_in("app", OLD)
            assert server.logs_in("app", "another")
            assert not server.logs_in("app", NEW)
            server._data.chmod(0o700)
            session.change_password("app", NEW)
        assert server.logs_in("app", NEW)


def test_open_connections_stay(server: Server, user: str) -> None:
    """Whoever is logged in stays so when the password goes."""
    assert isinstance(server._client, ValkeyClient)
    application = server._client.connect(Account(user, OLD))
    with application:
        with administrators(server) as session:
            session.change_password(user, NEW)
        assert application.ping()


# The lock


def test_who_lost_the_lock_changes_nothing(server: Server, user: str) -> None:
    """A session whose time was over, as the server sees it, cannot change a password any more."""
    with administrators(server) as first, administrators(server) as second:
        first.lock(ARN, 1)
        server.execute("DEL %s", (first._key,))
        second.lock(ARN, 1)
        with pytest.raises(LockTimeout):
            first.change_password(user, "late")
        second.change_password(user, NEW)
    assert server.logs_in(user, NEW)


def test_lock_lost_between_look_and_change(
    server: Server, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at the lock and the change are one: who loses it in between changes nothing."""
    with administrators(server) as session:
        session.lock(ARN, 1)
        transact = session._transact

        def too_late(*commands: tuple[str, ...]) -> object:
            server.execute("SET %s another", (session._key,))
            return transact(*commands)

        monkeypatch.setattr(session, "_transact", too_late)
        with pytest.raises(LockTimeout):
            session.change_password(user, NEW)
    assert server.logs_in(user, OLD)


def test_promotion_is_under_the_administrators_lock(
    rotating: Rotating, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own session has no lock, so finishSecret promotes in the administrator's."""
    locked: list[str] = []
    lock = ValkeySession.lock

    def listening(session: ValkeySession, name: str, seconds: float) -> Lock:
        locked.append(session._connection.username)
        return lock(session, name, seconds)

    monkeypatch.setattr(ValkeySession, "lock", listening)
    secret = rotating.secret(server, administrator=True)
    secret.rotate()
    assert locked == [server.administrator.username] * 2
    assert secret.logs_in()
    assert secret.logs_in("AWSPREVIOUS")


@pytest.mark.parametrize("fields", [{}, {"strategy": "single-user"}])
def test_secret_without_administrator_is_refused(
    rotating: Rotating, server: Server, fields: dict[str, str]
) -> None:
    """Where a secret names no administrator, createSecret says so and stores nothing."""
    secret = rotating.secret(server, administrator=False, strategy=fields.get("strategy"))
    error = secret.fails()
    assert isinstance(error, StrategyNeedsAdministrator | CapabilityMissing)
    assert len([each for each in secret.versions() if each.value is not None]) == 1
