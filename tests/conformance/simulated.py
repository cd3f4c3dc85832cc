"""An engine in memory: as little of a database as a rotation can tell from a real one.

It is harsher than the real ones in one point: nothing is atomic. A second user is made, then
marked, then given its rights, and a crash may come between any two of these.

What a session says to the server is a *message*: each has a name and one place, in
:meth:`Database.effect` or :meth:`Database.look`, where a test may let something happen.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from shared.deadline import Deadline
from shared.engine import BY_ADMINISTRATOR, BY_EITHER, BY_USER, Engine
from shared.errors import AccountMissing, DatabaseError, LockTimeout, LoginRefused, StatementFailed
from shared.model import Login
from shared.passwords import Profile
from shared.rotator import Rotator
from shared.session import Lock, Ownership, Pair, Session
from shared.settings import StrategyName

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
        locks_hold: False for a server whose locks keep nobody out (a pooler in transaction mode).
        lock_holders: The session that has each lock, by the lock's name.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    refused: int = 0
    boundary: Callable[[], None] = lambda: None
    locks_hold: bool = True
    lock_holders: dict[str, "SimulatedSession"] = field(default_factory=dict)

    def accepts(self, username: str, password: str) -> bool:
        """Say whether a login would be accepted."""
        account = self.accounts.get(username)
        return account is not None and password in account.passwords

    @contextmanager
    def effect(self, message: str, session: "SimulatedSession") -> Iterator[None]:
        """Have one effect: a boundary before it, and one before its answer."""
        self.boundary()
        session._require_open(message)
        yield
        self.boundary()

    def look(self, message: str, session: "SimulatedSession | None" = None) -> None:
        """Have no effect: one boundary, before the answer."""
        self.boundary()
        if session is not None:
            session._require_open(message)

    def take_lock(self, name: str, session: "SimulatedSession") -> Lock:
        """Give a lock to a session.

        Raises:
            LockTimeout: Another session has it, and in one thread nobody will let go.
        """
        if not self.is_free(name, session):
            raise LockTimeout(f"Another session has the lock {name}.")
        self.lock_holders[name] = session
        return Lock.AT_ONCE

    def is_free(self, name: str, session: "SimulatedSession") -> bool:
        """Say whether a session would get a lock at once."""
        return not self.locks_hold or self.lock_holders.get(name, session) is session

    def release(self, session: "SimulatedSession") -> None:
        """Free what a session that ends has locked."""
        for name, holder in [*self.lock_holders.items()]:
            if holder is session:
                del self.lock_holders[name]


SIMULATED = Engine(
    name="simulated",
    title="The simulated engine",
    names=frozenset({"simulated"}),
    function="SimulatedRotator",
    driver="",
    default_port=1,
    strategies={
        StrategyName.SINGLE_USER: BY_USER,
        StrategyName.SINGLE_USER_BY_ADMINISTRATOR: BY_ADMINISTRATOR,
        StrategyName.ALTERNATING_USERS: BY_ADMINISTRATOR,
        StrategyName.DUAL_PASSWORD: BY_EITHER,
    },
)


class SimulatedSession(Session):
    """A session of any user; the administrator's can do everything."""

    engine: ClassVar[Engine] = SIMULATED

    def __init__(self, database: Database, username: str) -> None:
        self._database = database
        self._username = username
        self.is_open = True

    def _require_open(self, message: str) -> None:
        """Raise StatementFailed when the session has ended."""
        if not self.is_open:
            raise StatementFailed(f"The session of {self._username} is over: {message}.")

    def close(self) -> None:
        """End the session, which frees its lock, whatever else happens."""
        try:
            if self.is_open:
                self._database.look("close")
        finally:
            self.is_open = False
            self._database.release(self)

    def lock(self, name: str, seconds: float) -> Lock:
        """Take the lock."""
        self._database.look("lock", self)
        return self._database.take_lock(name, self)

    def change_password(self, username: str, password: str) -> None:
        """Make it the only password."""
        with self._database.effect(f"change the password of {username}", self):
            self._database.accounts[username].passwords = [password]

    def account_problem(self, username: str) -> DatabaseError | None:
        """Say whether the user is missing."""
        self._database.look(f"look for {username}", self)
        known = username in self._database.accounts
        return None if known else AccountMissing(f"There is no user {username}.")

    # SecondUser

    def ownership(self, pair: Pair) -> Ownership:
        """Read the mark."""
        self._database.look(f"read the mark of {pair.second}", self)
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
        with self._database.effect(f"mark {pair.second}", self):
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
            with self._database.effect(f"make {idle}", self):
                accounts[idle] = Account([password], mark="unfinished")
        if rights and accounts[pair.second].mark != pair.owner:
            with self._database.effect(f"mark {pair.second}", self):
                accounts[pair.second].mark = pair.owner
        with self._database.effect(f"change the password of {idle}", self):
            accounts[idle].passwords = [password]
        if not rights:
            return
        for right in sorted(accounts[pair.first].rights - accounts[pair.second].rights):
            with self._database.effect(f"grant {right}", self):
                accounts[pair.second].rights |= {right}
        for right in sorted(accounts[pair.second].rights - accounts[pair.first].rights):
            with self._database.effect(f"revoke {right}", self):
                accounts[pair.second].rights -= {right}

    def differences(self, pair: Pair, idle: str) -> list[str]:
        """Compare the rights."""
        del idle
        self._database.look("compare the rights", self)
        accounts = self._database.accounts
        if pair.second not in accounts:
            raise AccountMissing(f"There is no user {pair.second}.")
        return sorted(accounts[pair.first].rights ^ accounts[pair.second].rights)

    # OwnTwoPasswords

    def add_password(self, new: str, old: str) -> bool:
        """Add one to the first, if that is ``old``."""
        account = self._database.accounts[self._username]
        with self._database.effect("add a password", self):
            if account.passwords[0] != old:
                return False
            account.passwords = [new, old]
        return True

    def set_both(self, username: str, new: str, old: str) -> None:
        """Set both, as MySQL does: make ``old`` the primary, then retain it."""
        account = self._database.accounts[username]
        with self._database.effect("make the old password the first", self):
            account.passwords = [old, *account.passwords[1:]]
        with self._database.effect("put the new password before it", self):
            account.passwords = [new, old]


class SimulatedRotator(Rotator):
    """Rotates the users of :attr:`database`."""

    engines: ClassVar[tuple[Engine, ...]] = (SIMULATED,)
    profile: ClassVar[Profile] = Profile()
    longest_name: ClassVar[int] = 60
    database: ClassVar[Database] = Database()

    def connect(self, login: Login, deadline: Deadline) -> SimulatedSession:
        """Log in."""
        self.database.look(f"login {login.username}")
        if not self.database.accepts(login.username, login.password):
            self.database.refused += 1
            raise LoginRefused(f"{login.username} was refused.")
        return SimulatedSession(self.database, login.username)
