"""One user, one password: from the change to the promotion applications cannot log in anew."""

from contextlib import suppress
from functools import partial
from typing import ClassVar

from shared.errors import PasswordRejected
from shared.holding import Follow, Hold, holding
from shared.model import Login, Step
from shared.rotation import Attempt, Rotation
from shared.session import Session
from shared.settings import StrategyName
from shared.strategies.search import confirm, find_login
from shared.strategies.strategy import Strategy


class SingleUser(Strategy):
    """The user changes its own password; an administrator, if there is one, mends what is broken.

    Applications are shut out for one login and one API call.
    """

    name: ClassVar[StrategyName] = StrategyName.SINGLE_USER

    def apply(self, rotation: Rotation, attempt: Attempt) -> None:
        """Find the password in force, change it, prove it, promote."""
        found = find_login(self.databases, rotation, attempt)
        if found is None:
            self.reset(rotation, attempt)
            return
        with (
            found.session as session,
            holding(session, rotation, attempt, self.follow(rotation, attempt, session)) as hold,
        ):
            confirm(self.databases, hold, found)
            if found.version_id not in (hold.reading.current, attempt.token):
                self._heal(hold)
            self._bring_into_force(hold, found.login, done=found.version_id == attempt.token)

    def reset(self, rotation: Rotation, attempt: Attempt) -> None:
        """Let the administrator set the password: no guessing, nothing of the user's is needed."""
        pending = attempt.pending
        with (
            self.connect_administrator(rotation, attempt) as session,
            holding(session, rotation, attempt, self.follow(rotation, attempt, session)) as hold,
        ):
            rotation.facts.logged_in_with = rotation.facts.logged_in_with or "ADMINISTRATOR"
            problem = session.account_problem(pending.username)
            if problem is not None:
                raise problem
            hold.require_settled()
            if hold.reading.recovers:
                self._heal(hold)
            done = hold.reading.carries_fence and self.databases.accepts(rotation, pending)
            self._bring_into_force(hold, hold.current(), done=done)

    def follow(self, rotation: Rotation, attempt: Attempt, session: Session) -> Follow | None:
        """Return what sets the password of an edited AWSCURRENT, if it does not log in already."""

        def set_password(current: Login) -> None:
            if not self.databases.belongs(current, attempt.pending):
                return
            if not self.databases.accepts(rotation, current):
                session.change_password(current.username, current.password)

        return set_password

    def _heal(self, hold: Hold) -> None:
        """Bring AWSCURRENT's password into force first.

        The password in force has the fence as its only label, which is about to be moved. A policy
        may refuse a password that was used before: then there is no better way than to go on.
        """
        current = hold.current()
        with suppress(PasswordRejected):
            hold.session.change_password(current.username, current.password)

    def _bring_into_force(self, hold: Hold, known: Login, *, done: bool) -> None:
        """Change the password, prove it, promote.

        Args:
            hold: The lock.
            known: The login that worked before, as far as it is known.
            done: Whether an earlier delivery of the attempt has made the change.
        """
        pending, session = hold.attempt.pending, hold.session
        change = put_back = None
        if not done:
            self.look_at_readers(hold, known)
            set_password = partial(session.change_password, pending.username)
            change = partial(set_password, pending.password)
            put_back = partial(set_password, hold.current().password)
        hold.set_and_prove(change, partial(self.prove, hold), put_back)
        if hold.rotation.settings.promote_in is Step.SET:
            hold.promote(put_back)


class SingleUserByAdministrator(SingleUser):
    """The administrator changes the user's password; for users who may not change their own."""

    name: ClassVar[StrategyName] = StrategyName.SINGLE_USER_BY_ADMINISTRATOR

    def apply(self, rotation: Rotation, attempt: Attempt) -> None:
        """Let the administrator set the password, prove it, promote."""
        rotation.facts.logged_in_with = "CURRENT"
        self.reset(rotation, attempt)
