"""A second user that is kept equal to a first: what MySQL and MariaDB have in common.

Rules of :meth:`PairSession.prepare`:

1. The first user's rights are the source. Nothing of the first user is ever taken away or given,
   but the rights to routines that the second made (see rule 5).
2. What cannot be done is found out before anything is changed.
3. Rights first, the password last: a PASSWORD HISTORY that refuses the password of an interrupted
   attempt must not keep the rights from being mended.
4. The active user loses nothing and is not restricted: rights that the first has gained are passed
   on to an active second at once, everything else waits until the second is idle. Where they still
   differ then, :meth:`PairSession.differences` says so, and the rotation stops.
5. Whoever makes a routine gets rights to it, if he has none yet. Those of the second are given to
   the first, so that either may use, alter and drop it.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from rotators.mysql.connection import Account, quote_account, quote_name
from rotators.mysql.session import MysqlFamilySession
from shared.errors import AccountLocked, AccountMissing, NameTooLong, RightsDiffer
from shared.session import Pair

LOCK_CLAUSE = "ACCOUNT"
"""The key of a holder's clause that is compared but never changed: a DBA's lock has a reason."""


OF_A_MAKER = frozenset({"EXECUTE", "ALTER ROUTINE"})
"""The rights that a server gives whoever makes a routine (``automatic_sp_privileges``)."""

Routine = tuple[str, str, str]
"""Kind (PROCEDURE, FUNCTION), database, name."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One account of a pair: what it is allowed, other than its rights.

    Attributes:
        account: Name and host.
        plugin: How it logs in.
        has_password: Whether that is with a password that can be rotated.
        clauses: By keyword, in the order of CREATE USER: ``{"REQUIRE": "REQUIRE SSL", ...}``.
    """

    account: Account
    plugin: str
    has_password: bool
    clauses: Mapping[str, str]

    @property
    def is_locked(self) -> bool:
        """Whether a DBA has locked the account."""
        return self.clauses[LOCK_CLAUSE] == "ACCOUNT LOCK"

    def changeable(self) -> str:
        """Return the clauses that make another account like this one, without the lock."""
        return " ".join(text for keyword, text in self.clauses.items() if keyword != LOCK_CLAUSE)


@dataclass(frozen=True, slots=True)
class Twins:
    """An account of the first user and the second user's account for the same host."""

    first: Holder
    second: Account
    made: Holder | None
    """The second as it is; None while it does not exist."""


