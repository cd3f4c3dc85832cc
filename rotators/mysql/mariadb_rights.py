"""What a MariaDB account may do, as a set that can be compared and passed on. No I/O.

``GRANT ALL`` is never a right of its own here: MariaDB lists what it stands for, and an
administrator who lacks one of these could not pass ``ALL`` on.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rotators.mysql.connection import Account, Row, quote_account, quote_name, quote_text
from rotators.mysql.session import like

GRANT_OPTION = "GRANT OPTION"
DEFAULT_LIFETIME = -1
REQUIREMENTS = {0: "NONE", 1: "SSL", 2: "X509"}


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """What a right is for.

    Attributes:
        kind: Empty for tables, databases and the whole server, else PROCEDURE, FUNCTION, PACKAGE
            or PACKAGE BODY.
        database: A pattern as GRANT takes it; empty for the whole server.
        name: Of a table or routine; empty for the whole database.
    """

    kind: str = ""
    database: str = ""
    name: str = ""

    def __str__(self) -> str:
        if not self.database:
            return "*.*"
        name = quote_name(self.name) if self.name else "*"
        return f"{self.kind} {quote_name(self.database)}.{name}".strip()

    def lies_in(self, other: "Scope") -> bool:
        """Say whether whoever has a right for ``other`` has it here."""
        if not other.database:
            return True
        if not other.name:
            fits = like(other.database.lower(), self.database.lower())
            return self.database == other.database or fits
        return self == other


SERVER = Scope()


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One privilege for one scope, and for one column if there is one."""

    scope: Scope
    privilege: str
    column: str = ""

    def __str__(self) -> str:
        column = f" ({quote_name(self.column)})" if self.column else ""
        return f"{self.privilege}{column} ON {self.scope}"


def grants(rights: Iterable[Right], account: Account) -> list[str]:
    """Return the statements that give an account these rights, one for each scope."""
    return [
        f"GRANT {_privileges(those - {GRANT_OPTION}) or 'USAGE'} ON {scope} TO "
        f"{quote_account(account)}{' WITH GRANT OPTION' if GRANT_OPTION in those else ''}"
        for scope, those in _by_scope(rights).items()
    ]


def revocations(rights: Iterable[Right], account: Account) -> list[str]:
    """Return the statements that take these rights from an account, one for each scope."""
    return [
        f"REVOKE {_privileges(those)} ON {scope} FROM {quote_account(account)}"
        for scope, those in _by_scope(rights).items()
    ]


def _by_scope(rights: Iterable[Right]) -> dict[Scope, set[str]]:
    found: dict[Scope, set[str]] = defaultdict(set)
    for right in sorted(rights):
        column = f" ({quote_name(right.column)})" if right.column else ""
        found[right.scope].add(right.privilege + column)
    return found


