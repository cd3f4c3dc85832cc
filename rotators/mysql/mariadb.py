"""Sessions with MariaDB 10.5 to 11.8."""

import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rotators.mysql import error_codes
from rotators.mysql.connection import Account, Argument
from rotators.mysql.session import KnownAccount, MysqlFamilySession, not_a_password
from shared.errors import (
    AccountLocked,
    AccountMissing,
    CapabilityMissing,
    DatabaseError,
    PasswordExpired,
)

NATIVE = "mysql_native_password"
OTHERS_WITHOUT_PASSWORD = frozenset({"unix_socket", "gssapi", "named_pipe"})
"""Ways to log in that stand beside a password and are kept as they are."""

OPERATION_FAILED = 1396
"""MariaDB's ALTER USER fails with this; the reason is one of the statement's other messages."""
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


class MariadbSession(MysqlFamilySession):
    """A session with MariaDB.

    MariaDB writes statements to its logs as they came, so it is given the password's hash. Only a
    server that validates passwords (``strict_password_validation`` with a plugin such as
    ``simple_password_check``) refuses hashes; it is given the password, and a warning is logged.
    """

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

    def _lifetime(self) -> tuple[int, int]:
        ((days, now),) = self._connection.run(
            "ask how long passwords last",
            "SELECT @@GLOBAL.default_password_lifetime, UNIX_TIMESTAMP()",
        )
        return int(days), int(now)


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


def native_hash(password: str) -> str:
    """Return what ``mysql_native_password`` keeps: ``*`` and SHA1(SHA1(password)) in hexadecimal.

    Source: MariaDB's documentation of the plugin. The scheme is the server's, not a choice.
    """
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()


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
