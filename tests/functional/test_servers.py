"""The real servers that all other functional tests stand on."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pymysql
import pytest
import valkey

from local.engines import ENGINES
from local.servers import Account, Authority, Server, ServerUnavailable, start
from local.servers.__main__ import main
from local.servers.folders import RUN_PREFIX, cache_folder, new_run_folder, unprivileged
from local.servers.server import LocalServer

DIFFICULT = "pä ss\"w'ör`t\\%s%%;--\u20ac"
REFUSALS = (psycopg.Error, pymysql.MySQLError, valkey.ValkeyError)
SQL = [name for name in ENGINES if name != "valkey"]
TRIVIAL = dict.fromkeys(SQL, "SELECT 1") | {"valkey": "DBSIZE"}
"""What any server answers with a number."""


@pytest.fixture(scope="module", params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Run one server of each engine."""
    with start(request.param) as running:
        yield running


@pytest.fixture
def user(server: Server) -> Iterator[Account]:
    """Make a user with a password of difficult characters."""
    # Names of Valkey's users have no spaces.
    account = Account("a user" if server.engine in SQL else "a-user", DIFFICULT)
    server.create_user(account.username, account.password)
    yield account
    server.drop_user(account.username)


def alive(process_id: int) -> bool:
    """Tell whether a process runs, zombies not counted."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ends(process_id: int, seconds: float = 10) -> bool:
    """Tell whether a process ends in time."""
    until = time.monotonic() + seconds
    while alive(process_id) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(process_id)


def log_in(server: Server, *, tls: bool) -> None:
    """Log in as an application's driver does: without TLS, or with all of it verified."""
    account = server.superuser
    if server.engine == "valkey":
        valkey.Valkey(
            host=server.host,
            port=server.port,
            username=account.username,
            password=account.password,
            socket_timeout=2,
            ssl=tls,
            ssl_ca_certs=str(server.ca_file) if tls else None,
            ssl_check_hostname=tls,
        ).ping()
    elif server.engine == "postgres":
        psycopg.connect(
            host=server.host,
            port=server.port,
            user=account.username,
            password=account.password,
            sslmode="verify-full" if tls else "disable",
            sslrootcert=str(server.ca_file) if tls else None,
        ).close()
    else:
        pymysql.connect(
            host=server.host,
            port=server.port,
            user=account.username,
            password=account.password,
            ssl_ca=str(server.ca_file) if tls else None,
            ssl_verify_cert=tls,
            ssl_verify_identity=tls,
            ssl_disabled=not tls,
        ).close()


@pytest.mark.parametrize(
    "kind", [*ENGINES, *(pytest.param(each, marks=pytest.mark.matrix) for each in (
        "postgres-17", "postgres-18", "mariadb-11.8"))]
)  # fmt: skip
def test_every_kind_starts(kind: str) -> None:
    """Every kind of server starts, in the version asked for, with the database there."""
    with start(kind) as server:
        assert server.kind == kind
        assert server.engine == kind.partition("-")[0]
        assert server.version.startswith(kind.partition("-")[2])
        assert server._client.version(server.superuser, server.database).find(server.version) >= 0
        assert server.database == "app"


def test_the_right_password_logs_in_and_a_wrong_one_is_counted(
    server: Server, user: Account
) -> None:
    """A fresh login tells right from wrong, and exactly the wrong ones are in the server's log."""
    before = server.failed_logins()
    assert server.logs_in(user.username, user.password)
    assert server.failed_logins() == before
    assert not server.logs_in(user.username, "wrong")
    assert not server.logs_in("nobody of that name", "wrong")
    assert server.failed_logins() == before + 2


def test_the_administrator_is_no_superuser(server: Server, user: Account) -> None:
    """The administrator alters the users that it made, not what RDS keeps to itself."""
    forbidden = {
        "postgres": "ALTER ROLE postgres PASSWORD 'x'",
        "mysql": "UPDATE mysql.user SET account_locked = 'N'",
        "mariadb": "SET GLOBAL general_log = OFF",
        "valkey": "CONFIG SET maxclients 1",
    }
    with pytest.raises(REFUSALS, match=r"(?i)denied|must be superuser|permission"):
        server.execute(forbidden[server.engine], account=server.administrator)
    alterations = {
        "postgres": 'ALTER ROLE "a user" CONNECTION LIMIT 5',
        "valkey": "ACL SETUSER a-user on",
    }
    of_mysql = "ALTER USER 'a user'@'%' ACCOUNT UNLOCK"
    server.execute(alterations.get(server.engine, of_mysql), account=server.administrator)


def test_users_work_in_the_database(server: Server, user: Account) -> None:
    """A user made by the administrator creates, writes and reads tables, or keys of its own."""
    if server.engine == "valkey":
        server.execute("SET a-user:things 7", account=user)
        assert server.execute("GET a-user:things", account=user) == [("7",)]
        return
    server.execute("CREATE TABLE things (number int)", account=user)
    server.execute("INSERT INTO things VALUES (%s)", (7,), account=user)
    assert server.execute("SELECT number FROM things", account=user) == [(7,)]
    server.execute("DROP TABLE things", account=user)


