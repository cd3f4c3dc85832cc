"""A second user of equal rights on real MySQL and MariaDB servers.

The oracle acts as each of the two users and compares what the server answers; it shares no code
with what passes the rights on.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count

import pymysql
import pytest

from local.servers import Server
from rotators.mysql.mariadb import MariadbSession
from rotators.mysql.mariadb_mark import mark_name
from rotators.mysql.mysql import MysqlSession
from rotators.mysql.pairs import LONGEST_LIST
from shared.errors import (
    AccountLocked,
    AccountMissing,
    PermissionDenied,
    RightsDiffer,
    RotationError,
    ServerReadOnly,
)
from shared.session import Ownership, Pair
from tests.functional.mysql_family import (
    KINDS,
    MARIADB_KINDS,
    accepts,
    administrator_of,
    create,
    raw,
    session_of,
    setting,
)

FIRST_PASSWORD = "first-5d20e1"
ONE, TWO, THREE = "one-77ab31", "two-c90f12", "three-1be5d4"

_numbers = count(1)


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


class World:
    """A first user with nothing yet, three databases of its own, and names for roles."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.number = next(_numbers)
        self.pair = self.pair_of(f"svc{self.number}")
        self.databases = [f"shop{self.number}", f"shop_{self.number}", f"shopx{self.number}"]
        self.role, self.other_role = f"reader{self.number}", f"writer{self.number}"
        for name in self.databases:
            server.execute(f"CREATE DATABASE `{name}`")
            server.execute(f"CREATE TABLE `{name}`.item (number INT, price INT)")
        server.execute(
            f"CREATE PROCEDURE `{self.databases[0]}`.tally() SELECT COUNT(*) FROM item",
            database=self.databases[0],
        )
        create(server, self.pair.first, FIRST_PASSWORD)

    @staticmethod
    def pair_of(first: str, owner: str = "arn:aws:secretsmanager:eu:1:secret:svc-AbCdEf") -> Pair:
        """Return the pair of a first user and its clone."""
        return Pair(first, f"{first}_clone", owner)

    def grant(self, what: str, to: str | None = None) -> None:
        """Grant to the first user, or another, by the superuser."""
        option = " WITH GRANT OPTION" if what.endswith("!") else ""
        self.server.execute(
            f"GRANT {what.removesuffix('!')} TO '{to or self.pair.first}'@'%'{option}"
        )

    def revoke(self, what: str, of: str | None = None) -> None:
        """Revoke from the first user, or another, by the superuser."""
        self.server.execute(f"REVOKE {what} FROM '{of or self.pair.first}'@'%'")

    def create_role(self, name: str) -> None:
        """Create a role by the administrator, who so may pass it on."""
        self.server.execute(f"CREATE ROLE `{name}`", account=self.server.administrator)

    def default_role(self, name: str) -> None:
        """Make a role of the first user active when it logs in."""
        word = "TO" if self.server.engine == "mysql" else "FOR"
        self.server.execute(f"SET DEFAULT ROLE `{name}` {word} '{self.pair.first}'@'%'")

    def prepare(self, idle: str, password: str, *, rights: bool = True) -> None:
        """Prepare one of the pair by the administrator."""
        with administrator_of(self.server) as session:
            session.prepare(idle, password, self.pair, rights=rights)

    def differences(self, idle: str | None = None) -> list[str]:
        """Return what the session finds different, at the second's turn or another's."""
        with administrator_of(self.server) as session:
            return session.differences(self.pair, idle or self.pair.second)

    def answers(self, username: str, password: str) -> dict[str, object]:
        """Return what the server answers to this user, statement by statement."""
        found: dict[str, object] = {}
        with closing(raw(self.server, username, password)) as connection:
            for statement in self.probes():
                with connection.cursor() as cursor:
                    try:
                        cursor.execute(statement)
                        # A view's definer is its maker, and the two make one each.
                        shown = statement.startswith("SHOW CREATE")
                        found[statement] = "shown" if shown else cursor.fetchall()
                    except pymysql.MySQLError as error:
                        found[statement] = error.args[0]
        # INSERT on mysql.* is enough to create a user, and not to drop it.
        self.server.execute("DROP USER IF EXISTS probe_user")
        return found

    def probes(self) -> Iterator[str]:
        """Yield statements that show what a user may do, and leave nothing behind."""
        yield "SHOW DATABASES"
        yield "SELECT COUNT(*) FROM mysql.user"
        yield "SHOW MASTER STATUS" if self.server.engine == "mariadb" else "SHOW BINARY LOG STATUS"
        yield "CREATE USER probe_user"
        yield "DROP USER probe_user"
        yield "FLUSH STATUS"
        for name in self.databases:
            yield f"USE `{name}`"
            yield f"SELECT number FROM `{name}`.item LIMIT 0"
            yield f"SELECT price FROM `{name}`.item LIMIT 0"
            yield f"INSERT INTO `{name}`.item (number) SELECT 1 WHERE FALSE"
            yield f"INSERT INTO `{name}`.item (price) SELECT 1 WHERE FALSE"
            yield f"UPDATE `{name}`.item SET number = 1 WHERE FALSE"
            yield f"UPDATE `{name}`.item SET price = 1 WHERE FALSE"
            yield f"DELETE FROM `{name}`.item WHERE FALSE"
            yield f"CREATE TABLE `{name}`.probe (a INT)"
            yield f"ALTER TABLE `{name}`.probe ADD b INT"
            yield f"CREATE INDEX i ON `{name}`.probe (a)"
            yield f"CREATE VIEW `{name}`.probe_view AS SELECT 1"
            yield f"SHOW CREATE VIEW `{name}`.probe_view"
            yield f"DROP VIEW `{name}`.probe_view"
            yield f"CREATE TRIGGER `{name}`.probe_trigger BEFORE INSERT ON `{name}`.probe "
            yield f"CREATE EVENT `{name}`.probe_event ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1"
            yield f"DROP EVENT `{name}`.probe_event"
            yield f"CREATE PROCEDURE `{name}`.probe_procedure() SELECT 1"
            yield f"CALL `{name}`.probe_procedure()"
            yield f"DROP PROCEDURE `{name}`.probe_procedure"
            yield f"LOCK TABLES `{name}`.item READ"
            yield "UNLOCK TABLES"
            yield f"CREATE TEMPORARY TABLE `{name}`.probe_temporary (a INT)"
            yield f"DROP TABLE `{name}`.probe"
            yield f"GRANT SELECT ON `{name}`.* TO `{self.server.administrator.username}`"
        yield f"CALL `{self.databases[0]}`.tally()"

    def require_equal(self, first_password: str, second_password: str) -> dict[str, object]:
        """Fail unless the two users get the same answers; return the answers."""
        first = self.answers(self.pair.first, first_password)
        second = self.answers(self.pair.second, second_password)
        different = {
            statement: (first[statement], second[statement])
            for statement in first
            if first[statement] != second[statement]
        }
        assert not different
        return first


