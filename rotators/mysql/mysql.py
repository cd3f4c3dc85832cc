"""Sessions with MySQL 8.0 to 9.x and Aurora MySQL."""

import json
from collections.abc import Mapping
from typing import Any

from rotators.mysql.connection import Account, Connection
from rotators.mysql.session import (
    KnownAccount,
    MysqlFamilySession,
    each_account,
    not_a_password,
)
from shared.errors import AccountLocked, AccountMissing, DatabaseError, PasswordExpired

PASSWORD_PLUGINS = frozenset({"caching_sha2_password", "sha256_password", "mysql_native_password"})
"""Under any other plugin ``IDENTIFIED BY`` succeeds and changes nothing."""

YES = "Y"
NEEDS_CURRENT = 3892
DENIED = 1227
NOT_KNOWN = 1064
"""A syntax error: the server is older than the clause."""


class MysqlSession(MysqlFamilySession):
    """A session with MySQL.

    MySQL writes ``<secret>`` to its logs where a statement has a password, also when the statement
    fails.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.version = version_numbers(connection.version)

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
            expected={DENIED, NOT_KNOWN},
        )

    def _change_other(self, accounts: list[Account], password: str) -> None:
        changes, arguments = each_account("IDENTIFIED BY %s", accounts, password)
        purpose = f"change the password of {accounts[0].user}"
        self._connection.run(purpose, f"ALTER USER {changes}", *arguments)
        doubled = [
            account
            for account, row in self._rows(accounts[0].user).items()
            if account in accounts and "additional_password" in _attributes(row)
        ]
        if doubled:
            changes, arguments = each_account("DISCARD OLD PASSWORD", doubled)
            purpose = f"discard the old password of {accounts[0].user}"
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
            "SELECT *, password_expired = 'N' AND COALESCE(password_lifetime, "
            "@@GLOBAL.default_password_lifetime) > 0 AND password_last_changed < NOW() - INTERVAL "
            "COALESCE(password_lifetime, @@GLOBAL.default_password_lifetime) DAY AS too_old "
            "FROM mysql.user WHERE User = %s ORDER BY Host",
            username,
        )
        # The column's collation takes names that differ in trailing spaces for equal.
        return {Account(row["User"], row["Host"]): row for row in rows if row["User"] == username}


def _problem(account: Account, row: Mapping[str, Any]) -> DatabaseError | None:
    if row["account_locked"] == YES:
        return AccountLocked(f"The account {account} is locked.")
    if row["password_expired"] == YES or row["too_old"]:
        return PasswordExpired(f"The password of {account} has expired.")
    return None


def _attributes(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what MySQL keeps beside the columns, a JSON object; none before 8.0.14."""
    text = row.get("User_attributes")
    return json.loads(text) if text else {}


def version_numbers(version: str) -> tuple[int, ...]:
    """Read ``8.0.36``, ``8.0.mysql_aurora.3.05.2`` or ``9.7.4-2`` up to what is no number."""
    numbers: list[int] = []
    for part in version.replace("-", ".").split(".")[:3]:
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
