"""What a MariaDB account may do, as a set that can be compared and passed on. No I/O.

``GRANT ALL`` is never a right of its own here: MariaDB lists what it stands for, and an
administrator who lacks one of these could not pass ``ALL`` on.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from rotators.mysql.connection import Account, Row, quote_account, quote_name
from rotators.mysql.hosts import like

GRANT_OPTION = "GRANT OPTION"
YES = "YES"

# What a row of the answer is about; else the kind of a routine, or nothing for all other rights.
ROLE, DEFAULT_ROLE, PROXY = "role", "default role", "proxy"

CATALOGUES = """
SELECT GRANTEE, '', '', '', '', PRIVILEGE_TYPE, IS_GRANTABLE
FROM information_schema.USER_PRIVILEGES WHERE GRANTEE IN %s
UNION ALL
SELECT GRANTEE, '', TABLE_SCHEMA, '', '', PRIVILEGE_TYPE, IS_GRANTABLE
FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE IN %s
UNION ALL
SELECT GRANTEE, '', TABLE_SCHEMA, TABLE_NAME, '', PRIVILEGE_TYPE, IS_GRANTABLE
FROM information_schema.TABLE_PRIVILEGES WHERE GRANTEE IN %s
UNION ALL
SELECT GRANTEE, '', TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, PRIVILEGE_TYPE, IS_GRANTABLE
FROM information_schema.COLUMN_PRIVILEGES WHERE GRANTEE IN %s
UNION ALL
SELECT CONCAT("'", User, "'@'", Host, "'") AS grantee, Routine_type, Db, Routine_name, '',
    Proc_priv, IF(FIND_IN_SET('Grant', Proc_priv), 'YES', 'NO')
FROM mysql.procs_priv HAVING grantee IN %s
UNION ALL
SELECT CONCAT("'", User, "'@'", Host, "'") AS grantee, 'role', '', Role, '',
    '', IF(Admin_option = 'Y', 'YES', 'NO')
FROM mysql.roles_mapping HAVING grantee IN %s
UNION ALL
SELECT CONCAT("'", User, "'@'", Host, "'") AS grantee, 'proxy', Proxied_host, Proxied_user, '',
    '', ''
FROM mysql.proxies_priv HAVING grantee IN %s
UNION ALL
SELECT CONCAT("'", User, "'@'", Host, "'") AS grantee, 'default role', '',
    JSON_VALUE(Priv, '$.default_role'), '', '', ''