@pytest.fixture
def world(server: Server) -> World:
    """A first user and its databases on each server."""
    return World(server)


def test_rights_gained_while_the_second_is_active(world: World) -> None:
    """What the first user gained reaches an active second one, who loses nothing."""
    zero, one, _ = world.databases
    world.grant(f"SELECT ON `{zero}`.*")
    world.prepare(world.pair.second, ONE)
    for gained in (f"EXECUTE ON PROCEDURE `{zero}`.tally", f"INSERT ON `{one}`.*"):
        world.grant(gained)
        world.prepare(world.pair.first, TWO)
        assert world.differences() == []
    world.require_equal(TWO, ONE)


def test_rights_lost_while_the_second_is_active(world: World) -> None:
    """What the first user lost stops no rotation: it is in force when the first is active again."""
    server, first, second = world.server, world.pair.first, world.pair.second
    zero, one, two = world.databases
    world.create_role(world.role)
    world.grant(f"SELECT, INSERT ON `{zero}`.*!")
    world.grant(f"SELECT (price), UPDATE ON `{one}`.item")
    server.execute(f"GRANT `{world.role}` TO '{first}'@'%'", account=server.administrator)
    world.default_role(world.role)
    server.execute(f"ALTER USER '{first}'@'%' WITH MAX_USER_CONNECTIONS 20")
    world.prepare(second, ONE)
    before = world.answers(second, ONE)
    world.revoke(f"INSERT ON `{zero}`.*")
    world.revoke(f"SELECT (price) ON `{one}`.item")
    server.execute(f"REVOKE `{world.role}` FROM '{first}'@'%'", account=server.administrator)
    world.grant(f"DELETE ON `{two}`.*")
    server.execute(f"ALTER USER '{first}'@'%' REQUIRE SSL WITH MAX_USER_CONNECTIONS 9")
    for _ in range(2):
        world.prepare(first, TWO)
        assert world.differences(first) == []
    answers = world.answers(first, TWO)
    assert answers[f"INSERT INTO `{zero}`.item (number) SELECT 1 WHERE FALSE"] == 1142
    still = world.answers(second, ONE)
    assert not isinstance(still[f"DELETE FROM `{two}`.item WHERE FALSE"], int)
    if server.engine == "mariadb":  # on MySQL the second, whose role the first is, loses them, too
        could = {each for each, answer in before.items() if not isinstance(answer, int)}
        assert not any(isinstance(still[each], int) for each in could)
    world.prepare(second, THREE)
    assert world.differences(second) == []
    assert world.require_equal(TWO, THREE) == answers


def test_given_to_the_active_second_alone_while_the_first_loses_a_right(world: World) -> None:
    """What an active second has been given still stops the rotation, whatever the first lost."""
    first, second = world.pair.first, world.pair.second
    zero, one, _ = world.databases
    world.grant(f"SELECT, INSERT ON `{zero}`.*")
    world.prepare(second, ONE)
    world.server.execute(f"ALTER USER '{first}'@'%' WITH MAX_USER_CONNECTIONS 9")
    world.revoke(f"INSERT ON `{zero}`.*")
    world.grant(f"DELETE ON `{one}`.*", second)
    world.prepare(first, TWO)
    assert any(f"REVOKE DELETE ON `{one}`" in each for each in world.differences(first))
    world.revoke(f"DELETE ON `{one}`.*", second)
    world.prepare(first, TWO)
    assert world.differences(first) == []


def test_conditions_of_the_active_second_that_somebody_has_changed(world: World) -> None:
    """They stop the rotation: the first would come into use without them."""
    world.prepare(world.pair.second, ONE)
    second = f"ALTER USER '{world.pair.second}'@'%' "
    world.server.execute(second + "WITH MAX_USER_CONNECTIONS 50")
    world.prepare(world.pair.first, TWO)
    (difference,) = world.differences(world.pair.first)
    assert "MAX_USER_CONNECTIONS 50" in difference
    world.server.execute(second + "WITH MAX_USER_CONNECTIONS 0")
    assert world.differences(world.pair.first) == []


def test_second_user_that_was_left_by_an_older_version(world: World) -> None:
    """Where it is not known how it was left, whatever it has too much stops the rotation."""
    server, first, second = world.server, world.pair.first, world.pair.second
    zero = world.databases[0]
    world.grant(f"SELECT, INSERT ON `{zero}`.*")
    world.prepare(second, ONE)
    for statement in forgetting(world):
        server.execute(statement, account=server.administrator)
    for number in range(2):
        server.execute(f"ALTER USER '{first}'@'%' WITH MAX_USER_CONNECTIONS {7 + number}")
        if server.engine == "mariadb":
            world.revoke(f"{('INSERT', 'SELECT')[number]} ON `{zero}`.*")
        world.prepare(first, TWO)
        assert bool(world.differences(first)) is (number == 0)
        world.prepare(second, ONE)  # from now on it is known
        assert world.differences(second) == []


def forgetting(world: World) -> list[str]:
    """Return statements after which it is not known how the second user was left."""
    if world.server.engine == "mysql":
        mark = json.dumps({"secret-rotation": {"conditions": None}})
        return [f"ALTER USER '{world.pair.second}'@'%' ATTRIBUTE '{mark}'"]
    roles = world.server.execute("SELECT User FROM mysql.global_priv WHERE User LIKE '%:%:%'")
    mark = mark_name(world.pair)
    return [f"DROP ROLE `{role}`" for (role,) in roles if role.startswith(mark)]


@pytest.mark.parametrize("after", range(6))
def test_interrupted_at_the_turn_of_the_first(world: World, after: int) -> None:
    """Wherever a preparation of the first user stops, the next call ends well."""
    first, second = world.pair.first, world.pair.second
    zero, one, two = world.databases
    world.grant(f"SELECT, INSERT ON `{zero}`.*")
    world.prepare(second, ONE)
    world.revoke(f"INSERT ON `{zero}`.*")
    world.grant(f"SELECT ON `{one}`.*")
    world.grant(f"UPDATE ON `{two}`.*!")
    with administrator_of(world.server) as session, suppress(Stopped):
        stop_after_changes(session, after)
        session.prepare(first, TWO, world.pair, rights=True)
    assert accepts(world.server, second, ONE)
    world.prepare(first, THREE)
    assert world.differences(first) == []
    world.prepare(second, TWO)
    assert world.differences(second) == []
    world.require_equal(THREE, TWO)


