"""What an engine must be able to do, and what it may be able to do.

A rotator opens a :class:`Session`; strategies ask it to change passwords. The protocols below are
*capabilities*: a strategy finds out with ``isinstance`` whether a session has one. What an engine
is declared to do, and a particular server cannot, :meth:`Session.unable` tells.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, Protocol, Self, runtime_checkable

from shared.engine import Engine
from shared.errors import DatabaseError
from shared.settings import StrategyName


@dataclass(frozen=True, slots=True)
class Pair:
    """Two users of equal rights that take turns.

    Attributes:
        first: The user whose rights count; a DBA made it.
        second: The user that this framework makes and keeps equal to the first.
        owner: The secret's ARN; the second user is marked with it.
    """

    first: str
    second: str
    owner: str

    def __iter__(self) -> Iterator[str]:
        return iter((self.first, self.second))

    def __contains__(self, username: object) -> bool:
        return username in (self.first, self.second)


class Lock(Enum):
    """How a session came by a lock."""

    AT_ONCE = auto()
    """Nobody else had it."""
    AFTER_WAITING = auto()
    """Another session held it first: what was read before may be out of date."""
    NOT_HELD = auto()
    """The engine has no locks: only the fence keeps deliveries apart, which promises less."""


class Ownership(Enum):
    """Whose the second user of a pair is."""

    MISSING = auto()
    """No such user exists."""
    OURS = auto()
    """It carries this pair's mark."""
    FOREIGN = auto()
    """It exists without the mark: made by somebody else, or for another secret."""


class Session(ABC):
    """One open, authenticated connection to a database.

    Every method raises a subclass of :class:`shared.errors.DatabaseError`, and gives up when the
    deadline that the session was opened with is over.

    It serves one step of one delivery, in one thread; nothing is remembered for the next one.
    Whatever is asked may be asked again, in another session too: every change ends in the same
    state, from wherever the one before it was interrupted.

    No password stands in what is raised, logged, printed or chained: a driver's texts and frames
    may hold one.
    """

    engine: ClassVar[Engine]
    """What the server has turned out to be."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """End the session and release its lock; never raises, and may be called again."""

    def only_look(self) -> None:  # noqa: B027 (an engine whose server cannot refuse has nothing to do)
        """Let the server refuse every change by this session from now on, where it can."""

    @abstractmethod
    def lock(self, name: str, seconds: float) -> Lock:
        """Take the server-wide (or database-wide) advisory lock ``name`` until the session ends.

        Called once in a session that is going to change something, before it does: an
        administrator's, or the user's own where the engine lets users rotate themselves.

        Args:
            name: The secret's ARN; an engine may hash it to fit.
            seconds: How long to wait for another holder.

        Raises:
            LockTimeout: The holder did not let go in time.
        """

    @abstractmethod
    def change_password(self, username: str, password: str) -> None:
        """Make ``password`` the only password of ``username``; idempotent.

        Called under the lock, after the fence was moved: with a new password, or with the former
        one to put it back. A missing user is not made.

        Args:
            username: The session's own user, or another one if the session's user may change it.
            password: In clear; sent as a verifier or hash where the engine takes one.

        Raises:
            PasswordRejected: The server's policy refuses it.
            PermissionDenied: The session's user may not change it.
            ServerReadOnly: The server takes no changes.
        """

    @abstractmethod
    def account_problem(self, username: str) -> DatabaseError | None:
        """Say what keeps ``username`` from logging in, that another password would not cure.

        Called when a login was refused, and before an administrator sets a password.

        Returns:
            AccountMissing, AccountLocked or AccountExpired, ready to be raised; None when the
            account is fine, or when the session's user may not look.
        """

    def unable(self, strategy: StrategyName) -> str | None:
        """Say what this server lacks for a strategy that its engine has, such as a newer version.

        Asked before anything is changed.

        Returns:
            A sentence for the DBA; None when it lacks nothing.
        """
        del strategy
        return None

    def acts_as(self) -> str | None:
        """Ask the server whose rights the session has, as it was opened.

        Returns:
            A name to compare with :meth:`SecondUser.should_act_as`; None where a session always
            has the rights of its own user.
        """
        return None

    def remarks(self) -> list[str]:
        """Return what was seen in this session that a DBA may clear up, and that stops nothing.

        Each names what and the statement, as :meth:`SecondUser.differences` does; for the log.
        """
        return []


@runtime_checkable
class SecondUser(Protocol):
    """The session's user is an administrator who can keep a second user equal to a first."""

    def ownership(self, pair: Pair) -> Ownership:
        """Say whether the pair's second user exists and is ours."""

    def adoption(self, pair: Pair) -> str:
        """Return the statement with which a DBA hands an existing second user to this secret."""

    def adopt(self, pair: Pair) -> None:
        """Hand an existing second user to this secret, as :meth:`adoption` says.

        Raises:
            PermissionDenied: The session's user may not.
        """

    def sessions_of(self, username: str) -> int | None:
        """Count the open sessions of ``username``; None when the session's user may not look."""

    def should_act_as(self, username: str, pair: Pair) -> str | None:
        """Say whose rights a new session of ``username`` must have in this session's database.

        Read from the catalogues, for either user of the pair: what the first acts as there.

        Returns:
            A name to compare with :meth:`Session.acts_as`; None where there is nothing to compare.
        """

    def prepare(self, idle: str, password: str, pair: Pair, *, rights: bool) -> None:
        """Give ``idle`` (one of the pair) the password and, if ``rights``, make the pair equal.

        Creates and marks the second user if it is missing. All or nothing where the engine can;
        otherwise in an order in which every interruption is mended by the next call. Never touches
        the password of the other user.

        Raises:
            RightsDiffer: A right cannot be passed on; raised before anything changes.
            NameTooLong: The engine does not allow a name of that length.
        """

    def differences(self, pair: Pair, idle: str) -> list[str]:
        """List what the two users of the pair may not do alike, read afresh from the catalogues.

        Args:
            pair: The users.
            idle: The one whose turn it is. Where the engine can tell that the first user has lost
                a right since the second became active, this is no difference at the first's turn:
                the second follows when it is idle.

        Returns:
            One line for each difference, naming the right and the statement that would mend it;
            empty when they are equal.
        """


@runtime_checkable
class TwoPasswords(Protocol):
    """An administrator can let a user have two passwords at once."""

    def set_both(self, username: str, new: str, old: str) -> None:
        """Make ``new`` and ``old`` the user's passwords, from any state in which ``old`` works.

        At no moment does ``old`` stop working. Idempotent. Called under the lock, after the fence
        was moved; a missing user is not made.

        Raises:
            PasswordRejected: The server's policy refuses it (for example PASSWORD HISTORY).
            PermissionDenied: The session's user may not.
        """


@runtime_checkable
class OwnTwoPasswords(TwoPasswords, Protocol):
    """Every user can give itself a second password."""

    def add_password(self, new: str, old: str) -> bool:
        """Make ``new`` the first and ``old`` the second password, if ``old`` is the first now.

        Of the session's own user: that it has logged in with ``old`` once does not mean that this
        still is the password in use. The server looks and changes in one statement.

        Returns:
            False when another password is the first: nothing was changed.

        Raises:
            PasswordRejected: The server's policy refuses it.
            PermissionDenied: The session's user may not.
        """
