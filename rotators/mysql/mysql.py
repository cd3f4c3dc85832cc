"""Sessions with MySQL 8.0 to 9.x and Aurora MySQL.

The second user of a pair has the *first user as a role*, active by default: in MySQL 8 an account
can be granted like a role. So the second has whatever the first has, down to partial revokes and
the right to grant, and loses it at the same moment; an administrator needs ROLE_ADMIN for it, but
none of the rights themselves. ``CREATE USER ... DEFAULT ROLE`` makes and grants in one atomic
statement, which also holds the mark (ATTRIBUTE).

Two things differ for a role, and are obstacles: roles of the first that are not active by default
would be active for the second, and of several database patterns that fit a database a login uses
the narrowest, a role another.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations
from typing import Any, ClassVar

from rotators.mysql import caching_sha2
from rotators.mysql.accounts import (
    clauses,
    kept_passwords,
    mark_of,
    marking,
    native_hash,
    version_numbers,
)
from rotators.mysql.connection import (
    Account,
    Argument,
    Connection,
    Row,
    quote_account,
    quote_name,
    quote_text,
)
from rotators.mysql.grants import (
    Right,
    has_wildcard,
    implied,
    patterns_overlap,
    read_grants,
    target,
)
from rotators.mysql.pairs import OF_A_MAKER, Holder, PairSession, Routine, Twins
from rotators.mysql.session import (
    KnownAccount,
    each_account,
    host_fits,
    not_a_password,
    specificity,
)
from shared.errors import (
    AccountLocked,
    AccountMissing,
    CapabilityMissing,
    DatabaseError,
    PasswordExpired,
    PasswordRejected,
    PermissionDenied,
)
from shared.session import Pair

PASSWORD_PLUGINS = frozenset({"caching_sha2_password", "sha256_password", "mysql_native_password"})
"""Under any other plugin ``IDENTIFIED BY`` succeeds and changes nothing."""

TWO_PASSWORDS_SINCE = (8, 0, 14)
SECOND_USER_SINCE = (8, 0, 21)
"""``ATTRIBUTE``, which holds the mark."""

MAY_NOT = frozenset({1044, 1045, 1142, 1143, 1227, 1370, 3879})
"""Answers to a REVOKE of what the administrator does not hold himself."""
YES = "Y"
DENIED = 1227
SYNTAX = 1064
"""The server is older than a clause."""
POLICY = 1819
USED_BEFORE = 3638
WRONG_CURRENT = 3891
NEEDS_CURRENT = 3892

NO_SUCH_STRATEGY = (
    "Choose single-user or alternating-users with the tag rotation:strategy, or upgrade the server."
)
STUCK_HINT = (
    "The account's password policy (PASSWORD HISTORY, PASSWORD REQUIRE CURRENT) keeps the user "
    "from making AWSCURRENT its first password again after an abandoned rotation. Name an "
    "administrator in the secret's `masterarn`, or take the policy off for one rotation: "
    "ALTER USER ... PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 0 DAY PASSWORD REQUIRE CURRENT "
    "OPTIONAL."
)


class MysqlSession(PairSession):
    """A session with MySQL.

    MySQL writes ``<secret>`` to its logs where a statement has a password, also when the statement
    fails.
    """

    longest_name: ClassVar[int] = 32

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.version = version_numbers(connection.version)

    # One password

    def _change_own(self, password: str) -> None:
        account, purpose = self._connection.account, "change its own password"
        refused = self._connection.attempt(
            purpose, "ALTER USER %s IDENTIFIED BY %s", account, password, expected={NEEDS_CURRENT}
        )
        if refused:
            # PASSWORD REQUIRE CURRENT. Not said unasked: it is an error for a second password.
            self._connection.run(
                purpose,
                "ALTER USER %s IDENTIFIED BY %s REPLACE %s",
                account,
                password,
                self._connection.login.password,
            )
        # ALTER USER keeps a second password that an earlier strategy left. Whether there is one, a
        # plain user may not see; without the right to discard it he could not have made it either.
        self._connection.attempt(
            "discard its old password",
            "ALTER USER %s DISCARD OLD PASSWORD",
            account,
            expected={DENIED, SYNTAX},
        )

    def _change_other(self, accounts: list[Account], password: str) -> None:
        changes, arguments = each_account("IDENTIFIED BY %s", accounts, password)
        self._change(accounts, changes, arguments)

    def _set_idle_password(
        self,
        twins: Iterable[Twins],
        created: Collection[Account],
        password: str,
        *,
        second_is_idle: bool,
    ) -> None:
        """Set the password; a second user logs in through the plugin of the first besides.

        What the first user's clients can do, those of the second can: both are the same programs.
        """
        if not second_is_idle:
            super()._set_idle_password(twins, created, password, second_is_idle=False)
            return
        changing = [each for each in twins if each.second not in created]
        if not changing:
            return
        arguments: list[Argument] = []
        for each in changing:
            arguments += [each.second, each.first.plugin, password]
        changes = ", ".join(["%s IDENTIFIED WITH %s BY %s"] * len(changing))
        self._change([each.second for each in changing], changes, arguments)

    def _change(self, accounts: list[Account], changes: str, arguments: list[Argument]) -> None:
        username = accounts[0].user
        self._connection.run(
            f"change the password of {username}", f"ALTER USER {changes}", *arguments
        )
        doubled = [
            account
            for account, row in self._rows(username).items()
            if account in accounts and len(kept_passwords(row)) > 1
        ]
        if doubled:
            changes, arguments = each_account("DISCARD OLD PASSWORD", doubled)
            purpose = f"discard the old password of {username}"
            self._connection.run(purpose, f"ALTER USER {changes}", *arguments)

    def _known_accounts(self, username: str) -> list[KnownAccount]:
        return [
            KnownAccount(account, _problem(account, row))
            for account, row in self._rows(username).items()
        ]

    def _password_accounts(self, username: str) -> list[Account]:
        rows = self._rows(username)
        if not rows:
            raise AccountMissing(f"User {username} does not exist.")
        found = [account for account, row in rows.items() if row["plugin"] in PASSWORD_PLUGINS]
        if not found:
            raise not_a_password(username, (str(row["plugin"]) for row in rows.values()))
        return found

    def _rows(self, username: str) -> dict[Account, Mapping[str, Any]]:
        """Return the accounts of a name with their rows in ``mysql.user``.

        All columns, since they differ from version to version.
        """
        rows = self._connection.records(
            f"look at the accounts of {username}",
            "SELECT *, COALESCE(password_lifetime, @@GLOBAL.default_password_lifetime) > 0 "
            "AND password_last_changed < NOW() - INTERVAL COALESCE(password_lifetime, "
            "@@GLOBAL.default_password_lifetime) DAY AS too_old "
            "FROM mysql.user WHERE User = %s ORDER BY Host",
            username,
        )
        # The column's collation takes names that differ in trailing spaces for equal.
        return {Account(row["User"], row["Host"]): row for row in rows if row["User"] == username}

    # Two passwords

    def set_both(self, username: str, new: str, old: str) -> None:
        """Make ``new`` and ``old`` the passwords; see :class:`shared.session.TwoPasswords`.

        RETAIN keeps the password that was the first, whichever that is, and evicts the second. So
        ``old`` is made the first before: the state it was in does not matter, and at no moment is
        ``old`` neither.
        """
        if self.version < TWO_PASSWORDS_SINCE:
            raise CapabilityMissing(
                f"MySQL {self._connection.version} has no second passwords (8.0.14 and later).",
                hint=NO_SUCH_STRATEGY,
            )
        self._require_writable()
        if username == self._connection.login.username:
            self._require_named_account()
            self._set_own_two(new, old)
            return
        for account in self._password_accounts(username):
            if not self._make_first(account, old, new):
                continue
            self._connection.run(
                f"add a password to {account}",
                "ALTER USER %s IDENTIFIED BY %s RETAIN CURRENT PASSWORD",
                account,
                new,
            )

    def _set_own_two(self, new: str, old: str) -> None:
        account, purpose = self._connection.account, "add a password of its own"
        obstructed = self._connection.attempt(
            "make the current password the first one",
            "ALTER USER %s IDENTIFIED BY %s",
            account,
            old,
            expected={POLICY, USED_BEFORE, NEEDS_CURRENT},
        )
        if not obstructed:
            failed = self._connection.attempt(
                purpose,
                "ALTER USER %s IDENTIFIED BY %s RETAIN CURRENT PASSWORD",
                account,
                new,
                expected={DENIED},
            )
        else:
            # REPLACE asserts that the current password is the first one, else nothing is changed.
            failed = self._connection.attempt(
                purpose,
                "ALTER USER %s IDENTIFIED BY %s REPLACE %s RETAIN CURRENT PASSWORD",
                account,
                new,
                old,
                expected={DENIED, WRONG_CURRENT},
            )
        if failed == DENIED:
            raise PermissionDenied(
                f"{account} may not keep a second password.",
                hint=f"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO {account}; or name an "
                "administrator in the secret's `masterarn`.",
            )
        if failed:
            raise PasswordRejected(
                f"The current password of {account} is its second one and cannot become the first.",
                hint=STUCK_HINT,
            )

    def _make_first(self, account: Account, old: str, new: str) -> bool:
        """Make ``old``, which works, the first password of another user's account.

        Returns:
            False when the account has both passwords already and should be left alone.
        """
        purpose = f"make the current password of {account} the first one"
        obstructed = self._connection.attempt(
            purpose,
            "ALTER USER %s IDENTIFIED BY %s",
            account,
            old,
            expected={POLICY, USED_BEFORE},
        )
        if not obstructed:
            return True
        row = self._rows(account.user)[account]
        plugin, (first, *second) = str(row["plugin"]), kept_passwords(row)
        if not second or _fits(old, plugin, first):
            return True
        if _fits(new, plugin, first):
            return False
        # The history refuses passwords, not hashes; and this one is the account's own.
        self._connection.run(
            purpose,
            f"ALTER USER %s IDENTIFIED WITH %s AS 0x{second[0].hex()}",
            account,
            plugin,
        )
        return True

    # A second user

    def made(self, pair: Pair) -> bool | None:
        """Say whether the second user is ours; see :class:`shared.session.SecondUser`."""
        rows = self._rows(pair.second)
        if not rows:
            return None
        return all(mark_of(row) == (pair.owner, pair.first) for row in rows.values())

    def adoption(self, pair: Pair) -> str:
        """Return the statement that marks existing accounts of the second user."""
        accounts = list(self._rows(pair.second)) or [Account(pair.second, "%")]
        names = ", ".join(quote_account(account) for account in accounts)
        return f"ALTER USER {names} ATTRIBUTE {quote_text(marking(pair))}"

    def _require_second_user(self) -> None:
        if self.version < SECOND_USER_SINCE:
            raise CapabilityMissing(
                f"MySQL {self._connection.version} cannot mark a second user (8.0.21 and later).",
                hint="Choose single-user or dual-password with the tag rotation:strategy, or "
                "upgrade the server.",
            )

    def _holders(self, username: str) -> dict[Account, Holder]:
        return {
            account: Holder(account, row["plugin"], row["plugin"] in PASSWORD_PLUGINS, clauses(row))
            for account, row in self._rows(username).items()
        }

    def _obstacles(self, twins: Iterable[Twins]) -> list[str]:
        found: list[str] = []
        twins = list(twins)
        accounts = [each.first.account for each in twins]
        for each in twins:
            account = each.first.account
            found += self._lent(account, accounts)
            active = self._active_roles(account)
            found += [
                f"role {role} is granted to {account} but not active by default, and would always "
                f"be for {each.second}: SET DEFAULT ROLE ALL TO {quote_account(account)}"
                for role in sorted(self._granted_roles(account) - active, key=str)
            ]
            if not active:
                found += self._overlaps(account)
            proxies = {right for right in self._rights(account) if right.privilege == "PROXY"}
            if each.made is not None:
                proxies -= self._rights(each.second)
            # What a role may act for, whoever has the role may not.
            found += [
                f"{account} has {right}: {right.statement(quote_account(each.second))}"
                for right in sorted(proxies)
            ]
        return found

    def _lent(self, account: Account, others: Iterable[Account]) -> list[str]:
        """List rights that the server lends an account from its namesakes for wider hosts.

        For databases, tables and routines, not for the whole server: MySQL looks these up by user
        name and client, not by account. A role lends only its own.
        """
        own = self._rights(account)
        return [
            f"{account} uses {right} of {other}, {quote_name(account.user)} as a role would not: "
            f"{right.statement(quote_account(account))}"
            for other in others
            if lends(other.host, account.host)
            for right in sorted(self._rights(other))
            if right.target not in ("", "*.*")
            and right.verb == "GRANT"
            and right.privilege != "PROXY"
            and right not in own
        ]

    def _overlaps(self, account: Account) -> list[str]:
        """List overlapping database patterns: for the first as a login the narrowest counts."""
        ((literal,),) = self._connection.run(
            "ask how database names are read", "SELECT @@GLOBAL.partial_revokes"
        )
        if literal:
            return []
        rows = self._connection.records(
            f"look at the databases of {account}",
            "SELECT * FROM mysql.db WHERE User = %s AND Host = %s ORDER BY Db",
            account.user,
            account.host,
        )
        rights = {
            str(row["Db"]): {name: value for name, value in row.items() if name.endswith("_priv")}
            for row in rows
        }
        return [
            f"{account} has different rights on {quote_name(one)} and {quote_name(other)}, which "
            "overlap: MySQL would use another of them for a second user than for the first. "
            f"GRANT the same on both, or REVOKE ALL ON {quote_name(one)}.* FROM "
            f"{quote_account(account)}"
            for one, other in combinations(rights, 2)
            if (has_wildcard(one) or has_wildcard(other))
            and rights[one] != rights[other]
            and patterns_overlap(one, other)
        ]

    def _create(self, twins: Iterable[Twins], password: str, pair: Pair) -> list[Account]:
        created = []
        for each in twins:
            if each.made is not None:
                continue
            options = each.first.changeable().replace("%", "%%")
            denied = self._connection.attempt(
                f"create the user {each.second}",
                f"CREATE USER %s IDENTIFIED WITH %s BY %s DEFAULT ROLE %s {options} ATTRIBUTE %s",
                each.second,
                each.first.plugin,
                password,
                each.first.account,
                marking(pair),
                expected={DENIED},
            )
            if denied:
                raise self._may_not_share(each)
            created.append(each.second)
        return created

    def _may_not_share(self, twins: Twins) -> PermissionDenied:
        return PermissionDenied(
            f"{self._connection.account} may not create {twins.second} with "
            f"{twins.first.account} as its role.",
            hint=f"GRANT CREATE USER, ROLE_ADMIN ON *.* TO {self._connection.account}; where "
            f"{twins.first.account} has SYSTEM_USER, that as well.",
        )

    def _equalise(self, twins: Iterable[Twins], *, second_is_idle: bool) -> None:
        for each in twins:
            if each.made is not None:
                self._equalise_roles(each, second_is_idle=second_is_idle)
                if second_is_idle:
                    self._take_back(each, each.made)

    def _equalise_roles(self, twins: Twins, *, second_is_idle: bool) -> None:
        first, second = twins.first.account, twins.second
        granted, default = self._granted_roles(second), self._default_roles(second)
        purpose = f"give {second} the role {first}"
        if first not in granted:
            self._connection.run(purpose, "GRANT %s TO %s", first, second)
        for role in granted - {first} if second_is_idle else set():
            self._connection.run(
                f"take the role {role} from {second}", "REVOKE %s FROM %s", role, second
            )
        wanted = {first} if second_is_idle else default | {first}
        if default != wanted:
            roles = ", ".join(["%s"] * len(wanted))
            self._connection.run(
                purpose, f"ALTER USER %s DEFAULT ROLE {roles}", second, *sorted(wanted, key=str)
            )

    def _take_back(self, twins: Twins, made: Holder) -> None:
        """Leave an idle second user nothing but its role, under the first user's conditions."""
        account = made.account
        # One by one: an administrator under partial revokes may not REVOKE ALL.
        for right in sorted(self._rights(account)):
            if right.target and right.verb == "GRANT" and right.privilege != "PROXY":
                self._connection.attempt(
                    f"take {right} from {account}",
                    right.statement(quote_account(account), reverse=True),
                    expected=MAY_NOT,
                )
        if twins.first.changeable() != made.changeable():
            self._connection.run(
                f"give {account} the conditions of {twins.first.account}",
                f"ALTER USER {quote_account(account)} {twins.first.changeable()}",
            )

    def _right_differences(self, twins: Twins, made: Holder) -> list[str]:
        first, second = twins.first.account, made.account
        has = self._effective_rights(first)
        direct, twin_has = self._rights(second), self._effective_rights(second)
        here, there = quote_account(first), quote_account(second)
        missing = [
            f"{second} lacks {right}: GRANT {here} TO {there}; "
            f"ALTER USER {there} DEFAULT ROLE {here}"
            for right in sorted(has - twin_has)
        ]
        extra = [
            f"{second} has {right}, {first} has not: "
            + (
                right.statement(there, reverse=True)
                if right in direct
                else f"SET DEFAULT ROLE ALL TO {here}"
            )
            for right in sorted(twin_has - has - {role_of(first)})
            if not implied(right, has)
        ]
        return missing + extra

    def _effective_rights(self, account: Account) -> set[Right]:
        """Return the rights that the account has when it logs in.

        Roles that it may not pass on are left out: what they stand for is in the list.
        """
        active = self._active_roles(account)
        return self._rights(account, *active) - {role_of(role) for role in active}

    def _rights_to_routines(
        self, account: Account, routines: Collection[Routine]
    ) -> dict[Routine, set[str]]:
        rights = self._effective_rights(account)
        return {
            routine: {
                name
                for name in OF_A_MAKER
                if implied(Right("GRANT", name, target(*routine)), rights)
            }
            for routine in routines
        }

    def _rights(self, account: Account, *active: Account) -> set[Right]:
        """Return what the account has itself and through the roles, as SHOW GRANTS tells it."""
        using = " USING " + ", ".join(["%s"] * len(active)) if active else ""
        lines = self._connection.run(
            f"look at the rights of {account}", f"SHOW GRANTS FOR %s{using}", account, *active
        )
        return read_grants(str(line) for (line,) in lines)

    def _active_roles(self, account: Account) -> set[Account]:
        """Return the roles that the account has when it logs in."""
        ((all_roles,),) = self._connection.run(
            "ask which roles are active", "SELECT @@GLOBAL.activate_all_roles_on_login"
        )
        return self._granted_roles(account) if all_roles else self._default_roles(account)

    def _granted_roles(self, account: Account) -> set[Account]:
        return _accounts(
            self._connection.run(
                f"look at the roles of {account}",
                "SELECT FROM_USER, FROM_HOST FROM mysql.role_edges "
                "WHERE TO_USER = %s AND TO_HOST = %s",
                account.user,
                account.host,
            )
        )

    def _default_roles(self, account: Account) -> set[Account]:
        return _accounts(
            self._connection.run(
                f"look at the default roles of {account}",
                "SELECT DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles "
                "WHERE USER = %s AND HOST = %s",
                account.user,
                account.host,
            )
        )


def lends(wide: str, narrow: str) -> bool:
    """Say whether an account for the host ``wide`` lends its rights to one for ``narrow``."""
    if specificity(wide) <= specificity(narrow):
        return False
    return "/" in narrow or host_fits(wide, narrow) or patterns_overlap(wide, narrow)


def role_of(account: Account) -> Right:
    """Return the right of who has this account as a role, as SHOW GRANTS writes it."""
    return Right("GRANT", f"{quote_name(account.user)}@{quote_name(account.host)}", "")


def _accounts(rows: Iterable[Row]) -> set[Account]:
    return {Account(str(user), str(host)) for user, host in rows}


def _fits(password: str, plugin: str, kept: bytes) -> bool:
    if plugin == "mysql_native_password":
        return native_hash(password).encode() == kept
    return caching_sha2.fits(password, kept)


def _problem(account: Account, row: Mapping[str, Any]) -> DatabaseError | None:
    if row["account_locked"] == YES:
        return AccountLocked(f"The account {account} is locked.")
    if row["password_expired"] == YES or row["too_old"]:
        return PasswordExpired(f"The password of {account} has expired.")
    return None
