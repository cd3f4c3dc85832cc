"""What a session does to passwords, says of accounts, and how long it waits."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest

from local.proxy import Proxy
from shared.deadline import Deadline
from shared.errors import (
    AccountExpired,
    AccountLocked,
    AccountMissing,
    LoginRefused,
    OutOfTime,
    PasswordExpired,
    PasswordRejected,
    PermissionDenied,
    RotationError,
    ServerReadOnly,
    Unreachable,
)
from shared.rotator import Rotator
from shared.session import Session
from tests.kit.contract.connect import SHORT_SECONDS, require_no_password
from tests.kit.contract.world import PASSWORD, SECOND, THIRD, State, World, needs, promised

CHANGERS = (pytest.param("the user", marks=needs(State.OWN_CHANGE)), "the administrator")
"""Who changes a password."""


@contextmanager
def session_of(on: World, changer: str, username: str) -> Iterator[Session]:
    """Open the session of whoever changes the user's password."""
    with on.as_user(username) if changer == "the user" else on.as_administrator() as session:
        yield session


def failure_in(act: Callable[[], object]) -> RotationError | None:
    """Return the error that an act ends in, None where it succeeds.

    Any other exception is a broken promise.
    """
    try:
        act()
    except RotationError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a driver's own, perhaps
        promised(
            holds=False,
            wrong=f"{type(error).__name__} is raised, which is none of shared.errors.",
            promise=Session,
        )
    return None


def said(error: RotationError | None) -> str:
    """Return what an act ended in, in words."""
    return "no error" if error is None else f"{type(error).__name__} ({error.message})"


