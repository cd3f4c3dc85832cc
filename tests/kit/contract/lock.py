"""The lock: who holds it, who waits for it, and when it is free again."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ClassVar

import pytest

from local.proxy import Proxy
from shared.deadline import Deadline
from shared.errors import LockTimeout, RotationError
from shared.model import Login
from shared.rotator import Rotator
from shared.session import Lock, Session
from shared.tls import Trust
from tests.kit.contract.connect import SHORT_SECONDS
from tests.kit.contract.session import failure_in, said
from tests.kit.contract.world import SECOND, State, World, connect, needs, promised

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:" + "long/" * 40 + "name-AbCdEf"
"""As long as a secret's name may be, nearly."""

FREE_SECONDS = 5.0
"""Longest time until the server has noticed that a holder is dead."""


def tried(session: Session, name: str, seconds: float) -> Lock | RotationError:
    """Take the lock, and return how, or why not."""
    try:
        return session.lock(name, seconds)
    except RotationError as error:
        return error


def how(found: object) -> str:
    """Say in words how the lock was had."""
    return found.name if isinstance(found, Lock) else f"{type(found).__name__} ({found})"


class LockContract:
    """What is asked of ``lock``."""

    world: ClassVar[type[World]]

    def test_lock_that_is_free(self, on: World) -> None:
        """A free lock is had at once, or the engine has none and says so."""
        with on.changing(on.new_user()) as session:
            found = tried(session, ARN + "free", 5)
        wanted = Lock.NOT_HELD if State.LOCK in on.lacking() else Lock.AT_ONCE
        promised(
            found is wanted,
            f"lock() of a free lock must be {wanted.name}, and is {how(found)}.",
            Session.lock,
        )

    @needs(State.LOCK)
    def test_second_one_waits(self, on: World) -> None:
        """Who comes second waits, as long as it was told, and is told that it was in vain."""
        name = on.new_user()
        with on.changing(name) as holder, on.changing(name) as second:
            holder.lock(ARN, 5)
            began = time.monotonic()
            found = tried(second, ARN, 1)
            took = time.monotonic() - began
        promised(
            isinstance(found, LockTimeout),
            f"While another session holds the lock, lock() must raise LockTimeout; it says "
            f"{how(found)}: two deliveries would change the password at the same time.",
            Session.lock,
        )
        promised(
            0.5 <= took < 4,
            f"lock() was told to wait for 1 second, and waited for {took:.1f}.",
            Session.lock,
        )

    @needs(State.LOCK, State.OWN_CHANGE)
    def test_user_and_administrator_meet(self, on: World) -> None:
        """The session of the user and that of the administrator lock the same lock."""
        with on.changing(on.new_user()) as own, on.as_administrator() as administrator:
            own.lock(ARN, 5)
            found = tried(administrator, ARN, 0.5)
        promised(
            isinstance(found, LockTimeout),
            f"The administrator's lock() says {how(found)} while the user's session holds it.",
            Session.lock,
        )

    @needs(State.LOCK)
    def test_locks_of_two_secrets(self, on: World) -> None:
        """Two secrets whose long names differ in the end do not wait for each other."""
        name = on.new_user()
        with on.changing(name) as one, on.changing(name) as other:
            one.lock(ARN + "1", 5)
            found = tried(other, ARN + "2", 1)
        promised(
            found is Lock.AT_ONCE,
            f"The lock of another secret must be free, and is {how(found)}: is the name cut off?",
            Session.lock,
        )

    @needs(State.LOCK)
    def test_waiter_learns_that_it_waited(self, on: World) -> None:
        """Who had to wait is told so: what it read before may be out of date."""
        name = on.new_user()
        holder = on.changing(name)
        holder.lock(ARN, 5)
        timer = threading.Timer(0.4, holder.close)
        timer.start()
        with on.changing(name) as second:
            found = tried(second, ARN, 10)
        timer.join()
        promised(
            found is Lock.AFTER_WAITING,
            f"A lock that another session held first must be AFTER_WAITING, and is {how(found)}.",
            Lock,
        )

    @needs(State.LOCK)
    def test_lock_is_kept_through_a_change(self, on: World) -> None:
        """A change under the lock does not let go of it; the end of the session does."""
        name = on.new_user()
        holder = on.changing(name)
        with on.as_administrator() as second:
            holder.lock(ARN, 5)
            holder.change_password(name, SECOND)
            during = tried(second, ARN, 0.5)
            holder.close()
            after = tried(second, ARN, FREE_SECONDS)
        promised(
            isinstance(during, LockTimeout),
            f"After change_password() the lock must still be held; another one got {how(during)}.",
            Session.lock,
        )
        promised(
            isinstance(after, Lock),
            f"After close() the lock must be free, and is {how(after)}.",
            Session.close,
        )

    @needs(State.LOCK)
    def test_mere_waiter_is_no_holder(self, on: World) -> None:
        """Who waited in vain keeps nobody out, though its session is still open."""
        name = on.new_user()
        with on.changing(name) as waiter:
            with on.changing(name) as holder:
                holder.lock(ARN, 5)
                tried(waiter, ARN, 0.5)
            with on.changing(name) as next_one:
                found = tried(next_one, ARN, 2)
        promised(
            found is Lock.AT_ONCE,
            "A session that wanted the lock and did not get it is no holder: the next lock() must "
            f"be AT_ONCE, and is {how(found)}.",
            Session.lock,
        )

    @needs(State.LOCK)
    def test_one_of_many_waiters_holds(self, on: World) -> None:
        """Of several who wait at the same time one gets the lock, and the others one by one."""
        name = on.new_user()
        inside, most, guard = [0], [0], threading.Lock()

        def turn() -> Lock | RotationError:
            with on.changing(name) as session:
                found = tried(session, ARN, 15)
                with guard:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.1)
                with guard:
                    inside[0] -= 1
            return found

        with ThreadPoolExecutor(4) as pool:
            found = [each.result() for each in [pool.submit(turn) for _ in range(4)]]
        promised(
            most[0] == 1 and all(isinstance(each, Lock) for each in found),
            f"Of four sessions {most[0]} held the lock at the same time; they were told "
            f"{', '.join(map(how, found))}.",
            Session.lock,
        )
        promised(
            found.count(Lock.AT_ONCE) <= 1,
            "Of four sessions that took the lock one after the other, more than one had it "
            "AT_ONCE.",
            Lock,
        )

    @needs(State.LOCK)
    def test_lock_of_a_killed_function(self, on: World) -> None:
        """The lock of a process that was killed (SIGKILL) is free at once."""
        name = on.new_user()
        kill = hold_in_a_process(on, name)
        with on.changing(name) as second:
            while_held = tried(second, ARN, 0.5)
            kill()
            found = tried(second, ARN, FREE_SECONDS)
        promised(
            isinstance(while_held, LockTimeout),
            f"A lock that a session of another process holds is {how(while_held)}.",
            Session.lock,
        )
        promised(
            isinstance(found, Lock),
            f"The lock of a killed function must be free, and lock() says {how(found)} after "
            f"{FREE_SECONDS} seconds: every retry would wait in vain.",
            Session.lock,
        )

    @needs(State.LOCK)
    def test_lock_behind_a_black_hole(self, on: World) -> None:
        """The lock of a session that the network has swallowed is free when its time is over.

        The server never hears that its client is gone.
        """
        name = on.new_user()
        with Proxy(on.server.host, on.server.port) as proxy:
            deadline = Deadline(SHORT_SECONDS)
            lost = on.changing(name, deadline=deadline, host=proxy.host, port=proxy.port)
            lost.lock(ARN, 1)
            proxy.black_hole()
            with on.changing(name) as second:
                found = tried(second, ARN, SHORT_SECONDS + FREE_SECONDS)
            proxy.close()
            lost.close()
        promised(
            isinstance(found, Lock),
            f"A session behind a black hole keeps the lock after its time is over: lock() says "
            f"{how(found)}. Let the server end a session that is silent for as long as the "
            "function's deadline.",
            Session.lock,
        )

    @needs(State.LOCK)
    def test_lock_without_time(self, on: World) -> None:
        """With little time left the lock is not waited for longer than that."""
        name = on.new_user()
        with on.changing(name) as holder:
            holder.lock(ARN, 5)
            with on.changing(name, deadline=Deadline(SHORT_SECONDS)) as second:
                began = time.monotonic()
                error = failure_in(lambda: second.lock(ARN, 30))
                took = time.monotonic() - began
        promised(
            error is not None and took < SHORT_SECONDS,
            f"lock() waited {took:.1f} seconds, and the function had {SHORT_SECONDS}; it ended in "
            f"{said(error)}.",
            Session,
        )


def hold_in_a_process(on: World, username: str) -> Callable[[], None]:
    """Let a process of its own hold the lock; return what kills it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    login = on.changing_login(username).to_json()
    process = context.Process(
        target=_hold, args=(on.rotator, login, on.server.ca_file, theirs), daemon=True
    )
    process.start()
    if not ours.poll(30) or ours.recv() != "held":
        process.kill()
        pytest.fail("The process that was to hold the lock did not come to it.", pytrace=False)

    def kill() -> None:
        process.kill()
        process.join(10)

    return kill


def _hold(rotator: type[Rotator], login: str, ca_file: Path, told: Connection) -> None:
    """Take the lock, say so, and hold it until the process is killed."""
    session = connect(rotator, Login.parse(login, where="the test"), Trust(ca_file), Deadline(60))
    session.lock(ARN, 5)
    told.send("held")
    time.sleep(60)
