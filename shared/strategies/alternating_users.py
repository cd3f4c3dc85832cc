"""Two users of equal rights take turns; an administrator prepares the idle one."""

from typing import ClassVar

from shared.errors import (
    AccountMissing,
    ForeignPending,
    IdleUserInUse,
    NotOurUser,
    RightsDiffer,
)
from shared.holding import Hold, holding
from shared.rotation import Attempt, Rotation
from shared.session import Ownership, Pair, SecondUser, Session
from shared.settings import InUse, SecretSettings, StrategyName
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
            keeper = second_user(rotation, session)
            wanted = SecretSettings.of(hold.reading.description, rotation.settings)
            ownership = self._ownership(rotation, attempt, keeper, wanted)
            alone = _is_first(attempt) and ownership is Ownership.MISSING
            managed = attempt.plan.rights_are_managed and not alone

            def change() -> None:
                if ownership is Ownership.FOREIGN:
                    keeper.adopt(pair)
                keeper.prepare(pending.username, pending.password, pair, rights=managed)

            def prove() -> None:
                _require_equal(attempt, keeper, pair)
                rotation.facts.remarks = session.remarks() or None
                acts_as = keeper.should_act_as(pending.username, pair) if managed else None
                self.prove(hold, acts_as=acts_as)

            is_there = alone or ownership is not Ownership.MISSING
            if is_there and self._is_done(hold, keeper):
                hold.set_and_prove(None, prove)
                return
            _require_idle(rotation, keeper, pending.username, wanted)
            if attempt.plan.asks_readers:
                self.look_at_readers(hold, hold.current())
            hold.set_and_prove(change, prove)

    def _is_done(self, hold: Hold, keeper: SecondUser) -> bool:
        """Say whether an earlier delivery of the attempt has prepared the idle user."""
        attempt = hold.attempt
        return (
            hold.reading.carries_fence
            # First: a user that was made and has no rights yet may be denied the login itself.
            and not _differences(attempt, keeper, _pair(attempt))
            and self.databases.accepts(hold.rotation, attempt.pending)
        )

    def _ownership(
        self, rotation: Rotation, attempt: Attempt, keeper: SecondUser, wanted: SecretSettings
    ) -> Ownership:
        """Say whose the second user is; a foreign one is to be adopted, or refused.

        Raises:
            NotOurUser: Neither made by this secret, nor named by its tag ``rotation:adopt``.
            AccountMissing: There is no second user, and a DBA is to make it.
        """
        pair = _pair(attempt)
        ownership = keeper.ownership(pair)
        if ownership is Ownership.FOREIGN and wanted.adopt == pair.second:
            self.databases.require_adoption_allowed(rotation, attempt.pending, pair)
        elif ownership is Ownership.FOREIGN:
            msg = f"User {pair.second} exists, and secret {pair.owner} did not make it."
            raise NotOurUser(
                msg, hint=f"{NotOurUser.hint} To adopt it, a DBA runs: {keeper.adoption(pair)}"
            )
        untouched = not attempt.plan.rights_are_managed
        turn = attempt.pending.username == pair.second
        if ownership is Ownership.MISSING and turn and untouched:
            msg = f"User {pair.second} does not exist."
            raise AccountMissing(msg)
        return ownership

    def prove_again(self, hold: Hold) -> None:
        """Compare the two users' rights once more, too."""
        if hold.attempt.plan.rights_are_managed:
            keeper = second_user(hold.rotation, hold.session)
            _require_equal(hold.attempt, keeper, _pair(hold.attempt))
        super().prove_again(hold)

    def session_to_promote(self, rotation: Rotation, attempt: Attempt) -> Session:
        """Log in as the administrator, who alone can compare rights."""
        if attempt.plan.rights_are_managed:
            return self.connect_administrator(rotation, attempt)
        return super().session_to_promote(rotation, attempt)


def second_user(rotation: Rotation, session: Session) -> SecondUser:
    """Return the session as one that can keep a second user.

    Raises:
        CapabilityMissing: The server cannot.
    """
    if not isinstance(session, SecondUser) or session.unable(StrategyName.ALTERNATING_USERS):
        raise missing(rotation, session, StrategyName.ALTERNATING_USERS)
    return session


def _pair(attempt: Attempt) -> Pair:
    if attempt.pair is None:
        msg = f"Version {attempt.token} does not say which two users take turns."
        raise ForeignPending(msg)
    return attempt.pair


def _require_idle(
    rotation: Rotation, keeper: SecondUser, username: str, wanted: SecretSettings
) -> None:
    """Look whether applications still use the idle user, whose password is about to change.

    Raises:
        IdleUserInUse: They do, and the secret's tag says to refuse.
    """
    sessions = keeper.sessions_of(username)
    rotation.facts.idle_sessions = sessions or None
    if sessions and wanted.in_use is InUse.REFUSE:
        msg = f"User {username} is idle by {rotation.secret_id}, and has {sessions} open sessions."
        raise IdleUserInUse(msg)


def _is_first(attempt: Attempt) -> bool:
    return attempt.pending.username == _pair(attempt).first


def _differences(attempt: Attempt, keeper: SecondUser, pair: Pair) -> list[str]:
    """List what differs; nothing where somebody has dropped the second user at the first's turn."""
    if not attempt.plan.rights_are_managed:
        return []
    if _is_first(attempt) and keeper.ownership(pair) is Ownership.MISSING:
        return []
    return keeper.differences(pair, attempt.pending.username)


def _require_equal(attempt: Attempt, keeper: SecondUser, pair: Pair) -> None:
    differences = _differences(attempt, keeper, pair)
    if differences:
        msg = f"{pair.first} and {pair.second} have different rights: {'; '.join(differences)}."
        raise RightsDiffer(msg)
