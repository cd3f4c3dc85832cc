"""Sessions that break a promise about the lock."""

import time

from rotators.postgres.session import PostgresSession
from rotators.valkey.session import ValkeySession
from shared.deadline import Deadline
from shared.errors import LockTimeout, RotationError
from shared.session import Lock, Session
from tests.kit.broken.defect import breaks
from tests.kit.worlds.postgres import PostgresWorld


@breaks(Session.lock, "test_second_one_waits")
class LocksNothing(ValkeySession):
    """``lock`` locks nothing."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Say that it is held."""
        return Lock.AT_ONCE


@breaks(Session.lock, "test_one_of_many_waiters_holds")
class EveryWaiterHolds(ValkeySession):
    """Who has waited for long enough takes the lock, whoever has it."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Wait a little."""
        try:
            return super().lock(name, 0.05)
        except LockTimeout:
            return Lock.AFTER_WAITING


@breaks(Session.lock, "test_lock_that_is_free")
class NotHeld(ValkeySession):
    """The engine has a lock, and ``lock`` says that it has none."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Do without."""
        return Lock.NOT_HELD


@breaks(Session.lock, "test_second_one_waits")
class DoesNotWait(ValkeySession):
    """``lock`` does not wait."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Ask once."""
        return super().lock(name, 0)


@breaks(Lock, "test_waiter_learns_that_it_waited")
class NeverWaited(ValkeySession):
    """Who had to wait is told that the lock was free."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Take it, and forget how."""
        super().lock(name, seconds)
        return Lock.AT_ONCE


@breaks(Session.lock, "test_mere_waiter_is_no_holder", alone=True)
class WaiterHolds(ValkeySession):
    """Who only wanted the lock keeps others out."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Take it, or leave a sign that it is wanted."""
        try:
            return super().lock(name, seconds)
        except LockTimeout:
            self._connection.run(("SET", f"secret-rotation:wanted {name}", "by me", "PX", "9000"))
            raise

    def _acquire(self, key: str, mine: str) -> bool:
        (wanted,) = self._connection.run(("GET", f"secret-rotation:wanted {self.name}"))
        return not wanted and super()._acquire(key, mine)

    @property
    def name(self) -> str:
        """The name of the lock that the tests take."""
        from tests.kit.contract.lock import ARN  # noqa: PLC0415 - for this one

        return ARN


@breaks(Session.lock, "test_lock_of_a_killed_function", alone=True)
class LeaseAlone(ValkeySession):
    """A lock lives as long as its lease, whatever becomes of its holder."""

    def _acquire(self, key: str, mine: str) -> bool:
        (holder,) = self._connection.run(("GET", key))
        return not holder and super()._acquire(key, mine)


@breaks(Session.lock, "test_lock_behind_a_black_hole", alone=True)
class NoLease(ValkeySession):
    """A lock lives as long as its session, and a swallowed session for ever."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Take it for a long time."""
        self._connection.deadline = Deadline(600)
        return super().lock(name, seconds)


@breaks(Session.lock, "test_locks_of_two_secrets")
class ShortNames(ValkeySession):
    """Of a long name only the beginning counts."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Cut it off."""
        return super().lock(name[:64], seconds)


@breaks(Session.lock, "test_user_and_administrator_meet", good=PostgresWorld)
class LockOfTheUser(PostgresSession):
    """Each user has a lock of its own."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Take it for this user."""
        return super().lock(name + self._username, seconds)


@breaks(Session.lock, "test_lock_is_kept_through_a_change", good=PostgresWorld)
class LosesItInAChange(PostgresSession):
    """A change lets go of the lock."""

    def change_password(self, username: str, password: str) -> None:
        """Change it, and clean up too early."""
        super().change_password(username, password)
        self._run("SELECT pg_advisory_unlock_all()")


@breaks(Session.close, "test_lock_is_kept_through_a_change", alone=True)
class KeepsItAfterTheEnd(ValkeySession):
    """A session that is closed goes on to hold its lock."""

    def close(self) -> None:
        """Close it later."""
        kept.append(self)


kept: list[Session] = []


@breaks(Session, "test_lock_without_time")
class WaitsForTooLong(ValkeySession):
    """``lock`` waits for longer than there is time."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Wait a good while."""
        try:
            return super().lock(name, seconds)
        except RotationError:
            time.sleep(2)
            raise