def _privileges(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def rights_in(
    *,
    server: Iterable[Row] = (),
    databases: Iterable[Row] = (),
    tables: Iterable[Row] = (),
    columns: Iterable[Row] = (),
    routines: Iterable[Row] = (),
) -> set[Right]:
    """Gather one account's rights from the catalogues.

    Args:
        server: (privilege, grantable) of ``information_schema.USER_PRIVILEGES``.
        databases: (database, privilege, grantable) of ``SCHEMA_PRIVILEGES``.
        tables: (database, table, privilege, grantable) of ``TABLE_PRIVILEGES``.
        columns: (database, table, column, privilege, grantable) of ``COLUMN_PRIVILEGES``.
        routines: (kind, database, name, privileges) of ``mysql.procs_priv``.
    """
    rows: list[tuple[Scope, str, str, object]] = []
    rows += [(SERVER, privilege, "", grantable) for privilege, grantable in server]
    rows += [
        (Scope("", base), privilege, "", grantable) for base, privilege, grantable in databases
    ]
    rows += [
        (Scope("", base, table), privilege, "", grantable)
        for base, table, privilege, grantable in tables
    ]
    rows += [
        (Scope("", base, table), privilege, column, grantable)
        for base, table, column, privilege, grantable in columns
    ]
    found = set()
    for scope, privilege, column, grantable in rows:
        if privilege != "USAGE":
            found.add(Right(scope, privilege, column))
        if grantable == "YES":
            found.add(Right(scope, GRANT_OPTION))
    for kind, base, name, privileges in routines:
        for privilege in filter(None, str(privileges).upper().split(",")):
            word = GRANT_OPTION if privilege == "GRANT" else privilege
            found.add(Right(Scope(kind, base, name), word))
    return found


def may_pass_on(right: Right, administrators: Iterable[Right]) -> bool:
    """Say whether who has ``administrators`` may grant ``right``: he needs it, and GRANT OPTION.

    Source: MariaDB's documentation of GRANT; what is had for more is had for less.
    """
    rights = list(administrators)
    return covered(right, rights) and covered(Right(right.scope, GRANT_OPTION), rights)


def covered(right: Right, rights: Iterable[Right]) -> bool:
    """Say whether who has ``rights`` has this one, for the same scope or a wider one."""
    return any(
        own.privilege == right.privilege
        and own.column in ("", right.column)
        and right.scope.lies_in(own.scope)
        for own in rights
    )


@dataclass(frozen=True, slots=True, order=True)
class Membership:
    """A role that an account has."""

    role: str
    with_admin: bool

    def grant(self, account: Account) -> str:
        """Return the statement that gives an account this membership."""
        admin = " WITH ADMIN OPTION" if self.with_admin else ""
        return f"GRANT {quote_name(self.role)} TO {quote_account(account)}{admin}"

    def revocation(self, account: Account, *, admin_only: bool) -> str:
        """Return the statement that takes the role, or the right to pass it on, away."""
        what = "ADMIN OPTION FOR " if admin_only else ""
        return f"REVOKE {what}{quote_name(self.role)} FROM {quote_account(account)}"


@dataclass(frozen=True, slots=True)
class Possessions:
    """All that an account has.

    Attributes:
        rights: Its own.
        memberships: Its roles.
        default_role: The role that is active when it logs in; empty for none.
        proxies: For whom it may act, as GRANT PROXY has it.
    """

    rights: frozenset[Right]
    memberships: frozenset[Membership]
    default_role: str
    proxies: frozenset[Account]


def default_role_statement(role: str, account: Account) -> str:
    """Return the statement that makes a role active at login; none for an empty name."""
    return f"SET DEFAULT ROLE {quote_name(role) if role else 'NONE'} FOR {quote_account(account)}"


def clauses(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the clauses of CREATE USER that give an account the same conditions.

    Args:
        record: The JSON object of ``mysql.global_priv``.
    """
    lock = "LOCK" if record.get("account_locked") else "UNLOCK"
    return {
        "REQUIRE": _requirement(record),
        "WITH": _limits(record),
        "PASSWORD EXPIRE": _expiry(record),
        "ACCOUNT": f"ACCOUNT {lock}",
    }


def _requirement(record: Mapping[str, Any]) -> str:
    simple = REQUIREMENTS.get(record.get("ssl_type", 0))
    if simple is not None:
        return f"REQUIRE {simple}"
    parts = {"CIPHER": "ssl_cipher", "ISSUER": "x509_issuer", "SUBJECT": "x509_subject"}
    return "REQUIRE " + " AND ".join(
        f"{word} {quote_text(record[key])}" for word, key in parts.items() if record.get(key)
    )


def _limits(record: Mapping[str, Any]) -> str:
    limits = {
        "MAX_QUERIES_PER_HOUR": "max_questions",
        "MAX_UPDATES_PER_HOUR": "max_updates",
        "MAX_CONNECTIONS_PER_HOUR": "max_connections",
        "MAX_USER_CONNECTIONS": "max_user_connections",
        "MAX_STATEMENT_TIME": "max_statement_time",
    }
    return "WITH " + " ".join(f"{word} {record.get(key, 0):g}" for word, key in limits.items())


def _expiry(record: Mapping[str, Any]) -> str:
    days = record.get("password_lifetime", DEFAULT_LIFETIME)
    if days == DEFAULT_LIFETIME:
        return "PASSWORD EXPIRE DEFAULT"
    return f"PASSWORD EXPIRE INTERVAL {days} DAY" if days else "PASSWORD EXPIRE NEVER"
