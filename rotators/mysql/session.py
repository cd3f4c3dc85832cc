"""What sessions with MySQL and with MariaDB have in common."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rotators.mysql import error_codes
from rotators.mysql.connection import Account, Argument, Connection, quote_account
from rotators.mysql.hosts import host_fits, specificity
from shared.errors import (
    AccountLocked,
    AccountMissing,
    AccountUnusable,
    DatabaseError,
    LockTimeout,
    PermissionDenied,
    ServerReadOnly,
)
from shared.session import Lock, Session

LOCK_PREFIX = "rotation:"
LONGEST_LOCK_NAME = 64
"""MySQL's limit for a name in GET_LOCK, in characters; MariaDB's is 192."""

LOCK_SLICE_SECONDS = 5
OFF = frozenset({"0", "OFF", "NO"})


LOCK_CLAUSE = "ACCOUNT"
"""The key of the clause of an account that is compared but never changed."""


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """One account as an administrator sees it, other than its rights.

    Attributes:
        account: Name and host.
        entry: What the server's catalogue has of it, by the server's own names; hashes included.
        plugin: How it logs in first of all.
        has_password: Whether it logs in with a password that can be rotated.
        clauses: The conditions under which it works, in the words and the order of CREATE USER:
            ``{"REQUIRE": "REQUIRE SSL", ...}``.
    """

    account: Account
    entry: Mapping[str, Any] = field(repr=False)
    plugin: str
    has_password: bool
    clauses: Mapping[str, str]

    @property
    def is_locked(self) -> bool:
        """Whether a DBA has locked the account."""
        return self.clauses[LOCK_CLAUSE] == "ACCOUNT LOCK"

    def locked(self) -> AccountLocked:
        """Return the error for a rotation that needs the account while it is locked."""
        return AccountLocked(
            f"The account {self.account} is locked.",
            hint=f"Unlock it: ALTER USER {quote_account(self.account)} ACCOUNT UNLOCK; or do not "
            "rotate the secret.",
        )

    def changeable(self) -> str:
        """Return the clauses that make another account like this one, without the lock.

        A lock is a DBA's own decision about one account.
        """
        return " ".join(text for keyword, text in self.clauses.items() if keyword != LOCK_CLAUSE)


class MysqlFamilySession(Session):
    """A session with a server of either kind.

    Args:
        connection: Owned by the session from now on.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def close(self) -> None:
        """End the session and release its lock; never raises."""
        self._connection.close()

    def only_look(self) -> None:
        """Let the server refuse every change; see :meth:`shared.session.Session.only_look`."""
        self._connection.run("be one that only reads", "SET SESSION TRANSACTION READ ONLY")

    @property
    def connection(self) -> Connection:
        """What runs the session's statements."""
        return self._connection

    def require_writable(self) -> None:
        """Make sure that the server takes changes.

        Raises:
            ServerReadOnly: It does not.
        """
        self._require_writable()

    def require_changeable(self, username: str) -> None:
        """Make sure that the user logs in with a password, which can so be changed.

        Raises:
            AccountMissing, AccountUnusable, PermissionDenied: As :meth:`change_password` would.
        """
        self._with_password(username)

    def lock(self, name: str, seconds: float) -> Lock:
        """Take the server-wide advisory lock ``name``; see :meth:`shared.session.Session.lock`."""
        short, purpose = lock_name(name), "take the rotation's lock"
        deadline = self._connection.deadline
        end = deadline.remaining() - deadline.seconds(seconds, purpose)
        patience = 0
        while True:
            ((taken,),) = self._connection.run(purpose, "SELECT GET_LOCK(%s, %s)", short, patience)
            if taken == 1:
                return Lock.AFTER_WAITING if patience else Lock.AT_ONCE
            left = deadline.remaining() - end
            if patience and left <= 0:
                raise LockTimeout(f"Another session held the lock for {seconds:.0f} seconds.")
            # In slices: a statement that waited for longer would look like a silent server.
            patience = min(LOCK_SLICE_SECONDS, max(1, int(left)))

    def change_password(self, username: str, password: str) -> None:
        """Make ``password`` the only one; see :meth:`shared.session.Session.change_password`.

        The session's own user changes the account that the server found for it; an administrator
        changes every account of the name, whatever host it is for.
        """
        self._require_writable()
        if username != self._connection.login.username:
            self._change_other(self._with_password(username), password)
            return
        self._require_named_account()
        self._change_own(password)

    def account_problem(self, username: str) -> DatabaseError | None:
        """Say what keeps ``username`` from logging in from this function's address."""
        try:
            records = self._records_of(username)
        except PermissionDenied:
            return None
        ((client,),) = self._connection.run("ask for the client's address", "SELECT USER()")
        host = str(client).rpartition("@")[2]
        fitting = best_fit(records, host)
        if fitting is not None:
            return fitting.locked() if fitting.is_locked else None
        hosts = ", ".join(repr(each.account.host) for each in records)
        missing = f"User {username} does not exist"
        if hosts:
            missing = f"User {username} exists for the hosts {hosts} only, and this is {host}"
        return AccountMissing(f"{missing}.")

    @abstractmethod
    def _change_own(self, password: str) -> None:
        """Change the password of the account that the session belongs to."""

    @abstractmethod
    def _change_other(self, records: Sequence[AccountRecord], password: str) -> None:
        """Change the password of all these accounts."""

    @abstractmethod
    def _records_of(self, *usernames: str) -> list[AccountRecord]:
        """Return all accounts of the names.

        Raises:
            PermissionDenied: The session's user may not look.
        """

    def _with_password(self, username: str) -> list[AccountRecord]:
        """Return the accounts of the name that log in with a password.

        Raises:
            AccountMissing: There is no account of the name.
            AccountUnusable: None of them logs in with a password that can be changed here.
            PermissionDenied: The session's user may not look.
        """
        return with_password(username, self._records_of(username))

    def _require_writable(self) -> None:
        """Refuse to change anything on a read-only server.

        MySQL would let an administrator with CONNECTION_ADMIN, which a master user of RDS has,
        change accounts on a replica with ``read_only``: the change would be lost, or worse, kept.
        """
        ((read_only,),) = self._connection.run(
            "ask whether the server is read-only", "SELECT @@GLOBAL.read_only"
        )
        if str(read_only).upper() not in OFF:
            raise ServerReadOnly("The server is read-only: a replica, or a failover under way.")

    def _require_named_account(self) -> None:
        found, username = self._connection.account, self._connection.login.username
        if found.user != username:
            raise AccountMissing(
                f"The server took {username} for the account {found}.",
                hint="Create the user, and drop the anonymous account that let it in.",
            )


