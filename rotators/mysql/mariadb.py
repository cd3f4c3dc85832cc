"""Sessions with MariaDB 10.5 to 11.8.

An account is no role here, so the second user of a pair is given the first one's rights one by
one. That is not atomic: until it is done, the second user has less than the first, and AWSCURRENT
is the first; the next call goes on where the last one ended. MariaDB keeps no comment on an account
either. The mark of a second user is a *role* whose name is made of secret, first and second user;
it is created before the user, has no right, and needs nothing but CREATE USER.
"""

import hashlib
import json
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rotators.mysql import error_codes, mariadb_rights
from rotators.mysql.accounts import native_hash
from rotators.mysql.connection import Account, Argument, quote_account, quote_name
from rotators.mysql.mariadb_rights import (
    Membership,
    Possessions,
    Scope,
    covered,
    default_role_statement,
    grants,
    may_pass_on,
    revocations,
    rights_in,
)
from rotators.mysql.pairs import Holder, PairSession, Routine, Twins
from rotators.mysql.session import KnownAccount, not_a_password
from shared.errors import (
    AccountLocked,
    AccountMissing,
    CapabilityMissing,
    DatabaseError,
    PasswordExpired,
)
from shared.session import Pair

NATIVE = "mysql_native_password"
OTHERS_WITHOUT_PASSWORD = frozenset({"unix_socket", "gssapi", "named_pipe"})
"""Ways to log in that stand beside a password and are kept as they are."""

