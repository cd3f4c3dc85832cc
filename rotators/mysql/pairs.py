"""A second user that is kept equal to a first: what MySQL and MariaDB have in common.

Rules of :meth:`PairSession.prepare`:

1. The first user's rights are the source. Nothing of the first user is ever taken away or given,
   but the rights to routines that the second made (see rule 5).
2. What cannot be done is found out before anything is changed.
3. Rights first, the password last: a PASSWORD HISTORY that refuses the password of an interrupted
   attempt must not keep the rights from being mended.
4. The active user loses nothing and is not restricted: rights that the first has gained are passed
   on to an active second at once, everything else waits until the second is idle. Until then the
   second may have more only if nobody but this module has touched it: what the first has lost since
   waits, what somebody has given to the second alone would be lost by the applications. Where the
   server does not tell the two apart, :meth:`PairSession.differences` names it, and the rotation
   stops.
5. Whoever makes a routine gets rights to it, if he has none yet. Those of the second are given to
   the first, so that either may use, alter and drop it.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rotators.mysql import error_codes
from rotators.mysql.connection import Account, quote_account, quote_name
from rotators.mysql.session import LOCK_CLAUSE, AccountRecord, MysqlFamilySession, with_password
from shared.errors import NameTooLong, RightsDiffer
from shared.session import Ownership, Pair

OF_A_MAKER = frozenset({"EXECUTE", "ALTER ROUTINE"})
"""The rights that a server gives whoever makes a routine (``automatic_sp_privileges``)."""

LONGEST_LIST = 10
"""Lines of differences in a message."""

Routine = tuple[str, str, str]
"""Kind (PROCEDURE, FUNCTION), database, name."""

Rights = TypeVar("Rights")
"""What an engine knows of the rights of all accounts of a pair, read at one moment."""


@dataclass(frozen=True, slots=True)
class Twins:
    """An account of the first user and the second user's account for the same host."""

    first: AccountRecord
    second: Account
    made: AccountRecord | None
    """The second as it is; None while it does not exist."""


