"""Two PostgreSQL users that take turns, with the same rights at every moment.

The oracle acts as each of the two users, or reads the catalogues by statements of its own; it
shares nothing with the code that keeps the users equal.
"""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from local.servers import Account, Server
from rotators.postgres.session import PostgresSession
from shared.errors import (
    AccountExpired,
    AccountLocked,
    AccountMissing,
    BadSetting,
    CurrentChanged,
    LoginRefused,
    NotOurUser,
    PermissionDenied,
    RightsDiffer,
    RotationError,
)
from shared.session import Ownership, Pair
from shared.tls import Trust
from tests.functional.rotations import Rotating, RotatingSecret, new_name
from tests.functional.test_postgres_login import connect, login_of

PASSWORD = "correct horse battery staple"


@pytest.fixture(params=["postgres", "postgres-18"])
def server(request: pytest.FixtureRequest, server_of: Callable[[str], Server]) -> Server:
    """The oldest and the newest PostgreSQL in turn."""
    return server_of(request.param)


@pytest.fixture
def secret(server: Server, rotating: Rotating) -> RotatingSecret:
    """A secret that alternates, by the administrator; not rotated yet."""
    return rotating.secret(server, administrator=True)


def account(secret: RotatingSecret, stage: str = "AWSCURRENT") -> Account:
    """Return the login of the version with that label."""
    document = secret.document(stage)
    return Account(document["username"], document["password"])


def both(secret: RotatingSecret) -> tuple[Account, Account]:
    """Return the two users after a rotation: the one of AWSCURRENT, and the other."""
    return account(secret), account(secret, "AWSPREVIOUS")


def may(secret: RotatingSecret, user: Account, statement: str) -> bool:
    """Tell whether a user may do something, by doing it."""
    try:
        secret.server.execute(statement, account=user)
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def attributes(server: Server, username: str) -> dict[str, Any]:
    """Read a role's attributes, all but those that must differ."""
    ((found,),) = server.execute(
        "SELECT to_jsonb(pg_roles) - 'oid' - 'rolname' - 'rolconfig' FROM pg_roles"
        " WHERE rolname = %s",
        [username],
    )
    assert isinstance(found, dict)
    return found


def settings(server: Server, username: str) -> set[tuple[str | None, str]]:
    """Read a role's settings, all but the one that makes it act as the other."""
    return {
        (database, setting)
        for database, setting in server.execute(
            "SELECT datname::text, unnest(setconfig) FROM pg_db_role_setting"
            " LEFT JOIN pg_database d ON d.oid = setdatabase WHERE setrole = %s::regrole",
            [f'"{username}"'],
        )
        if not setting.startswith("role=")
    }


def administrators_session(server: Server) -> PostgresSession:
    """Open a session of the server's administrator, as the function does."""
    administrator = server.administrator
    login = login_of(server, administrator.username, administrator.password)
    return connect(login, Trust(server.ca_file))


# Taking turns


# Rights


def test_default_privileges_hold_for_both(secret: RotatingSecret) -> None:
    """Default privileges of the first user apply to what the second creates."""
    server, first = secret.server, secret.username
    reader = new_name("reader")
    server.create_user(reader, PASSWORD)
    server.execute(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {first} GRANT SELECT ON TABLES TO {reader}",
        account=account(secret),
    )
    secret.rotate()
    for creator in both(secret):
        table = new_name("table")
        server.execute(f"CREATE TABLE {table} ()", account=creator)
        assert may(secret, Account(reader, PASSWORD), f"SELECT FROM {table}")


# Attributes and settings


def test_attributes_follow(secret: RotatingSecret) -> None:
    """CONNECTION LIMIT, VALID UNTIL and role attributes are the first user's, at each rotation."""
    server, first = secret.server, secret.username
    second = f"{first}_clone"
    statements = [
        f"ALTER ROLE {first} CONNECTION LIMIT 7 VALID UNTIL '2099-12-31 23:59:59+02'",
        f"ALTER ROLE {first} CONNECTION LIMIT -1 VALID UNTIL 'infinity'",
        f"ALTER ROLE {first} CREATEDB VALID UNTIL '2088-01-01'",
        f"ALTER ROLE {first} NOCREATEDB",
    ]
    for statement in statements:
        server.execute(statement)
        secret.rotate()
        assert attributes(server, first) == attributes(server, second)


