"""Two users of equal rights take turns; an administrator prepares the idle one."""

from functools import partial
from typing import ClassVar

from shared.errors import AccountMissing, ForeignPending, NotOurUser, RightsDiffer
from shared.holding import holding
from shared.rotation import Attempt, Rotation
from shared.session import Ownership, Pair, SecondUser, Session
from shared.settings import StrategyName
from shared.strategies.strategy import Strategy, missing


class AlternatingUsers(Strategy):
    """The active user is never touched: AWSCURRENT works at every moment."""

    name: ClassVar[StrategyName] = StrategyName.ALTERNATING_USERS

    def apply(self, rotation: Rotation, attempt: Attempt) -> None:
        """Prepare the idle user, and prove that it is let in with the first one's rights."""
        pending, pair = attempt.pending, _pair(attempt)
        with (
            self.connect_administrator(rotation, attempt) as session,
            holding(session, rotation, attempt) as hold,
        ):
            hold.require_settled()
            keeper = second_user(session)
            _require_ours(attempt, keeper, pair)
            managed = attempt.plan.rights_are_managed
            done = (
                hold.reading.carries_fence
                and self.databases.accepts(rotation, pending)
                and not (managed and keeper.differences(pair, pending.username))
            )
            change = partial(
                keeper.prepare, pending.username, pending.password, pair, rights=managed
            )
            if not done and attempt.plan.asks_readers:
                self.look_at_readers(hold, hold.current())

            def prove() -> None:
                _require_equal(attempt, keeper, pair)
                acts_as = keeper.should_act_as(pending.username, pair) if managed else None
                self.prove(hold, acts_as=acts_as)

            hold.set_and_prove(None if done else change, prove)

    def verify(self, rotation: Rotation, attempt: Attempt) -> None:
        """Log in as the idle user, and compare the two users' rights once more."""
        super().verify(rotation, attempt)
        if attempt.plan.rights_are_managed:
            with self.connect_administrator(rotation, attempt) as session:
                _require_equal(attempt, second_user(session), _pair(attempt))


def second_user(session: Session) -> SecondUser:
    """Return the session as one that can keep a second user.

    Raises:
        CapabilityMissing: The server cannot.
    """
    if not isinstance(session, SecondUser):
        raise missing(StrategyName.ALTERNATING_USERS)
    return session


def _pair(attempt: Attempt) -> Pair:
    if attempt.pair is None:
        msg = f"Version {attempt.token} does not say which two users take turns."
        raise ForeignPending(msg)
    return attempt.pair


def _require_ours(attempt: Attempt, session: SecondUser, pair: Pair) -> None:
    """Refuse a second user that this secret did not make."""
    ownership = session.ownership(pair)
    if ownership is Ownership.FOREIGN:
        msg = f"User {pair.second} exists, and secret {pair.owner} did not make it."
        raise NotOurUser(
            msg, hint=f"{NotOurUser.hint} To adopt it, a DBA runs: {session.adoption(pair)}"
        )
    if ownership is Ownership.MISSING and (
        not attempt.plan.rights_are_managed or attempt.pending.username == pair.first
    ):
        msg = f"User {pair.second} does not exist."
        raise AccountMissing(msg)


def _require_equal(attempt: Attempt, session: SecondUser, pair: Pair) -> None:
    if not attempt.plan.rights_are_managed:
        return
    differences = session.differences(pair, attempt.pending.username)
    if differences:
        msg = f"{pair.first} and {pair.second} have different rights: {'; '.join(differences)}."
        raise RightsDiffer(msg)