def test_mariadb_remembers_one_state_only(mariadb_world: World) -> None:
    """Of all states in which the second user ever was, the last one is remembered."""
    world = mariadb_world
    for number, name in enumerate(world.databases):
        for idle, password in ((world.pair.second, ONE), (world.pair.first, TWO)):
            world.grant(f"{('SELECT', 'INSERT', 'DELETE')[number]} ON `{name}`.*")
            world.prepare(idle, password)
            assert world.differences(idle) == []
            roles = world.server.execute(
                f"SELECT User FROM mysql.global_priv WHERE User LIKE '{mark_name(world.pair)}:%'"
            )
            assert len(roles) == 1
            assert len(roles[0][0]) <= 80


def test_right_to_pass_a_role_on_is_lost_while_the_second_is_active(mariadb_world: World) -> None:
    """A role that the first user keeps, without its ADMIN OPTION, is nothing the second lacks."""
    world, first = mariadb_world, mariadb_world.pair.first
    administrator = world.server.administrator
    world.create_role(world.role)
    world.server.execute(
        f"GRANT `{world.role}` TO '{first}'@'%' WITH ADMIN OPTION", account=administrator
    )
    world.prepare(world.pair.second, ONE)
    world.server.execute(
        f"REVOKE ADMIN OPTION FOR `{world.role}` FROM '{first}'@'%'", account=administrator
    )
    for idle, password in ((first, TWO), (world.pair.second, THREE)):
        world.prepare(idle, password)
        assert world.differences(idle) == []
    world.require_equal(TWO, THREE)


@pytest.mark.parametrize("after", range(6))
def test_interrupted_when_the_first_has_come_to_a_host(mariadb_world: World, after: int) -> None:
    """An account made for a new host of the first user does not hide how the others were left."""
    world, first, second = mariadb_world, mariadb_world.pair.first, mariadb_world.pair.second
    zero = world.databases[0]
    world.grant(f"SELECT, INSERT ON `{zero}`.*")
    world.prepare(second, ONE)
    world.revoke(f"INSERT ON `{zero}`.*")
    create(world.server, first, FIRST_PASSWORD, "10.%")
    world.server.execute(f"GRANT SELECT ON `{zero}`.* TO '{first}'@'10.%'")
    with administrator_of(world.server) as session, suppress(Stopped):
        stop_after_changes(session, after)
        session.prepare(first, TWO, world.pair, rights=True)
    for idle, password in ((first, THREE), (second, TWO)):
        world.prepare(idle, password)
        assert world.differences(idle) == []


def test_administrator_who_takes_turns_himself(mariadb_world: World) -> None:
    """The roles that mark and remember a second user are no rights of the one who made them."""
    world, server = mariadb_world, mariadb_world.server
    boss = World.pair_of(f"boss{world.number}", "arn:of:the:administrator")
    create(server, boss.first, FIRST_PASSWORD)
    server.execute(f"GRANT SELECT, CREATE USER ON *.* TO '{boss.first}'@'%' WITH GRANT OPTION")
    for idle, password in ((boss.second, ONE), (boss.first, TWO)):
        with administrator_of(server) as session:
            session.prepare(idle, password, boss, rights=True)
            assert session.differences(boss, idle) == []
        world.grant(f"SELECT ON `{world.databases[idle == boss.first]}`.*")
        with session_of(server, idle, password) as session:
            session.prepare(world.pair.second, ONE, world.pair, rights=True)
            assert session.differences(world.pair, world.pair.second) == []
    with administrator_of(server) as session:
        session.prepare(boss.second, THREE, boss, rights=True)
        assert session.differences(boss, boss.second) == []


@pytest.fixture
def mariadb_world(mariadb: Server) -> World:
    """A first user and its databases on MariaDB."""
    return World(mariadb)


def test_direct_grant_to_the_active_second(world: World) -> None:
    """A right that only the active second user has is named, with the statement that mends it."""
    zero, one, _ = world.databases
    world.grant(f"SELECT ON `{zero}`.*")
    world.prepare(world.pair.second, ONE)
    world.grant(f"DELETE ON `{one}`.*", world.pair.second)
    world.prepare(world.pair.first, TWO)
    (difference,) = world.differences()
    statement = difference.rpartition(": ")[2]
    assert statement.startswith("REVOKE DELETE ON ")
    assert accepts(world.server, world.pair.second, ONE)
    world.server.execute(statement)
    assert world.differences() == []
    world.require_equal(TWO, ONE)


def test_direct_grant_to_the_idle_second_is_taken_back(world: World) -> None:
    """A right that only the idle second user has is gone when it is prepared."""
    zero, one, two = world.databases
    world.grant(f"SELECT ON `{zero}`.*")
    world.prepare(world.pair.second, ONE)
    world.grant(f"DELETE ON `{one}`.*!", world.pair.second)
    world.grant(f"SELECT (price) ON `{two}`.item", world.pair.second)
    world.grant("SELECT ON *.*", world.pair.second)
    assert len(world.differences()) >= 3
    world.prepare(world.pair.second, TWO)
    assert world.differences() == []
    world.require_equal(FIRST_PASSWORD, TWO)


def test_roles(world: World) -> None:
    """Roles, the default one, and the right to pass them on are alike for both."""
    zero, one, _ = world.databases
    for role in (world.role, world.other_role):
        world.create_role(role)
    world.server.execute(f"GRANT SELECT ON `{zero}`.* TO `{world.role}`")
    world.server.execute(f"GRANT INSERT ON `{one}`.* TO `{world.other_role}`")
    world.server.execute(
        f"GRANT `{world.role}` TO '{world.pair.first}'@'%' WITH ADMIN OPTION",
        account=world.server.administrator,
    )
    world.default_role(world.role)
    world.prepare(world.pair.second, ONE)
    assert world.differences() == []
    answers = world.require_equal(FIRST_PASSWORD, ONE)
    assert answers[f"SELECT price FROM `{zero}`.item LIMIT 0"] == ()
    for name, password in ((world.pair.first, FIRST_PASSWORD), (world.pair.second, ONE)):
        with closing(raw(world.server, name, password)) as connection:
            connection.cursor().execute(
                f"GRANT `{world.role}` TO `{world.server.administrator.username}`"
            )
    # Lost by the first, lost by the second.
    world.server.execute(
        f"REVOKE `{world.role}` FROM '{world.pair.first}'@'%'",
        account=world.server.administrator,
    )
    world.prepare(world.pair.second, TWO)
    assert world.differences() == []
    assert world.require_equal(FIRST_PASSWORD, TWO)[f"USE `{zero}`"] == 1044