def lock_name(name: str) -> str:
    """Return a name that GET_LOCK takes, different for each secret."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return (LOCK_PREFIX + digest)[:LONGEST_LOCK_NAME]


def best_fit(records: Iterable[AccountRecord], host: str) -> AccountRecord | None:
    """Return the account that the server would take for a client at ``host``, if any.

    Servers prefer the most specific host: literal before pattern, and a pattern the more, the later
    its first wildcard comes.
    """
    fitting = [each for each in records if host_fits(each.account.host, host)]
    return min(fitting, key=lambda each: specificity(each.account.host), default=None)


def with_password(username: str, records: Iterable[AccountRecord]) -> list[AccountRecord]:
    """Return those accounts of a user that log in with a password.

    Raises:
        AccountMissing: There is none at all.
        AccountUnusable: None of them does.
    """
    own = [each for each in records if each.account.user == username]
    if not own:
        raise AccountMissing(f"User {username} does not exist.")
    found = [each for each in own if each.has_password]
    if not found:
        plugins = ", ".join(sorted({each.plugin for each in own}))
        raise AccountUnusable(
            f"User {username} logs in through {plugins}, not with a password that can be rotated.",
            hint=error_codes.PLUGIN_HINT,
        )
    return found


def each_account(
    clause: str, accounts: Iterable[Account], *values: Argument
) -> tuple[str, list[Argument]]:
    """Repeat a clause for each account: one statement, which MySQL runs all or nothing.

    Args:
        clause: What follows the account, with ``%s`` for each value.
        accounts: At least one.
        values: The values of the clause, the same for all.

    Returns:
        The text ``%s <clause>, %s <clause>`` and its arguments.
    """
    arguments: list[Argument] = []
    parts = []
    for account in accounts:
        parts.append(f"%s {clause}")
        arguments += [account, *values]
    return ", ".join(parts), arguments