def test_end_of_the_second_user_alone_is_lifted(secret: RotatingSecret) -> None:
    """VALID UNTIL of the second user alone gives way to none of the first's."""
    secret.rotate()
    secret.rotate()
    second = f"{secret.username}_clone"
    secret.server.execute(f"ALTER ROLE {second} VALID UNTIL '2001-01-01'")
    secret.rotate()
    assert secret.username == second
    assert secret.logs_in()


SETTINGS = {
    "search_path": ('"$user", public, "Odd Schema"', '"$user", public, "Odd Schema"'),
    "work_mem": ("'7MB'", "7MB"),
    "datestyle": ("'ISO, DMY'", "ISO, DMY"),
    "statement_timeout": ("'90s'", "90s"),
    "timezone": ("'Europe/Vienna'", "Europe/Vienna"),
    "temp_tablespaces": ("''", '""'),
    "application_name": ("'it''s %s \"quoted\" = \\'", 'it\'s %s "quoted" = \\'),
}
"""Setting to its value as a statement gives it, and as it is stored."""


def test_settings_follow(secret: RotatingSecret) -> None:
    """Settings for all databases and for one are the first user's, and go when his go."""
    server, first = secret.server, secret.username
    second = f"{first}_clone"
    for name, (value, _) in SETTINGS.items():
        server.execute(f"ALTER ROLE {first} SET {name} = {value}")
    server.execute(f"ALTER ROLE {first} IN DATABASE {server.database} SET work_mem = '9MB'")
    server.execute(f"ALTER ROLE {first} IN DATABASE postgres SET search_path = public, pg_catalog")
    stored = {(None, f"{name}={shown}".lower()) for name, (_, shown) in SETTINGS.items()}
    secret.rotate()
    assert settings(server, second) == settings(server, first)
    assert {
        (where, text.lower()) for where, text in settings(server, second) if not where
    } == stored
    for name in SETTINGS:
        one, other = (server.execute(f"SHOW {name}", account=user) for user in both(secret))
        assert one == other
    assert server.execute("SHOW work_mem", account=account(secret)) == [("9MB",)]
    server.execute(f"ALTER ROLE {first} RESET ALL")
    server.execute(f"ALTER ROLE {first} IN DATABASE {server.database} RESET ALL")
    secret.rotate()
    assert len(settings(server, second)) == 1
    assert settings(server, second) == settings(server, first)


def test_setting_that_the_administrator_may_not_pass_on(secret: RotatingSecret) -> None:
    """A parameter of an application's own needs a GRANT, which is named; its value is not."""
    server, first = secret.server, secret.username
    parameter = f"app.{new_name('signing_key')}"
    server.execute(f"ALTER ROLE {first} SET {parameter} = 'acme'")
    error = secret.fails()
    assert type(error) is RightsDiffer
    schema, name = parameter.split(".")
    assert f'ALTER ROLE "{first}_clone" SET "{schema}"."{name}"' in error.message
    assert "acme" not in str(error)
    assert server.execute("SELECT FROM pg_roles WHERE rolname = %s", [f"{first}_clone"]) == []
    server.execute(error.advice.removeprefix("A more powerful role runs: "))
    secret.abandon()
    secret.rotate()
    assert server.execute(f"SHOW {parameter}", account=account(secret)) == [("acme",)]


def test_value_that_the_server_does_not_take_again(secret: RotatingSecret) -> None:
    """A setting that was made when its value was still good is named, and its value is not."""
    server, first = secret.server, secret.username
    server.create_user(gone := new_name("secret_of_acme"), PASSWORD)
    server.execute(f"ALTER ROLE {first} SET default_tablespace = ''")
    server.execute(
        "UPDATE pg_db_role_setting SET setconfig = ARRAY[%s] WHERE setrole = %s::regrole",
        [f"statement_timeout={gone}", first],
    )
    error = secret.fails()
    assert type(error) is RightsDiffer
    assert f'ALTER ROLE "{first}_clone" SET "statement_timeout"' in error.message
    assert gone not in str(error)