class PairSession(MysqlFamilySession, Generic[Rights]):
    """A session whose user may be an administrator who keeps a second user equal to a first."""

    longest_name: ClassVar[int]
    """Of a user name, in characters."""

    @abstractmethod
    def ownership(self, pair: Pair) -> Ownership:
        """Say whose the second user is; see :class:`shared.session.SecondUser`."""

    @abstractmethod
    def adoption(self, pair: Pair) -> str:
        """Return the statement that marks an existing second user as ours."""

    def adopt(self, pair: Pair) -> None:
        """Mark the second user as ours; see :meth:`shared.session.SecondUser.adopt`."""
        self._require_writable()
        if self.ownership(pair) is not Ownership.OURS:
            self._connection.run(f"adopt {pair.second}", self.adoption(pair))

    def sessions_of(self, username: str) -> int | None:
        """Count the open sessions of a user; None without PROCESS, be it the user's or a role's."""
        purpose = f"look at the sessions of {username}"
        # Any table of InnoDB is refused without PROCESS; the list of sessions is only shorter then.
        if self._connection.attempt(
            purpose,
            "SELECT COUNT(*) FROM information_schema.INNODB_CMP",
            expected={error_codes.ACCESS_DENIED},
        ):
            return None
        rows = self._connection.run(
            purpose, "SELECT USER FROM information_schema.PROCESSLIST WHERE USER = %s", username
        )
        # The column's collation takes names that differ in case for equal.
        return sum(bool(user == username) for (user,) in rows)

    def prepare(self, idle: str, password: str, pair: Pair, *, rights: bool) -> None:
        """Give ``idle`` the password; see :meth:`shared.session.SecondUser.prepare`."""
        self._require_writable()
        if not rights:
            records = self._records_of(pair.first, pair.second)
            _require_unlocked(record for record in records if record.has_password)
            self._change_other(with_password(idle, records), password)
            return
        twins, found = self.require_preparable(pair)
        second_is_idle = idle == pair.second
        created = self._create(twins, password, pair)
        self._share_routines(twins, found)
        self._equalise(pair, twins, found, second_is_idle=second_is_idle)
        if not second_is_idle:
            self._change_other([each.first for each in twins], password)
        elif len(created) < len(twins):
            self._change_seconds([each for each in twins if each.second not in created], password)

    def require_preparable(self, pair: Pair) -> tuple[list[Twins], Rights]:
        """Find out, without changing anything, what keeps the pair from being made equal.

        Returns:
            The accounts, and their rights.

        Raises:
            RightsDiffer: A right that cannot be passed on, with the statements that would help.
            AccountLocked, AccountMissing, AccountUnusable, NameTooLong: As their names say.
        """
        self._require_name(pair)
        twins, _ = _twins_among(self._records_of(pair.first, pair.second), pair)
        _require_unlocked(record for each in twins for record in (each.first, each.made) if record)
        found = self._read(twins)
        obstacles = self._obstacles(twins, found)
        if obstacles:
            raise RightsDiffer(
                f"{pair.second} cannot be given the rights of {pair.first}: "
                f"{'; '.join(_capped(obstacles))}."
            )
        return twins, found

    def differences(self, pair: Pair, idle: str) -> list[str]:
        """List what the two users may not do alike."""
        twins, extra = _twins_among(self._records_of(pair.first, pair.second), pair)
        found = self._read(twins)
        lines = self._obstacles(twins, found)
        waiting: list[str] = []
        for each in twins:
            if each.made is None:
                lines.append(f"there is no account {each.second}; rotate once more to make it")
                continue
            lines += self._lacking(each, found)
            waiting += self._too_much(each, found)
            for keyword, text in each.first.clauses.items():
                if (has := each.made.clauses[keyword]) != text:
                    (lines if keyword == LOCK_CLAUSE else waiting).append(
                        f"{each.second} has {has}, {each.first.account} has {text}: "
                        f"ALTER USER {quote_account(each.second)} {text}"
                    )
        if waiting and not (idle == pair.first and self._untouched(pair, twins, found)):
            lines += waiting
        lines += [
            f"{pair.first} has no account for the host of {account}: "
            f"DROP USER {quote_account(account)}"
            for account in extra
        ]
        return _capped(lines)

    def _require_name(self, pair: Pair) -> None:
        if len(pair.second) > self.longest_name:
            raise NameTooLong.of(pair.second, len(pair.second), self.longest_name)

    def _share_routines(self, twins: Sequence[Twins], found: Rights) -> None:
        """Give the first user the rights that a maker has to the routines that the second made.

        Whether the second has them on record does not matter: MySQL gives none to whoever, by its
        cache, still has those of a role to a dropped routine of the same name.
        """
        makers = {f"{each.second.user}@{each.second.host}": each.first.account for each in twins}
        rows = self._connection.run(
            "look at the routines that the second user made",
            "SELECT DEFINER, ROUTINE_TYPE, ROUTINE_SCHEMA, ROUTINE_NAME "
            "FROM information_schema.ROUTINES WHERE DEFINER IN %s "
            "AND @@GLOBAL.automatic_sp_privileges ORDER BY 2, 3, 4",
            tuple(makers),
        )
        for maker, kind, database, name in rows:
            first = makers[str(maker)]
            held = self._held_for_routine(first, (str(kind), str(database), str(name)), found)
            missing = ", ".join(sorted(OF_A_MAKER - held))
            if missing:
                self._connection.run(
                    f"share the routine {database}.{name} with {first}",
                    f"GRANT {missing} ON {kind} {quote_name(database)}.{quote_name(name)} "
                    f"TO {quote_account(first)}",
                )

    @abstractmethod
    def _read(self, twins: Sequence[Twins]) -> Rights:
        """Read the rights of all these accounts."""

    @abstractmethod
    def _held_for_routine(self, account: Account, routine: Routine, found: Rights) -> set[str]:
        """Return which privileges the account has for a routine, on any level."""

    @abstractmethod
    def _obstacles(self, twins: Sequence[Twins], found: Rights) -> list[str]:
        """List what keeps the second user from ever having the rights of the first.

        One line for each right, with the statement that would help.
        """

    @abstractmethod
    def _create(self, twins: Sequence[Twins], password: str, pair: Pair) -> list[Account]:
        """Create and mark the accounts that are missing, and return them."""

    @abstractmethod
    def _equalise(
        self, pair: Pair, twins: Sequence[Twins], found: Rights, *, second_is_idle: bool
    ) -> None:
        """Pass the first user's rights on; take from the second what is too much if idle."""

    @abstractmethod
    def _change_seconds(self, twins: Sequence[Twins], password: str) -> None:
        """Change the password of the second user's accounts, which exist."""

    @abstractmethod
    def _lacking(self, twins: Twins, found: Rights) -> list[str]:
        """List what the first of the two may do and the second may not."""

    @abstractmethod
    def _too_much(self, twins: Twins, found: Rights) -> list[str]:
        """List what the second of the two may do and the first may not."""

    @abstractmethod
    def _untouched(self, pair: Pair, twins: Sequence[Twins], found: Rights) -> bool:
        """Say whether the second user still is as this module has left it."""


def _twins_among(records: Sequence[AccountRecord], pair: Pair) -> tuple[list[Twins], list[Account]]:
    """Return the first user's accounts with a password, each with its twin.

    Returns:
        The twins, and the second user's accounts that have none.

    Raises:
        AccountMissing: There is no first user.
        AccountUnusable: He logs in through something else altogether.
    """
    seconds = {each.account: each for each in records if each.account.user == pair.second}
    twins = [
        Twins(each, second, seconds.get(second))
        for each in with_password(pair.first, records)
        for second in [Account(pair.second, each.account.host)]
    ]
    return twins, [account for account in seconds if account not in {t.second for t in twins}]


def _require_unlocked(records: Iterable[AccountRecord]) -> None:
    """Refuse to go on with either of two users that a DBA has locked: also not as the other."""
    for record in records:
        if record.is_locked:
            raise record.locked()


def _capped(lines: list[str]) -> list[str]:
    """Return lines for a message that can be read."""
    more = len(lines) - LONGEST_LIST
    return lines if more <= 0 else [*lines[:LONGEST_LIST], f"and {more} more"]
