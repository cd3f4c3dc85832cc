"""Sessions with MariaDB 10.5 to 11.8.

An account is no role here, so the second user of a pair is given the first one's rights one by
one. That is not atomic: until it is done, the second user has less than the first, and AWSCURRENT
is the first; the next call goes on where the last one ended. The role that marks a second user (see
:mod:`rotators.mysql.mariadb_mark`) is created before the user.
"""

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import ClassVar

from rotators.mysql import error_codes
from rotators.mysql.connection import Account, Argument, quote_account
from rotators.mysql.engine import MARIADB
from rotators.mysql.mariadb_accounts import account_record, count_passwords, identified, ways
from rotators.mysql.mariadb_comparison import excess, lacking, memberships_taken, too_much
from rotators.mysql.mariadb_mark import MARK_PREFIX, LeftAs, Mark
from rotators.mysql.mariadb_rights import (
    CATALOGUES,
    CATALOGUES_IN_IT,
    GRANT_OPTION,
    MariadbPairRights,
    MariadbRight,
    Possessions,
    Scope,
    covered,
    default_role_statement,
    grantee_of,
    grants,
    may_pass_on,
    possessions_in,
    revocations,
)
from rotators.mysql.pairs import OF_A_MAKER, PairSession, Routine, Twins
from rotators.mysql.password_hashes import native_hash
from rotators.mysql.session import AccountRecord
from shared.engine import Engine
from shared.errors import CapabilityMissing
from shared.session import Ownership, Pair

OPERATION_FAILED = 1396
"""MariaDB's ALTER USER fails with this; the reason is one of the statement's other messages."""
OPTION_PREVENTS = 1290
"""Read-only; or ``strict_password_validation``, which wants the password itself to check it."""

_log = logging.getLogger(__name__)