class PairSession(MysqlFamilySession):
    """A session whose user may be an administrator who keeps a second user equal to a first."""

    longest_name: ClassVar[int]
    """Of a user name, in characters."""

    def prepare(self, idle: str, password: str, pair: Pair, *, rights: bool) -> None:
        """Give ``idle`` the password; see :meth:`shared.session.SecondUser.prepare`."""
        self._require_writable()
        if not rights:
            self._change_other(self._password_accounts(idle), password)
            return
        self._require_second_user()
        if len(pair.second) > self.longest_name:
            raise NameTooLong(
                f"The name {pair.second} of the second user has {len(pair.second)} characters; "
                f"this server allows {self.longest_name}."
            )
        twins = self._twins(pair)
        _require_unlocked(twins, idle, pair)
        obstacles = self._obstacles(twins)
        if obstacles:
            raise RightsDiffer(
                f"{pair.second} cannot be given the rights of {pair.first}: {'; '.join(obstacles)}."
            )
        second_is_idle = idle == pair.second
        created = self._create(twins, password, pair)
        self._share_routines(twins)
        self._equalise(twins, second_is_idle=second_is_idle)
        self._set_idle_password(twins, created, password, second_is_idle=second_is_idle)

    def differences(self, pair: Pair) -> list[str]:
        """List what the two users may not do alike."""
        twins = self._twins(pair)
        found = self._obstacles(twins)
        for each in twins:
            if each.made is None:
                found.append(f"there is no account {each.second}; rotate once more to make it")
                continue
            found += self._right_differences(each, each.made)
            found += [
                f"{each.made.account} has {each.made.clauses[keyword]}, {each.first.account} has "
                f"{text}: ALTER USER {each.made.account} {text}"
                for keyword, text in each.first.clauses.items()
                if each.made.clauses[keyword] != text
            ]
        hosts = {each.second.host for each in twins}
        return found + [
            f"{pair.first} has no account for the host of {account}: DROP USER {account}"
            for account in self._holders(pair.second)
            if account.host not in hosts
        ]

    def _twins(self, pair: Pair) -> list[Twins]:
        """Return the accounts of the first user that log in with a password, and their twins.

        Raises:
            AccountMissing: There is no first user.
        """
        firsts = self._holders(pair.first)
        if not firsts:
            raise AccountMissing(f"User {pair.first} does not exist.")
        # Refuses a first user who logs in through something else altogether.
        with_password = self._password_accounts(pair.first)
        seconds = self._holders(pair.second)
        return [
            Twins(firsts[account], second, seconds.get(second))
            for account in with_password
            for second in [Account(pair.second, account.host)]
        ]

    def _set_idle_password(
        self,
        twins: Iterable[Twins],
        created: Collection[Account],
        password: str,
        *,
        second_is_idle: bool,
    ) -> None:
        accounts = [each.second if second_is_idle else each.first.account for each in twins]
        remaining = [account for account in accounts if account not in created]
        if remaining:
            self._change_other(remaining, password)

    def _share_routines(self, twins: Iterable[Twins]) -> None:
        """Give the first user the rights that a maker has to the routines that the second made.

        Whether the second has them on record does not matter: MySQL gives none to whoever, by its
        cache, still has those of a role to a dropped routine of the same name.
        """
        for each in twins:
            first = each.first.account
            made = self._made_routines(each.second)
            if not made:
                continue
            held = self._rights_to_routines(first, made)
            for kind, database, name in sorted(made):
                missing = OF_A_MAKER - held[kind, database, name]
                if missing:
                    self._connection.run(
                        f"share the routine {database}.{name} with {first}",
                        f"GRANT {', '.join(sorted(missing))} ON {kind} {quote_name(database)}."
                        f"{quote_name(name)} TO {quote_account(first)}",
                    )

    def _made_routines(self, account: Account) -> set[Routine]:
        rows = self._connection.run(
            f"look at the routines that {account} made",
            "SELECT ROUTINE_TYPE, ROUTINE_SCHEMA, ROUTINE_NAME FROM information_schema.ROUTINES "
            "WHERE DEFINER = %s AND @@GLOBAL.automatic_sp_privileges",
            f"{account.user}@{account.host}",
        )
        return {(str(kind), str(database), str(name)) for kind, database, name in rows}

    @abstractmethod
    def _rights_to_routines(
        self, account: Account, routines: Collection[Routine]
    ) -> dict[Routine, set[str]]:
        """Return which privileges the account has for each of the routines, on any level."""

    @abstractmethod
    def _require_second_user(self) -> None:
        """Raise CapabilityMissing where the server's version cannot do it."""

    @abstractmethod
    def _holders(self, username: str) -> dict[Account, Holder]:
        """Return all accounts of the name."""

    @abstractmethod
    def _obstacles(self, twins: Iterable[Twins]) -> list[str]:
        """List what keeps the second user from ever having the rights of the first.

        One line for each right, with the statement that would help.
        """

    @abstractmethod
    def _create(self, twins: Iterable[Twins], password: str, pair: Pair) -> list[Account]:
        """Create and mark the accounts that are missing, and return them."""

    @abstractmethod
    def _equalise(self, twins: Iterable[Twins], *, second_is_idle: bool) -> None:
        """Pass the first user's rights on; take from the second what is too much if idle."""

    @abstractmethod
    def _right_differences(self, twins: Twins, made: Holder) -> list[str]:
        """List which rights one of the two has and the other has not."""


def _require_unlocked(twins: Iterable[Twins], idle: str, pair: Pair) -> None:
    """Refuse to prepare a user who could not log in."""
    for each in twins:
        holder = each.first if idle == pair.first else each.made
        if holder is not None and holder.is_locked:
            raise AccountLocked(
                f"The account {holder.account} is locked, and it is its turn to be used."
            )
