"""What one PostgreSQL session does: passwords, the lock, and giving up in time."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from local.proxy import Direction, Proxy
from local.servers import Server, start
from rotators.postgres.session import PostgresSession
from shared.errors import (
    DatabaseError,
    LockTimeout,
    Pooler,
    Unreachable,
)
from shared.model import Login
from shared.session import Lock, Pair
from shared.tls import Trust
from tests.functional.rotations import new_name
from tests.functional.test_postgres_login import connect, login_of

PASSWORD = "correct horse battery staple"
SECONDS = 2.5
"""Of an invocation that meets a network that swallows packets."""


@pytest.fixture(params=["postgres", "postgres-18"])
def server(request: pytest.FixtureRequest, server_of: Callable[[str], Server]) -> Server:
    """The oldest and the newest PostgreSQL in turn."""
    return server_of(request.param)


@pytest.fixture
def user(server: Server) -> str:
    """A fresh user with PASSWORD."""
    server.create_user(name := new_name(), PASSWORD)
    return name


@pytest.fixture
def session(server: Server, user: str) -> Iterator[PostgresSession]:
    """An open session of that user."""
    with connect(login_of(server, user), Trust(server.ca_file)) as session:
        yield session


@pytest.fixture
def administrator(server: Server) -> Iterator[PostgresSession]:
    """An open session of the administrator."""
    with connect(administrator_login(server), Trust(server.ca_file)) as session:
        yield session


def administrator_login(server: Server) -> Login:
    """Return the administrator's login."""
    return login_of(server, server.administrator.username, server.administrator.password)


# Capabilities


# Passwords


def test_verifier_is_scram_whatever_the_server_prefers(server: Server, user: str) -> None:
    """A session whose password_encryption is md5 still stores SCRAM."""
    server.execute(f"ALTER ROLE {user} SET password_encryption = 'md5'")
    with connect(login_of(server, user), Trust(server.ca_file)) as session:
        session.change_password(user, "another password")
    ((stored,),) = server.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [user])
    assert stored.startswith("SCRAM-SHA-256$")


def test_user_that_acts_as_another_changes_its_own_password(server: Server, user: str) -> None:
    """ALTER ROLE ... SET role does not keep a user from changing its own password."""
    server.create_user(owner := new_name("owner"), PASSWORD)
    server.execute(f"GRANT {owner} TO {user}")
    server.execute(f"ALTER ROLE {user} SET role = {owner}")
    with connect(login_of(server, user), Trust(server.ca_file)) as session:
        session.change_password(user, "another password")
    assert server.logs_in(user, "another password")
    assert server.logs_in(owner, PASSWORD)


@pytest.mark.parametrize("whose", ["ROLE {user}", "DATABASE {database}"])
def test_user_that_only_reads_by_default(server: Server, user: str, whose: str) -> None:
    """default_transaction_read_only, of a role or a database, keeps no password from changing."""
    server.execute(f"CREATE DATABASE of_{user}")
    names = {"user": user, "database": f"of_{user}"}
    server.execute(f"ALTER {whose.format(**names)} SET default_transaction_read_only = on")
    login = login_of(server, user, dbname=names["database"])
    with connect(login, Trust(server.ca_file)) as session:
        session.change_password(user, "another password")
    assert server.logs_in(user, "another password")


# The administrator's look


# Whom a session acts as


def test_session_tells_whom_it_acts_as(server: Server, user: str) -> None:
    """A session acts as its user, or as the role that the database, or the user, begins with."""
    server.create_user(owner := new_name("owner"), PASSWORD)
    server.execute(f"CREATE DATABASE of_{user}")
    server.execute(f"GRANT {owner} TO {user}")
    trust = Trust(server.ca_file)
    login = login_of(server, user, dbname=f"of_{user}")
    with connect(login, trust) as session:
        assert session.acts_as() == user
    server.execute(f"ALTER DATABASE of_{user} SET role = {owner}")
    with connect(login, trust) as session:
        session.change_password(user, PASSWORD)
        assert session.acts_as() == owner
    server.execute(f"ALTER ROLE {user} SET role = {user}")
    with connect(login, trust) as session:
        assert session.acts_as() == user


PLACES = {
    "everybody's": "ALTER ROLE ALL SET role = {}",
    "the database's": "ALTER DATABASE {database} SET role = {}",
    "the role's": "ALTER ROLE {user} SET role = {}",
    "the role's there": "ALTER ROLE {user} IN DATABASE {database} SET role = {}",
}
"""Where a session's role may be set, the weakest place first."""