class MariadbSession(PairSession[MariadbPairRights]):
    """A session with MariaDB.

    MariaDB writes statements to its logs as they came, so it is given the password's hash. Only a
    server that validates passwords (``strict_password_validation`` with a plugin such as
    ``simple_password_check``) refuses hashes; it is given the password, and a warning is logged.
    """

    engine: ClassVar[Engine] = MARIADB
    longest_name: ClassVar[int] = 128

    def _records_of(self, *usernames: str) -> list[AccountRecord]:
        rows = self._connection.run(
            f"look at the accounts of {' and '.join(usernames)}",
            "SELECT User, Host, Priv FROM mysql.global_priv WHERE User IN %s ORDER BY User, Host",
            usernames,
        )
        return [
            account_record(Account(user, host), entry)
            for user, host, text in rows
            for entry in [json.loads(text)]
            # The column's collation takes names that differ in trailing spaces for equal.
            if user in usernames and not entry.get("is_role")
        ]

    # Passwords

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

    def _change_other(self, records: Sequence[AccountRecord], password: str) -> None:
        self._set_passwords(records, [password])

    def _change_seconds(self, twins: Sequence[Twins], password: str) -> None:
        self._set_passwords([each.made for each in twins if each.made], [password])

    def set_both(self, username: str, new: str, old: str) -> None:
        """Make ``new`` and ``old`` the passwords; see :class:`shared.session.TwoPasswords`.

        One statement, whatever the state was.
        """
        self._require_writable()
        self._set_passwords(self._with_password(username), [new, old])

    def _set_passwords(self, records: Sequence[AccountRecord], passwords: Sequence[str]) -> None:
        """Make these the accounts' only passwords; other ways to log in stay."""
        username = records[0].account.user
        purpose = f"change the password of {username}"
        reason = self._alter(purpose, records, passwords, clear=False)
        if reason == OPTION_PREVENTS:
            self._require_writable()
            self._warn_of_clear_text(username)
            reason = self._alter(purpose, records, passwords, clear=True)
        if reason:
            account = quote_account(records[0].account)
            raise error_codes.in_statement(reason, f"MariaDB refused to {purpose}", account)

    def _alter(
        self,
        purpose: str,
        records: Sequence[AccountRecord],
        passwords: Sequence[str],
        *,
        clear: bool,
    ) -> int | None:
        parts, arguments = [], list[Argument]()
        for each in records:
            text, values = identified(ways(each.entry), passwords, clear=clear)
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

    # A second user

    def ownership(self, pair: Pair) -> Ownership:
        """Say whose the second user is; see :class:`shared.session.SecondUser`."""
        if not self._records_of(pair.second):
            return Ownership.MISSING
        return Ownership.OURS if Mark(self._connection, pair).exists() else Ownership.FOREIGN

    def adoption(self, pair: Pair) -> str:
        """Return the statement that makes the role by which the second user is known as ours."""
        return Mark(self._connection, pair).creation

    def should_act_as(self, username: str, pair: Pair) -> str | None:
        """Return None: no session acts as another user, the second has rights of its own."""
        del username, pair
        return None

    def _untouched(self, pair: Pair, twins: Sequence[Twins], found: MariadbPairRights) -> bool:
        """Compare the second user with what is remembered of it.

        Its rights to routines are not: it gets some of its own by making one.
        """
        if any(
            right.scope.kind
            for each in twins
            for right in excess(found[each.first.account], found[each.second])
        ):
            return False
        return self._left_as(pair, twins, found).is_known()

    def _left_as(self, pair: Pair, twins: Sequence[Twins], found: MariadbPairRights) -> LeftAs:
        return LeftAs(Mark(self._connection, pair), twins, found)

    def _read(self, twins: Sequence[Twins]) -> MariadbPairRights:
        accounts = [self._connection.account]
        for each in twins:
            accounts += [each.first.account, each.second]
        grantees = tuple(grantee_of(account) for account in accounts)
        rows = self._connection.run(
            f"look at the rights of {accounts[1].user} and {accounts[2].user}",
            CATALOGUES,
            *[grantees] * CATALOGUES_IN_IT,
        )
        found = possessions_in(accounts, rows)
        existing = self._columns(
            {right.scope for own in found.values() for right in own.rights if right.scope.is_table}
        )
        return {
            account: replace(
                own,
                rights={
                    right
                    for right in own.rights
                    if not right.scope.is_table or right.column in existing.get(right.scope, ())
                },
                # Whoever marks a second user gets the role; it has no right and is nobody's loss.
                memberships={
                    each for each in own.memberships if not each.role.startswith(MARK_PREFIX)
                },
            )
            for account, own in found.items()
        }

    def _columns(self, tables: Collection[Scope]) -> dict[Scope, set[str]]:
        """Return the columns of those tables that exist; an empty name stands for the table.

        Rights to what was dropped stay in the catalogue, cannot be granted, and are worth nothing.
        """
        if not tables:
            return {}
        names = tuple((table.database, table.name) for table in sorted(tables))
        rows = self._connection.run(
            "look which tables exist",
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS "
            "WHERE (TABLE_SCHEMA, TABLE_NAME) IN %s",
            names,
        )
        found: dict[Scope, set[str]] = {}
        for database, table, column in rows:
            found.setdefault(Scope("", str(database), str(table)), {""}).add(str(column))
        return found

    def _held_for_routine(
        self, account: Account, routine: Routine, found: MariadbPairRights
    ) -> set[str]:
        rights = found[account].rights
        return {name for name in OF_A_MAKER if covered(MariadbRight(Scope(*routine), name), rights)}

    def _obstacles(self, twins: Sequence[Twins], found: MariadbPairRights) -> list[str]:
        """List what the administrator cannot pass on, of what is still to be passed on."""
        administrator = self._connection.account
        lines: list[str] = []
        for each in twins:
            has, twin_has = found[each.first.account], found[each.second]
            kept = {
                right
                for right in has.rights - twin_has.rights
                if not may_pass_on(right, found[administrator].rights)
            }
            if each.made is None:
                # Nobody can be granted anything yet: whoever makes the second user needs it.
                kept |= {MariadbRight(right.scope, GRANT_OPTION) for right in kept}
            lines += [
                f"{administrator} cannot pass on rights of {each.first.account}: {statement}"
                for statement in grants(kept, each.second if each.made else administrator)
            ]
            missing = has.memberships_beyond(twin_has)
            administered = self._administered_roles() if missing else set()
            lines += [
                f"{administrator} does not administer the role {membership.role}: "
                + (
                    membership.grant(each.second)
                    if each.made
                    else replace(membership, with_admin=True).grant(administrator)
                )
                for membership in missing
                if membership.role not in administered
            ]
            lines += [
                f"{each.first.account} may act for {proxied}: "
                f"GRANT PROXY ON {quote_account(proxied)} TO {quote_account(each.second)}"
                for proxied in sorted(has.proxies - twin_has.proxies, key=str)
            ]
        return lines

    def _administered_roles(self) -> set[str]:
        rows = self._connection.run(
            "ask which roles may be passed on",
            "SELECT ROLE_NAME FROM information_schema.APPLICABLE_ROLES WHERE IS_GRANTABLE = 'YES'",
        )
        return {str(name) for (name,) in rows}

    def _create(self, twins: Sequence[Twins], password: str, pair: Pair) -> list[Account]:
        missing = [each for each in twins if each.made is None]
        if missing and not Mark(self._connection, pair).exists():
            self._connection.run("mark the second user", self.adoption(pair))
        for each in missing:
            self._create_account(each.second, each.first.changeable(), password)
        return [each.second for each in missing]

    def _create_account(self, account: Account, options: str, password: str) -> None:
        for clear in (False, True):
            identity, arguments = identified([], [password], clear=clear)
            refused = self._connection.attempt(
                f"create the user {account}",
                f"CREATE USER %s {identity} {options.replace('%', '%%')}",
                account,
                *arguments,
                expected=frozenset() if clear else {OPTION_PREVENTS},
            )
            if not refused:
                return
            self._require_writable()
            self._warn_of_clear_text(account.user)

    def _equalise(
        self, pair: Pair, twins: Sequence[Twins], found: MariadbPairRights, *, second_is_idle: bool
    ) -> None:
        if second_is_idle:
            for each in twins:
                self._take_back(found[each.first.account], found[each.second], each.second)
            self._pass_on(twins, found, second_is_idle=True)
            self._left_as(pair, twins, found).remember_equal()
            return
        with self._left_as(pair, twins, found).passing_on():
            self._pass_on(twins, found, second_is_idle=False)

    def _pass_on(
        self, twins: Sequence[Twins], found: MariadbPairRights, *, second_is_idle: bool
    ) -> None:
        for each in twins:
            has, twin_has, second = found[each.first.account], found[each.second], each.second
            missing = has.memberships_beyond(twin_has)
            statements = [membership.grant(second) for membership in missing]
            statements += grants(has.rights - twin_has.rights, second)
            may_change_role = second_is_idle or not twin_has.default_role
            if has.default_role != twin_has.default_role and may_change_role:
                statements.append(default_role_statement(has.default_role, second))
            conditions = each.first.changeable()
            if second_is_idle and each.made and conditions != each.made.changeable():
                statements.append(f"ALTER USER {quote_account(second)} {conditions}")
            for statement in statements:
                self._connection.run(f"give {second} the rights of {each.first.account}", statement)

    def _take_back(self, has: Possessions, twin_has: Possessions, second: Account) -> None:
        """Take from an idle second user what the first has not.

        What the administrator may not take away is left, and found by :meth:`differences`.
        """
        for statement in (
            *memberships_taken(has, twin_has, second),
            *revocations(twin_has.rights - has.rights, second),
        ):
            self._connection.attempt(
                f"take from {second} what is too much",
                statement,
                expected=error_codes.LACKS_A_RIGHT,
            )

    def _lacking(self, twins: Twins, found: MariadbPairRights) -> list[str]:
        return lacking(twins, found)

    def _too_much(self, twins: Twins, found: MariadbPairRights) -> list[str]:
        return too_much(twins, found)