def test_long_lists_are_cut(server: Server) -> None:
    """Of many differences some are listed, and the rest is counted."""
    server.create_user(first := new_name(), PASSWORD)
    pair = Pair(first, f"{first}_2", "arn:one")
    with administrators_session(server) as session:
        session.prepare(pair.second, "another password", pair, rights=True)
        for number in range(9):
            server.execute(f"CREATE DATABASE {first}_{number}")
            server.execute(f"ALTER ROLE {first} IN DATABASE {first}_{number} SET work_mem = '9MB'")
        found = session.differences(pair, pair.second)
    assert len(found) == 6
    assert found[-1] == "and 4 more"


def test_setting_of_the_second_user_alone_goes(secret: RotatingSecret) -> None:
    """A setting that only the second user has is taken away."""
    server, second = secret.server, f"{secret.username}_clone"
    secret.rotate()
    server.execute(f"ALTER ROLE {second} SET work_mem = '1GB'")
    server.execute(f"ALTER ROLE {second} IN DATABASE postgres SET lock_timeout = '5s'")
    secret.rotate()
    assert settings(server, second) == set()


def test_current_user_is_the_same_for_both(secret: RotatingSecret) -> None:
    """Sessions of both act as the first user; who logged in stays visible."""
    first = secret.username
    secret.rotate()
    for user in both(secret):
        assert secret.server.execute(
            "SELECT current_user::text, session_user::text", account=user
        ) == [(first, user.username)]


def test_first_user_that_acts_as_an_owner(secret: RotatingSecret) -> None:
    """Where the first user itself acts as another role, so does the second."""
    server, first = secret.server, secret.username
    owner = new_name("owner")
    server.execute(f"CREATE ROLE {owner}")
    server.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {owner}")
    server.execute(f"GRANT {owner} TO {first}")
    server.execute(f"ALTER ROLE {first} SET role = {owner}")
    for _ in range(3):
        secret.rotate()
        for user in both(secret):
            assert server.execute("SELECT current_user::text", account=user) == [(owner,)]


@pytest.mark.parametrize("administrator_may", [False, True])
def test_database_that_lets_everybody_act_as_an_owner(
    server: Server, rotating: Rotating, administrator_may: bool
) -> None:
    """ALTER DATABASE ... SET role holds for the second user as for the first, there alone.

    It does not keep an administrator from his work who may become that owner himself.
    """
    owner, database = new_name("owner"), new_name("owned")
    server.create_user(owner, PASSWORD)
    server.execute(f"CREATE DATABASE {database} OWNER {owner}")
    if administrator_may:
        options = " WITH INHERIT TRUE, SET TRUE" if server.kind == "postgres-18" else ""
        server.execute(f"GRANT {owner} TO {server.administrator.username}{options}")
    secret = rotating.secret(server, administrator=True, dbname=database)
    first = secret.username
    server.execute(f"GRANT {owner} TO {first}")
    server.execute(f"ALTER DATABASE {database} SET role = {owner}")
    whom = "SELECT current_user::text"
    for _ in range(3):
        secret.rotate()
        for user in both(secret):
            assert server.execute(whom, account=user, database=database) == [(owner,)]
            assert server.execute(whom, account=user) == [(first,)]
    server.execute(f"ALTER DATABASE {database} RESET role")
    for _ in range(2):
        secret.rotate()
        for user in both(secret):
            assert server.execute(whom, account=user, database=database) == [(first,)]