def test_role_given_to_the_second_alone(world: World) -> None:
    """A role that only the second user has is named while active, and taken back while idle."""
    world.create_role(world.role)
    world.prepare(world.pair.second, ONE)
    world.server.execute(
        f"GRANT `{world.role}` TO '{world.pair.second}'@'%'", account=world.server.administrator
    )
    (difference,) = world.differences()
    assert f"REVOKE `{world.role}`" in difference.replace("@`%`", "")
    world.prepare(world.pair.first, TWO)
    assert world.differences() == [difference]
    world.prepare(world.pair.second, THREE)
    assert world.differences() == []


def test_conditions_are_alike(world: World) -> None:
    """TLS requirement, limits and password policy of the first reach an idle second user."""
    before = f"ALTER USER '{world.pair.first}'@'%' "
    options = (
        "REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 900 MAX_USER_CONNECTIONS 7 "
        "PASSWORD EXPIRE INTERVAL 90 DAY"
    )
    world.server.execute(before + options)
    world.prepare(world.pair.second, ONE)
    assert world.differences() == []
    ((created,),) = world.server.execute(f"SHOW CREATE USER '{world.pair.second}'@'%'")
    assert all(each in created for each in ("REQUIRE SSL", "QUERIES_PER_HOUR 900", "90 DAY"))
    world.server.execute(
        before + "REQUIRE SUBJECT '/CN=it''s 100%' AND ISSUER '/O=x' WITH MAX_USER_CONNECTIONS 9 "
        "MAX_QUERIES_PER_HOUR 0 PASSWORD EXPIRE NEVER"
    )
    assert len(world.differences()) == 3
    world.prepare(world.pair.second, TWO)
    assert world.differences() == []
    world.server.execute(before + "REQUIRE NONE WITH MAX_USER_CONNECTIONS 0")
    world.prepare(world.pair.second, THREE)
    assert world.differences() == []
    assert accepts(world.server, world.pair.second, THREE)


def test_conditions_of_an_active_second_are_left(world: World) -> None:
    """A TLS requirement is not put on a user in use; it is named instead."""
    world.prepare(world.pair.second, ONE)
    world.server.execute(f"ALTER USER '{world.pair.first}'@'%' REQUIRE X509")
    world.prepare(world.pair.first, TWO)
    assert accepts(world.server, world.pair.second, ONE)
    (difference,) = world.differences()
    assert "REQUIRE X509" in difference
    world.server.execute(difference.rpartition(": ")[2])
    assert world.differences() == []


def test_policies_of_mysql(mysql: Server) -> None:
    """MySQL's password history, reuse interval and failed-login limits are alike as well."""
    world = World(mysql)
    mysql.execute(
        f"ALTER USER '{world.pair.first}'@'%' PASSWORD HISTORY 4 PASSWORD REUSE INTERVAL 10 DAY "
        "PASSWORD REQUIRE CURRENT FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED"
    )
    world.prepare(world.pair.second, ONE)
    assert world.differences() == []
    ((created,),) = mysql.execute(f"SHOW CREATE USER '{world.pair.second}'@'%'")
    for each in ("HISTORY 4", "10 DAY", "REQUIRE CURRENT", "ATTEMPTS 3", "TIME UNBOUNDED"):
        assert each in created
    mysql.execute(
        f"ALTER USER '{world.pair.first}'@'%' PASSWORD HISTORY DEFAULT PASSWORD REUSE INTERVAL "
        "DEFAULT PASSWORD REQUIRE CURRENT OPTIONAL FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 0"
    )
    assert len(world.differences()) == 4
    world.prepare(world.pair.second, TWO)
    assert world.differences() == []


def test_interrupted_under_a_password_history(mysql: Server) -> None:
    """Rights are mended before the password is set, so a history does not keep them from it."""
    world = World(mysql)
    mysql.execute(f"ALTER USER '{world.pair.first}'@'%' PASSWORD HISTORY 4")
    world.prepare(world.pair.second, ONE)
    world.grant(f"DELETE ON `{world.databases[0]}`.*", world.pair.second)
    with pytest.raises(RotationError, match="3638"):
        world.prepare(world.pair.second, ONE)
    assert world.differences() == []


@pytest.mark.parametrize("rights", [True, False])
def test_locked_users(world: World, rights: bool) -> None:
    """A lock of either user stops both turns before anything is made or changed, and says so."""
    first, second = world.pair.first, world.pair.second
    world.prepare(second, ONE)
    for locked in (second, first):
        world.server.execute(f"ALTER USER '{locked}'@'%' ACCOUNT LOCK")
        statement = f"ALTER USER '{locked}'@'%' ACCOUNT UNLOCK"
        for idle in (first, second):
            with pytest.raises(AccountLocked, match=f"'{locked}'@'%' is locked") as caught:
                world.prepare(idle, TWO, rights=rights)
            assert f"{statement}; or do not rotate" in caught.value.advice
        (difference,) = world.differences()
        assert "ACCOUNT" in difference
        world.server.execute(statement)
    assert accepts(world.server, second, ONE)
    assert accepts(world.server, first, FIRST_PASSWORD)


def test_nothing_is_made_for_a_locked_user(world: World) -> None:
    """A first user that a DBA has locked gets no second one to go on with."""
    world.server.execute(f"ALTER USER '{world.pair.first}'@'%' ACCOUNT LOCK")
    with pytest.raises(AccountLocked, match=world.pair.first):
        world.prepare(world.pair.second, ONE)
    with administrator_of(world.server) as session:
        assert session.ownership(world.pair) is Ownership.MISSING


def test_long_lists_are_cut(world: World) -> None:
    """Of very many differences the first are named, with the number of those that are left out."""
    zero = world.databases[0]
    world.prepare(world.pair.second, ONE)
    for number in range(25):
        world.server.execute(f"CREATE TABLE `{zero}`.t{number:02} (a INT)")
        world.grant(f"SELECT ON `{zero}`.t{number:02}", world.pair.second)
    lines = world.differences(world.pair.first)
    assert len(lines) == LONGEST_LIST + 1
    assert f"REVOKE SELECT ON `{zero}`.`t00`" in lines[0]
    assert lines[-1] == f"and {25 - LONGEST_LIST} more"