class SessionContract:
    """What is asked of a session."""

    world: ClassVar[type[World]]

    @pytest.mark.parametrize("changer", CHANGERS)
    def test_password_is_changed(self, on: World, changer: str) -> None:
        """The new password is the user's only one, and the same change once more changes nothing.

        As after an answer that was lost.
        """
        name = on.new_user()
        with session_of(on, changer, name) as session:
            session.change_password(name, SECOND)
            error = failure_in(lambda: session.change_password(name, SECOND))
        promised(
            error is None,
            f"change_password() by {changer} must be idempotent: the second call, with the same "
            f"password, ends in {said(error)}.",
            Session.change_password,
        )
        promised(
            on.accepts(name, SECOND),
            f"After change_password() by {changer} the server refuses the new password.",
            Session.change_password,
        )
        promised(
            not on.accepts(name, PASSWORD),
            f"After change_password() by {changer} the old password still logs in.",
            Session.change_password,
        )

    def test_nobody_else_is_changed(self, on: World) -> None:
        """A change of one user's password leaves every other user as it was."""
        one, other = on.new_user(), on.new_user()
        before = on.oracle.state_of(other)
        with on.as_administrator() as session:
            session.change_password(one, SECOND)
        promised(
            on.oracle.state_of(other) == before,
            "change_password() changed another user than the one it was given.",
            Session.change_password,
        )

    @pytest.mark.parametrize("changer", CHANGERS)
    def test_rights_stay(self, on: World, changer: str) -> None:
        """A change of the password changes nothing else of the user."""
        name = f"kept{on.new_name()}"
        on.oracle.make_user(name, PASSWORD, own_two_passwords=False)
        before = on.oracle.rights(name, name, PASSWORD, taking_over=False)
        with session_of(on, changer, name) as session:
            session.change_password(name, PASSWORD)
        after = on.oracle.rights(name, name, PASSWORD, taking_over=False)
        differing = [
            each for each in before.keys() | after.keys() if before.get(each) != after.get(each)
        ]
        promised(
            not differing,
            f"change_password() changed more than the password: {'; '.join(differing[:5])}.",
            Session.change_password,
        )

    def test_missing_user(self, on: World) -> None:
        """The password of a user that does not exist cannot be changed, and no user is made."""
        name = on.new_name()
        with on.as_administrator() as session:
            error = failure_in(lambda: session.change_password(name, SECOND))
        promised(
            on.oracle.state_of(name) is None,
            f"change_password() of a user that does not exist has made it ({said(error)}).",
            Session.change_password,
        )
        promised(
            isinstance(error, AccountMissing),
            "change_password() of a user that does not exist must raise AccountMissing, and ends "
            f"in {said(error)}.",
            Session.account_problem,
        )
        require_no_password(error or AssertionError(), SECOND)

    def test_change_without_right(self, on: World) -> None:
        """Who may not change another's password is told so, and nothing is changed."""
        one, other = on.new_user(), on.new_user()
        with on.as_user(one) as session:
            error = failure_in(lambda: session.change_password(other, SECOND))
        promised(
            isinstance(error, PermissionDenied),
            "change_password() by who may not must raise PermissionDenied, and ends in "
            f"{said(error)}.",
            Session.change_password,
        )
        require_no_password(error or AssertionError(), SECOND, PASSWORD)
        promised(
            on.accepts(other, PASSWORD),
            "change_password() by who may not has changed the password.",
            Session.change_password,
        )

    @needs(State.ONLY_LOOKS)
    @pytest.mark.parametrize("changer", CHANGERS)
    def test_session_that_only_looks(self, on: World, changer: str) -> None:
        """After only_look() the server refuses every change of the session, and it still looks."""
        name = on.new_user()
        with session_of(on, changer, name) as session:
            session.only_look()
            problem = session.account_problem(name)
            error = failure_in(lambda: session.change_password(name, SECOND))
        promised(
            error is not None and problem is None and on.accepts(name, PASSWORD),
            f"After only_look() change_password() by {changer} ends in {said(error)}: whoever only "
            "examines could change something.",
            Session.only_look,
        )

    @needs(State.READ_ONLY)
    @pytest.mark.parametrize("changer", CHANGERS)
    def test_change_on_a_reader(self, on: World, changer: str) -> None:
        """A server that takes no changes is told as such, and is not changed."""
        name = on.new_user()
        on.server.set_read_only(True)
        try:
            on.oracle.open()
            before = on.oracle.state_of(name)
            with session_of(on, changer, name) as session:
                error = failure_in(lambda: session.change_password(name, SECOND))
            after = on.oracle.state_of(name)
        finally:
            on.server.set_read_only(False)
            on.oracle.open()
        promised(
            isinstance(error, ServerReadOnly),
            f"change_password() by {changer} on a reader must raise ServerReadOnly, and ends in "
            f"{said(error)}.",
            Session.change_password,
        )
        promised(
            before == after and on.accepts(name, PASSWORD),
            f"change_password() by {changer} has changed a user on a reader: the writer knows "
            "nothing of it, and the change is lost or, worse, kept.",
            Session.change_password,
        )

    @pytest.mark.parametrize("changer", CHANGERS)
    @pytest.mark.parametrize("times", [1, 2])
    def test_change_outlives_a_crash(self, on: World, changer: str, times: int) -> None:
        """A change that was answered is there after the server was killed and started again."""
        name = on.new_user()
        with session_of(on, changer, name) as session:
            for _ in range(times):
                session.change_password(name, SECOND)
        on.restart_hard()
        promised(
            on.accepts(name, SECOND) and not on.accepts(name, PASSWORD),
            f"change_password() by {changer}, called {times} times, does not outlive a crash of "
            "the server: store the change, and answer when it is stored.",
            Session.change_password,
        )

    @needs(State.UNSTORED)
    def test_repeated_change_is_stored(self, on: World) -> None:
        """A change that is there already, but was never stored, is stored by the call once more.

        As after a function that was killed between the two.
        """
        name = on.new_user()
        on.change_unstored(name, SECOND)
        with on.as_administrator() as session:
            session.change_password(name, SECOND)
        on.restart_hard()
        promised(
            on.accepts(name, SECOND),
            "change_password() finds the password in force and returns, although the change was "
            "never stored: a crash of the server loses it.",
            Session.change_password,
        )

    @needs(State.PASSWORD_POLICY)
    @pytest.mark.parametrize("changer", CHANGERS)
    def test_password_that_is_rejected(self, on: World, changer: str) -> None:
        """A password that the server's policy refuses is PasswordRejected; nothing is changed."""
        name = on.new_user()
        with on.policy() as refused, session_of(on, changer, name) as session:
            error = failure_in(lambda: session.change_password(name, refused))
        promised(
            isinstance(error, PasswordRejected),
            f"A password that the server's policy refuses must end in PasswordRejected; by "
            f"{changer} it ends in {said(error)}.",
            Session.change_password,
        )
        require_no_password(error or AssertionError(), refused)
        promised(
            on.accepts(name, PASSWORD),
            "A password that was rejected has changed the old one.",
            Session.change_password,
        )

    # Accounts

    def _require_problem(self, on: World, username: str, *kinds: type[RotationError]) -> None:
        with on.as_administrator() as session:
            found = session.account_problem(username)
        wanted = " or ".join(each.__name__ for each in kinds) or "None"
        promised(
            type(found) in kinds if kinds else found is None,
            f"account_problem() must say {wanted}, and says {said(found)}.",
            Session.account_problem,
        )

    def test_well_account_has_no_problem(self, on: World) -> None:
        """Of an account that is fine, account_problem() says nothing."""
        self._require_problem(on, on.new_user())

    def test_missing_account_is_seen(self, on: World) -> None:
        """A user that does not exist is AccountMissing."""
        self._require_problem(on, on.new_name(), AccountMissing)

    @needs(State.LOCKED_USER)
    def test_locked_account_is_seen(self, on: World) -> None:
        """A locked account is AccountLocked."""
        on.lock_user(name := on.new_user())
        self._require_problem(on, name, AccountLocked)

    @needs(State.EXPIRED_USER)
    def test_expired_account_is_seen(self, on: World) -> None:
        """An account past its time is seen, unless a new password cures it."""
        on.expire_user(name := on.new_user())
        with on.as_administrator() as session:
            problem = session.account_problem(name)
            if problem is None:
                session.change_password(name, SECOND)
        promised(
            type(problem) in {AccountExpired, PasswordExpired} or on.accepts(name, SECOND),
            f"account_problem() says {said(problem)} of an account that stays shut out, whatever "
            "password it gets.",
            Session.account_problem,
        )

    def test_who_may_not_look_sees_no_problem(self, on: World) -> None:
        """To a user who may not look at others, account_problem() says nothing, and never fails."""
        with on.as_user(on.new_user()) as session:
            found: list[RotationError | None] = []
            error = failure_in(lambda: found.append(session.account_problem(on.new_user())))
        promised(
            error is None and found == [None],
            f"account_problem() of who may look, or may not, must be None here: {said(error)}.",
            Session.account_problem,
        )

    # Time, and the end

    def test_no_change_without_time(self, on: World) -> None:
        """With the time over no change is begun."""
        name = on.new_user()
        now = [0.0]
        deadline = Deadline(20, clock=lambda: now[0])
        with on.changing(name, deadline=deadline) as session:
            now[0] = 19.5
            error = failure_in(lambda: session.change_password(name, SECOND))
        promised(
            isinstance(error, OutOfTime) and on.accepts(name, PASSWORD),
            f"With the time over change_password() must raise OutOfTime and change nothing; it "
            f"ends in {said(error)}.",
            Session,
        )

    def test_silence_in_a_change(self, on: World) -> None:
        """A server that falls silent in a change is given up before the function's time is over."""
        name = on.new_user()
        with Proxy(on.server.host, on.server.port) as proxy:
            deadline = Deadline(SHORT_SECONDS)
            session = on.changing(name, deadline=deadline, host=proxy.host, port=proxy.port)
            proxy.black_hole()
            began = time.monotonic()
            error = failure_in(lambda: session.change_password(name, SECOND))
            session.close()
            took = time.monotonic() - began
        promised(
            took < SHORT_SECONDS,
            f"change_password() waited {took:.1f} seconds for a silent server; the function had "
            f"{SHORT_SECONDS}.",
            Session,
        )
        promised(
            isinstance(error, Unreachable | OutOfTime),
            f"A silent server is Unreachable or OutOfTime, and was {said(error)}.",
            Session,
        )

    def test_connection_lost_in_a_change(self, on: World) -> None:
        """A connection that is cut in a change is an error that a retry cures, never a refusal."""
        name = on.new_user()
        with (
            Proxy(on.server.host, on.server.port) as proxy,
            on.changing(name, host=proxy.host, port=proxy.port) as session,
        ):
            proxy.close()
            error = failure_in(lambda: session.change_password(name, THIRD))
        promised(
            isinstance(error, Unreachable),
            f"A connection lost in change_password() must be Unreachable, and is {said(error)}.",
            Session,
        )
        require_no_password(error or AssertionError(), THIRD)

    def test_close_never_raises(self, on: World) -> None:
        """Closing twice, and closing what the network has ended, is no error."""
        with Proxy(on.server.host, on.server.port) as proxy:
            login = on.login(on.new_user(), host=proxy.host, port=proxy.port)
            session = on.connect(login)
            proxy.close()
            errors = []
            for _ in range(2):
                try:
                    session.close()
                except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
                    errors.append(type(error).__name__)
        promised(not errors, f"close() raises {errors} of a lost connection.", Session.close)

    def test_closed_session_is_gone(self, on: World) -> None:
        """A session that is closed is none on the server either."""
        name = on.new_user()
        on.as_user(name).close()
        until = time.monotonic() + 5
        while (left := on.oracle.sessions(name)) and time.monotonic() < until:
            time.sleep(0.05)
        promised(not left, f"After close() the server still has {left} sessions.", Session.close)

    def test_refused_login_leaves_no_connection(self, on: World) -> None:
        """A login that was refused leaves no connection open."""
        with Proxy(on.server.host, on.server.port) as proxy:
            login = on.login(on.new_user(), "wrong", host=proxy.host, port=proxy.port)
            error = failure_in(lambda: on.connect(login))
            promised(isinstance(error, LoginRefused), "A wrong password is refused.", Session)
            try:
                proxy.settle(5)
                left = False
            except TimeoutError:
                left = True
        promised(not left, "connect() leaves a refused login's connection open.", Rotator.connect)

    def test_acts_as_its_own_user(self, on: World) -> None:
        """A plain user's session acts as this user, or the engine knows no other."""
        name = on.new_user()
        with on.as_user(name) as session:
            found = session.acts_as()
        promised(
            found in {None, name},
            f"acts_as() of a plain session of {name} must be {name} or None, and is {found}.",
            Session.acts_as,
        )

    def test_remarks_are_sentences(self, on: World) -> None:
        """What a session remarks is a list of sentences, with no password in them."""
        name = on.new_user()
        with on.as_administrator() as session:
            session.change_password(name, SECOND)
            remarks = session.remarks()
        promised(
            not any(SECOND in each for each in remarks),
            "remarks() must be a list of sentences for the log, without a password.",
            Session.remarks,
        )