def test_first_user_that_acts_as_itself_where_others_do_not(
    server: Server, rotating: Rotating
) -> None:
    """A first user that is exempt from its database's role has a second that acts as the first."""
    owner, database = new_name("owner"), new_name("owned")
    server.create_user(owner, PASSWORD)
    server.execute(f"CREATE DATABASE {database} OWNER {owner}")
    secret = rotating.secret(server, administrator=True, dbname=database)
    first = secret.username
    server.execute(f"GRANT {owner} TO {first}")
    server.execute(f"ALTER DATABASE {database} SET role = {owner}")
    server.execute(f"ALTER ROLE {first} IN DATABASE {database} SET role = none")
    whom = "SELECT current_user::text"
    for _ in range(2):
        secret.rotate()
        for user in both(secret):
            assert server.execute(whom, account=user, database=database) == [(first,)]


def test_first_user_that_does_not_inherit(secret: RotatingSecret) -> None:
    """A first user with NOINHERIT gives the second its own rights, by acting as it."""
    server, first = secret.server, secret.username
    server.execute(f"ALTER ROLE {first} NOINHERIT")
    table = new_name("table")
    server.execute(f"CREATE TABLE {table} ()", account=account(secret))
    secret.rotate()
    for user in both(secret):
        assert may(secret, user, f"SELECT FROM {table}")


def test_single_user_afterwards(secret: RotatingSecret) -> None:
    """A second user whose secret is then rotated by itself changes its own password."""
    secret.rotate()
    second = account(secret)
    other = account(secret, "AWSPREVIOUS")
    secret.tag(strategy="single-user")
    secret.rotate()
    assert secret.username == second.username
    assert secret.logs_in()
    assert not secret.server.logs_in(second.username, second.password)
    assert secret.server.logs_in(other.username, other.password)


# What stops a rotation before any change


@pytest.mark.parametrize("attribute", ["REPLICATION", "BYPASSRLS"])
def test_attribute_that_the_administrator_cannot_pass_on(
    secret: RotatingSecret, attribute: str
) -> None:
    """An attribute that he lacks himself stops the rotation, naming what would help."""
    server, first = secret.server, secret.username
    server.execute(f"ALTER ROLE {first} {attribute}")
    error = secret.fails()
    assert type(error) is RightsDiffer
    assert attribute in error.message
    assert f'ALTER ROLE "{first}_clone" {attribute}' in error.message
    assert server.execute("SELECT FROM pg_roles WHERE rolname = %s", [f"{first}_clone"]) == []
    assert secret.logs_in()
    # Once a DBA has helped, the next rotation ends well.
    server.execute(f"ALTER ROLE {first} NO{attribute}")
    secret.rotate()
    assert secret.logs_in()


def administrator_without_rights(server: Server, rotating: Rotating) -> tuple[str, str]:
    """Make an administrator who may do nothing, and his secret; return his name and its ARN."""
    server.create_user(name := new_name("administrator"), PASSWORD)
    return name, rotating.administrator(server, username=name, password=PASSWORD)


@pytest.mark.parametrize("strategy", ["alternating-users", "single-user-by-administrator"])
def test_rights_that_the_administrator_lacks(
    server: Server, rotating: Rotating, strategy: str
) -> None:
    """What CREATEROLE and, from 16 on, ADMIN OPTION are missing, the error names; that suffices."""
    administrator, arn = administrator_without_rights(server, rotating)
    secret = rotating.secret(server, administrator=arn, strategy=strategy)
    first = secret.username
    error = secret.fails()
    assert isinstance(error, RightsDiffer | PermissionDenied)
    assert administrator in error.message
    assert first in error.message
    statements = error.advice.removeprefix("A more powerful role runs: ").split("; ")
    expected = [f"ALTER ROLE {administrator} CREATEROLE"]
    if server.kind == "postgres-18":
        options = "WITH ADMIN OPTION, INHERIT FALSE, SET FALSE"
        expected.append(f"GRANT {first} TO {administrator} {options}")
    assert statements == expected
    assert server.execute("SELECT FROM pg_roles WHERE rolname = %s", [f"{first}_clone"]) == []
    for statement in statements:
        server.execute(statement)
    secret.rotate()
    assert secret.logs_in()