OPERATION_FAILED = 1396
"""MariaDB's ALTER USER fails with this; the reason is one of the statement's other messages."""
MAY_NOT = frozenset({1044, 1045, 1142, 1143, 1227, 1370, 1698})
"""Answers to a GRANT or REVOKE of what the administrator does not hold himself."""
OPTION_PREVENTS = 1290
"""Read-only; or ``strict_password_validation``, which wants the password itself to check it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """One way for an account to log in: a plugin and what the plugin keeps for it."""

    plugin: str
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """An account as ``mysql.global_priv`` holds it."""

    account: Account
    record: Mapping[str, Any]

    @property
    def ways(self) -> list[Way]:
        """The ways to log in, in the order in which the server tries them."""
        first = Way(self.record.get("plugin", ""), self.record.get("authentication_string", ""))
        # The list has an empty object in the place of the first.
        listed = self.record.get("auth_or", [{}])
        return [
            Way(each["plugin"], each.get("authentication_string", "")) if each else first
            for each in listed
        ]

    @property
    def has_password(self) -> bool:
        """Whether the account has a password of the kind that is rotated here, and no other."""
        plugins = {way.plugin or NATIVE for way in self.ways}
        return NATIVE in plugins and plugins <= {NATIVE} | OTHERS_WITHOUT_PASSWORD


class MariadbSession(PairSession):
    """A session with MariaDB.

    MariaDB writes statements to its logs as they came, so it is given the password's hash. Only a
    server that validates passwords (``strict_password_validation`` with a plugin such as
    ``simple_password_check``) refuses hashes; it is given the password, and a warning is logged.
    """

    longest_name: ClassVar[int] = 128

    def _change_own(self, password: str) -> None:
        account, purpose = self._connection.account, "change its own password"
        ((created,),) = self._connection.run("look at its own account", "SHOW CREATE USER")
        if count_passwords(str(created)) > 1:
            raise CapabilityMissing(
                f"The account {account} has two passwords, and MariaDB lets a user change only "
                "the first of them.",
                hint="Rotate once with the tag rotation:strategy single-user-by-administrator, "
                "or stay with dual-password.",
            )
        refused = self._connection.attempt(
            purpose, "SET PASSWORD = %s", native_hash(password), expected={OPTION_PREVENTS}
        )
        if refused:
            self._require_writable()
            self._warn_of_clear_text(account.user)
            self._connection.run(purpose, "SET PASSWORD = PASSWORD(%s)", password)

    def _change_other(self, accounts: list[Account], password: str) -> None:
        self._set_passwords(accounts, [password])

    def _set_passwords(self, accounts: Sequence[Account], passwords: Sequence[str]) -> None:
        """Make these the accounts' only passwords; other ways to log in stay."""
        username = accounts[0].user
        purpose = f"change the password of {username}"
        known = [each for each in self._known(username) if each.account in accounts]
        reason = self._alter(purpose, known, passwords, clear=False)
        if reason == OPTION_PREVENTS:
            self._require_writable()
            self._warn_of_clear_text(username)
            reason = self._alter(purpose, known, passwords, clear=True)
        if reason:
            raise error_codes.in_statement(reason, f"MariaDB refused to {purpose}")

    def _alter(
        self, purpose: str, known: Sequence[Known], passwords: Sequence[str], *, clear: bool
    ) -> int | None:
        parts, arguments = [], list[Argument]()
        for each in known:
            text, values = identified(each.ways, passwords, clear=clear)
            parts.append(f"%s {text}")
            arguments += [each.account, *values]
        failed = self._connection.attempt(
            purpose,
            f"ALTER USER {', '.join(parts)}",
            *arguments,
            expected={OPERATION_FAILED, OPTION_PREVENTS},
        )
        return self._reason() if failed == OPERATION_FAILED else failed

    def _reason(self) -> int:
        """Return the number behind the one with which the last statement failed."""
        messages = self._connection.run("ask why the statement failed", "SHOW WARNINGS")
        codes = [int(code) for level, code, _ in messages if level == "Error"]
        return next((code for code in codes if code != OPERATION_FAILED), OPERATION_FAILED)

    @staticmethod
    def _warn_of_clear_text(username: str) -> None:
        _log.warning(
            "The server validates passwords (strict_password_validation) and takes no hash: the "
            "statement that changes the password of %s holds it in clear, and so do the server's "
            "logs if they record statements.",
            username,
        )

    def set_both(self, username: str, new: str, old: str) -> None:
        """Make ``new`` and ``old`` the passwords; see :class:`shared.session.TwoPasswords`.

        One statement, whatever the state was. By an administrator only: MariaDB lets a user change
        no more than the first of its passwords.
        """
        if username == self._connection.login.username:
            raise CapabilityMissing(
                "On MariaDB only an administrator can give a user a second password.",
                hint="Name an administrator in the secret's `masterarn`, or choose single-user "
                "with the tag rotation:strategy.",
            )
        self._require_writable()
        self._set_passwords(self._password_accounts(username), [new, old])

    def _known_accounts(self, username: str) -> list[KnownAccount]:
        lifetime, now = self._lifetime()
        return [
            KnownAccount(each.account, _problem(each, lifetime, now))
            for each in self._known(username)
        ]

    def _password_accounts(self, username: str) -> list[Account]:
        known = self._known(username)
        if not known:
            raise AccountMissing(f"User {username} does not exist.")
        found = [each.account for each in known if each.has_password]
        if not found:
            raise not_a_password(username, (way.plugin for each in known for way in each.ways))
        return found

    def _known(self, username: str) -> list[Known]:
        rows = self._connection.run(
            f"look at the accounts of {username}",
            "SELECT User, Host, Priv FROM mysql.global_priv WHERE User = %s ORDER BY Host",
            username,
        )
        known = [Known(Account(user, host), json.loads(text)) for user, host, text in rows]
        # The column's collation takes names that differ in trailing spaces for equal.
        return [
            each
            for each in known
            if each.account.user == username and not each.record.get("is_role")
        ]

    # A second user

    def made(self, pair: Pair) -> bool | None:
        """Say whether the second user is ours; see :class:`shared.session.SecondUser`."""
        if not self._known(pair.second):
            return None
        return self._has_marker(pair)

    def adoption(self, pair: Pair) -> str:
        """Return the statement that makes the role by which the second user is known as ours."""
        return f"CREATE ROLE {quote_name(marker(pair))}"

    def _has_marker(self, pair: Pair) -> bool:
        found = self._connection.run(
            f"look for the mark of {pair.second}",
            "SELECT Priv FROM mysql.global_priv WHERE User = %s",
            marker(pair),
        )
        return any(json.loads(text).get("is_role") for (text,) in found)

    def _require_second_user(self) -> None:
        """MariaDB can do it in every version that is supported."""

    def _holders(self, username: str) -> dict[Account, Holder]:
        return {
            each.account: Holder(
                each.account, NATIVE, each.has_password, mariadb_rights.clauses(each.record)
            )
            for each in self._known(username)
        }

    def _create(self, twins: Iterable[Twins], password: str, pair: Pair) -> list[Account]:
        missing = [each for each in twins if each.made is None]
        if missing and not self._has_marker(pair):
            self._connection.run("mark the second user", self.adoption(pair))
        for each in missing:
            self._create_account(each.second, each.first.changeable(), password)
        return [each.second for each in missing]

    def _create_account(self, account: Account, options: str, password: str) -> None:
        purpose = f"create the user {account}"
        for clear in (False, True):
            identity, arguments = identified([], [password], clear=clear)
            refused = self._connection.attempt(
                purpose,
                f"CREATE USER %s {identity} {options.replace('%', '%%')}",
                account,
                *arguments,
                expected={} if clear else {OPTION_PREVENTS},
            )
            if not refused:
                return
            self._require_writable()
            self._warn_of_clear_text(account.user)

    def _obstacles(self, twins: Iterable[Twins]) -> list[str]:
        """List what the administrator cannot pass on, of what is still to be passed on."""
        own = self._possessions(self._connection.account)
        administered = self._administered_roles()
        found: list[str] = []
        for each in twins:
            has, twin_has = self._both(each)
            rights = sorted(has.rights - twin_has.rights)
            kept_back = [right for right in rights if not may_pass_on(right, own.rights)]
            found += [
                f"{self._connection.account} cannot pass on {right}: {statement}"
                for right in kept_back
                for statement in grants([right], each.second)
            ]
            found += [
                f"{self._connection.account} does not administer the role {membership.role}: "
                f"{membership.grant(each.second)}"
                for membership in sorted(has.memberships - twin_has.memberships)
                if membership.role not in administered
            ]
            found += [
                f"{each.first.account} may act for {proxied}: "
                f"GRANT PROXY ON {quote_account(proxied)} TO {quote_account(each.second)}"
                for proxied in sorted(has.proxies - twin_has.proxies, key=str)
            ]
        return found

    def _equalise(self, twins: Iterable[Twins], *, second_is_idle: bool) -> None:
        for each in twins:
            has, twin_has = self._both(each)
            purpose = f"give {each.second} the rights of {each.first.account}"
            if second_is_idle:
                self._take_back(has, twin_has, each.second)
            missing = sorted(has.memberships - twin_has.memberships)
            statements = [membership.grant(each.second) for membership in missing]
            statements += grants(has.rights - twin_has.rights, each.second)
            if has.default_role != twin_has.default_role and (
                second_is_idle or not twin_has.default_role
            ):
                statements.append(default_role_statement(has.default_role, each.second))
            if second_is_idle and each.made and each.first.changeable() != each.made.changeable():
                statements.append(
                    f"ALTER USER {quote_account(each.second)} {each.first.changeable()}"
                )
            for statement in statements:
                self._connection.run(purpose, statement)

    def _rights_to_routines(
        self, account: Account, routines: Collection[Routine]
    ) -> dict[Routine, set[str]]:
        rights = self._possessions(account).rights
        return {
            (kind, database, name): {
                right.privilege
                for right in rights
                if Scope(kind, database, name).lies_in(right.scope)
            }
            for kind, database, name in routines
        }

    def _take_back(self, has: Possessions, twin_has: Possessions, second: Account) -> None:
        """Take from an idle second user what the first has not.

        What the administrator may not take away is left, and found by :meth:`differences`.
        """
        for statement in (
            *_memberships_taken(has, twin_has, second),
            *revocations(twin_has.rights - has.rights, second),
        ):
            self._connection.attempt(
                f"take from {second} what is too much", statement, expected=MAY_NOT
            )

    def _right_differences(self, twins: Twins, made: Holder) -> list[str]:
        first, second = twins.first.account, made.account
        has, twin_has = self._both(twins)
        found = [
            f"{second} lacks {right}: {statement}"
            for right in sorted(has.rights - twin_has.rights)
            for statement in grants([right], second)
        ]
        found += [
            f"{second} has {right}, {first} has not: {statement}"
            for right in sorted(twin_has.rights - has.rights)
            if not (right.scope.kind and covered(right, has.rights))
            for statement in revocations([right], second)
        ]
        found += [
            f"{second} lacks the role {membership.role}: {membership.grant(second)}"
            for membership in sorted(has.memberships - twin_has.memberships)
        ]
        found += [
            f"{second} has too much of a role: {statement}"
            for statement in _memberships_taken(has, twin_has, second)
        ]
        if has.default_role != twin_has.default_role:
            found.append(
                f"{second} has another default role than {first}: "
                + default_role_statement(has.default_role, second)
            )
        return found + [
            f"{one} may act for {proxied}, {other} may not: "
            f"GRANT PROXY ON {quote_account(proxied)} TO {quote_account(other)}"
            for one, other, more, less in (
                (first, second, has, twin_has),
                (second, first, twin_has, has),
            )
            for proxied in sorted(more.proxies - less.proxies, key=str)
        ]

    def _both(self, twins: Twins) -> tuple[Possessions, Possessions]:
        """Return what both have, save rights to what does not exist (any more)."""
        both = [self._possessions(account) for account in (twins.first.account, twins.second)]
        tables = {
            right.scope
            for each in both
            for right in each.rights
            if right.scope.name and not right.scope.kind
        }
        columns = self._columns(tables)
        first, second = (
            replace(
                each,
                rights=frozenset(
                    right
                    for right in each.rights
                    if right.scope not in tables
                    or right.column in columns.get(right.scope, frozenset())
                ),
            )
            for each in both
        )
        return first, second

    def _columns(self, tables: Collection[Scope]) -> dict[Scope, set[str]]:
        """Return the columns of those tables that exist; an empty name stands for the table."""
        found: dict[Scope, set[str]] = {}
        for table in sorted(tables):
            rows = self._connection.run(
                f"look at the table {table}",
                "SELECT COLUMN_NAME FROM information_schema.COLUMNS "
                "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
                table.database,
                table.name,
            )
            if rows:
                found[table] = {"", *(str(name) for (name,) in rows)}
        return found

    def _possessions(self, account: Account) -> Possessions:
        purpose = f"look at the rights of {account}"
        # As the catalogue writes it: without any escape.
        grantee = f"'{account.user}'@'{account.host}'"
        rows = {
            table: self._connection.run(
                purpose,
                f"SELECT {columns} FROM information_schema.{table} WHERE GRANTEE = %s",  # noqa: S608 (names from a table of ours)
                grantee,
            )
            for table, columns in CATALOGUES.items()
        }
        routines = self._connection.run(
            purpose,
            "SELECT Routine_type, Db, Routine_name, Proc_priv FROM mysql.procs_priv "
            "WHERE User = %s AND Host = %s",
            account.user,
            account.host,
        )
        memberships = self._connection.run(
            purpose,
            "SELECT Role, Admin_option = 'Y' FROM mysql.roles_mapping "
            "WHERE User = %s AND Host = %s",
            account.user,
            account.host,
        )
        proxies = self._connection.run(
            purpose,
            "SELECT Proxied_user, Proxied_host FROM mysql.proxies_priv "
            "WHERE User = %s AND Host = %s",
            account.user,
            account.host,
        )
        records = {each.account: each.record for each in self._known(account.user)}
        return Possessions(
            rights=frozenset(
                rights_in(
                    server=rows["USER_PRIVILEGES"],
                    databases=rows["SCHEMA_PRIVILEGES"],
                    tables=rows["TABLE_PRIVILEGES"],
                    columns=rows["COLUMN_PRIVILEGES"],
                    routines=routines,
                )
            ),
            memberships=frozenset(
                Membership(str(role), bool(admin)) for role, admin in memberships
            ),
            default_role=str(records.get(account, {}).get("default_role", "")),
            proxies=frozenset(Account(str(user), str(host)) for user, host in proxies),
        )

    def _administered_roles(self) -> set[str]:
        rows = self._connection.run(
            "ask which roles may be passed on",
            "SELECT ROLE_NAME FROM information_schema.APPLICABLE_ROLES WHERE IS_GRANTABLE = 'YES'",
        )
        return {str(name) for (name,) in rows}

    def _lifetime(self) -> tuple[int, int]:
        ((days, now),) = self._connection.run(
            "ask how long passwords last",
            "SELECT @@GLOBAL.default_password_lifetime, UNIX_TIMESTAMP()",
        )
        return int(days), int(now)