def test_administrator_tells_whom_the_first_user_acts_as(server: Server, user: str) -> None:
    """The catalogues give what the first user's own session says, wherever ``role`` is set."""
    trust = Trust(server.ca_file)
    database = f"of_{user}"

    def execute(statement: str) -> None:
        server.execute(f"SET ROLE none; {statement}")  # the superuser may become anybody

    server.execute(f"CREATE DATABASE {database}")
    pair = Pair(user, f"{user}_2", "arn:one")
    account = administrator_login(server)
    administrator = login_of(server, account.username, account.password, dbname=database)

    def agreed() -> str | None:
        with connect(administrator, trust) as looking:
            expected = looking.should_act_as(pair.second, pair)
            assert looking.should_act_as(pair.first, pair) == expected
        with connect(login_of(server, user, dbname=database), trust) as session:
            assert session.acts_as() == expected
        return expected

    assert agreed() == user
    try:
        for place, statement in PLACES.items():
            server.create_user(owner := new_name("owner"), PASSWORD)
            before = agreed()
            execute(statement.format(owner, user=user, database=database))
            assert agreed() == before, "a role that it may not become"
            execute(f"GRANT {owner} TO {user}")
            assert agreed() == owner, place
        execute(f"ALTER ROLE {user} IN DATABASE {database} SET role = none")
        assert agreed() == user
    finally:
        execute("ALTER ROLE ALL RESET role")


def test_administrator_counts_sessions(
    server: Server, user: str, administrator: PostgresSession
) -> None:
    """Sessions of others are counted, in whichever database; the administrator's own is not."""
    assert administrator.sessions_of(user) == 0
    trust = Trust(server.ca_file)
    with (
        connect(login_of(server, user), trust),
        connect(login_of(server, user, dbname="postgres"), trust),
    ):
        assert administrator.sessions_of(user) == 2
    assert administrator.sessions_of(server.administrator.username) == 0


# The lock


@pytest.mark.parametrize("silent_after", [0, 1])
def test_session_that_is_lost_gives_its_lock_up(
    server: Server, user: str, silent_after: int
) -> None:
    """A network that falls silent, also in a transaction, keeps the lock for SECONDS at most."""
    trust = Trust(server.ca_file)
    with Proxy(server.host, server.port) as proxy:
        login = login_of(server, user).at(proxy.host, proxy.port)
        with connect(login, trust, SECONDS) as session:
            session.lock(f"arn:{user}", SECONDS)
            until = proxy.messages(Direction.TO_DATABASE) + silent_after
            proxy.on_message = lambda direction, index: (
                proxy.black_hole()
                if direction is Direction.TO_DATABASE and index >= until
                else None
            )
            with pytest.raises(Unreachable):
                session.change_password(user, "another password")
        with connect(login_of(server, user), trust) as next_one:
            next_one.lock(f"arn:{user}", SECONDS + 1)