def test_accounts_for_several_hosts(world: World) -> None:
    """The second user gets an account for each host of the first, with that account's rights."""
    first, second = world.pair.first, world.pair.second
    zero, one, _ = world.databases
    world.grant(f"SELECT, INSERT ON `{zero}`.*")
    for host in ("127.0.0.1", "10.%"):
        create(world.server, first, FIRST_PASSWORD, host)
        world.server.execute(f"GRANT SELECT, INSERT ON `{zero}`.* TO '{first}'@'{host}'")
    world.server.execute(f"GRANT DELETE ON `{one}`.* TO '{first}'@'127.0.0.1'")
    world.prepare(second, ONE)
    hosts = world.server.execute("SELECT Host FROM mysql.user WHERE User = %s", (second,))
    assert {host for (host,) in hosts} == {"%", "127.0.0.1", "10.%"}
    assert world.differences() == []
    world.require_equal(FIRST_PASSWORD, ONE)
    # A host that comes, and one that goes.
    create(world.server, first, FIRST_PASSWORD, "db.example")
    world.server.execute(f"GRANT SELECT, INSERT ON `{zero}`.* TO '{first}'@'db.example'")
    world.server.execute(f"DROP USER '{first}'@'10.%'")
    assert len(world.differences()) == 2
    world.prepare(second, TWO)
    (difference,) = world.differences()
    assert difference.endswith(f"DROP USER '{second}'@'10.%'")
    with administrator_of(world.server) as session:
        assert session.ownership(world.pair) is Ownership.OURS
    world.server.execute(difference.rpartition(": ")[2])
    assert world.differences() == []
    world.prepare(first, THREE)
    world.require_equal(THREE, TWO)


def test_rights_of_an_account_with_a_wider_host(world: World) -> None:
    """A server lends an account the database rights of its namesake for a wider host.

    On MariaDB the copies do so as well. On MySQL a role would not: the rights are named.
    """
    first, second = world.pair.first, world.pair.second
    zero, one, two = world.databases
    create(world.server, first, FIRST_PASSWORD, "127.0.0.1")
    world.grant(f"INSERT ON `{one}`.*")
    world.grant(f"SELECT (price) ON `{two}`.item")
    world.grant(f"EXECUTE ON PROCEDURE `{zero}`.tally")
    world.grant("RELOAD ON *.*")
    assert world.answers(first, FIRST_PASSWORD)[f"USE `{one}`"] != 1044
    if world.server.engine == "mysql":
        with pytest.raises(RightsDiffer) as caught:
            world.prepare(second, ONE)
        statements = re.findall(r"GRANT [^;]*?'127\.0\.0\.1'", caught.value.message)
        assert len(statements) == 3
        for statement in statements:
            world.server.execute(statement)
    world.prepare(second, ONE)
    assert world.differences() == []
    world.require_equal(FIRST_PASSWORD, ONE)


def test_nobody_is_adopted_on_a_read_only_server(world: World) -> None:
    """A server that takes no changes says so, also to an administrator whom it would let."""
    create(world.server, world.pair.second, ONE)
    with setting(world.server, "read_only", 1), administrator_of(world.server) as session:
        with pytest.raises(ServerReadOnly):
            session.adopt(world.pair)
        assert session.ownership(world.pair) is Ownership.FOREIGN


def left_by_aws(world: World) -> None:
    """Leave a pair as AWS's own rotation functions do: the second has copies of the grants."""
    zero, one, _ = world.databases
    for each in (f"SELECT, INSERT, CREATE ROUTINE ON `{zero}`.*", f"DELETE ON `{one}`.item"):
        world.grant(each)
    create(world.server, world.pair.second, ONE)
    for (grant,) in world.server.execute(f"SHOW GRANTS FOR '{world.pair.first}'@'%'"):
        if "USAGE" not in grant:
            copied = grant.replace(f"`{world.pair.first}`", f"`{world.pair.second}`")
            world.server.execute(copied)
    world.require_equal(FIRST_PASSWORD, ONE)
    with administrator_of(world.server) as session:
        session.adopt(world.pair)


def direct_grants(world: World) -> set[str]:
    """Return what was granted to the second user itself."""
    lines = world.server.execute(f"SHOW GRANTS FOR '{world.pair.second}'@'%'")
    return {line for (line,) in lines if " ON `" in line}


def test_pair_of_aws_whose_second_is_idle(world: World) -> None:
    """Its own grants are taken from an adopted second user; on MySQL the role has them all."""
    left_by_aws(world)
    world.grant(f"SELECT ON `{world.databases[2]}`.*", world.pair.second)  # long forgotten
    world.prepare(world.pair.second, TWO)
    assert world.differences(world.pair.second) == []
    assert len(direct_grants(world)) == (0 if world.server.engine == "mysql" else 2)
    world.require_equal(FIRST_PASSWORD, TWO)


def test_pair_of_aws_whose_second_is_active(world: World) -> None:
    """An adopted second user in use keeps its own grants until its next turn."""
    left_by_aws(world)
    before = direct_grants(world)
    world.prepare(world.pair.first, TWO)
    assert world.differences(world.pair.first) == []
    assert direct_grants(world) == before
    world.require_equal(TWO, ONE)
    world.prepare(world.pair.second, THREE)
    assert world.differences(world.pair.second) == []
    assert len(direct_grants(world)) == (0 if world.server.engine == "mysql" else 2)
    world.require_equal(TWO, THREE)


def test_pair_of_aws_under_other_conditions(world: World) -> None:
    """A second user in use that has no such limits as the first stops the rotation, by name."""
    left_by_aws(world)
    world.server.execute(f"ALTER USER '{world.pair.first}'@'%' WITH MAX_USER_CONNECTIONS 9")
    world.prepare(world.pair.first, TWO)
    (difference,) = world.differences(world.pair.first)
    world.server.execute(difference.rpartition(": ")[2])
    assert world.differences(world.pair.first) == []


def acting_as(world: World, username: str, password: str) -> tuple[str | None, str | None]:
    """Return whom a session of the user acts as, and whom it should act as."""
    with (
        session_of(world.server, username, password) as own,
        administrator_of(world.server) as administrator,
    ):
        return own.acts_as(), administrator.should_act_as(username, world.pair)


DEACTIVATED = "ALTER USER '{second}'@'%' DEFAULT ROLE NONE"