CATALOGUES: Mapping[str, str] = {
    "USER_PRIVILEGES": "PRIVILEGE_TYPE, IS_GRANTABLE",
    "SCHEMA_PRIVILEGES": "TABLE_SCHEMA, PRIVILEGE_TYPE, IS_GRANTABLE",
    "TABLE_PRIVILEGES": "TABLE_SCHEMA, TABLE_NAME, PRIVILEGE_TYPE, IS_GRANTABLE",
    "COLUMN_PRIVILEGES": "TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, PRIVILEGE_TYPE, IS_GRANTABLE",
}
"""The tables of ``information_schema`` that list rights, and the columns that matter."""

MARKER_PREFIX = "secret-rotation:"
MARKER_DIGITS = 40


def marker(pair: Pair) -> str:
    """Return the name of the role that marks the pair's second user."""
    identity = json.dumps([pair.owner, pair.first, pair.second])
    return MARKER_PREFIX + hashlib.sha256(identity.encode()).hexdigest()[:MARKER_DIGITS]


def _memberships_taken(has: Possessions, twin_has: Possessions, second: Account) -> list[str]:
    """Return the statements that take from the second user what it has too much of roles."""
    roles = {membership.role for membership in has.memberships}
    return [
        membership.revocation(second, admin_only=membership.role in roles)
        for membership in sorted(twin_has.memberships - has.memberships)
        if membership.role not in roles or membership.with_admin
    ]