FROM mysql.global_priv HAVING grantee IN %s
"""
"""All that accounts have, in one answer: (grantee, what, database, name, column, privileges,
grantable). Each argument is the grantees, as ``information_schema`` writes them."""

CATALOGUES_IN_IT = CATALOGUES.count("%s")


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

    @property
    def is_table(self) -> bool:
        """Whether it is a table or view, or a column of one."""
        return not self.kind and bool(self.name)

    def lies_in(self, other: "Scope") -> bool:
        """Say whether whoever has a right for ``other`` has it here."""
        if not other.database:
            return True
        if not other.name:
            fits = like(other.database.lower(), self.database.lower())
            return self.database == other.database or fits
        return self == other


@dataclass(frozen=True, slots=True, order=True)
class MariadbRight:
    """One privilege for one scope, and for one column if there is one."""

    scope: Scope
    privilege: str
    column: str = ""

    def __str__(self) -> str:
        column = f" ({quote_name(self.column)})" if self.column else ""
        return f"{self.privilege}{column} ON {self.scope}"


def grants(rights: Iterable[MariadbRight], account: Account) -> list[str]:
    """Return the statements that give an account these rights, one for each scope."""
    return [
        f"GRANT {_privileges(those - {GRANT_OPTION}) or 'USAGE'} ON {scope} TO "
        f"{quote_account(account)}{' WITH GRANT OPTION' if GRANT_OPTION in those else ''}"
        for scope, those in _by_scope(rights).items()
    ]


def revocations(rights: Iterable[MariadbRight], account: Account) -> list[str]:
    """Return the statements that take these rights from an account, one for each scope."""
    return [
        f"REVOKE {_privileges(those)} ON {scope} FROM {quote_account(account)}"
        for scope, those in _by_scope(rights).items()
    ]


def _by_scope(rights: Iterable[MariadbRight]) -> dict[Scope, set[str]]:
    found: dict[Scope, set[str]] = defaultdict(set)
    for right in sorted(rights):
        column = f" ({quote_name(right.column)})" if right.column else ""
        found[right.scope].add(right.privilege + column)
    return found


def _privileges(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def possessions_in(
    accounts: Iterable[Account], rows: Iterable[Row]
) -> dict[Account, "Possessions"]:
    """Gather what accounts have from the answer to :data:`CATALOGUES`.

    Args:
        accounts: Whose rights were asked for.
        rows: The answer.
    """
    found = {account: Possessions() for account in accounts}
    by_grantee = {grantee_of(account): account for account in found}
    for grantee, *row in rows:
        # The catalogue's collation takes names that differ in case for equal.
        if grantee in by_grantee:
            found[by_grantee[grantee]].add(["" if each is None else str(each) for each in row])
    return found


def grantee_of(account: Account) -> str:
    """Return the account as the catalogues write it: without any escape."""
    return f"'{account.user}'@'{account.host}'"


def may_pass_on(right: MariadbRight, administrators: Iterable[MariadbRight]) -> bool:
    """Say whether who has ``administrators`` may grant ``right``: he needs it, and GRANT OPTION.

    Source: MariaDB's documentation of GRANT; what is had for more is had for less.
    """
    rights = list(administrators)
    return covered(right, rights) and covered(MariadbRight(right.scope, GRANT_OPTION), rights)


def covered(right: MariadbRight, rights: Iterable[MariadbRight]) -> bool:
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


@dataclass(slots=True)
class Possessions:
    """All that an account has.

    Attributes:
        rights: Its own.
        memberships: Its roles.
        default_role: The role that is active when it logs in; empty for none.
        proxies: For whom it may act, as GRANT PROXY has it.
    """

    rights: set[MariadbRight] = field(default_factory=set)
    memberships: set[Membership] = field(default_factory=set)
    default_role: str = ""
    proxies: set[Account] = field(default_factory=set)

    def memberships_beyond(self, other: "Possessions") -> list[Membership]:
        """Return what ``other`` lacks: a role with the right to pass it on is had without, too."""
        roles = {each.role for each in other.memberships}
        return sorted(
            each
            for each in self.memberships - other.memberships
            if each.with_admin or each.role not in roles
        )

    def with_those_of(self, first: "Possessions") -> "Possessions":
        """Return what an account has after it was granted all that ``first`` has."""
        return Possessions(
            rights=self.rights | first.rights,
            memberships=self.memberships | first.memberships,
            default_role=self.default_role or first.default_role,
            proxies=self.proxies,
        )

    def summary(self) -> list[object]:
        """Return it in an order that is always the same, without the rights to routines."""
        with_admin = {each.role for each in self.memberships if each.with_admin}
        return [
            sorted(str(right) for right in self.rights if not right.scope.kind),
            [
                (role, role in with_admin)
                for role in sorted({each.role for each in self.memberships})
            ],
            self.default_role,
            sorted(map(str, self.proxies)),
        ]

    def add(self, row: Iterable[str]) -> None:
        """Take in one row of the answer to :data:`CATALOGUES`, without the grantee."""
        what, database, name, column, privileges, grantable = row
        if what == ROLE:
            self.memberships.add(Membership(name, grantable == YES))
        elif what == DEFAULT_ROLE:
            self.default_role = name
        elif what == PROXY:
            self.proxies.add(Account(name, database))
        else:
            self.rights |= _rights_in(Scope(what, database, name), column, privileges, grantable)


# The administrator's rows, dozens of them, come with every answer.
@lru_cache(maxsize=4096)
def _rights_in(
    scope: Scope, column: str, privileges: str, grantable: str
) -> frozenset[MariadbRight]:
    words = set(privileges.upper().split(",")) - {"", "USAGE", "GRANT"}
    more = {MariadbRight(scope, GRANT_OPTION)} if grantable == YES else set()
    return frozenset(more | {MariadbRight(scope, word, column) for word in words})


MariadbPairRights = Mapping[Account, Possessions]
"""What the accounts of a pair have, and the administrator."""


def default_role_statement(role: str, account: Account) -> str:
    """Return the statement that makes a role active at login; none for an empty name."""
    return f"SET DEFAULT ROLE {quote_name(role) if role else 'NONE'} FOR {quote_account(account)}"
