"""The one place in which a database, or AWSCURRENT, is changed: under the lock, behind the fence.

::

    with holding(session, rotation, attempt, follow) as hold:
        hold.set_and_prove(change, prove, put_back)
        hold.promote()

What a strategy adds is how a password changes and how it is proven; the order of messages is here,
and follows the rules of :mod:`shared.lifecycle`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from shared.deadline import CHANGE_SECONDS
from shared.errors import (
    CurrentChanged,
    PasswordRejected,
    RotationError,
    ServiceFailed,
    VersionNotPending,
)
from shared.lifecycle import Verdict
from shared.model import Label, Login, Stage
from shared.plan import Plan
from shared.reading import Reading
from shared.rotation import AlreadyPromoted, Attempt, BeginAgain, Rotation
from shared.session import Lock, Session

PROMOTION_PAUSE_SECONDS = 0.5
PROMOTION_PATIENCE_ENDS_SECONDS = 2.0
"""A promotion that gets no clear answer is repeated until so little time is left."""

SETTLING_SECONDS = 1.0
"""After which a reading that is about to decide over another attempt's remains is made again."""

Act = Callable[[], None]
Follow = Callable[[Login], None]
"""Brings the password of a login into force, where a user has only one."""


class Hold:
    """What an attempt may do while its session has the lock, until ``with`` ends.

    Attributes:
        session: Has the lock.
        rotation: The unit of work.
        attempt: What is to be brought into force.
        reading: Made under the lock; by it the attempt is the secret's rotation.
    """

    def __init__(
        self,
        session: Session,
        rotation: Rotation,
        attempt: Attempt,
        reading: Reading,
        follow: Follow | None,
    ) -> None:
        self.session = session
        self.rotation = rotation
        self.attempt = attempt
        self.reading = reading
        self._follow = follow

    def current(self) -> Login:
        """Return the login that applications use."""
        return self.rotation.current_login(self.reading)

    def require_settled(self) -> None:
        """Make sure that the reading is no old one where another attempt was left unfinished.

        Raises:
            BeginAgain: It was.
        """
        if not self.reading.recovers:
            return
        self.rotation.deadline.pause(SETTLING_SECONDS)
        again = self.rotation.read()
        if again.description.stages != self.reading.description.stages:
            raise BeginAgain

    def require_current(self) -> None:
        """Make sure, by a later reading, that AWSCURRENT is what this one says.

        Raises:
            BeginAgain: It is not.
        """
        self.rotation.deadline.pause(SETTLING_SECONDS)
        if self.rotation.read().current != self.reading.current:
            raise BeginAgain

    def require_fence(self) -> None:
        """Make sure that nobody was about to change anything since this attempt did.

        Raises:
            BeginAgain: Somebody was, or the reading is an old one.
        """
        if not self.reading.carries_fence:
            raise BeginAgain

    def fence(self) -> None:
        """Mark the attempt's version as the one that may be in force from now on.

        The service is asked also where the label reads as being there already: reads may be old.

        Raises:
            BeginAgain: The fence is not where it was read to be.
        """
        store, token = self.rotation.store, self.attempt.token
        if not store.move_label(self.rotation.secret_id, Label.FENCE, token, self.reading.fence):
            raise BeginAgain

    def set_and_prove(self, change: Act | None, prove: Act, put_back: Act | None = None) -> None:
        """Move the fence, change, and prove; put back what was changed when the proof fails.

        Args:
            change: Brings the pending password into force; None where that was done before.
            prove: Raises when the pending login does not work, or its proof cannot be had.
            put_back: Brings the former password into force again, where the user has only one.

        Raises:
            BeginAgain: The fence is not where it was read to be; nothing was changed.
            RotationError: Also what was to be called before a change raises; nothing was changed.
        """
        if self.rotation.before_change is not None:
            value = self.attempt.pending.to_json()
            self.rotation.before_change(self.rotation.secret_id, self.attempt.token, value)
        self.rotation.deadline.require(CHANGE_SECONDS, "change the password")
        self.fence()
        if change is None:
            prove()
            return
        try:
            change()
        except PasswordRejected:
            # A password history also refuses the password that is in force already.
            with suppress(RotationError):
                prove()
                return
            raise
        try:
            prove()
        except RotationError as error:
            # Also when the proof was not refused but could not be had: applications would be shut
            # out until the service repeats the rotation.
            self.put_back(put_back, error)
            raise

    def put_back(self, act: Act | None, error: RotationError) -> None:
        """Undo what this hold has changed, and let ``error`` tell whether that went well."""
        if act is None:
            return
        try:
            act()
        except RotationError as failed:
            self.rotation.facts.put_back = type(failed).__name__
            error.outcome = OLD_IS_GONE
        else:
            self.rotation.facts.put_back = "done"
            error.outcome = OLD_IS_BACK

    def promote(self, put_back: Act | None = None) -> None:
        """Make the attempt's version AWSCURRENT, from the version that its plan was made from.

        AWSPENDING may stay on it, or be taken off by the service: nothing relies on either. An
        unclear answer is repeated while time allows: applications may be shut out until it is done.

        Raises:
            CurrentChanged: AWSCURRENT is a third version; where the user has one password, the
                database follows it.
            RotationError: Definitely refused, the former password was put back; or no answer that
                could be believed.
        """
        store, secret, planned = self.rotation.store, self.rotation.secret_id, self.reading.current
        while True:
            refusal = None
            try:
                if store.move_label(secret, Stage.CURRENT, self.attempt.token, planned):
                    return
            except RotationError as error:
                if error.retry_cures:
                    self._await_another_try(error)
                    continue
                refusal = error
            # Refused: perhaps because an earlier answer was lost. One answer decides what it means.
            now = Reading(self.attempt.token, store.settled(secret, Stage.CURRENT, besides=planned))
            if now.current == self.attempt.token:
                return
            if now.current != planned:
                # Whoever has stored another AWSCURRENT may have taken AWSPENDING along.
                raise _edited(self.rotation, self.attempt, now, self._follow)
            if refusal is not None:
                self.put_back(put_back, refusal)
                raise refusal
            msg = f"Secrets Manager contradicts itself about AWSCURRENT of {secret}."
            self._await_another_try(ServiceFailed(msg))

    def _await_another_try(self, error: RotationError) -> None:
        """Wait a little, or raise ``error`` when time is nearly over."""
        if self.rotation.deadline.remaining() < PROMOTION_PATIENCE_ENDS_SECONDS:
            raise error
        self.rotation.deadline.pause(PROMOTION_PAUSE_SECONDS)