def test_second_user_whose_role_is_not_active(mysql: Server) -> None:
    """A second user that logs in without its role does not act as it should."""
    world = World(mysql)
    world.prepare(world.pair.second, ONE)
    mysql.execute(DEACTIVATED.format(second=world.pair.second))
    acts_as, should = acting_as(world, world.pair.second, ONE)
    assert (acts_as, should) == (world.pair.second, world.pair.first)
    with setting(mysql, "activate_all_roles_on_login", 1):
        acts_as, should = acting_as(world, world.pair.second, ONE)
        assert acts_as == should


def test_roles_beside_the_first_user(mysql: Server) -> None:
    """Mandatory roles, and one that hides the first user in its name, deceive nobody."""
    world = World(mysql)
    hiding = f"x`@`%`,`{world.pair.first}"
    quoted = hiding.replace("`", "``")
    mysql.execute(f"CREATE ROLE `{world.role}`, `{quoted}`")
    world.prepare(world.pair.second, ONE)
    with setting(mysql, "mandatory_roles", world.role):
        acts_as, should = acting_as(world, world.pair.second, ONE)
        assert acts_as == should
    mysql.execute(f"GRANT `{quoted}` TO '{world.pair.second}'@'%'")
    mysql.execute(f"ALTER USER '{world.pair.second}'@'%' DEFAULT ROLE `{quoted}`")
    assert acting_as(world, world.pair.second, ONE)[0] == world.pair.second


def test_sessions_are_not_counted_by_who_sees_only_his_own(world: World) -> None:
    """Without PROCESS nobody sees the sessions of others; the right may come by a role."""
    name = f"poor{world.number}"
    create(world.server, name, ONE)
    with closing(raw(world.server, world.pair.first, FIRST_PASSWORD)):
        with session_of(world.server, name, ONE) as session:
            assert session.sessions_of(world.pair.first) is None
        world.create_role(world.role)
        world.server.execute(f"GRANT PROCESS ON *.* TO `{world.role}`")
        word = "TO" if world.server.engine == "mysql" else "FOR"
        world.server.execute(
            f"GRANT `{world.role}` TO '{name}'@'%'", account=world.server.administrator
        )
        world.server.execute(f"SET DEFAULT ROLE `{world.role}` {word} '{name}'@'%'")
        with session_of(world.server, name, ONE) as session:
            assert session.sessions_of(world.pair.first) == 1


def test_attribute_of_others_is_kept(mysql: Server) -> None:
    """What else stands in a MySQL user's ATTRIBUTE stays, and does not disturb."""
    world = World(mysql)
    create(mysql, world.pair.second, "x", options="""ATTRIBUTE '{"team": "billing"}'""")
    with administrator_of(mysql) as session:
        assert session.ownership(world.pair) is Ownership.FOREIGN
        mysql.execute(session.adoption(world.pair))
        assert session.ownership(world.pair) is Ownership.OURS
    ((kept,),) = mysql.execute(
        "SELECT ATTRIBUTE->>'$.team' FROM information_schema.USER_ATTRIBUTES WHERE USER = %s",
        (world.pair.second,),
    )
    assert kept == "billing"


def test_passwords_only(world: World) -> None:
    """Without rights only the idle user's password is set; a missing user is not made."""
    with pytest.raises(AccountMissing):
        world.prepare(world.pair.second, ONE, rights=False)
    create(world.server, world.pair.second, ONE)
    world.grant(f"SELECT ON `{world.databases[0]}`.*")
    world.prepare(world.pair.second, TWO, rights=False)
    assert accepts(world.server, world.pair.second, TWO)
    assert world.answers(world.pair.second, TWO)[f"USE `{world.databases[0]}`"] == 1044


def test_first_user_is_missing(world: World) -> None:
    """Without a first user there is nothing to be equal to."""
    world.server.execute(f"DROP USER '{world.pair.first}'@'%'")
    with pytest.raises(AccountMissing, match=world.pair.first):
        world.prepare(world.pair.second, ONE)


ODD = "o'dd `na\"me\\%_"


def test_odd_names(server: Server) -> None:
    """Quotes, wildcards and backslashes in names of users, databases and tables work."""
    number = next(_numbers)
    pair = World.pair_of(f"{ODD}{number}")
    database = "da`ta'b\"ase%_" + str(number)
    quoted = "`" + database.replace("`", "``") + "`"
    server.execute(f"CREATE DATABASE {quoted}")
    server.execute(f"CREATE TABLE {quoted}.`ta``b'le` (`co``l'umn` INT, other INT)")
    create(server, pair.first, FIRST_PASSWORD)
    server.execute(
        f"GRANT SELECT (`co``l'umn`) ON {quoted.replace('%', '%%')}.`ta``b'le` TO %s@'%%'",
        (pair.first,),
    )
    server.execute(f"GRANT CREATE VIEW ON {quoted.replace('%', '%%')}.* TO %s@'%%'", (pair.first,))
    with administrator_of(server) as session:
        for idle, password in ((pair.second, ONE), (pair.first, TWO)):
            session.prepare(idle, password, pair, rights=True)
            assert session.differences(pair, pair.second) == []
        assert session.ownership(pair) is Ownership.OURS
    for name, password in ((pair.first, TWO), (pair.second, ONE)):
        with closing(raw(server, name, password)) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT `co``l'umn` FROM {quoted}.`ta``b'le`")
            with pytest.raises(pymysql.OperationalError):
                cursor.execute(f"SELECT other FROM {quoted}.`ta``b'le`")
    for name in (pair.first, pair.second):
        server.execute("DROP USER %s@'%%'", (name,))


def test_non_default_role_of_mysql(mysql: Server) -> None:
    """A role that the first user has but not by default would be active for the second: refused."""
    world = World(mysql)
    world.create_role(world.role)
    world.grant(f"`{world.role}`")
    with pytest.raises(RightsDiffer, match="SET DEFAULT ROLE ALL TO"):
        world.prepare(world.pair.second, ONE)
    with administrator_of(mysql) as session:
        assert session.ownership(world.pair) is Ownership.MISSING
    with setting(mysql, "activate_all_roles_on_login", 1):
        world.prepare(world.pair.second, ONE)
        assert world.differences() == []
        world.require_equal(FIRST_PASSWORD, ONE)