SECONDS_A_DAY = 86_400


def _problem(known: Known, default_lifetime: int, now: int) -> DatabaseError | None:
    record = known.record
    if record.get("account_locked"):
        return AccountLocked(f"The account {known.account} is locked.")
    changed = record.get("password_last_changed")
    days = record.get("password_lifetime", -1)
    days = default_lifetime if days < 0 else days
    # 0 is how PASSWORD EXPIRE is stored; accounts older than the column have none.
    too_old = changed is not None and days > 0 and changed + days * SECONDS_A_DAY < now
    if changed == 0 or too_old:
        return PasswordExpired(f"The password of {known.account} has expired.")
    return None


def identified(
    ways: Sequence[Way], passwords: Sequence[str], *, clear: bool
) -> tuple[str, list[Argument]]:
    """Return the ``IDENTIFIED VIA`` clause that puts ``passwords`` in the place of all old ones.

    Args:
        ways: How the account logs in now.
        passwords: In the order in which the server is to try them.
        clear: Give the server the passwords instead of their hashes.

    Returns:
        The clause with ``%s`` for each argument, and the arguments.
    """
    kept = [way for way in ways if way.plugin in OTHERS_WITHOUT_PASSWORD]
    using = "%s USING PASSWORD(%s)" if clear else "%s USING %s"
    parts, arguments = [], list[Argument]()
    for password in passwords:
        parts.append(using)
        arguments += [NATIVE, password if clear else native_hash(password)]
    for way in kept:
        parts.append("%s USING %s" if way.kept else "%s")
        arguments += [way.plugin, way.kept] if way.kept else [way.plugin]
    return f"IDENTIFIED VIA {' OR '.join(parts)}", arguments


def count_passwords(statement: str) -> int:
    """Count the passwords in the answer to SHOW CREATE USER.

    Args:
        statement: ``CREATE USER `u`@`h` IDENTIFIED VIA mysql_native_password USING '*..' OR ...``.
    """
    # What is quoted could hold anything: a user name with the words, say.
    bare = re.sub(r"`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'", "''", statement)
    return len(re.findall(rf"\b{NATIVE}\b|\bIDENTIFIED BY PASSWORD\b", bare))
