"""An engine in memory: as little of a database as a rotation can tell from a real one.

It is harsher than the real ones in one point: nothing is atomic. A second user is made, then
marked, then given its rights, and a crash may come between any two of these.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from shared.deadline import Deadline
from shared.errors import AccountMissing, DatabaseError, LoginRefused
from shared.model import Login
from shared.passwords import Profile
from shared.rotator import Rotator
from shared.session import Lock, Ownership, Pair, Session

ADMINISTRATOR = "administrator"
ADMINISTRATOR_PASSWORD = "Password-of-the-1-administrator"


@dataclass
class Account:
    """A user: its passwords, the one in use first, and its rights."""

    passwords: list[str]
    rights: frozenset[str] = frozenset()
    mark: str | None = None


@dataclass
class Database:
    """The server.

    Attributes:
        accounts: By name.
        refused: How many logins were refused.
        boundary: Called before and after each effect; what it raises ends the function.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    refused: int = 0
    boundary: Callable[[], None] = lambda: None

    def accepts(self, username: str, password: str) -> bool:
        """Say whether a login would be accepted."""
        account = self.accounts.get(username)
        return account is not None and password in account.passwords

    @contextmanager
    def effect(self) -> Iterator[None]:
        """Have one effect: a boundary before it, and one before its answer."""
        self.boundary()
        yield
        self.boundary()


class SimulatedSession(Session):
    """A session of any user; the administrator's can do everything."""

    def __init__(self, database: Database, username: str) -> None:
        self._database = database
        self._username = username

    def close(self) -> None:
        """End the session."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Take the lock, which is always free: there is one thread."""
        self._database.boundary()
        return Lock.AT_ONCE

    def change_password(self, username: str, password: str) -> None:
        """Make it the only password."""
        with self._database.effect():
            self._database.accounts[username].passwords = [password]

    def account_problem(self, username: str) -> DatabaseError | None:
        """Say whether the user is missing."""
        self._database.boundary()
        known = username in self._database.accounts
        return None if known else AccountMissing(f"There is no user {username}.")

    # SecondUser

    def ownership(self, pair: Pair) -> Ownership:
        """Read the mark."""
        self._database.boundary()
        account = self._database.accounts.get(pair.second)
        if account is None:
            return Ownership.MISSING
        ours = account.mark in (pair.owner, "unfinished")
        return Ownership.OURS if ours else Ownership.FOREIGN

    def adoption(self, pair: Pair) -> str:
        """Return what a DBA would run."""
        return f"MARK {pair.second} AS {pair.owner}"

    def adopt(self, pair: Pair) -> None:
        """Mark it."""
        with self._database.effect():
            self._database.accounts[pair.second].mark = pair.owner

    def sessions_of(self, username: str) -> int | None:
        """Nobody else has a session."""
        return 0

    def should_act_as(self, username: str, pair: Pair) -> str | None:
        """Every session acts as its own user."""
        return None

    def prepare(self, idle: str, password: str, pair: Pair, *, rights: bool) -> None:
        """Make the user, mark it, set its password, copy its rights: one after the other."""
        accounts = self._database.accounts
        if idle not in accounts:
            with self._database.effect():
                accounts[idle] = Account([password], mark="unfinished")
        if accounts[pair.second].mark != pair.owner:
            with self._database.effect():
                accounts[pair.second].mark = pair.owner
        with self._database.effect():
            accounts[idle].passwords = [password]
        for right in accounts[pair.first].rights - accounts[pair.second].rights:
            with self._database.effect():
                accounts[pair.second].rights |= {right}
        for right in accounts[pair.second].rights - accounts[pair.first].rights:
            with self._database.effect():
                accounts[pair.second].rights -= {right}

    def differences(self, pair: Pair, idle: str) -> list[str]:
        """Compare the rights."""
        del idle
        self._database.boundary()
        accounts = self._database.accounts
        if pair.second not in accounts:
            raise AccountMissing(f"There is no user {pair.second}.")
        return sorted(accounts[pair.first].rights ^ accounts[pair.second].rights)

    # TwoPasswords

    def add_password(self, new: str, old: str) -> bool:
        """Add one to the first, if that is ``old``."""
        account = self._database.accounts[self._username]
        with self._database.effect():
            if account.passwords[0] != old:
                return False
            account.passwords = [new, old]
        return True

    def set_both(self, username: str, new: str, old: str) -> None:
        """Set both, as MySQL does: make ``old`` the primary, then retain it."""
        account = self._database.accounts[username]
        with self._database.effect():
            account.passwords = [old, *account.passwords[1:]]
        with self._database.effect():
            account.passwords = [new, old]


class SimulatedRotator(Rotator):
    """Rotates the users of :attr:`database`."""

    engine_names: ClassVar[frozenset[str]] = frozenset({"simulated"})
    default_port: ClassVar[int] = 1
    profile: ClassVar[Profile] = Profile()
    longest_name: ClassVar[int] = 60
    database: ClassVar[Database] = Database()

    def connect(self, login: Login, deadline: Deadline) -> SimulatedSession:
        """Log in."""
        self.database.boundary()
        if not self.database.accepts(login.username, login.password):
            self.database.refused += 1
            raise LoginRefused(f"{login.username} was refused.")
        return SimulatedSession(self.database, login.username)