def test_statements_are_in_the_log_and_passwords_are_not(server: Server, user: Account) -> None:
    """The server's log shows what was run, and none of the passwords that the oracle handles."""
    if server.engine in SQL:  # Valkey's log has no commands
        server.execute("SELECT 'a statement to be found'")
        assert "a statement to be found" in server.log_text()
    log = server.log_text()
    for password in (user.password, server.administrator.password, server.superuser.password):
        assert password not in log
    assert server.administrator.password not in repr(server.administrator)


def test_plaintext_is_refused(server: Server) -> None:
    """A connection without TLS does not get in, even with the right password."""
    with pytest.raises(REFUSALS):
        log_in(server, tls=False)
    log_in(server, tls=True)


def test_it_listens_on_loopback_only(server: Server) -> None:
    """The server is reached over loopback, and not at any other address of this machine."""
    socket.create_connection(("127.0.0.1", server.port), 5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.port), 5)


def test_it_does_not_run_as_root(server: Server) -> None:
    """The server's process belongs to an unprivileged user."""
    assert isinstance(server, LocalServer)
    owner = Path(f"/proc/{server.process_id}").stat().st_uid
    assert owner == unprivileged().user_id != 0


def write(server: Server) -> None:
    """Make a user; in Valkey, where users are no data, set a key."""
    if server.engine == "valkey":
        server.execute("SET secret-rotation:x y", account=server.administrator)
    else:
        server.create_user("another", "x")


def test_read_only_on_and_off(server: Server, user: Account) -> None:
    """A read-only server refuses the administrator's writes and takes them again afterwards."""
    server.set_read_only(True)
    try:
        with pytest.raises(REFUSALS, match=r"(?i)read.only"):
            write(server)
        assert server.logs_in(user.username, user.password)
    finally:
        server.set_read_only(False)
    server.create_user("another", "x")
    server.drop_user("another")


@pytest.mark.parametrize("kind", ENGINES)
def test_what_is_committed_survives_being_killed(kind: str) -> None:
    """After stop_hard or stop, restart brings back every password on the same port."""
    with start(kind) as server:
        port = server.port
        for stop in (server.stop_hard, server.stop):
            server.create_user("kept", "a password")
            stop()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 5)
            server.restart()
            assert server.port == port
            assert server.logs_in("kept", "a password")
            server.drop_user("kept")


def test_closing_leaves_nothing_behind() -> None:
    """After the context the process is gone and so is the folder; closing again is harmless."""
    with start("postgres") as server:
        assert isinstance(server, LocalServer)
        folder = server.ca_file.parent
    assert not alive(server.process_id)
    assert not folder.exists()
    server.close()


def test_a_server_outlives_the_thread_that_started_it() -> None:
    """A server that a short-lived thread started goes on after the thread's end."""
    started: list[Server] = []
    thread = threading.Thread(target=lambda: started.append(start("postgres")))
    thread.start()
    thread.join()
    with started[0] as server:
        time.sleep(0.3)
        assert server.execute("SELECT 1") == [(1,)]


PROGRAM = """
import sys, time
from local.servers import start
server = start(sys.argv[1])
print(server.process_id, server._keeper.pid, server.ca_file.parent, flush=True)
time.sleep(600 if sys.argv[2] == "wait" else 0)
"""


def program(kind: str, then: str) -> tuple["subprocess.Popen[str]", int, int, Path]:
    """Run a program that starts a server; return it with server, keeper and folder."""
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, then], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    with running.stdout:
        process_id, keeper_id, folder = running.stdout.readline().split()
    return running, int(process_id), int(keeper_id), Path(folder)


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_dies_with_the_program(kind: str, how: signal.Signals) -> None:
    """However the program ends, SIGKILL included, server and folder are gone soon after."""
    running, process_id, keeper_id, folder = program(kind, "wait")
    assert alive(process_id)
    running.send_signal(how)
    running.wait(10)
    assert ends(process_id)
    assert ends(keeper_id)
    assert not folder.exists()


def test_the_server_dies_with_a_program_that_just_ends() -> None:
    """A program that never closes its server leaves nothing behind when it exits."""
    running, process_id, _, folder = program("postgres", "exit")
    assert running.wait(10) == 0
    assert not alive(process_id)
    assert not folder.exists()


@pytest.mark.parametrize("kind", ENGINES)
def test_the_server_dies_with_its_keeper(kind: str) -> None:
    """The kernel kills the server when its keeper is killed: the request survived the setuid."""
    running, process_id, keeper_id, folder = program(kind, "wait")
    try:
        os.kill(keeper_id, signal.SIGKILL)
        assert ends(process_id)
    finally:
        running.kill()
        running.wait(10)
    # Nobody was left to remove the folder; the next start does.
    assert folder.exists()
    start("postgres").close()
    assert not folder.exists()