def test_another_administrator(postgres_18: Server, rotating: Rotating) -> None:
    """Who did not make the second user himself needs ADMIN OPTION on it too; it is named."""
    server = postgres_18
    secret = rotating.secret(server, administrator=True)
    first = secret.username
    secret.rotate()
    secret.rotate()
    administrator, arn = administrator_without_rights(server, rotating)
    server.execute(f"ALTER ROLE {administrator} CREATEROLE")
    server.execute(f"GRANT {first} TO {administrator} WITH ADMIN OPTION, INHERIT FALSE")
    secret.edit(masterarn=arn)
    error = secret.fails()
    assert type(error) is PermissionDenied
    assert "ADMIN option" in error.message, "PostgreSQL's own detail"
    options = "WITH ADMIN OPTION, INHERIT FALSE, SET FALSE"
    assert f"GRANT {first}_clone TO {administrator} {options}" in error.advice
    server.execute(error.advice.removeprefix("A more powerful role runs: "))
    secret.rotate()
    assert secret.logs_in()


def test_administrator_whose_own_secret_alternates(server: Server, rotating: Rotating) -> None:
    """What either of two administrators makes, both may alter: their own rotation goes on, too."""
    name = new_name("administrator")
    of_administrator = rotating.secret(server, name, administrator=True)
    server.execute(f"ALTER ROLE {name} CREATEROLE")
    secret = rotating.secret(server, administrator=of_administrator.arn)
    server.execute(f"GRANT {secret.username} TO {name} WITH ADMIN OPTION")
    for _ in range(3):
        of_administrator.rotate()
        secret.rotate()
        assert secret.logs_in()


def test_database_that_is_closed_to_the_administrator(server: Server, rotating: Rotating) -> None:
    """An administrator without a database of his own works from `postgres` where he may not go."""
    database = new_name("closed")
    server.execute(f"CREATE DATABASE {database}")
    secret = rotating.secret(server, administrator=True, dbname=database)
    server.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    server.execute(f"GRANT CONNECT ON DATABASE {database} TO {secret.username}")
    for _ in range(2):
        secret.rotate()
        user = account(secret)
        assert server.logs_in(user.username, user.password, database)


@pytest.mark.parametrize("rotations", [0, 1])
@pytest.mark.parametrize(
    ("locking", "kind", "unlocking"),
    [
        ("NOLOGIN", AccountLocked, "LOGIN"),
        ("VALID UNTIL '2001-01-01'", AccountExpired, "VALID UNTIL 'infinity'"),
    ],
)
def test_first_user_that_may_not_log_in(
    secret: RotatingSecret,
    rotations: int,
    locking: str,
    kind: type[RotationError],
    unlocking: str,
) -> None:
    """A first user that a DBA has locked is not revived, by a second user or a new password."""
    server, first = secret.server, secret.username
    for _ in range(rotations):
        secret.rotate()
    verifiers = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE %s"
    server.execute(f"ALTER ROLE {first} {locking}")
    before = server.execute(verifiers, [f"{first}%"])
    error = secret.fails()
    assert type(error) is kind
    assert f"Role {first} " in error.message
    statement = f'ALTER ROLE "{first}" {unlocking}'
    assert statement in error.advice
    assert server.execute(verifiers, [f"{first}%"]) == before
    server.execute(statement)
    # Where AWSCURRENT is the locked user, it could not log in, and the attempt did not end itself.
    secret.abandon()
    secret.rotate()
    assert secret.logs_in()


def test_own_rights_of_the_second_user_are_reported(secret: RotatingSecret) -> None:
    """What a DBA gave to the second user alone stops the rotation: nobody else will have it."""
    server, first = secret.server, secret.username
    second = f"{first}_clone"
    secret.rotate()
    secret.rotate()
    group, table = new_name("group"), new_name("table")
    server.execute(f"CREATE ROLE {group}")
    server.execute(f"CREATE TABLE {table} (n int)")
    for give, take, named in (
        (f"GRANT {group} TO {second}", f"REVOKE {group} FROM {second}", group),
        (
            f"ALTER TABLE {table} OWNER TO {second}",
            f"ALTER TABLE {table} OWNER TO postgres",
            f'REASSIGN OWNED BY "{second}" TO "{first}"',
        ),
    ):
        server.execute(give)
        verifier = server.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [second])
        error = secret.fails()
        assert type(error) is RightsDiffer
        assert named in error.message
        assert verifier == server.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = %s", [second]
        )
        assert secret.logs_in()
        server.execute(take)
        secret.abandon()
    secret.rotate()


