"""One user, two passwords: the new one, and the old one until the next rotation."""

from functools import partial
from typing import ClassVar

from shared.errors import StrategyNeedsAdministrator
from shared.holding import Hold, holding
from shared.rotation import Attempt, Rotation
from shared.session import OwnTwoPasswords, Session, TwoPasswords
from shared.settings import StrategyName
from shared.strategies.search import confirm, find_own_login
from shared.strategies.strategy import Strategy, missing


class DualPassword(Strategy):
    """The current password never stops working: AWSCURRENT works at every moment."""

    name: ClassVar[StrategyName] = StrategyName.DUAL_PASSWORD

    def apply(self, rotation: Rotation, attempt: Attempt) -> None:
        """Add the pending password beside the one in use, and prove it."""
        pending = attempt.pending
        found = None
        if pending.administrator_arn is not None:
            session = self.connect_administrator(rotation, attempt)
        else:
            found = find_own_login(self.databases, rotation, attempt)
            session = found.session
        with session, holding(session, rotation, attempt) as hold:
            if found is not None:
                confirm(self.databases, hold, found)
            hold.require_settled()
            if found is None:
                add = two_passwords(rotation, session).set_both
            else:
                add = partial(_add_own, hold, own_two_passwords(rotation, session))
            if hold.reading.carries_fence and self.databases.accepts(rotation, pending):
                hold.set_and_prove(None, partial(self.prove, hold))
                return
            known = hold.current() if found is None else found.login
            self.look_at_readers(hold, known)
            change = partial(add, pending.username, pending.password, known.password)
            hold.set_and_prove(change, partial(self.prove, hold))


def _add_own(hold: Hold, holder: OwnTwoPasswords, username: str, new: str, old: str) -> None:
    """Put ``new`` before ``old``, in one statement where ``old`` is the first now.

    It is not where an earlier attempt has put its own in front; or an operator, whose edit an old
    reading does not show: to go on would evict what he has set.
    """
    if not holder.add_password(new, old):
        hold.require_current()
        holder.set_both(username, new, old)


def two_passwords(rotation: Rotation, session: Session) -> TwoPasswords:
    """Return the session as one that can give a user two passwords.

    Raises:
        CapabilityMissing: The server cannot.
    """
    if not isinstance(session, TwoPasswords) or session.unable(StrategyName.DUAL_PASSWORD):
        raise missing(rotation, session, StrategyName.DUAL_PASSWORD)
    return session


def own_two_passwords(rotation: Rotation, session: Session) -> OwnTwoPasswords:
    """Return the session as one whose user can give itself a second password.

    Raises:
        StrategyNeedsAdministrator: On this engine only an administrator can.
        CapabilityMissing: The server cannot at all.
    """
    holder = two_passwords(rotation, session)
    if not isinstance(holder, OwnTwoPasswords):
        msg = f"Strategy dual-password of {rotation.secret_id} needs an administrator."
        raise StrategyNeedsAdministrator(msg)
    return holder