OLD_IS_BACK = "The former password is in force again: AWSCURRENT logs in."
OLD_IS_GONE = (
    "The former password could not be brought back: until this is mended, AWSCURRENT is refused."
)


@contextmanager
def holding(
    session: Session,
    rotation: Rotation,
    attempt: Attempt,
    follow: Follow | None = None,
) -> Iterator[Hold]:
    """Take the lock, read the labels afresh, and go on only if the attempt still is the rotation.

    Args:
        session: Has the lock from here on, until it closes.
        rotation: The unit of work.
        attempt: What createSecret has stored.
        follow: Brings the password of a login into force, where a user has only one; None where
            AWSCURRENT keeps working whatever the attempt does.

    Raises:
        AlreadyPromoted: A twin was faster.
        VersionNotPending: The attempt is over: nothing was changed.
        CurrentChanged: AWSCURRENT was edited; the database follows it, if this attempt had changed
            the password.
        LockTimeout: Another delivery kept the lock.
    """
    seconds = rotation.deadline.seconds(rotation.settings.lock_seconds, "wait for the lock")
    lock = session.lock(rotation.secret_id, seconds)
    rotation.facts.lock = None if lock is Lock.AT_ONCE else lock.name
    reading = rotation.read()
    if reading.is_pending and Plan.read(reading.labels or ()) is None:
        # The attempt's own plan was read before: this answer is older than that one.
        raise BeginAgain
    verdict = reading.verdict(attempt.plan)
    if verdict is Verdict.PROMOTED:
        raise AlreadyPromoted
    if verdict is Verdict.OVERTAKEN:
        msg = f"The rotation {attempt.token} of {rotation.secret_id} was abandoned meanwhile."
        raise VersionNotPending(msg)
    if verdict is Verdict.EDITED:
        raise _edited(rotation, attempt, reading, follow)
    yield Hold(session, rotation, attempt, reading, follow)


def _edited(
    rotation: Rotation, attempt: Attempt, reading: Reading, follow: Follow | None
) -> CurrentChanged:
    """Return the error for an AWSCURRENT that is another one than the plan was made from.

    Where a user has one password, the database follows it first, if nobody has been about to change
    anything since this attempt did.
    """
    if reading.carries_fence and follow is not None:
        current = rotation.current_login(reading)
        if current.username == attempt.pending.username:
            follow(current)
    return CurrentChanged(f"AWSCURRENT of {rotation.secret_id} was edited while its rotation ran.")
