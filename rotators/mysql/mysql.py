"""Sessions with MySQL 8.0 to 9.x and Aurora MySQL.

The second user of a pair has the *first user as a role*, active by default: in MySQL 8 an account
can be granted like a role. So the second has whatever the first has, down to partial revokes and
the right to grant, and loses it at the same moment; an administrator needs ROLE_ADMIN for it, but
none of the rights themselves. ``CREATE USER ... DEFAULT ROLE`` makes and grants in one atomic
statement, which also holds the mark (ATTRIBUTE).

Four things are not the same for a role, and are obstacles: roles of the first that are not active
by default would be for the second; of several database patterns that fit a database, a login uses
the narrowest, a role another; the server lends an account rights of its namesakes for wider hosts,
but not through a role; nor does a role lend GRANT PROXY.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import ClassVar

from rotators.mysql import error_codes
from rotators.mysql.connection import (
    Account,
    Argument,
    Connection,
    quote_account,
    quote_name,
    quote_text,
)
from rotators.mysql.engine import MYSQL
from rotators.mysql.hosts import has_wildcard, lends, patterns_overlap
from rotators.mysql.mysql_accounts import (
    account_record,
    has_conditions,
    kept_passwords,
    mark_in,
    mark_of,
    marking,
    version_numbers,
)
from rotators.mysql.mysql_grants import (
    MysqlRight,
    accounts_in,
    implied,
    read_grants,
    role_of,
    target,
)
from rotators.mysql.pairs import OF_A_MAKER, PairSession, Routine, Twins
from rotators.mysql.password_hashes import fits
from rotators.mysql.session import AccountRecord, each_account
from shared.engine import Engine
from shared.errors import PasswordRejected, PermissionDenied
from shared.session import Ownership, Pair
from shared.settings import StrategyName

SECOND_USER_SINCE = (8, 0, 21)
"""``ATTRIBUTE``, which holds the mark."""
SINCE = {
    StrategyName.DUAL_PASSWORD: (8, 0, 14),
    StrategyName.ALTERNATING_USERS: SECOND_USER_SINCE,
}

SYNTAX = 1064
"""The server is older than a clause."""
POLICY = 1819
USED_BEFORE = 3638
WRONG_CURRENT = 3891
NEEDS_CURRENT = 3892

STUCK_HINT = (
    "The account's password policy (PASSWORD HISTORY, PASSWORD REQUIRE CURRENT) keeps the user "
    "from making AWSCURRENT its first password again after an abandoned rotation. Name an "
    "administrator in the secret's `masterarn`, or take the policy off for one rotation: "
    "ALTER USER ... PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 0 DAY PASSWORD REQUIRE CURRENT "
    "OPTIONAL."
)


@dataclass(slots=True)
class MysqlPairRights:
    """What is known of the rights of a pair's accounts.

    Attributes:
        granted: By account, the roles it has.
        default: By account, the roles that are active when it logs in.
        reads_patterns: Whether ``%`` and ``_`` in the database of a grant are wildcards.
        show_grants: Asks for the rights of an account, its own and those of the roles given.
    """

    granted: Mapping[Account, set[Account]]
    default: Mapping[Account, set[Account]]
    reads_patterns: bool
    show_grants: Callable[[Account, Collection[Account]], set[MysqlRight]]
    _known: dict[tuple[Account, frozenset[Account]], set[MysqlRight]] = field(default_factory=dict)

    def own(self, account: Account) -> set[MysqlRight]:
        """Return the account's own rights; asked for once."""
        return self._ask(account, frozenset())

    def effective(self, account: Account) -> set[MysqlRight]:
        """Return the rights that the account has when it logs in.

        Roles that it may not pass on are left out: what they stand for is in the list.
        """
        active = frozenset(self.default[account])
        return self._ask(account, active) - {role_of(role) for role in active}

    def _ask(self, account: Account, active: frozenset[Account]) -> set[MysqlRight]:
        key = account, active
        if key not in self._known:
            self._known[key] = self.show_grants(account, active)
        return self._known[key]