@pytest.fixture
def wildcards(mysql: Server) -> Iterator[Server]:
    """A MySQL server that reads wildcards in database names: without partial revokes."""
    administrator = mysql.administrator.username
    lines = mysql.execute(f"SHOW GRANTS FOR '{administrator}'@'%'")
    revoked = [line for (line,) in lines if line.startswith("REVOKE")]
    for line in revoked:
        mysql.execute(line.replace("REVOKE", "GRANT", 1).replace(" FROM ", " TO "))
    mysql.execute("SET GLOBAL partial_revokes = OFF")
    yield mysql
    mysql.execute("SET GLOBAL partial_revokes = ON")
    for line in revoked:
        mysql.execute(line)


def test_wildcards_in_database_names(wildcards: Server) -> None:
    """Patterns reach the second user alike; patterns that overlap would not, and are refused."""
    world = World(wildcards)
    number = world.number
    world.grant(f"SELECT ON `shop\\_{number}`.*")
    world.grant(f"INSERT ON `shop{number}`.*")
    world.prepare(world.pair.second, ONE)
    assert world.differences() == []
    world.require_equal(FIRST_PASSWORD, ONE)
    world.grant(f"DELETE ON `shop%{number}`.*")
    # The reason: the two users would not be equal.
    with pytest.raises(AssertionError):
        world.require_equal(FIRST_PASSWORD, ONE)
    with pytest.raises(RightsDiffer, match="overlap"):
        world.prepare(world.pair.second, TWO)
    assert accepts(wildcards, world.pair.second, ONE)
    assert any("overlap" in each for each in world.differences())


@pytest.mark.parametrize("kind", MARIADB_KINDS)
def test_wildcards_of_mariadb(kind: str, server_of: Callable[[str], Server]) -> None:
    """On MariaDB patterns are rights like others, overlapping or not."""
    world = World(server_of(kind))
    number = world.number
    world.grant(f"SELECT ON `shop\\_{number}`.*")
    world.grant(f"INSERT ON `shop%{number}`.*")
    world.grant(f"DELETE ON `shop_{number}`.*!")
    world.prepare(world.pair.second, ONE)
    assert world.differences() == []
    world.require_equal(FIRST_PASSWORD, ONE)


def test_partial_revokes(mysql: Server) -> None:
    """What was revoked in part from a global right is not had by the second user either."""
    world = World(mysql)
    zero, one, _ = world.databases
    world.grant("SELECT, INSERT ON *.*!")
    world.revoke(f"INSERT ON `{zero}`.*")
    world.prepare(world.pair.second, ONE)
    assert world.differences() == []
    answers = world.require_equal(FIRST_PASSWORD, ONE)
    assert answers[f"INSERT INTO `{zero}`.item (number) SELECT 1 WHERE FALSE"] == 1142
    assert answers[f"INSERT INTO `{one}`.item (number) SELECT 1 WHERE FALSE"] != 1142
    world.revoke(f"SELECT ON `{one}`.*")
    assert world.differences() == []
    world.require_equal(FIRST_PASSWORD, ONE)


def test_rights_that_mysqls_administrator_does_not_have(mysql: Server) -> None:
    """On MySQL even rights that the administrator lacks reach the second user, by the role."""
    world = World(mysql)
    world.grant("BACKUP_ADMIN, BINLOG_ADMIN ON *.*")
    world.grant("FILE, SHUTDOWN ON *.*")
    world.prepare(world.pair.second, ONE)
    assert world.differences() == []
    lines = mysql.execute(f"SHOW GRANTS FOR '{world.pair.second}'@'%' USING '{world.pair.first}'")
    assert "BACKUP_ADMIN,BINLOG_ADMIN" in str(lines)


def test_rights_that_mariadbs_administrator_cannot_pass_on(mariadb: Server) -> None:
    """Each right, role or proxy that he cannot pass on is named before anything is changed."""
    world = World(mariadb)
    zero = world.databases[0]
    world.grant(f"ALL ON `{zero}`.*")
    world.grant("REPLICATION SLAVE ADMIN ON *.*")
    mariadb.execute(f"CREATE ROLE `{world.role}`")
    world.grant(f"`{world.role}`")
    with pytest.raises(RightsDiffer) as caught:
        world.prepare(world.pair.second, ONE)
    message = caught.value.message
    administrator = f"'{mariadb.administrator.username}'@'%'"
    for statement in (
        f"GRANT REPLICATION SLAVE ADMIN ON *.* TO {administrator} WITH GRANT OPTION",
        f"GRANT `{world.role}` TO {administrator} WITH ADMIN OPTION",
    ):
        assert statement in message
    (missing,) = re.findall(rf"GRANT ([A-Z, ]+) ON `{zero}`\.\* TO {administrator}", message)
    assert "DELETE HISTORY" in missing
    assert "SELECT" not in missing
    with administrator_of(mariadb) as session:
        assert session.ownership(world.pair) is Ownership.MISSING
    # The statements do help, word for word.
    for line in message.removeprefix(world.pair.second).split("; "):
        mariadb.execute("GRANT " + line.partition(": GRANT ")[2].rstrip("."))
    try:
        world.prepare(world.pair.second, ONE)
        assert world.differences() == []
        world.require_equal(FIRST_PASSWORD, ONE)
    finally:
        mariadb.execute(f"REVOKE REPLICATION SLAVE ADMIN ON *.* FROM {administrator}")


def test_administrator_without_the_rights(server: Server) -> None:
    """An administrator who may not create users or look at them is denied, nothing is made."""
    world = World(server)
    name = f"poor{world.number}"
    create(server, name, ONE)
    with session_of(server, name, ONE) as session, pytest.raises(PermissionDenied):
        session.prepare(world.pair.second, ONE, world.pair, rights=True)
    server.execute(f"GRANT SELECT ON mysql.* TO '{name}'@'%'")
    server.execute(f"GRANT CREATE USER ON *.* TO '{name}'@'%'")
    world.grant(f"SELECT ON `{world.databases[0]}`.*")
    with session_of(server, name, ONE) as session, pytest.raises(RotationError) as caught:
        session.prepare(world.pair.second, ONE, world.pair, rights=True)
    assert "GRANT" in str(caught.value)
    assert server.execute("SELECT 1 FROM mysql.user WHERE User = %s", (world.pair.second,)) == []


