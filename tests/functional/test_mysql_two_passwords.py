"""Two passwords at once on real MySQL and MariaDB servers: the one in use never stops working."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

import pytest

from local.servers import Server
from rotators.mysql.mysql import MysqlSession
from shared.errors import (
    AccountMissing,
    AccountUnusable,
    PasswordRejected,
    PermissionDenied,
)
from shared.session import OwnTwoPasswords, TwoPasswords
from shared.settings import StrategyName
from tests.functional.mysql_family import (
    KINDS,
    MARIADB_KINDS,
    accepts,
    administrator_of,
    create,
    new_name,
    raw,
    session_of,
)

OLD, NEW, OTHER, FIRST = "old-4f1c9e27", "new-8ad03b5e", "other-61bd77", "first-0c55e2"
BY = ("user", "administrator")


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, server_of: Callable[[str], Server]) -> Server:
    """Each server of the family in turn."""
    return server_of(request.param)


@pytest.fixture(params=MARIADB_KINDS)
def mariadb(request: pytest.FixtureRequest, server_of: Callable[[str], Server]) -> Server:
    """Each MariaDB server in turn."""
    return server_of(request.param)


@pytest.fixture
def mysql(server_of: Callable[[str], Server]) -> Server:
    """A MySQL server."""
    return server_of("mysql")


def user_with(mysql: Server, *passwords: str, options: str = "", host: str = "%") -> str:
    """Create a user whose passwords were set one after the other, each retaining the last."""
    name = new_name("dual")
    create(mysql, name, passwords[0], host, options)
    mysql.execute("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO %s@%s", (name, host))
    for password in passwords[1:]:
        mysql.execute(
            "ALTER USER %s@%s IDENTIFIED BY %s RETAIN CURRENT PASSWORD", (name, host, password)
        )
    return name


def set_both(server: Server, by: str, name: str, new: str, old: str) -> None:
    """Let the user itself, logged in with the old password, or the administrator do it."""
    with session_of(server, name, old) if by == "user" else administrator_of(server) as session:
        assert isinstance(session, TwoPasswords)
        session.set_both(name, new, old)


def working(server: Server, name: str) -> set[str]:
    """Return which of the passwords of these tests work."""
    return {each for each in (OLD, NEW, OTHER, FIRST) if accepts(server, name, each)}


@contextmanager
def no_refusal(server: Server, name: str, password: str) -> Iterator[None]:
    """Log in without pause meanwhile, and fail if the password was ever refused."""
    over, refused, tried = Event(), [0], [0]

    def log_in() -> None:
        while not over.is_set():
            tried[0] += 1
            refused[0] += not accepts(server, name, password)

    thread = Thread(target=log_in)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert tried[0]
    assert not refused[0]


# The states of an account in which OLD works: one password, or two in either order.
STATES = {
    "one password": (OLD,),
    "old is the first": (FIRST, OLD),
    "old is the second": (OLD, OTHER),
    "both are there": (OLD, NEW),
    "the other way round": (NEW, OLD),
    "old is both": (OLD, OLD),
}


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("state", STATES)
def test_from_any_state(mysql: Server, state: str, by: str) -> None:
    """From every state in which the old password works, exactly old and new work afterwards."""
    name = user_with(mysql, *STATES[state])
    with no_refusal(mysql, name, OLD):
        set_both(mysql, by, name, NEW, OLD)
    assert working(mysql, name) == {OLD, NEW}
    with no_refusal(mysql, name, OLD):
        set_both(mysql, by, name, NEW, OLD)
    assert working(mysql, name) == {OLD, NEW}


def test_password_that_was_evicted_meanwhile(mysql: Server) -> None:
    """A session that outlives its password changes nothing."""
    name = user_with(mysql, OLD)
    with session_of(mysql, name, OLD) as session:
        assert isinstance(session, OwnTwoPasswords)
        for password in (FIRST, OTHER):
            set_both(mysql, "administrator", name, password, FIRST)
        assert not session.add_password(NEW, OLD)
    assert working(mysql, name) == {FIRST, OTHER}


@pytest.mark.parametrize("by", BY)
def test_old_works_after_every_statement(mysql: Server, by: str) -> None:
    """Wherever the sequence is cut off, the old password works, and the next call ends well."""
    for state, passwords in STATES.items():
        name = user_with(mysql, *passwords)
        for stop in (0, 1):
            with (
                session_of(mysql, name, OLD) if by == "user" else administrator_of(mysql)
            ) as session:
                session._connection = StoppingConnection(session._connection, stop)  # type: ignore[assignment]
                with pytest.raises(Stopped):
                    session.set_both(name, NEW, OLD)
            assert accepts(mysql, name, OLD), state
        set_both(mysql, by, name, NEW, OLD)
        assert working(mysql, name) == {OLD, NEW}


class Stopped(Exception):
    """The session stops here."""


class StoppingConnection:
    """Lets only so many changes through."""

    def __init__(self, connection: object, changes: int) -> None:
        self._wrapped, self._left = connection, changes

    def __getattr__(self, name: str) -> object:
        original = getattr(self._wrapped, name)
        if name not in ("run", "attempt"):
            return original

        def call(purpose: str, statement: str, *rest: object, **options: object) -> object:
            if statement.startswith("ALTER"):
                if not self._left:
                    raise Stopped
                self._left -= 1
            return original(purpose, statement, *rest, **options)

        return call


POLICIES = {
    "history": "PASSWORD HISTORY 6",
    "reuse interval": "PASSWORD REUSE INTERVAL 30 DAY",
    "require current": "PASSWORD REQUIRE CURRENT",
    "both": "PASSWORD HISTORY 6 PASSWORD REQUIRE CURRENT",
    "failed logins": "FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME 1",
    "connection limit": "WITH MAX_USER_CONNECTIONS 2",
}


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("policy", POLICIES)
def test_under_a_policy(mysql: Server, policy: str, by: str) -> None:
    """Password policies and limits of the account do not keep rotations from following."""
    name = user_with(mysql, FIRST, options=POLICIES[policy])
    for old, new in ((FIRST, OLD), (OLD, NEW), (NEW, OTHER)):
        set_both(mysql, by, name, new, old)
        assert accepts(mysql, name, old)
        assert accepts(mysql, name, new)


@pytest.mark.parametrize("policy", ["history", "reuse interval", "both"])
def test_administrator_mends_an_abandoned_attempt_under_a_history(
    mysql: Server, policy: str
) -> None:
    """With another value in front and a history that knows the old one, hashes find the way."""
    name = user_with(mysql, FIRST, OLD, OTHER, options=POLICIES[policy])
    with no_refusal(mysql, name, OLD):
        set_both(mysql, "administrator", name, NEW, OLD)
    assert working(mysql, name) == {OLD, NEW}
    # Delivered once more.
    with no_refusal(mysql, name, OLD), no_refusal(mysql, name, NEW):
        set_both(mysql, "administrator", name, NEW, OLD)
    assert working(mysql, name) == {OLD, NEW}


@pytest.mark.parametrize("policy", ["history", "require current", "both"])
def test_user_cannot_mend_an_abandoned_attempt_under_a_policy(mysql: Server, policy: str) -> None:
    """Where the user itself cannot do it nothing is changed, and the error says what helps."""
    name = user_with(mysql, OLD, OTHER, options=POLICIES[policy])
    with pytest.raises(PasswordRejected, match="masterarn"):
        set_both(mysql, "user", name, NEW, OLD)
    assert working(mysql, name) == {OLD, OTHER}


def test_first_password_that_a_newer_policy_would_refuse(mysql: Server) -> None:
    """A policy that came after the old password does not keep the new one from being added."""
    for by in BY:
        name = user_with(mysql, "short")
        mysql.execute("INSTALL COMPONENT 'file://component_validate_password'")
        try:
            set_both(mysql, by, name, "Long-enough-123", "short")
            with pytest.raises(PasswordRejected):
                set_both(mysql, by, name, "bad", "Long-enough-123")
        finally:
            mysql.execute("UNINSTALL COMPONENT 'file://component_validate_password'")
        assert accepts(mysql, name, "short")
        assert accepts(mysql, name, "Long-enough-123")


def test_user_without_the_right(mysql: Server) -> None:
    """Without APPLICATION_PASSWORD_ADMIN the user gets the GRANT that helps; nothing changes."""
    name = new_name("dual")
    create(mysql, name, OLD)
    with pytest.raises(PermissionDenied) as caught:
        set_both(mysql, "user", name, NEW, OLD)
    assert working(mysql, name) == {OLD}
    statement = caught.value.advice.partition(";")[0]
    mysql.execute(statement)
    set_both(mysql, "user", name, NEW, OLD)
    assert working(mysql, name) == {OLD, NEW}


def test_administrator_serves_all_hosts(server: Server) -> None:
    """Every account of the name gets both passwords."""
    name = new_name("dual")
    for host in ("%", "127.0.0.1"):
        create(server, name, OLD, host)
    set_both(server, "administrator", name, NEW, OLD)
    assert working(server, name) == {OLD, NEW}
    server.execute("DROP USER %s@'127.0.0.1'", (name,))
    assert working(server, name) == {OLD, NEW}


def test_missing_and_unusable_accounts(server: Server) -> None:
    """A missing user, and one without a password, have their own errors."""
    with administrator_of(server) as session:
        with pytest.raises(AccountMissing):
            session.set_both("nobody-here", NEW, OLD)
        if server.engine == "mariadb":
            name = new_name("dual")
            server.execute(f"CREATE USER '{name}'@'%' IDENTIFIED VIA unix_socket")
            with pytest.raises(AccountUnusable):
                session.set_both(name, NEW, OLD)


@pytest.mark.parametrize(
    ("version", "strategies"),
    [
        ((8, 0, 13), {StrategyName.DUAL_PASSWORD, StrategyName.ALTERNATING_USERS}),
        ((8, 0, 14), {StrategyName.ALTERNATING_USERS}),
        ((8, 0, 20), {StrategyName.ALTERNATING_USERS}),
        ((8, 0, 21), set()),
    ],
)
def test_mysql_before_second_passwords_and_users(
    mysql: Server, version: tuple[int, ...], strategies: set[StrategyName]
) -> None:
    """Second passwords came with MySQL 8.0.14, marks of users with 8.0.21; older servers say so."""
    with administrator_of(mysql) as session:
        assert isinstance(session, MysqlSession)
        session.version = version
        told = {each: session.unable(each) for each in StrategyName}
    assert {each for each, lack in told.items() if lack} == strategies
    assert all("or later can do it" in (lack or "or later can do it") for lack in told.values())


def test_empty_password_cannot_be_kept(mysql: Server) -> None:
    """An account without a password cannot keep it as the second one: a clear error."""
    name = new_name("dual")
    create(mysql, name, "")
    with pytest.raises(PasswordRejected, match="empty"), administrator_of(mysql) as session:
        session.set_both(name, NEW, "")


def test_open_connections_stay(server: Server) -> None:
    """Connections that applications hold survive the change."""
    name = new_name("dual")
    create(server, name, OLD)
    with closing(raw(server, name, OLD)) as connection, connection.cursor() as cursor:
        set_both(server, "administrator", name, NEW, OLD)
        cursor.execute("SELECT CURRENT_USER()")
        assert cursor.fetchall() == ((f"{name}@%",),)