def test_right_that_is_of_no_use_to_the_second_user(secret: RotatingSecret) -> None:
    """A grant to the second user alone stops no rotation, in neither turn, and is remarked."""
    server, first = secret.server, secret.username
    second = f"{first}_clone"
    secret.rotate()
    table = new_name("table")
    server.execute(f"CREATE TABLE {table} (n int)")
    server.execute(f"GRANT SELECT ON {table} TO {second}")
    if server.kind == "postgres-18":
        server.execute(f"CREATE ROLE {table}_made")
        server.execute(f"GRANT {table}_made TO {second} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
    for _ in range(2):
        secret.rotate()
    with administrators_session(server) as session:
        pair = Pair(first, second, secret.arn)
        assert session.remarks() == []
        assert session.differences(pair, second) == []
        (remark,) = session.remarks()
    assert f"granted something in database {server.database}" in remark
    assert f'DROP OWNED BY "{second}"' in remark
    server.execute(f'DROP OWNED BY "{second}"')
    with administrators_session(server) as session:
        session.prepare(second, "another password", pair, rights=True)
        assert session.remarks() == []


@pytest.mark.parametrize(
    ("change", "cure"),
    [("CONNECTION LIMIT 3", "CONNECTION LIMIT 3"), ("NOLOGIN", "LOGIN")],
)
def test_rights_are_compared_before_promotion(
    secret: RotatingSecret, change: str, cure: str
) -> None:
    """A right that gets lost after setSecret, however late, stops the promotion."""
    server, first = secret.server, secret.username
    token = secret.prepare()
    secret.step(token, "createSecret", "setSecret", "testSecret")
    server.execute(f"ALTER ROLE {first} {change}")
    with pytest.raises(RightsDiffer, match=f"{change.removesuffix(' 3')} of {first}"):
        secret.step(token, "finishSecret")
    assert secret.username == first
    assert secret.label("AWSCURRENT") != token
    server.execute(f"ALTER ROLE {first} {cure}")
    secret.abandon()
    secret.rotate()
    assert secret.username != first


@pytest.mark.parametrize("dropped", ["first", "second"])
def test_user_that_was_dropped_is_named(secret: RotatingSecret, dropped: str) -> None:
    """A user that is gone is AccountMissing or a refused login, never a defect."""
    server, first = secret.server, secret.username
    second = f"{first}_clone"
    secret.rotate()
    secret.rotate()
    token = secret.prepare()
    secret.step(token, "createSecret", "setSecret")
    gone = first if dropped == "first" else second
    server.execute(f"DROP OWNED BY {gone}")
    server.execute(f"DROP ROLE {gone}")
    with pytest.raises((AccountMissing, LoginRefused)):
        secret.step(token, "testSecret", "finishSecret")


def test_first_user_that_was_dropped_while_idle(secret: RotatingSecret) -> None:
    """When the idle first user is gone, setSecret says so."""
    server, first = secret.server, secret.username
    secret.rotate()
    server.execute(f"DROP OWNED BY {first}")
    server.execute(f"DROP ROLE {first}")
    error = secret.fails()
    assert type(error) is AccountMissing
    assert first in error.message


def test_second_user_that_was_dropped_while_idle_is_made_again(secret: RotatingSecret) -> None:
    """When the idle second user is gone, it is made anew."""
    server = secret.server
    secret.rotate()
    secret.rotate()
    server.execute(f"DROP ROLE {secret.username}_clone")
    secret.rotate()
    assert secret.logs_in()


def test_second_user_that_was_dropped_while_active(secret: RotatingSecret) -> None:
    """When the active second user is gone, AWSCURRENT is broken; the first one's turn mends it."""
    server, first = secret.server, secret.username
    secret.rotate()
    server.execute(f"DROP ROLE {first}_clone")
    assert not secret.logs_in()
    for username in (first, f"{first}_clone"):
        secret.rotate()
        assert secret.username == username
        assert secret.logs_in()


# No hijack


def test_unrelated_user_is_not_taken_over(secret: RotatingSecret) -> None:
    """Somebody else's user of the second's name keeps its password and rights."""
    server, second = secret.server, f"{secret.username}_clone"
    server.create_user(second, PASSWORD)
    error = secret.fails()
    assert type(error) is NotOurUser
    assert second in error.message
    assert server.logs_in(second, PASSWORD)
    assert secret.logs_in()


def test_user_called_clone_is_not_a_second_user(server: Server, rotating: Rotating) -> None:
    """A secret for svc_clone leaves an unrelated svc alone, and makes svc_clone_clone."""
    name = new_name("svc")
    server.create_user(name, PASSWORD)
    secret = rotating.secret(server, f"{name}_clone", administrator=True)
    for expected in (f"{name}_clone_clone", f"{name}_clone"):
        secret.rotate()
        assert secret.username == expected
    assert server.logs_in(name, PASSWORD)


def test_tags_cannot_take_over_a_first_user(server: Server, rotating: Rotating) -> None:
    """A secret that calls itself the second of somebody else's user gets neither."""
    victim, own = new_name("victim"), new_name("own")
    server.create_user(victim, PASSWORD)
    secret = rotating.secret(
        server,
        own,
        administrator=True,
        tags={"rotation:first-user": victim, "rotation:second-user": own},
    )
    error = secret.fails()
    assert type(error) is NotOurUser
    assert server.logs_in(victim, PASSWORD)


def test_adoption_by_the_statement_in_the_hint(secret: RotatingSecret) -> None:
    """A DBA hands his own user over with the statement that the error shows."""
    server, second = secret.server, f"{secret.username}_clone"
    server.create_user(second, PASSWORD)
    for kind in (
        "CONNECT, TEMPORARY ON DATABASE " + server.database,
        "USAGE, CREATE ON SCHEMA public",
    ):
        server.execute(f"REVOKE {kind} FROM {second}", account=server.administrator)
        server.execute(f"REVOKE {kind} FROM {second}")
    error = secret.fails()
    assert type(error) is NotOurUser
    statement = error.advice.partition("a DBA runs: ")[2]
    server.execute(statement)
    secret.rotate()
    assert secret.username == second
    assert secret.logs_in()
    assert server.execute("SELECT current_user::text", account=account(secret)) == [
        (second.removesuffix("_clone"),)
    ]


def test_adoption_by_the_administrator(server: Server) -> None:
    """An administrator hands a second user over himself, and nobody else does."""
    server.create_user(first := new_name(), PASSWORD)
    pair = Pair(first, f"{first}_2", "arn:one")
    server.create_user(pair.second, PASSWORD)
    with administrators_session(server) as session:
        assert session.ownership(pair) is Ownership.FOREIGN
        with (
            connect(login_of(server, first), Trust(server.ca_file)) as other,
            pytest.raises(PermissionDenied),
        ):
            other.adopt(pair)
        assert session.ownership(pair) is Ownership.FOREIGN
        session.adopt(pair)
        assert session.ownership(pair) is Ownership.OURS
        assert session.ownership(Pair(first, pair.second, "arn:two")) is Ownership.FOREIGN


def test_adopted_user_whose_membership_gives_nothing(server: Server, rotating: Rotating) -> None:
    """A membership without INHERIT or SET, and a role with NOINHERIT, are mended."""
    secret = rotating.secret(server, administrator=True)
    first = secret.username
    second = f"{first}_clone"
    options = " WITH INHERIT FALSE, SET FALSE" if server.kind == "postgres-18" else ""
    for statement in (
        f"CREATE ROLE {second} LOGIN NOINHERIT PASSWORD '{'x' * 20}'",
        f"GRANT {first} TO {second}{options}",
        f"COMMENT ON ROLE {second} IS 'Second user of \"{first}\", rotated for {secret.arn}'",
    ):
        server.execute(statement, account=server.administrator)
    secret.rotate()
    table = new_name("table")
    server.execute(f"CREATE TABLE {table} ()", account=account(secret, "AWSPREVIOUS"))
    assert may(secret, account(secret), f"SELECT FROM {table}")
    secret.rotate()


def test_rights_untouched(server: Server, rotating: Rotating) -> None:
    """With rotation:rights=untouched only the passwords of two users of a DBA's change."""
    secret = rotating.secret(server, administrator=True, tags={"rotation:rights": "untouched"})
    first = secret.username
    second = f"{first}_clone"
    missing = secret.fails()
    assert type(missing) is AccountMissing
    server.create_user(second, PASSWORD)
    assert type(secret.fails_again()) is NotOurUser
    server.execute(
        f"COMMENT ON ROLE {second} IS 'Second user of \"{first}\", rotated for {secret.arn}'"
    )
    server.execute(f"ALTER ROLE {second} CONNECTION LIMIT 5 NOINHERIT")
    before = attributes(server, second)
    secret.abandon()
    for expected in (second, first, second):
        secret.rotate()
        assert secret.username == expected
        assert secret.logs_in()
    assert attributes(server, second) == before
    assert settings(server, second) == set()
    assert server.execute("SELECT current_user::text", account=account(secret)) == [(second,)]


def test_rights_tag_that_says_neither(secret: RotatingSecret) -> None:
    """A misspelt rotation:rights is refused before anything is stored."""
    secret.tag(rights="untouchd")
    error = secret.fails()
    assert type(error) is BadSetting
    assert "rotation:rights" in error.message


# Names


def test_second_user_by_tag(server: Server, rotating: Rotating) -> None:
    """The tag rotation:second-user names the second user."""
    first, second = new_name("blue"), new_name("green")
    secret = rotating.secret(
        server, first, administrator=True, tags={"rotation:second-user": second}
    )
    for expected in (second, first, second):
        secret.rotate()
        assert secret.username == expected


def test_tag_removed_after_the_first_rotation(secret: RotatingSecret) -> None:
    """The pair that a rotation pinned holds when the tags are gone, on either user's turn."""
    second = new_name("green")
    first = secret.username
    secret.tag(second_user=second)
    secret.rotate()
    secret.service.client().untag_resource(SecretId=secret.arn, TagKeys=["rotation:second-user"])
    for expected in (first, second, first):
        secret.rotate()
        assert secret.username == expected


def test_tags_of_a_pair_that_the_secret_is_not_of(secret: RotatingSecret) -> None:
    """Tags that name two other users are refused."""
    secret.tag(first_user="one", second_user="two")
    error = secret.fails()
    assert type(error) is BadSetting
    assert "rotation:first-user" in error.message


def test_names_that_do_not_fit_into_a_label(server: Server, rotating: Rotating) -> None:
    """Two long names of nothing but quotation marks take turns all the same."""
    first = '"' * 57 + new_name("")
    secret = rotating.secret(server, first, administrator=True)
    secret.tag(first_user=first, second_user=(second := first[::-1]))
    for username in (second, first, second):
        secret.rotate()
        assert secret.username == username
        assert secret.logs_in()


# Recovery


def test_current_edited_to_the_other_user_midway(secret: RotatingSecret) -> None:
    """AWSCURRENT edited to the idle user: its password is not changed under applications' feet."""
    secret.service._operations.edit_abandons_rotation = False
    secret.rotate()
    idle = secret.document("AWSPREVIOUS")
    token = secret.prepare()
    secret.step(token, "createSecret")
    secret.store(idle)
    with pytest.raises(CurrentChanged):
        secret.step(token, "setSecret")
    assert secret.logs_in()
