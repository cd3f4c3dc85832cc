"""What every strategy has: the proof of a login, readers, and the promotion by finishSecret."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from shared.databases import Databases
from shared.errors import (
    CapabilityMissing,
    DatabaseError,
    LoginRefused,
    ProofFailed,
    ReaderBehind,
    RightsDiffer,
    RotationError,
    ServerBusy,
)
from shared.holding import Follow, Hold, holding
from shared.model import Login
from shared.options import Tag
from shared.rotation import Attempt, Rotation
from shared.session import Session
from shared.settings import SecretSettings, StrategyName, capability_missing

READER_PAUSE_SECONDS = 0.5
"""Between two tries at a reader that lags behind."""

READER_PATIENCE_ENDS_SECONDS = 5.0
"""Time that must be left to put the old password back when a reader does not follow."""


class Strategy(ABC):
    """One way to bring a new password into force.

    It sees the database only through :class:`~shared.session.Session`, and changes it only in a
    :class:`~shared.holding.Hold`.
    """

    name: ClassVar[StrategyName]

    def __init__(self, databases: Databases) -> None:
        self.databases = databases

    @abstractmethod
    def apply(self, rotation: Rotation, attempt: Attempt) -> None:
        """Bring the pending login into force and prove it, in setSecret; idempotent.

        Raises:
            BeginAgain: What was read is out of date.
            AlreadyPromoted: A twin was faster.
        """

    def verify(self, rotation: Rotation, attempt: Attempt) -> None:
        """Make sure, in testSecret, that the pending login works.

        Raises:
            LoginRefused: It does not.
        """
        self.require_login(rotation, attempt.pending)

    def finish(self, rotation: Rotation, attempt: Attempt) -> None:
        """Promote, in finishSecret, what just logs in, unless an earlier step has done so.

        Raises:
            BeginAgain: What was read is out of date.
            AlreadyPromoted: A twin was faster.
        """
        with (
            self.session_to_promote(rotation, attempt) as session,
            holding(session, rotation, attempt, self.follow(rotation, attempt, session)) as hold,
        ):
            hold.require_fence()
            self.prove_again(hold)
            hold.promote()

    def prove_again(self, hold: Hold) -> None:
        """Make sure, under the lock, that what is about to be promoted still works.

        A login from before the lock is no evidence: another delivery may have come in between.
        """
        self.require_login(hold.rotation, hold.attempt.pending)

    def session_to_promote(self, rotation: Rotation, attempt: Attempt) -> Session:
        """Log in as the pending user, or as the administrator where that user may have no more.

        Or no lock, on an engine where only an administrator's session can take one.
        """
        by_administrator = attempt.pending.administrator_arn is not None
        if by_administrator and not self.databases.users_lock:
            return self.connect_administrator(rotation, attempt)
        try:
            return self.databases.open(rotation, attempt.pending)
        except ServerBusy as busy:
            if not busy.proves_password or not by_administrator:
                raise
        return self.connect_administrator(rotation, attempt)

    def connect_administrator(self, rotation: Rotation, attempt: Attempt) -> Session:
        """Log in as the administrator, who must be none of the rotated users."""
        return self.databases.connect_administrator(rotation, attempt.pending, attempt.pair)

    def follow(self, rotation: Rotation, attempt: Attempt, session: Session) -> Follow | None:
        """Return what brings an edited AWSCURRENT into force; None where it works all the same."""
        del rotation, attempt, session
        return None

    def require_login(self, rotation: Rotation, login: Login) -> None:
        """Log in once.

        Raises:
            LoginRefused: The database does not let the login in.
        """
        try:
            self.databases.require_login(rotation, login)
        except LoginRefused as refused:
            msg = (
                f"User {login.username} was refused with the password of {rotation.secret_id}: "
                f"{refused.message}"
            )
            raise LoginRefused(msg, hint=refused.advice) from None

    def prove(self, hold: Hold, *, acts_as: str | None = None) -> None:
        """Make sure that the pending login, just set, works: everywhere, and with its rights.

        Args:
            hold: Whose session can look at the account where the login is refused.
            acts_as: Whom the session must act as; None where that is no question.

        Raises:
            ProofFailed: The login was refused.
            AccountUnusable: It would be refused with any password.
            RightsDiffer: The session acts as somebody else.
            ReaderBehind: A reader does not follow in time.
        """
        rotation, pending = hold.rotation, hold.attempt.pending
        try:
            asks = acts_as is not None
            found = self.databases.require_login(rotation, pending, asks_who=asks)
        except LoginRefused as refused:
            raise _why_refused(hold, refused) from None
        if None not in (acts_as, found) and found != acts_as:
            msg = f"A session of {pending.username} acts as {found}, and should act as {acts_as}."
            raise RightsDiffer(msg)
        for at_reader in _at_readers(hold, pending):
            self._await_reader(rotation, at_reader)

    def look_at_readers(self, hold: Hold, login: Login) -> None:
        """Make sure, before anything is changed, that every reader answers a login at all.

        Args:
            hold: What is about to change.
            login: As known to work as any; whether a reader accepts it does not matter.

        Raises:
            DatabaseError: One does not; the message names the secret's tag.
        """
        for at_reader in _at_readers(hold, login):
            try:
                self.databases.accepts(hold.rotation, at_reader)
            except DatabaseError as error:
                msg = f"Reader {at_reader.host} of the tag {Tag.READER_HOSTS}: {error.message}"
                raise type(error)(msg, hint=error.advice) from None

    def _await_reader(self, rotation: Rotation, at_reader: Login) -> None:
        while not self.databases.accepts(rotation, at_reader):
            if rotation.deadline.remaining() < READER_PATIENCE_ENDS_SECONDS:
                msg = f"Reader {at_reader.host} refuses {at_reader.username} with the new password."
                raise ReaderBehind(msg)
            rotation.deadline.pause(READER_PAUSE_SECONDS)


def _at_readers(hold: Hold, login: Login) -> Iterator[Login]:
    """Yield the login at each reader that the secret's tag lists, if the plan asks them."""
    if hold.attempt.plan.asks_readers:
        wanted = SecretSettings.of(hold.reading.description, hold.rotation.settings)
        wanted.require_related_readers(login.host)
        for host in wanted.reader_hosts:
            yield login.at(host, login.port)


def _why_refused(hold: Hold, refused: LoginRefused) -> RotationError:
    """Return what keeps the user out, if the session may look; else that it was refused."""
    username = hold.attempt.pending.username
    try:
        problem = hold.session.account_problem(username)
    except DatabaseError:
        problem = None
    if problem is not None:
        return problem
    msg = f"User {username} was refused with the password that was just set: {refused.message}"
    return ProofFailed(msg)


def missing(rotation: Rotation, session: Session, name: StrategyName) -> CapabilityMissing:
    """Return the error for a server that cannot do what a strategy needs, with what it can do."""
    possible = [
        each
        for each in session.engine.strategies_for(administrator=True)
        if each is not name and not session.unable(each)
    ]
    return capability_missing(rotation.secret_id, name, possible, session.unable(name))