def test_right_to_a_table_that_is_gone(world: World) -> None:
    """Rights to a table or column that was dropped since do not stand in the way."""
    zero = world.databases[0]
    world.server.execute(f"CREATE TABLE `{zero}`.gone (a INT, b INT)")
    world.grant(f"SELECT, UPDATE (a) ON `{zero}`.gone")
    world.grant(f"SELECT (price), SELECT (number) ON `{zero}`.item")
    world.server.execute(f"DROP TABLE `{zero}`.gone")
    world.server.execute(f"ALTER TABLE `{zero}`.item DROP COLUMN price")
    world.prepare(world.pair.second, ONE)
    assert world.differences() == []
    world.server.execute(f"CREATE TABLE `{zero}`.gone (a INT, b INT)")
    world.server.execute(f"ALTER TABLE `{zero}`.item ADD price INT")
    world.prepare(world.pair.second, TWO)
    assert world.differences() == []
    world.require_equal(FIRST_PASSWORD, TWO)


def test_plugin_of_the_first_user(mysql: Server) -> None:
    """The second user logs in through the plugin of the first: both serve the same clients."""
    world = World(mysql)
    mysql.execute(
        f"ALTER USER '{world.pair.first}'@'%' IDENTIFIED WITH sha256_password BY 'x-1f2e'"
    )
    for password in (ONE, TWO):
        world.prepare(world.pair.second, password)
        ((plugin,),) = mysql.execute(
            "SELECT plugin FROM mysql.user WHERE User = %s", (world.pair.second,)
        )
        assert plugin == "sha256_password"
        assert accepts(mysql, world.pair.second, password)


OBJECTS = {
    "table": "CREATE TABLE {0}.{1}_table (a INT)",
    "view": "CREATE VIEW {0}.{1}_view AS SELECT number FROM {0}.item",
    "procedure": "CREATE PROCEDURE {0}.{1}_procedure() SELECT COUNT(*) FROM {0}.item",
    "function": "CREATE FUNCTION {0}.{1}_function() RETURNS INT DETERMINISTIC RETURN 1",
    "trigger": "CREATE TRIGGER {0}.{1}_trigger BEFORE INSERT ON {0}.{1}_table "
    "FOR EACH ROW SET NEW.a = 1",
    "event": "CREATE EVENT {0}.{1}_event ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
}
FULL = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, LOCK TABLES, "
    "CREATE VIEW, SHOW VIEW, CREATE ROUTINE, EVENT, TRIGGER"
)


def test_what_cannot_be_done(world: World) -> None:
    """ALTER VIEW without a DEFINER clause is for the view's maker only; CREATE OR REPLACE works.

    The server keeps the definer then, and asks for a right to name others that must not be given.
    """
    database = f"`{world.databases[0]}`"
    world.grant(f"{FULL}, EXECUTE, ALTER ROUTINE ON {database}.*")
    world.prepare(world.pair.second, ONE)
    with closing(raw(world.server, world.pair.second, ONE)) as connection:
        connection.cursor().execute(OBJECTS["view"].format(database, "made"))
    with closing(raw(world.server, world.pair.first, FIRST_PASSWORD)) as connection:
        with pytest.raises(pymysql.OperationalError) as caught:
            connection.cursor().execute(f"ALTER VIEW {database}.made_view AS SELECT 1")
        assert caught.value.args[0] == 1227
        connection.cursor().execute(
            f"ALTER DEFINER = CURRENT_USER VIEW {database}.made_view AS SELECT 1"
        )


@pytest.mark.parametrize("after", range(9))
def test_interrupted_preparation_is_mended(world: World, after: int) -> None:
    """Wherever a preparation stops, of a new user or an old one, the next call ends well."""
    server, first, second = world.server, world.pair.first, world.pair.second
    zero, one, two = world.databases
    world.create_role(world.role)
    world.grant(f"SELECT, INSERT ON `{zero}`.*!")
    world.grant(f"SELECT (number) ON `{one}`.item")
    server.execute(f"GRANT `{world.role}` TO '{first}'@'%'", account=server.administrator)
    world.default_role(world.role)
    stop_preparing(world, after, ONE)
    assert accepts(server, first, FIRST_PASSWORD)
    world.prepare(second, TWO)
    assert world.differences() == []
    world.require_equal(FIRST_PASSWORD, TWO)
    # Now with an existing user who has too much of one thing and too little of another.
    world.revoke(f"INSERT ON `{zero}`.*")
    world.grant(f"DELETE ON `{two}`.*")
    world.grant(f"UPDATE ON `{two}`.*", second)
    server.execute(f"ALTER USER '{first}'@'%' REQUIRE SSL")
    stop_preparing(world, after, THREE)
    assert accepts(server, first, FIRST_PASSWORD)
    world.prepare(second, ONE)
    assert world.differences() == []
    world.require_equal(FIRST_PASSWORD, ONE)


def stop_preparing(world: World, after: int, password: str) -> None:
    """Prepare the second user, and give up after so many changes, if there are as many."""
    with administrator_of(world.server) as session, suppress(Stopped):
        stop_after_changes(session, after)
        session.prepare(world.pair.second, password, world.pair, rights=True)
    with administrator_of(world.server) as session:
        assert session.ownership(world.pair) is not Ownership.FOREIGN


class Stopped(Exception):
    """The session stops here."""


def stop_after_changes(session: MariadbSession | MysqlSession, number: int) -> None:
    """Let only so many statements through that change something."""
    connection = session._connection
    original, left = connection._ask, [number]

    def ask(purpose: str, statement: str, *rest: object) -> object:
        if not statement.lstrip().startswith(("SELECT", "SHOW")):
            if not left[0]:
                raise Stopped
            left[0] -= 1
        return original(purpose, statement, *rest)  # type: ignore[arg-type]

    connection._ask = ask  # type: ignore[method-assign,assignment]


def test_creation_on_mysql_is_one_statement(mysql: Server) -> None:
    """On MySQL the user is there with its rights and its mark, or not at all."""
    world = World(mysql)
    world.grant(f"SELECT ON `{world.databases[0]}`.*")
    world.prepare(world.pair.second, ONE)
    log = mysql.log_text()
    mine = [line for line in log.splitlines() if f"'{world.pair.second}'@" in line]
    changes = [line for line in mine if "CREATE USER" in line or "GRANT " in line]
    assert len([line for line in changes if "SHOW" not in line]) == 1
    assert all(word in changes[0] for word in ("DEFAULT ROLE", "ATTRIBUTE", "<secret>"))


def test_adoption_by_the_administrator(world: World) -> None:
    """The statement that hands a user over needs no more than the administrator has."""
    for host in ("%", "10.%"):
        create(world.server, world.pair.second, "x", host)
    with administrator_of(world.server) as session:
        world.server.execute(session.adoption(world.pair), account=world.server.administrator)
        assert session.ownership(world.pair) is Ownership.OURS
