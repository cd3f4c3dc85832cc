"""Changing passwords on real MySQL and MariaDB servers, by the user and by an administrator."""

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from local.servers import Server
from rotators.mysql.mariadb import MariadbSession
from rotators.mysql.mysql import MysqlSession
from shared.errors import (
    AccountLocked,
    AccountMissing,
    AccountUnusable,
    CapabilityMissing,
    PasswordExpired,
    PasswordRejected,
    PermissionDenied,
    ServerBusy,
    ServerReadOnly,
)
from tests.functional.mysql_family import (
    KINDS,
    MARIADB_KINDS,
    accepts,
    administrator_of,
    age_password,
    create,
    new_name,
    raw,
    session_of,
    setting,
)

OLD = "old-4f1c9e27"
NEW = "new-8ad03b5e"
CLEAR = "shown-77d0c1"
"""The one password that the servers' logs may show."""


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


def stored_hash(server: Server, name: str, host: str = "%") -> str:
    """Return what the server keeps of the account's password, read by the superuser."""
    ((kept,),) = server.execute(
        "SELECT authentication_string FROM mysql.user WHERE User = %s AND Host = %s", (name, host)
    )
    return str(kept)


def test_own_change_is_for_the_account_the_server_found(server: Server) -> None:
    """Of several accounts of one name, a user changes the one that let it in, and no other."""
    name = new_name()
    for host in ("%", "127.0.0.1", "10.%"):
        create(server, name, OLD, host)
    before = {host: stored_hash(server, name, host) for host in ("%", "10.%")}
    with session_of(server, name, OLD) as session:
        session.change_password(name, NEW)
    assert accepts(server, name, NEW)
    assert {host: stored_hash(server, name, host) for host in before} == before


def test_administrator_changes_the_accounts_of_all_hosts(server: Server) -> None:
    """An administrator changes every account of the name, whatever host it is for."""
    name = new_name()
    hosts = ("%", "127.0.0.1", "10.%", "db.example", "10.0.0.0/255.0.0.0")
    for host in hosts:
        create(server, name, OLD, host)
    before = {host: stored_hash(server, name, host) for host in hosts}
    with administrator_of(server) as session:
        session.change_password(name, NEW)
    for host in hosts:
        assert stored_hash(server, name, host) != before[host]
    assert accepts(server, name, NEW)
    server.execute("DROP USER %s@'127.0.0.1'", (name,))
    assert accepts(server, name, NEW)


def test_names_are_told_apart_exactly(server: Server) -> None:
    """User names that differ in case, and names with LIKE's wildcards, are other users."""
    name = new_name("case_")
    others = [name.upper(), name.replace("_", "X")]
    for each in (name, *others):
        create(server, each, OLD)
    with administrator_of(server) as session:
        session.change_password(name, NEW)
        assert all(accepts(server, each, OLD) for each in others)
        with pytest.raises(AccountMissing):
            session.change_password(name[:-1], NEW)
        with pytest.raises(AccountMissing):
            session.change_password(name + " ", NEW)


def test_everything_else_about_the_account_stays(server: Server) -> None:
    """A new password leaves TLS requirement, limits, lock and expiry policy as they were."""
    name = new_name()
    options = (
        "REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 500 MAX_USER_CONNECTIONS 7 "
        "PASSWORD EXPIRE INTERVAL 90 DAY"
    )
    create(server, name, OLD, options=options)
    server.execute("GRANT SELECT ON mysql.* TO %s@'%%'", (name,))

    def rest() -> list[tuple[object, ...]]:
        ((created,),) = server.execute("SHOW CREATE USER %s@'%%'", (name,))
        after = str(created).partition("REQUIRE")[2]
        return [(after,), *server.execute("SHOW GRANTS FOR %s@'%%'", (name,))][: 1 + 0] + [
            (str(grant).partition(" IDENTIFIED")[0],)
            for (grant,) in server.execute("SHOW GRANTS FOR %s@'%%'", (name,))
        ]

    before = rest()
    assert "90 DAY" in str(before)
    with session_of(server, name, OLD) as session:
        session.change_password(name, NEW)
    assert rest() == before
    with administrator_of(server) as session:
        session.change_password(name, OLD)
    assert rest() == before


@pytest.mark.parametrize("expiry", ["ended by hand", "too old"])
def test_expired_account_is_mended_by_the_administrator(server: Server, expiry: str) -> None:
    """A new password by the administrator ends the expiry of the old one: it is no problem."""
    name = new_name()
    options = {"ended by hand": "PASSWORD EXPIRE", "too old": "PASSWORD EXPIRE INTERVAL 30 DAY"}
    create(server, name, OLD, options=options[expiry])
    if expiry == "too old":
        age_password(server, name)
    with administrator_of(server) as session:
        with pytest.raises(PasswordExpired):
            session_of(server, name, OLD)
        assert session.account_problem(name) is None
        session.change_password(name, NEW)
    session_of(server, name, NEW).close()