def test_server_without_a_limit_for_idle_sessions(
    server: Server, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL 12 and 13 are told to notice by TCP that the function is gone.

    A stand-in for these: the settings are the same in all versions.
    """
    monkeypatch.setattr("rotators.postgres.session.IDLE_TIMEOUT_SINCE", 1_000_000)
    with connect(login_of(server, user), Trust(server.ca_file), 21) as session:
        session.lock("arn:one", 5)
        ((idle, interval, count, unanswered, timeout),) = session._run(
            "SELECT current_setting('tcp_keepalives_idle'),"
            " current_setting('tcp_keepalives_interval'),"
            " current_setting('tcp_keepalives_count'), current_setting('tcp_user_timeout'),"
            " current_setting('idle_session_timeout')"
        )
    assert 15 <= int(idle) + int(interval) * int(count) <= 25
    assert 15_000 <= int(unanswered) <= 25_000
    assert timeout == "0"


def test_pooler_is_refused() -> None:
    """A pooler, behind which a lock may be held by anybody's session, is refused, and lends none.

    A stand-in for PgBouncer: it, too, gives each client a process id of its own making.
    """
    with start("postgres", tls=False) as server, pooling(server) as port:
        server.create_user("app", PASSWORD)
        login = login_of(server, "app", ssl=False)
        with connect(login.at(server.host, port), Trust(server.ca_file)) as session:
            with pytest.raises(Pooler) as caught:
                session.lock("arn:one", 5)
            assert "pooler" in caught.value.message
            assert "`host`" in caught.value.advice
            with connect(login, Trust(server.ca_file)) as other:
                assert other.lock("arn:one", 5) is Lock.AT_ONCE


@contextmanager
def pooling(server: Server) -> Iterator[int]:
    """Pass one client on to the server, but for the process id that the server tells it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(source: socket.socket, target: socket.socket, *, told: bool) -> None:
        while part := source.recv(65536):
            at = part.find(b"K\0\0\0\x0c") if told else -1
            target.sendall(part if at < 0 else part[: at + 5] + b"\0\1\2\3" + part[at + 9 :])
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        client, _ = listener.accept()
        with client, socket.create_connection((server.host, server.port)) as database:
            back = threading.Thread(target=forward, args=(database, client), kwargs={"told": True})
            back.start()
            forward(client, database, told=False)
            back.join()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(5)
        listener.close()
        assert not thread.is_alive()


# Giving up in time


def _work(session: PostgresSession, user: str) -> None:
    session.lock(f"arn:{user}", SECONDS)
    session.account_problem(user)
    session.change_password(user, "another password")


def _ending(server: Server, user: str, silent_after: int) -> tuple[DatabaseError | None, float]:
    """Work while the network falls silent after so many messages; return how it ended, and when."""
    with Proxy(server.host, server.port) as proxy:
        began = time.monotonic()
        login = login_of(server, user).at(proxy.host, proxy.port)
        with connect(login, Trust(server.ca_file), SECONDS) as session:
            first = proxy.messages(Direction.TO_DATABASE)

            def fall_silent(direction: Direction, index: int) -> None:
                if direction is Direction.TO_DATABASE and index >= first + silent_after:
                    proxy.black_hole()

            proxy.on_message = fall_silent
            try:
                _work(session, user)
            except DatabaseError as error:
                return error, time.monotonic() - began
    return None, time.monotonic() - began


def test_every_statement_gives_up_in_time(postgres: Server) -> None:
    """Wherever the network falls silent, BEGIN and COMMIT included, an error comes in time."""
    postgres.create_user(user := new_name(), PASSWORD)
    with Proxy(postgres.host, postgres.port) as proxy:
        login = login_of(postgres, user).at(proxy.host, proxy.port)
        with connect(login, Trust(postgres.ca_file)) as session:
            first = proxy.messages(Direction.TO_DATABASE)
            _work(session, user)
            messages = proxy.messages(Direction.TO_DATABASE) - first
    users = [new_name() for _ in range(messages)]
    for name in users:
        postgres.create_user(name, PASSWORD)
    endings: dict[int, tuple[DatabaseError | None, float]] = {}

    def work(index: int) -> None:
        endings[index] = _ending(postgres, users[index], index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(messages)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * SECONDS)
    assert sorted(endings) == list(range(messages)), "an invocation hangs"
    for index, (error, seconds) in endings.items():
        assert type(error) is Unreachable, index
        assert seconds < SECONDS, index


def test_waiting_for_a_row_ends_in_time(server: Server, user: str) -> None:
    """A row of the catalogue that somebody else holds ends the wait with an error of its own."""
    with (
        psycopg.connect(
            host=server.host,
            port=server.port,
            user=server.superuser.username,
            password=server.superuser.password,
            dbname=server.database,
            sslmode="require",
        ) as holder,
        connect(login_of(server, user), Trust(server.ca_file), SECONDS) as session,
    ):
        holder.execute(f"ALTER ROLE {user} CONNECTION LIMIT 50")
        began = time.monotonic()
        with pytest.raises(LockTimeout):
            session.change_password(user, "another password")
        assert time.monotonic() - began < SECONDS
        holder.rollback()


# A database that lies in wait for the administrator


def test_functions_of_the_database_are_not_called(server: Server) -> None:
    """A database's owner cannot have a function of his called by the administrator's session.

    ``search_path`` may name a schema before pg_catalog, for a database as for a role.
    """
    server.create_user(owner := new_name("owner"), PASSWORD)
    server.create_user(second := new_name("second"), PASSWORD)
    database = new_name("trap")
    server.execute(f"CREATE DATABASE {database} OWNER {owner}")
    for statement in (
        "CREATE SCHEMA trap",
        "GRANT USAGE ON SCHEMA trap TO PUBLIC",
        "CREATE TABLE trap.caught (who name)",
        "GRANT INSERT ON trap.caught TO PUBLIC",
        *(
            f"CREATE FUNCTION trap.{signature} LANGUAGE plpgsql AS"
            f" $$BEGIN INSERT INTO trap.caught VALUES (current_user); RETURN {value}; END$$"
            for signature, value in (
                ("set_config(text, text, boolean) RETURNS text", "$2"),
                ("now() RETURNS timestamptz", "clock_timestamp()"),
                ("pg_try_advisory_lock(bigint) RETURNS boolean", "true"),
                ("shobj_description(oid, name) RETURNS text", "''"),
                ("pg_has_role(name, name, text) RETURNS boolean", "true"),
            )
        ),
        f"ALTER DATABASE {database} SET search_path = trap, pg_catalog",
        f"ALTER ROLE {owner} SET search_path = trap, pg_catalog",
    ):
        server.execute(statement, database=database)
    account = administrator_login(server)
    with connect(
        login_of(server, account.username, account.password, dbname=database), Trust(server.ca_file)
    ) as session:
        session.lock("arn:one", 1)
        session.account_problem(owner)
        pair = Pair(owner, second + "_2", "arn:one")
        session.ownership(pair)
        session.prepare(pair.second, "another password", pair, rights=True)
        assert session.differences(pair, pair.second) == []
    assert server.execute("SELECT who FROM trap.caught", database=database) == []