class MysqlSession(PairSession[MysqlPairRights]):
    """A session with MySQL.

    MySQL writes ``<secret>`` to its logs where a statement has a password, also when the statement
    fails.
    """

    engine: ClassVar[Engine] = MYSQL
    longest_name: ClassVar[int] = 32

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.version = version_numbers(connection.version)

    def unable(self, strategy: StrategyName) -> str | None:
        """Say that the server is too old; see :meth:`shared.session.Session.unable`."""
        since = SINCE.get(strategy, ())
        if self.version >= since:
            return None
        wanted = ".".join(map(str, since))
        return f"The server is MySQL {self._connection.version}: {wanted} or later can do it."

    def _records_of(self, *usernames: str) -> list[AccountRecord]:
        # All columns, since they differ from version to version.
        rows = self._connection.records(
            f"look at the accounts of {' and '.join(usernames)}",
            "SELECT * FROM mysql.user WHERE User IN %s ORDER BY User, Host",
            usernames,
        )
        # The column's collation takes names that differ in trailing spaces for equal.
        return [account_record(row) for row in rows if row["User"] in usernames]

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
            expected={error_codes.ACCESS_DENIED, SYNTAX},
        )

    def _change_other(self, records: Sequence[AccountRecord], password: str) -> None:
        accounts = [each.account for each in records]
        self._change(records, *each_account("IDENTIFIED BY %s", accounts, password))

    def _change_seconds(self, twins: Sequence[Twins], password: str) -> None:
        """Set the password, to be used through the plugin that the first user has.

        What the first user's clients can do, those of the second can: they are the same programs.
        """
        arguments: list[Argument] = []
        for each in twins:
            arguments += [each.second, each.first.plugin, password]
        changes = ", ".join(["%s IDENTIFIED WITH %s BY %s"] * len(twins))
        self._change([each.made for each in twins if each.made], changes, arguments)

    def _change(
        self, records: Sequence[AccountRecord], changes: str, arguments: Sequence[Argument]
    ) -> None:
        username = records[0].account.user
        self._connection.run(
            f"change the password of {username}", f"ALTER USER {changes}", *arguments
        )
        doubled = [each.account for each in records if len(kept_passwords(each.entry)) > 1]
        if doubled:
            changes, arguments = each_account("DISCARD OLD PASSWORD", doubled)
            purpose = f"discard the old password of {username}"
            self._connection.run(purpose, f"ALTER USER {changes}", *arguments)

    # Two passwords

    def add_password(self, new: str, old: str) -> bool:
        """Make ``old`` the second password; see :class:`shared.session.OwnTwoPasswords`.

        REPLACE asserts that it is the first now, else nothing is changed.
        """
        self._require_writable()
        self._require_named_account()
        failed = self._retain_own(
            "ALTER USER %s IDENTIFIED BY %s REPLACE %s RETAIN CURRENT PASSWORD",
            new,
            old,
            expected={WRONG_CURRENT},
        )
        return failed is None

    def set_both(self, username: str, new: str, old: str) -> None:
        """Make ``new`` and ``old`` the passwords; see :class:`shared.session.TwoPasswords`.

        RETAIN keeps the password that was the first, whichever that is, and evicts the second. So
        ``old`` is made the first before: the state it was in does not matter, and at no moment is
        ``old`` neither.
        """
        self._require_writable()
        if username == self._connection.login.username:
            self._require_named_account()
            self._set_own_two(new, old)
            return
        for each in self._with_password(username):
            if self._make_first(each, old, new):
                self._connection.run(
                    f"add a password to {each.account}",
                    "ALTER USER %s IDENTIFIED BY %s RETAIN CURRENT PASSWORD",
                    each.account,
                    new,
                )

    def _set_own_two(self, new: str, old: str) -> None:
        account = self._connection.account
        obstructed = self._connection.attempt(
            "make the current password the first one",
            "ALTER USER %s IDENTIFIED BY %s",
            account,
            old,
            expected={POLICY, USED_BEFORE, NEEDS_CURRENT},
        )
        if not obstructed:
            self._retain_own("ALTER USER %s IDENTIFIED BY %s RETAIN CURRENT PASSWORD", new)
        elif not self.add_password(new, old):
            raise PasswordRejected(
                f"The current password of {account} is its second one and cannot become the first.",
                hint=STUCK_HINT,
            )

    def _retain_own(
        self, statement: str, *passwords: str, expected: Collection[int] = ()
    ) -> int | None:
        """Keep a second password of its own; return which expected answer was given, if any.

        Raises:
            PermissionDenied: The account may not.
        """
        account = self._connection.account
        failed = self._connection.attempt(
            "add a password of its own",
            statement,
            account,
            *passwords,
            expected={error_codes.ACCESS_DENIED, *expected},
        )
        if failed == error_codes.ACCESS_DENIED:
            raise PermissionDenied(
                f"{account} may not keep a second password.",
                hint=f"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO {quote_account(account)}; or "
                "name an administrator in the secret's `masterarn`.",
            )
        return failed

    def _make_first(self, known: AccountRecord, old: str, new: str) -> bool:
        """Make ``old``, which works, the first password of another user's account.

        Returns:
            False when the account has both passwords already and should be left alone.
        """
        purpose = f"make the current password of {known.account} the first one"
        obstructed = self._connection.attempt(
            purpose,
            "ALTER USER %s IDENTIFIED BY %s",
            known.account,
            old,
            expected={POLICY, USED_BEFORE},
        )
        if not obstructed:
            return True
        first, *second = kept_passwords(known.entry)
        if not second or fits(old, known.plugin, first):
            return True
        if fits(new, known.plugin, first):
            return False
        # The history refuses passwords, not hashes; and this one is the account's own.
        self._connection.run(
            purpose,
            f"ALTER USER %s IDENTIFIED WITH %s AS 0x{second[0].hex()}",
            known.account,
            known.plugin,
        )
        return True

    # A second user

    def ownership(self, pair: Pair) -> Ownership:
        """Say whose the second user is; see :class:`shared.session.SecondUser`."""
        records = self._records_of(pair.second)
        if not records:
            return Ownership.MISSING
        ours = all(mark_of(each.entry) == (pair.owner, pair.first) for each in records)
        return Ownership.OURS if ours else Ownership.FOREIGN

    def adoption(self, pair: Pair) -> str:
        """Return the statement that marks existing accounts of the second user."""
        accounts = [each.account for each in self._records_of(pair.second)]
        names = ", ".join(map(quote_account, accounts or [Account(pair.second, "%")]))
        return f"ALTER USER {names} ATTRIBUTE {quote_text(marking(pair))}"

    def acts_as(self) -> str | None:
        """Return the first user's name if the session has that account as an active role.

        Its own user's name otherwise: also where it is a second user whose role is not active. A
        second user reads in its own mark who the first is. Other active roles do not matter.
        """
        if self.version < SECOND_USER_SINCE:
            return None
        account = self._connection.account
        ((active, attribute),) = self._connection.run(
            "ask which roles are active",
            "SELECT CURRENT_ROLE(), (SELECT ATTRIBUTE FROM information_schema.USER_ATTRIBUTES "
            "WHERE USER = %s AND HOST = %s)",
            account.user,
            account.host,
        )
        mark = mark_in(json.loads(attribute or "{}"))
        if mark is not None:
            _, first = mark
            if role_of(Account(first, account.host)).privilege in accounts_in(str(active)):
                return first
        return account.user

    def should_act_as(self, username: str, pair: Pair) -> str | None:
        """Return the first user's name, for either user of the pair."""
        del username
        return pair.first

    def _read(self, twins: Sequence[Twins]) -> MysqlPairRights:
        accounts = [account for each in twins for account in (each.first.account, each.second)]
        users = tuple(sorted({account.user for account in accounts}))
        edges = self._connection.run(
            f"look at the roles of {' and '.join(users)}",
            "SELECT 'granted', TO_USER, TO_HOST, FROM_USER, FROM_HOST FROM mysql.role_edges "
            "WHERE TO_USER IN %s UNION ALL "
            "SELECT 'default', USER, HOST, DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST "
            "FROM mysql.default_roles WHERE USER IN %s",
            users,
            users,
        )
        ((all_are_active, literal),) = self._connection.run(
            "ask how roles and patterns are read",
            "SELECT @@GLOBAL.activate_all_roles_on_login, @@GLOBAL.partial_revokes",
        )
        roles: dict[str, dict[Account, set[Account]]] = {
            kind: {account: set() for account in accounts} for kind in ("granted", "default")
        }
        for kind, user, host, role_user, role_host in edges:
            roles[kind].setdefault(Account(user, host), set()).add(Account(role_user, role_host))
        return MysqlPairRights(
            granted=roles["granted"],
            default=roles["granted" if all_are_active else "default"],
            reads_patterns=not literal,
            show_grants=self._show_grants,
        )

    def _show_grants(self, account: Account, active: Collection[Account]) -> set[MysqlRight]:
        using = " USING " + ", ".join(["%s"] * len(active)) if active else ""
        lines = self._connection.run(
            f"look at the rights of {account}", f"SHOW GRANTS FOR %s{using}", account, *active
        )
        return read_grants(str(line) for (line,) in lines)

    def _held_for_routine(
        self, account: Account, routine: Routine, found: MysqlPairRights
    ) -> set[str]:
        effective = found.effective(account)
        return {
            name
            for name in OF_A_MAKER
            if implied(MysqlRight("GRANT", name, target(*routine)), effective)
        }

    def _obstacles(self, twins: Sequence[Twins], found: MysqlPairRights) -> list[str]:
        accounts = [each.first.account for each in twins]
        lines: list[str] = []
        for each in twins:
            account = each.first.account
            here = quote_account(account)
            lines += _lent(account, accounts, found)
            lines += [
                f"role {role} is granted to {account} but not active by default, and would always "
                f"be for {each.second}: SET DEFAULT ROLE ALL TO {here}"
                for role in sorted(found.granted[account] - found.default[account], key=str)
            ]
            if found.reads_patterns and not found.default[account]:
                lines += self._overlaps(account)
            proxies = {right for right in found.own(account) if right.privilege == "PROXY"}
            if each.made is not None:
                proxies -= found.own(each.second)
            lines += [
                f"{account} has {right}, which no role lends: "
                f"{right.statement(quote_account(each.second))}"
                for right in sorted(proxies)
            ]
        return lines

    def _overlaps(self, account: Account) -> list[str]:
        """List database patterns that overlap: of these a login uses the narrowest alone."""
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

    def _create(self, twins: Sequence[Twins], password: str, pair: Pair) -> list[Account]:
        created = []
        for each in twins:
            if each.made is not None:
                continue
            conditions = each.first.changeable()
            options = conditions.replace("%", "%%")
            denied = self._connection.attempt(
                f"create the user {each.second}",
                f"CREATE USER %s IDENTIFIED WITH %s BY %s DEFAULT ROLE %s {options} ATTRIBUTE %s",
                each.second,
                each.first.plugin,
                password,
                each.first.account,
                marking(pair, conditions),
                expected={error_codes.ACCESS_DENIED},
            )
            if denied:
                raise self._may_not_share(each)
            created.append(each.second)
        return created

    def _may_not_share(self, twins: Twins) -> PermissionDenied:
        administrator = self._connection.account
        return PermissionDenied(
            f"{administrator} may not create {twins.second} with {twins.first.account} as its "
            "role.",
            hint=f"GRANT CREATE USER, ROLE_ADMIN ON *.* TO {quote_account(administrator)}; where "
            f"{twins.first.account} has SYSTEM_USER, that as well.",
        )

    def _equalise(
        self, pair: Pair, twins: Sequence[Twins], found: MysqlPairRights, *, second_is_idle: bool
    ) -> None:
        for each in twins:
            if each.made is not None:
                self._equalise_roles(each, found, second_is_idle=second_is_idle)
                if second_is_idle:
                    self._take_back(each.made, found)
                    self._give_conditions(pair, each.first, each.made)

    def _equalise_roles(
        self, twins: Twins, found: MysqlPairRights, *, second_is_idle: bool
    ) -> None:
        first, second = twins.first.account, twins.second
        granted, default = found.granted[second], found.default[second]
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

    def _take_back(self, second: AccountRecord, found: MysqlPairRights) -> None:
        """Leave an idle second user nothing but its role."""
        account = second.account
        # One by one: an administrator under partial revokes may not REVOKE ALL.
        for right in sorted(found.own(account)):
            if right.target and right.verb == "GRANT" and right.privilege != "PROXY":
                self._connection.attempt(
                    f"take {right} from {account}",
                    right.statement(quote_account(account), reverse=True),
                    expected=error_codes.LACKS_A_RIGHT,
                )

    def _give_conditions(self, pair: Pair, first: AccountRecord, second: AccountRecord) -> None:
        """Let an idle second user work under the first user's conditions, and remember them."""
        conditions = first.changeable()
        if conditions != second.changeable() or not has_conditions(second.entry, conditions):
            self._connection.run(
                f"give {second.account} the conditions of {first.account}",
                f"ALTER USER {quote_account(second.account)} {conditions} "
                f"ATTRIBUTE {quote_text(marking(pair, conditions))}",
            )

    def _lacking(self, twins: Twins, found: MysqlPairRights) -> list[str]:
        first, second = quote_account(twins.first.account), quote_account(twins.second)
        if found.effective(twins.first.account) <= found.effective(twins.second):
            return []
        statements = f"GRANT {first} TO {second}; ALTER USER {second} DEFAULT ROLE {first}"
        return [f"{twins.second} lacks rights of {twins.first.account}: {statements}"]

    def _too_much(self, twins: Twins, found: MysqlPairRights) -> list[str]:
        first, second = twins.first.account, twins.second
        has, twin_has = found.effective(first), found.effective(second)
        direct = found.own(second)
        take = partial(MysqlRight.statement, account=quote_account(second), reverse=True)
        return [
            f"{second} has {right}, {first} has not: "
            + (
                take(right)
                if right in direct
                else f"SET DEFAULT ROLE ALL TO {quote_account(first)}"
            )
            for right in sorted(twin_has - has - {role_of(first)})
            if not implied(right, has)
        ]

    def _untouched(self, pair: Pair, twins: Sequence[Twins], found: MysqlPairRights) -> bool:
        """Say so; rights pass through the role, so one that only the second has was given to it."""
        del pair
        seconds = [each.made for each in twins if each.made is not None]
        return all(has_conditions(each.entry, each.changeable()) for each in seconds) and not any(
            self._too_much(each, found) for each in twins
        )


def _lent(account: Account, others: Sequence[Account], found: MysqlPairRights) -> list[str]:
    """List rights that the server lends an account from its namesakes for wider hosts.

    For databases, tables and routines, not for the whole server: MySQL looks these up by user name
    and client, not by account. A role lends only its own.
    """
    return [
        f"{account} uses {right} of {other}, which as a role it would not: "
        f"{right.statement(quote_account(account))}"
        for other in others
        if lends(other.host, account.host)
        for right in sorted(found.own(other) - found.own(account))
        if right.target not in ("", "*.*") and right.verb == "GRANT" and right.privilege != "PROXY"
    ]