def test_hint_about_expiry_helps(server: Server) -> None:
    """What the hint of an expired password says, with that password, ends the expiry."""
    name = new_name("it's")
    create(server, name, CLEAR, options="PASSWORD EXPIRE")
    with pytest.raises(PasswordExpired) as caught:
        session_of(server, name, CLEAR)
    statement = re.search(r"ALTER USER .* PASSWORD EXPIRE NEVER", caught.value.advice)
    assert statement
    server.execute(statement[0].replace("'...'", f"'{CLEAR}'"))
    session_of(server, name, CLEAR).close()


def test_hint_about_missing_rights_helps(server: Server) -> None:
    """An administrator who lacks rights is told statements that give him what he needs."""
    name, administrator = new_name(), new_name("boss")
    create(server, name, OLD)
    create(server, administrator, OLD)
    with session_of(server, administrator, OLD) as session:
        with pytest.raises(PermissionDenied) as caught:
            session.change_password(name, NEW)
        statements = re.findall(r"GRANT [^;]+ TO '[^;]+(?=;)", caught.value.advice)
        assert len(statements) == 2
        for statement in statements:
            server.execute(statement)
    with session_of(server, administrator, OLD) as session:
        session.change_password(name, NEW)
    assert accepts(server, name, NEW)


def test_anonymous_account_is_not_changed(mariadb: Server) -> None:
    """A login that the server took for the anonymous account changes nobody's password."""
    create(mariadb, "", OLD)
    try:
        with (
            session_of(mariadb, "never-made", OLD) as session,
            pytest.raises(AccountMissing, match="''@'%'"),
        ):
            session.change_password("never-made", NEW)
        assert accepts(mariadb, "never-made", OLD)
    finally:
        mariadb.execute("DROP USER ''@'%'")


def test_administrator_does_not_write_to_a_replica(mysql: Server) -> None:
    """CONNECTION_ADMIN overrides read_only, but the change is refused nevertheless."""
    name = new_name()
    create(mysql, name, OLD)
    with setting(mysql, "read_only", 1), administrator_of(mysql) as session:
        # What makes the check necessary: the server itself would let him.
        mysql.execute(
            "ALTER USER %s@'%%' PASSWORD EXPIRE NEVER", (name,), account=mysql.administrator
        )
        with pytest.raises(ServerReadOnly):
            session.change_password(name, NEW)
    assert accepts(mysql, name, OLD)


def test_password_history(mysql: Server) -> None:
    """A password that PASSWORD HISTORY remembers is PasswordRejected; a new one is taken."""
    name = new_name()
    create(mysql, name, OLD, options="PASSWORD HISTORY 3")
    with session_of(mysql, name, OLD) as session:
        session.change_password(name, NEW)
        for known in (OLD, NEW):
            with pytest.raises(PasswordRejected, match="used before"):
                session.change_password(name, known)
    assert accepts(mysql, name, NEW)


def test_current_password_required(mysql: Server) -> None:
    """PASSWORD REQUIRE CURRENT is satisfied with the password of the session."""
    name = new_name()
    create(mysql, name, OLD, options="PASSWORD REQUIRE CURRENT")
    with session_of(mysql, name, OLD) as session:
        session.change_password(name, NEW)
    assert accepts(mysql, name, NEW)
    with administrator_of(mysql) as administrator:
        administrator.change_password(name, OLD)
    assert accepts(mysql, name, OLD)