def test_folders_of_living_programs_are_left_alone() -> None:
    """Cleaning up after dead runs touches neither a living run's folder nor a stranger's."""
    ours = new_run_folder()
    stranger = Path(tempfile.mkdtemp(prefix=RUN_PREFIX))
    try:
        start("postgres").close()
        assert ours.exists()
        assert stranger.exists()
    finally:
        for folder in (ours, stranger):
            for each in folder.iterdir():
                each.unlink()
            folder.rmdir()


@pytest.mark.parametrize("kind", ENGINES)
def test_a_server_without_tls(kind: str) -> None:
    """With tls=False the server answers plain connections and none that ask for TLS."""
    with start(kind, tls=False) as server:
        assert server.execute(TRIVIAL[kind])[0][0] in (0, 1)
        with pytest.raises(REFUSALS, match=r"SSL|Timeout"):
            log_in(server, tls=True)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_certificate_of_another_name(kind: str) -> None:
    """The oracle works although the certificate names another host; a strict client is refused."""
    with start(kind, certificate_names=["elsewhere.example"]) as server:
        assert server.execute(TRIVIAL[kind])[0][0] in (0, 1)
        with pytest.raises(REFUSALS, match=r"elsewhere\.example|Hostname mismatch"):
            log_in(server, tls=True)


def test_certificates_pass_strict_verification() -> None:
    """Certificates satisfy VERIFY_X509_STRICT, which Python 3.13 turns on by default."""
    authority = Authority()
    credentials = authority.issue()
    server_side, client_side = ssl.MemoryBIO(), ssl.MemoryBIO()
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(credentials.certificate + credentials.private_key)
        pem.flush()
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.load_cert_chain(pem.name)
    client_context = ssl.create_default_context(cadata=authority.certificate.decode())
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    client = client_context.wrap_bio(server_side, client_side, server_hostname="localhost")
    server = server_context.wrap_bio(client_side, server_side, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.getpeercert()


def test_a_server_given_by_url(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """With a URL in the environment that server is used, and what is out of reach says so."""
    monkeypatch.setenv(f"ROTATION_TEST_{server.engine.upper()}_URL", server.url())
    with start(server.engine) as given:
        assert (given.engine, given.port) == (server.engine, server.port)
        given.create_user("visitor", "a password")
        assert given.logs_in("visitor", "a password")
        for out_of_reach in (given.log_text, given.failed_logins, given.restart, given.stop_hard):
            with pytest.raises(ServerUnavailable, match="Unset the variable"):
                out_of_reach()
    assert not server.logs_in("visitor", "a password")


def test_a_url_that_lacks_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL without an authority is refused with an example of a complete one."""
    monkeypatch.setenv("ROTATION_TEST_MYSQL_URL", "mysql://someone:secret@localhost/app")
    with pytest.raises(ServerUnavailable, match=r"\?ca=/path/to/ca\.pem") as refused:
        start("mysql")
    assert "secret" not in str(refused.value)


def test_unknown_kinds_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A kind that does not exist is an error that lists those that do, on the command line too."""
    with pytest.raises(ServerUnavailable, match="postgres-18"):
        start("oracle")
    assert main(["fetch", "oracle"]) == 1
    assert "postgres-18" in capsys.readouterr().err


def test_a_cache_that_others_may_change_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Programs are not run out of a folder that other users can write to."""
    open_folder = tmp_path / "cache"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    monkeypatch.setenv("ROTATION_SERVERS_CACHE", str(open_folder))
    with pytest.raises(ServerUnavailable, match="open to others"):
        cache_folder()


def test_an_unreachable_archive_is_an_error_that_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the archive cannot be reached the error says what to do, and nothing is left cached."""
    from local.servers import archive  # noqa: PLC0415 - only this test looks inside

    monkeypatch.setenv("ROTATION_SERVERS_CACHE", str(tmp_path))
    monkeypatch.setenv("ROTATION_DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
    with pytest.raises(ServerUnavailable, match="Check the network"):
        archive.fetch("mysql")
    assert [each.name for each in tmp_path.iterdir()] == ["mysql.lock"]
    assert "downloading" in capsys.readouterr().err


def test_run_serves_until_interrupted() -> None:
    """`python -m local.servers run` prints a URL that works, and ends cleanly on SIGTERM."""
    with subprocess.Popen(
        [sys.executable, "-m", "local.servers", "run", "postgres"],
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        lines = dict(running.stdout.readline().split() for _ in range(3))
        url, _, ca_file = lines["URL"].partition("?ca=")
        with psycopg.connect(url, sslmode="verify-full", sslrootcert=ca_file) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("administrator",)
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
        assert not Path(ca_file).exists()
