"""What makes two PostgreSQL roles equal.

The second role is a member of the first and has ``ALTER ROLE second SET role = first``: its
sessions act as the first role. So nothing is copied object by object: grants and revocations made
later hold for both at once, and whatever either creates belongs to the first. What does not pass
through membership (role attributes, settings, limits) is kept equal here.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from rotators.postgres.connection import LOGIN_HINT, quoted
from shared.errors import AccountExpired, AccountLocked, AccountMissing, DatabaseError
from shared.session import Pair

SET_OPTION_SINCE = 160_000
"""PostgreSQL 16 split membership into INHERIT, SET and ADMIN options."""

SET_GRANTED_SINCE = 150_000
"""The first version that can grant SET on a parameter."""

MORE_POWERFUL = "A more powerful role runs: "

MOST_SHOWN = 5
"""Longest list of differences in a message."""

ATTRIBUTES: Mapping[str, tuple[str, str]] = {
    "rolsuper": ("SUPERUSER", "NOSUPERUSER"),
    "rolcreatedb": ("CREATEDB", "NOCREATEDB"),
    "rolcreaterole": ("CREATEROLE", "NOCREATEROLE"),
    "rolreplication": ("REPLICATION", "NOREPLICATION"),
    "rolbypassrls": ("BYPASSRLS", "NOBYPASSRLS"),
}
"""Column of pg_roles to the words of ALTER ROLE."""

ROLE_SETTING = "role"
"""The setting that lets a session begin as another role."""

LIST_SETTINGS = frozenset(
    {"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"}
)
"""Settings whose stored text is a list of quoted names: as a literal it would become one name."""

Rows = list[tuple[Any, ...]]
Run = Callable[..., Rows]
"""Runs a statement with its parameters."""
RunAll = Callable[..., list[Rows]]
"""Runs statements, each in a tuple with its parameters, in one round trip."""
Settings = dict[tuple[str | None, str], str]
"""(database or None for all, setting's name) to its value."""


def mark(pair: Pair) -> str:
    """Return the comment that shows whose second user a role is."""
    return f"Second user of {json.dumps(pair.first, ensure_ascii=False)}, rotated for {pair.owner}"


@dataclass(frozen=True, slots=True)
class Role:
    """One role, as the catalogues show it.

    Attributes:
        name: Its name.
        can_log_in: Whether it has LOGIN.
        attributes: Column of pg_roles to value, for the columns in ATTRIBUTES.
        connection_limit: -1 for none.
        valid_until: As text; None for ever.
        settings: What ALTER ROLE ... SET stored.
    """

    name: str
    can_log_in: bool
    attributes: dict[str, bool]
    connection_limit: int
    valid_until: str | None
    settings: Settings


@dataclass(frozen=True, slots=True)
class RolePair:
    """Both roles and what ties them.

    Attributes:
        first: The role whose rights count.
        second: The role that follows it.
        can_become_first: Whether the second may SET ROLE to the first.
        inherits_first: Whether it has the first's rights without doing so.
        has_options: Whether the server knows options of a membership.
        other_memberships: Roles whose rights the second was given besides.
        owned_in: Databases ("" for shared objects) where the second owns something.
        granted_in: Databases ("" for shared objects) where it was granted something by itself.
        roles_of_all: Database (None for all) to the role that everybody begins with there.
    """

    first: Role
    second: Role
    can_become_first: bool
    inherits_first: bool
    has_options: bool
    other_memberships: tuple[str, ...]
    owned_in: tuple[str, ...]
    granted_in: tuple[str, ...]
    roles_of_all: dict[str | None, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the two roles may not do alike.

    Attributes:
        right: What it is, for people.
        statements: What would mend it.
        mended_by_us: False when a DBA has to decide: the statements are then proposals.
        setting: The setting that differs, if it is one.
        attribute: The column of pg_roles that differs, if it is an attribute.
        told: The statements as people may see them, if others than ``statements``: the value of a
            setting may be a secret.
    """

    right: str
    statements: tuple[sql.Composable, ...]
    mended_by_us: bool = True
    setting: str | None = None
    attribute: str | None = None
    told: tuple[sql.Composable, ...] | None = None


def describe(difference: Difference) -> str:
    """Return what differs, for people, with the statements that would mend it."""
    statements = (each.as_string() for each in difference.told or difference.statements)
    return f"{difference.right} ({'; '.join(statements)})"


def shortened(found: Iterable[str]) -> list[str]:
    """Return what fits into a message, and how many more there are."""
    lines = list(found)
    more = len(lines) - MOST_SHOWN
    return lines if more <= 1 else [*lines[:MOST_SHOWN], f"and {more} more"]


def grant_of(difference: Difference, username: str, server_version: int) -> str | None:
    """Return the hint for a setting that ``username`` may not set; None for the error's own."""
    parameter = difference.setting
    if parameter is None or server_version < SET_GRANTED_SINCE:
        return None
    grant = sql.SQL("GRANT SET ON PARAMETER {} TO {}").format(
        sql.Identifier(*parameter.split(".")), sql.Identifier(username)
    )
    return f"{MORE_POWERFUL}{grant.as_string()}"


def foreseen_pair(pair: Pair, run_all: RunAll, server_version: int) -> RolePair:
    """Read the first role, and think of the second as it would be when it has just been made."""
    role, settings, of_all = run_all((ROLE, pair.first), (SETTINGS, pair.first), (ROLES_OF_ALL,))
    return RolePair(
        first=_role(pair.first, role, settings),
        second=Role(
            name=pair.second,
            can_log_in=True,
            attributes=dict.fromkeys(ATTRIBUTES, False),
            connection_limit=-1,
            valid_until=None,
            settings={},
        ),
        can_become_first=True,
        inherits_first=True,
        has_options=server_version >= SET_OPTION_SINCE,
        other_memberships=(),
        owned_in=(),
        granted_in=(),
        roles_of_all=dict(of_all),
    )


def read_pair(pair: Pair, run_all: RunAll, server_version: int) -> RolePair:
    """Read both roles afresh.

    Raises:
        AccountMissing: One of them is not there.
    """
    first, second = pair.first, pair.second
    has_options = server_version >= SET_OPTION_SINCE
    role, settings, other_role, other_settings, becoming, memberships, own, of_all = run_all(
        (ROLE, first),
        (SETTINGS, first),
        (ROLE, second),
        (SETTINGS, second),
        (BECOMING, "SET" if has_options else "MEMBER", first, second),
        (MEMBERSHIPS_WITH_RIGHTS if has_options else MEMBERSHIPS, second, first),
        (OWN_OBJECTS, second),
        (ROLES_OF_ALL,),
    )
    roles = (_role(first, role, settings), _role(second, other_role, other_settings))
    ((can_become, inherits),) = becoming
    return RolePair(
        first=roles[0],
        second=roles[1],
        can_become_first=can_become,
        inherits_first=inherits,
        has_options=has_options,
        other_memberships=tuple(row[0] for row in memberships),
        owned_in=tuple(database for database, owns in own if owns),
        granted_in=tuple(database for database, owns in own if not owns),
        roles_of_all=dict(of_all),
    )


BECOMING = """
SELECT pg_has_role(second.oid, first.oid, %s), pg_has_role(second.oid, first.oid, 'USAGE')
  FROM pg_roles AS first CROSS JOIN pg_roles AS second
 WHERE first.rolname = %s AND second.rolname = %s
"""

MEMBERSHIPS: LiteralString = """
SELECT DISTINCT role.rolname::text FROM pg_auth_members
  JOIN pg_roles AS role ON role.oid = roleid
  JOIN pg_roles AS member ON member.oid = pg_auth_members.member
 WHERE member.rolname = %s AND role.rolname <> %s
"""

MEMBERSHIPS_WITH_RIGHTS: LiteralString = MEMBERSHIPS + " AND (inherit_option OR set_option)"
"""From 16 on a role gets ADMIN OPTION alone on each role that it makes: no right of that role."""

OWN_OBJECTS = """
SELECT DISTINCT coalesce(datname::text, ''), deptype = 'o' FROM pg_shdepend
  LEFT JOIN pg_database ON pg_database.oid = dbid
 WHERE refclassid = 'pg_authid'::regclass AND deptype IN ('o', 'a', 'r')
   AND classid <> 'pg_auth_members'::regclass
   AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s) ORDER BY 1
"""

ROLES_OF_ALL = """
SELECT datname::text, substr(setting, 6) FROM pg_db_role_setting
 CROSS JOIN unnest(setconfig) AS setting LEFT JOIN pg_database ON pg_database.oid = setdatabase
 WHERE setrole = 0 AND setting LIKE 'role=%%'
"""

ROLE_AT_LOGIN = """
SELECT CASE wanted WHEN 'none' THEN first.rolname ELSE wanted END
  FROM pg_roles AS first
  JOIN pg_db_role_setting ON setrole IN (0, first.oid)
  LEFT JOIN pg_database ON pg_database.oid = setdatabase
 CROSS JOIN unnest(setconfig) AS setting CROSS JOIN substr(setting, 6) AS wanted
  LEFT JOIN pg_roles AS target ON target.rolname = wanted
 WHERE first.rolname = %s AND setting LIKE 'role=%%' AND (setdatabase = 0 OR datname = %s)
   AND (wanted = 'none' OR pg_has_role(first.oid, target.oid, 'MEMBER'))
 ORDER BY setdatabase <> 0 AND setrole <> 0 DESC, setrole <> 0 DESC, setdatabase <> 0 DESC LIMIT 1
"""
"""Whom a role acts as in a database, in the order of InitPostgres: what is set for the role there,
for the role, for the database, for everybody. A role that it may not become is passed over. No row:
it acts as itself."""

ROLE = """
SELECT rolcanlogin, rolconnlimit, nullif(rolvaliduntil, 'infinity')::text, rolsuper, rolcreatedb,
       rolcreaterole, rolreplication, rolbypassrls
  FROM pg_roles WHERE rolname = %s
"""

SETTINGS = """
SELECT datname::text, unnest(setconfig) FROM pg_db_role_setting
  LEFT JOIN pg_database ON pg_database.oid = setdatabase
 WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = %s)
"""


def _role(name: str, found: Rows, stored_settings: Rows) -> Role:
    if not found:
        raise AccountMissing(f"There is no role {name}.")
    can_log_in, limit, until, *attributes = found[0]
    settings = {}
    for database, stored in stored_settings:
        setting, _, value = stored.partition("=")
        settings[database, setting] = value
    found_attributes = dict(zip(ATTRIBUTES, attributes, strict=True))
    return Role(name, can_log_in, found_attributes, limit, until, settings)


def problem_of(name: str, run: Run) -> DatabaseError | None:
    """Say what keeps a role from logging in, whatever its password; None when nothing does."""
    found = run(PROBLEM, name)
    if not found:
        return AccountMissing(f"There is no role {name}.")
    can_log_in, expired, until = found[0]
    if not can_log_in:
        hint = LOGIN_HINT.format(user=quoted(name))
        return AccountLocked(f"Role {name} may not log in (NOLOGIN).", hint=hint)
    if expired:
        hint = f"Set a later date: ALTER ROLE {quoted(name)} VALID UNTIL 'infinity'."
        return AccountExpired(f"Role {name} was valid until {until}.", hint=hint)
    return None


MISSING_RIGHTS = """
SELECT format('ALTER ROLE %%I CREATEROLE', rolname) FROM pg_roles
 WHERE rolname = current_user AND NOT (rolcreaterole OR rolsuper)
UNION ALL
SELECT format(
         'GRANT %%I TO %%I WITH ADMIN OPTION, INHERIT FALSE, SET FALSE', rolname, current_user)
  FROM pg_roles
 WHERE rolname = ANY(%s) AND NOT pg_has_role(oid, 'MEMBER WITH ADMIN OPTION')
   AND current_setting('server_version_num')::int >= 160000
UNION ALL
SELECT format('ALTER ROLE %%I NOSUPERUSER', rolname) FROM pg_roles
 WHERE rolname = ANY(%s) AND rolsuper
   AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
"""
"""The statements that let the session's role make roles, and alter these."""

PROBLEM = """
SELECT rolcanlogin, rolvaliduntil < now(), rolvaliduntil::text FROM pg_roles WHERE rolname = %s
"""


def compare(pair: RolePair) -> list[Difference]:
    """List what differs, with what mends it; pure."""
    return [
        *_membership(pair),
        *_attributes(pair.first, pair.second),
        *_settings(pair),
        *_own_rights(pair),
    ]


def _membership(pair: RolePair) -> Iterator[Difference]:
    if not (pair.can_become_first and pair.inherits_first):
        grant = sql.SQL("GRANT {} TO {}").format(
            sql.Identifier(pair.first.name), sql.Identifier(pair.second.name)
        )
        if pair.has_options:
            # A grant leaves options alone that it does not name.
            grant += sql.SQL(" WITH INHERIT TRUE, SET TRUE")
        inherit = sql.SQL("ALTER ROLE {} INHERIT").format(sql.Identifier(pair.second.name))
        yield Difference(f"membership of {pair.second.name} in {pair.first.name}", (inherit, grant))


def _attributes(first: Role, second: Role) -> Iterator[Difference]:
    role = sql.Identifier(second.name)
    for column, (yes, no) in ATTRIBUTES.items():
        if first.attributes[column] != second.attributes[column]:
            word = yes if first.attributes[column] else no
            statement = sql.SQL("ALTER ROLE {} ").format(role) + sql.SQL(word)
            yield Difference(f"attribute {word} of {first.name}", (statement,), attribute=column)
    if second.can_log_in and not first.can_log_in:
        statement = sql.SQL("ALTER ROLE {} NOLOGIN").format(role)
        yield Difference(f"NOLOGIN of {first.name}", (statement,), mended_by_us=False)
    if first.connection_limit != second.connection_limit:
        limit = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(
            role, sql.Literal(first.connection_limit)
        )
        yield Difference(f"CONNECTION LIMIT of {first.name}", (limit,))
    if first.valid_until != second.valid_until:
        until = sql.SQL("ALTER ROLE {} VALID UNTIL {}").format(
            role, sql.Literal(first.valid_until or "infinity")
        )
        yield Difference(f"VALID UNTIL of {first.name}", (until,))


def wanted_settings(pair: RolePair) -> Settings:
    """Return what the second role's settings must be: the first's, and acting as the first.

    Where the first itself acts as another role (an owner, say), so does the second; also where a
    database lets everybody act as one, since what is set for a role would come before it.
    """
    first = pair.first
    wanted = {(None, ROLE_SETTING): first.name, **first.settings}
    if (None, ROLE_SETTING) not in first.settings:
        of_all = {(where, ROLE_SETTING): role for where, role in pair.roles_of_all.items()}
        wanted |= {key: role for key, role in of_all.items() if key not in first.settings}
    itself = {key for key, value in wanted.items() if key[1] == ROLE_SETTING and value == "none"}
    return wanted | dict.fromkeys(itself, first.name)


def _settings(pair: RolePair) -> Iterator[Difference]:
    first, second = pair.first, pair.second
    wanted = wanted_settings(pair)
    for key in sorted(wanted.keys() | second.settings.keys(), key=str):
        database, name = key
        if wanted.get(key) == second.settings.get(key):
            continue
        where = f" in database {database}" if database else ""
        alter = sql.SQL("ALTER ROLE {} ").format(sql.Identifier(second.name))
        if database:
            alter += sql.SQL("IN DATABASE {} ").format(sql.Identifier(database))
        value, setting = wanted.get(key), sql.Identifier(*name.split("."))
        yield Difference(
            f"setting {name} of {first.name}{where}",
            tuple(_set(alter, name, setting, value)),
            setting=name,
            told=None if value is None else (alter + sql.SQL("SET {} = ...").format(setting),),
        )


def _set(
    alter: sql.Composable, name: str, setting: sql.Identifier, value: str | None
) -> Iterator[sql.Composable]:
    if value is None:
        yield alter + sql.SQL("RESET {}").format(setting)
    elif name in LIST_SETTINGS:
        yield sql.SQL("SELECT pg_catalog.set_config({}, {}, true)").format(
            sql.Literal(name), sql.Literal(value)
        )
        yield alter + sql.SQL("SET {} FROM CURRENT").format(setting)
        yield sql.SQL("SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)")
    else:
        yield alter + sql.SQL("SET {} = {}").format(setting, sql.Literal(value))


def _own_rights(pair: RolePair) -> Iterator[Difference]:
    """What the second has by itself: its sessions act as the first, so it is of no use there."""
    first, second = sql.Identifier(pair.first.name), sql.Identifier(pair.second.name)
    for role in pair.other_memberships:
        revoke = sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(role), second)
        grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), first)
        yield Difference(
            f"{pair.second.name} itself is a member of {role}", (grant, revoke), mended_by_us=False
        )
    for database in pair.owned_in:
        reassign = sql.SQL("REASSIGN OWNED BY {} TO {}").format(second, first)
        right = f"{pair.second.name} itself owns something {_place(database)}"
        yield Difference(right, (reassign,), mended_by_us=False)


def useless(pair: RolePair) -> list[Difference]:
    """List what the second was granted by itself: its sessions act as the first, so it is idle."""
    drop = sql.SQL("DROP OWNED BY {}").format(sql.Identifier(pair.second.name))
    return [
        Difference(f"{pair.second.name} itself was granted something {_place(database)}", (drop,))
        for database in pair.granted_in
    ]


def _place(database: str) -> str:
    return f"in database {database}" if database else "on shared objects"