def native(password: str) -> str:
    """Return MariaDB's hash of a password; the tests' own computation."""
    once = hashlib.new("sha1", password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.new("sha1", once, usedforsecurity=False).hexdigest().upper()


def create_via(server: Server, name: str, *ways: str) -> None:
    """Create a MariaDB account with several ways to log in."""
    server.execute(f"CREATE USER '{name}'@'%' IDENTIFIED VIA {' OR '.join(ways)}")


def via(password: str) -> str:
    """Return the clause for a password."""
    return f"mysql_native_password USING '{native(password)}'"


def test_second_password_of_mariadb_ends_with_a_change(mariadb: Server) -> None:
    """On MariaDB the administrator leaves one password; the user cannot, and is told so."""
    name = new_name()
    create_via(mariadb, name, via("first"), via(OLD))
    with session_of(mariadb, name, OLD) as session, pytest.raises(CapabilityMissing):
        session.change_password(name, NEW)
    assert accepts(mariadb, name, OLD)
    with administrator_of(mariadb) as administrator:
        administrator.change_password(name, NEW)
    assert [accepts(mariadb, name, each) for each in ("first", OLD, NEW)] == [False, False, True]
    with session_of(mariadb, name, NEW) as session:
        session.change_password(name, OLD)
    assert accepts(mariadb, name, OLD)


@pytest.mark.parametrize("by", ["user", "administrator"])
def test_other_ways_to_log_in_stay(mariadb: Server, by: str) -> None:
    """A unix_socket login beside the password is kept by a change."""
    name = new_name()
    create_via(mariadb, name, via(OLD), "unix_socket")
    with session_of(mariadb, name, OLD) if by == "user" else administrator_of(mariadb) as session:
        session.change_password(name, NEW)
    ((created,),) = mariadb.execute("SHOW CREATE USER %s@'%%'", (name,))
    assert f"VIA {via(NEW)} OR unix_socket" in created
    assert accepts(mariadb, name, NEW)


def test_socket_before_password(mariadb: Server) -> None:
    """With unix_socket in front SET PASSWORD is refused; the administrator can change it."""
    name = new_name()
    create_via(mariadb, name, "unix_socket", via(OLD))
    with session_of(mariadb, name, OLD) as session, pytest.raises(AccountUnusable):
        session.change_password(name, NEW)
    with administrator_of(mariadb) as administrator:
        administrator.change_password(name, NEW)
    assert accepts(mariadb, name, NEW)


def test_account_without_password_is_not_changed(server: Server) -> None:
    """An account that logs in through something else is refused, where MySQL would say yes."""
    name = new_name()
    if server.engine == "mysql":
        # Any plugin that is there and has no password will do.
        server.execute("INSTALL PLUGIN mysql_no_login SONAME 'mysql_no_login.so'")
    plugin = "mysql_no_login" if server.engine == "mysql" else "unix_socket"
    try:
        word = "WITH" if server.engine == "mysql" else "VIA"
        server.execute(f"CREATE USER '{name}'@'%' IDENTIFIED {word} {plugin}")
        with (
            administrator_of(server) as session,
            pytest.raises(AccountUnusable, match=plugin),
        ):
            session.change_password(name, NEW)
        # Beside an account with a password it is left alone.
        create(server, name, OLD, "127.0.0.1")
        with administrator_of(server) as session:
            session.change_password(name, NEW)
        assert accepts(server, name, NEW)
        ((kept,),) = server.execute(
            "SELECT plugin FROM mysql.user WHERE User = %s AND Host = '%%'", (name,)
        )
        assert kept == plugin
    finally:
        server.execute(f"DROP USER '{name}'@'%'")
        if server.engine == "mysql":
            server.execute("UNINSTALL PLUGIN mysql_no_login")


def refuse_hashes(session: MariadbSession | MysqlSession) -> None:
    """Make the server seem to validate passwords: it refuses hashes (1290), as MariaDB does then.

    The plugins that make it so are not part of the server's own package.
    """
    connection = session._connection
    original = connection._ask

    def ask(purpose: str, statement: str, arguments: Sequence[object], silence: float) -> object:
        if any(isinstance(each, str) and each.startswith("*") for each in arguments):
            return 1290
        return original(purpose, statement, arguments, silence)  # type: ignore[arg-type]

    connection._ask = ask  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize("by", ["user", "administrator"])
def test_server_that_takes_no_hashes(
    mariadb: Server, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A MariaDB server that validates passwords is given the clear one, and that is warned of."""
    name = new_name()
    create(mariadb, name, OLD)
    with session_of(mariadb, name, OLD) if by == "user" else administrator_of(mariadb) as session:
        refuse_hashes(session)
        session.change_password(name, CLEAR)
        if by == "administrator":
            assert isinstance(session, MariadbSession)
            session.set_both(name, "third-9c", CLEAR)
            assert accepts(mariadb, name, "third-9c")
    assert accepts(mariadb, name, CLEAR)
    assert "in clear" in caplog.text
    assert CLEAR not in caplog.text


def test_read_only_is_not_taken_for_validation(mariadb: Server) -> None:
    """The same number for a read-only server does not make the clear password go out."""
    name = new_name()
    create(mariadb, name, OLD)
    with session_of(mariadb, name, OLD) as session:
        refuse_hashes(session)
        mariadb.set_read_only(True)
        try:
            with pytest.raises(ServerReadOnly):
                session._change_own("never-sent-5e")
        finally:
            mariadb.set_read_only(False)
    assert "never-sent-5e" not in mariadb.log_text()


def test_account_for_other_hosts_only(server: Server) -> None:
    """A user that exists only for other hosts is missing here, and the hosts are named."""
    name = new_name()
    create(server, name, OLD, "10.%")
    with administrator_of(server) as session:
        problem = session.account_problem(name)
        assert type(problem) is AccountMissing
        assert "'10.%'" in problem.message
        # The account that fits best decides, as it does for a login.
        create(server, name, OLD, "%")
        create(server, name, OLD, "127.0.0.1", "ACCOUNT LOCK")
        assert type(session.account_problem(name)) is AccountLocked
        with pytest.raises(AccountLocked):
            session_of(server, name, OLD)


def test_change_does_not_wait_for_ever(server: Server) -> None:
    """A change that meets a global read lock ends in ServerBusy, not in the server's patience."""
    name = new_name()
    create(server, name, OLD)
    holder = raw(server, server.superuser.username, server.superuser.password)
    with (
        closing(holder),
        holder.cursor() as cursor,
        administrator_of(server) as session,
    ):
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        name_of_limit = "lock_wait_timeout" if server.engine == "mysql" else "max_statement_time"
        session._connection.run("shorten the wait", f"SET SESSION {name_of_limit} = 1")
        with pytest.raises(ServerBusy):
            session.change_password(name, NEW)
    assert accepts(server, name, OLD)
