"""Whose password changes, who changes it, and how it is proven and undone.

A strategy answers three questions: which login comes next (``next_login``, in createSecret), how
the database gets there (``apply``, in setSecret), and whether it is there (``verify``, in
testSecret). It sees the database only through :class:`~shared.session.Session`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from shared.deadline import Deadline
from shared.errors import (
    AccountMissing,
    BadSetting,
    CapabilityMissing,
    CurrentChanged,
    DatabaseError,
    ForeignPending,
    LoginRefused,
    NameTooLong,
    NoLoginWorks,
    NotOurUser,
    PasswordRejected,
    ProofFailed,
    ReaderBehind,
    RightsDiffer,
    RotationError,
    ServerBusy,
    Throttled,
)
from shared.lifecycle import (
    SEARCH,
    SEARCH_BEFORE_ADMINISTRATOR,
    SURE_OF_A_LABEL,
    Meaning,
    Source,
)
from shared.model import Description, Label, Login, Step
from shared.options import Tag
from shared.rotation import Overtaken, Rotation
from shared.session import Lock, Ownership, Pair, SecondUser, Session, TwoPasswords
from shared.settings import StrategyName

LONGEST_LABEL = 256
"""In characters; what Secrets Manager allows."""

SECOND_USER_SUFFIX = "_clone"
"""What AWS's rotation functions append, so that existing pairs keep their names."""

LOCK_SECONDS = 20.0
"""Longest wait for a twin delivery: a rotation's setSecret takes well under a second."""

READER_PAUSE_SECONDS = 0.5
"""Between two tries at a reader that lags behind."""

CHANGE_SECONDS = 5.0
"""Time that must be left to begin a change: enough to prove it, and to undo it."""

PROMOTION_PAUSE_SECONDS = 0.5
PROMOTION_PATIENCE_ENDS_SECONDS = 2.0

RIGHTS_MANAGED, RIGHTS_UNTOUCHED = "managed", "untouched"


class Databases:
    """The ways into the database that a strategy has.

    Args:
        connect: Opens a session; raises :class:`~shared.errors.DatabaseError`.
        administrator_for: Finds the administrator of (login, secret's ARN, rotated users).
        require_name: Raises NameTooLong for a name that the engine does not allow.
    """

    def __init__(
        self,
        connect: Callable[[Login, Deadline], Session],
        administrator_for: Callable[[Login, str, Iterable[str]], Login],
        require_name: Callable[[str], None],
    ) -> None:
        self._connect = connect
        self._administrator_for = administrator_for
        self.require_name = require_name

    def connect(self, rotation: Rotation, login: Login) -> Session:
        """Log in."""
        if not login.tls:
            rotation.facts["plaintext"] = login.host
        return self._connect(login, rotation.deadline)

    def connect_administrator(
        self, rotation: Rotation, login: Login, rotated: Iterable[str] | None = None
    ) -> Session:
        """Log in as the administrator that ``login`` names.

        Args:
            rotation: The unit of work.
            login: The rotated secret's login.
            rotated: The users that the secret rotates; the login's own when omitted.

        Raises:
            LoginRefused: With a hint that says whose login it was.
        """
        users = (login.username,) if rotated is None else rotated
        found = rotation.learn(self._administrator_for(login, rotation.secret_id, users))
        try:
            return self.connect(rotation, found)
        except LoginRefused as refused:
            msg = f"The administrator {found.username} was refused: {refused.message}"
            raise LoginRefused(msg, hint=ADMINISTRATOR_HINT) from None

    def accepts(self, rotation: Rotation, login: Login) -> bool:
        """Say whether the database accepts the password, by a fresh login.

        A limit that only the right password leads to is proof as well. An account that may not be
        used is not, however right the password: nobody could log in with what is promoted then.
        """
        try:
            self.connect(rotation, login).close()
        except LoginRefused:
            return False
        except DatabaseError as error:
            if error.proves_password and isinstance(error, ServerBusy):
                return True
            raise
        return True


ADMINISTRATOR_HINT = (
    "Correct the administrator's secret (`masterarn`), or wait for its own rotation to end."
)


class Strategy(ABC):
    """One way to bring a new password into force."""

    name: ClassVar[StrategyName]

    def __init__(self, databases: Databases) -> None:
        self.databases = databases

    def next_login(
        self, current: Login, password: str, description: Description
    ) -> tuple[Login, list[str]]:
        """Return the login to store as pending, and the labels to pin beside it."""
        del description
        return current.replacing(password=password), []

    @abstractmethod
    def apply(self, rotation: Rotation) -> None:
        """Bring the database to the pending value and prove it; idempotent.

        Raises:
            Overtaken: Begin again with fresh reads.
        """

    def verify(self, rotation: Rotation) -> None:
        """Make sure that the version logs in with the rights it should have.

        Raises:
            LoginRefused: It does not.
        """
        self.require_login(rotation, rotation.pending)

    def probe(self, rotation: Rotation) -> None:
        """Make sure, without any change, that a rotation would find what it needs."""
        self.require_login(rotation, rotation.current)
        if rotation.current.administrator_arn:
            self.databases.connect_administrator(rotation, rotation.current).close()

    def require_login(self, rotation: Rotation, login: Login) -> None:
        """Log in, and raise LoginRefused if that fails."""
        if not self.databases.accepts(rotation, login):
            msg = f"User {login.username} was refused with the password of {rotation.secret_id}."
            raise LoginRefused(msg)

    def require_readers(self, rotation: Rotation, login: Login) -> None:
        """Wait until every reader that the secret's tag lists accepts the login.

        Raises:
            ReaderBehind: Time is over and one still refuses.
        """
        for host in rotation.reader_hosts:
            at_reader = login.at(host, login.port)
            while not self.databases.accepts(rotation, at_reader):
                if rotation.deadline.remaining() < READER_PATIENCE_ENDS_SECONDS:
                    msg = f"Reader {host} refuses {login.username} with the new password."
                    raise ReaderBehind(msg)
                rotation.deadline.pause(READER_PAUSE_SECONDS)


READER_PATIENCE_ENDS_SECONDS = 5.0
"""Time that must be left to put the old password back when a reader does not follow."""


def take_lock(session: Session, rotation: Rotation) -> None:
    """Keep twin deliveries of this secret apart until ``session`` closes.

    Raises:
        Overtaken: Another session had it first.
    """
    seconds = rotation.deadline.seconds(LOCK_SECONDS, "wait for the lock")
    if session.lock(rotation.secret_id, seconds) is Lock.AFTER_WAITING:
        raise Overtaken


def second_user(session: Session) -> SecondUser:
    """Return the session as one that can keep a second user.

    Raises:
        CapabilityMissing: The server cannot.
    """
    if not isinstance(session, SecondUser):
        raise _missing(StrategyName.ALTERNATING_USERS)
    return session


def two_passwords(session: Session) -> TwoPasswords:
    """Return the session as one that can give a user two passwords.

    Raises:
        CapabilityMissing: The server cannot.
    """
    if not isinstance(session, TwoPasswords):
        raise _missing(StrategyName.DUAL_PASSWORD)
    return session


def _missing(name: StrategyName) -> CapabilityMissing:
    return CapabilityMissing(f"This database server cannot do what the strategy {name} needs.")


class SingleUser(Strategy):
    """The user changes its own password; an administrator, if there is one, mends what is broken.

    From the change to the promotion applications cannot log in anew: one login and one API call.
    """

    name = StrategyName.SINGLE_USER

    def apply(self, rotation: Rotation) -> None:
        """Find the password in force, change it, prove it, promote."""
        require_same_user(rotation)
        found = find_login(self.databases, rotation)
        if found is None:
            rotation.facts["logged_in_with"] = "ADMINISTRATOR"
            rotation.forget_current()
            self.reset(rotation)
            return
        source, meaning, version_id, login, session = found
        with session:
            take_lock(session, rotation)
            if not rotation.pending.same_but_credentials(rotation.current):
                if meaning is Meaning.PROMOTE:
                    # An earlier delivery made the change. Promoting it would undo the edit, leaving
                    # it would shut applications out: the database follows AWSCURRENT.
                    session.change_password(login.username, rotation.current.password)
                rotation.require_same_current()
            if meaning is Meaning.CHANGE:
                rotation.label_before_change(version_id, sure_of_a_label=source in SURE_OF_A_LABEL)
                self.change(rotation, session, old=login.password)
            else:
                self.require_readers(rotation, rotation.pending)
            self.promote(rotation, session)

    def reset(self, rotation: Rotation) -> None:
        """Let the administrator set the password: no guessing, nothing of the user's is needed.

        AWSCURRENT is read under the lock.
        """
        pending = rotation.pending
        with self.databases.connect_administrator(rotation, pending) as session:
            take_lock(session, rotation)
            rotation.require_not_overtaken()
            require_same_user(rotation)
            rotation.require_same_current()
            problem = session.account_problem(pending.username)
            if problem is not None:
                raise problem
            self.change(rotation, session, old=rotation.current.password)
            self.promote(rotation, session)

    def change(self, rotation: Rotation, session: Session, *, old: str) -> None:
        """Change the password and prove it; put ``old`` back when the proof fails.

        Raises:
            ProofFailed: The new password was refused; the old one is in force again.
            PasswordRejected: The server's policy refuses the new password, or the old one again.
        """
        pending = rotation.pending
        rotation.deadline.require(CHANGE_SECONDS, "change the password")
        try:
            session.change_password(pending.username, pending.password)
        except PasswordRejected:
            # A password history also refuses the password that is already in force.
            if not self.databases.accepts(rotation, pending):
                raise
        try:
            self._prove(rotation, pending)
        except RotationError:
            # Also when the proof was not refused but could not be had: applications would be shut
            # out until the service repeats the rotation.
            self._put_back(rotation, session, old)
            raise

    def _prove(self, rotation: Rotation, pending: Login) -> None:
        if not self.databases.accepts(rotation, pending):
            msg = f"User {pending.username} was refused with the password that was just set."
            raise ProofFailed(msg)
        self.require_readers(rotation, pending)

    @staticmethod
    def _put_back(rotation: Rotation, session: Session, old: str) -> None:
        """Bring the old password into force again, if the session still can.

        Raises:
            PasswordRejected: A password history forbids it; the pending value stays in force, and
                the repeated rotation promotes it.
        """
        try:
            session.change_password(rotation.pending.username, old)
        except PasswordRejected:
            raise
        except RotationError as error:
            rotation.facts["put_back"] = type(error).__name__

    def promote(self, rotation: Rotation, session: Session) -> None:
        """Promote at once, unless the function is set to leave that to finishSecret.

        Applications are shut out until it is done: a throttled call is repeated while time allows.
        If AWSCURRENT was edited just now they would stay so: the database follows AWSCURRENT.
        """
        if rotation.settings.promote_in is not Step.SET:
            return
        while True:
            try:
                rotation.promote()
            except Throttled:
                if rotation.deadline.remaining() < PROMOTION_PATIENCE_ENDS_SECONDS:
                    raise
                rotation.deadline.pause(PROMOTION_PAUSE_SECONDS)
            except CurrentChanged:
                rotation.forget_current()
                if rotation.current.username == rotation.pending.username:
                    self._put_back(rotation, session, rotation.current.password)
                raise
            else:
                return


class SingleUserByAdministrator(SingleUser):
    """The administrator changes the user's password; for users who may not change their own."""

    name = StrategyName.SINGLE_USER_BY_ADMINISTRATOR

    def apply(self, rotation: Rotation) -> None:
        """Let the administrator set the password, prove it, promote."""
        self.reset(rotation)


class AlternatingUsers(Strategy):
    """Two users of equal rights take turns; the administrator prepares the idle one."""

    name = StrategyName.ALTERNATING_USERS

    def next_login(
        self, current: Login, password: str, description: Description
    ) -> tuple[Login, list[str]]:
        """Return the idle user's login; pin both names, so that later steps need not guess."""
        first, second = choose_pair(current.username, description)
        self.databases.require_name(second)
        idle = second if current.username == first else first
        labels = [Label.of_pair(first, second)]
        if len(labels[0]) > LONGEST_LABEL:
            msg = f"The names {first} and {second} do not fit into a staging label together."
            raise NameTooLong(msg)
        if not rights_are_managed(description.tags):
            labels.append(Label.RIGHTS_UNTOUCHED)
        return current.replacing(password=password, username=idle), labels

    def apply(self, rotation: Rotation) -> None:
        """Prepare the idle user; the active one is never touched.

        Which one is active is read under the lock.
        """
        pending = rotation.pending
        pair = self._pair(rotation)
        with self._administrator(rotation, pair) as session:
            take_lock(session, rotation)
            rotation.require_not_overtaken()
            if rotation.current.username != pair.partner(pending.username):
                raise current_changed(rotation)
            rotation.require_same_current()
            keeper = second_user(session)
            self._require_ours(rotation, keeper, pair)
            try:
                keeper.prepare(
                    pending.username, pending.password, pair, rights=rotation.rights_are_managed
                )
            except PasswordRejected:
                # A password history also refuses the password that is already in force.
                if not self.databases.accepts(rotation, pending):
                    raise
            self._require_equal(rotation, keeper, pair)
            if not self.databases.accepts(rotation, pending):
                problem = session.account_problem(pending.username)
                if problem is not None:
                    raise problem
                msg = f"User {pending.username} was refused with the password that was just set."
                raise ProofFailed(msg)
        self.require_readers(rotation, pending)

    def verify(self, rotation: Rotation) -> None:
        """Log in as the idle user, and compare the two users' rights once more."""
        super().verify(rotation)
        if rotation.rights_are_managed:
            pair = self._pair(rotation)
            with self._administrator(rotation, pair) as session:
                self._require_equal(rotation, second_user(session), pair)

    def _administrator(self, rotation: Rotation, pair: Pair) -> Session:
        return self.databases.connect_administrator(rotation, rotation.pending, pair)

    @staticmethod
    def _pair(rotation: Rotation) -> Pair:
        names = rotation.pair
        if names is None:
            msg = f"Version {rotation.event.token} does not say which two users take turns."
            raise ForeignPending(msg)
        return Pair(*names, owner=rotation.secret_id)

    def _require_ours(self, rotation: Rotation, session: SecondUser, pair: Pair) -> None:
        """Refuse a second user that this secret did not make."""
        ownership = session.ownership(pair)
        if ownership is Ownership.FOREIGN:
            msg = f"User {pair.second} exists, and secret {pair.owner} did not make it."
            raise NotOurUser(
                msg, hint=f"{NotOurUser.hint} To adopt it, a DBA runs: {session.adoption(pair)}"
            )
        if ownership is Ownership.MISSING and (
            not rotation.rights_are_managed or rotation.pending.username == pair.first
        ):
            msg = f"User {pair.second} does not exist."
            raise AccountMissing(msg)

    @staticmethod
    def _require_equal(rotation: Rotation, session: SecondUser, pair: Pair) -> None:
        if not rotation.rights_are_managed:
            return
        differences = session.differences(pair, rotation.pending.username)
        if differences:
            msg = f"{pair.first} and {pair.second} have different rights: {'; '.join(differences)}."
            raise RightsDiffer(msg)


class DualPassword(Strategy):
    """The user has two passwords: the new one, and the old one until the next rotation."""

    name = StrategyName.DUAL_PASSWORD

    def apply(self, rotation: Rotation) -> None:
        """Add the pending password; the current one never stops working."""
        pending = rotation.pending
        used: str | None = None
        if pending.administrator_arn is not None:
            session = self.databases.connect_administrator(rotation, pending)
        else:
            require_same_user(rotation)
            found = find_login(self.databases, rotation)
            if found is None:
                raise no_login_works(rotation)
            _, meaning, _, login, session = found
            if meaning is Meaning.PROMOTE:
                session.close()
                return
            used = login.password
        with session:
            take_lock(session, rotation)
            rotation.require_not_overtaken()
            require_same_user(rotation)
            rotation.require_same_current()
            try:
                self._set_both(rotation, two_passwords(session), used)
            except PasswordRejected:
                if not self.databases.accepts(rotation, pending):
                    raise
            if not self.databases.accepts(rotation, pending):
                msg = f"User {pending.username} was refused with the password that was just set."
                raise ProofFailed(msg)
        self.require_readers(rotation, pending)

    @staticmethod
    def _set_both(rotation: Rotation, holder: TwoPasswords, used: str | None) -> None:
        """Set the pending password beside the one in use.

        Args:
            rotation: The unit of work.
            holder: The session.
            used: The password that the user's own session has logged in with, before it had the
                lock; None for an administrator, whose AWSCURRENT was read under it.
        """
        pending = rotation.pending
        if used is None:
            holder.set_both(pending.username, pending.password, rotation.current.password)
        elif not holder.add_password(pending.password, used):
            # An earlier attempt has put its own in front; or this one was abandoned, and woke up
            # when another rotation had ended: to go on would evict the password in use.
            rotation.require_unmoved_labels()
            holder.set_both(pending.username, pending.password, used)


STRATEGIES: Mapping[StrategyName, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (SingleUser, SingleUserByAdministrator, AlternatingUsers, DualPassword)
}


def require_same_user(rotation: Rotation) -> None:
    """Raise CurrentChanged when AWSCURRENT was edited to name another user."""
    if rotation.current.username != rotation.pending.username:
        raise current_changed(rotation)


def current_changed(rotation: Rotation) -> RotationError:
    """Return the error for an AWSCURRENT that was edited to name another user."""
    msg = f"AWSCURRENT of {rotation.secret_id} names another user than when it was begun."
    return CurrentChanged(msg)


Found = tuple[Source, Meaning, str, Login, Session]


def find_login(databases: Databases, rotation: Rotation) -> Found | None:
    """Log in with the first stored password that the database accepts (rule 3).

    Returns:
        The open session with where its password came from; None when all were refused and the
        secret names an administrator, who can reset it.

    Raises:
        NoLoginWorks: All were refused, and there is no administrator.
    """
    has_administrator = rotation.pending.administrator_arn is not None
    refused: list[str] = []
    for source, meaning in SEARCH_BEFORE_ADMINISTRATOR if has_administrator else SEARCH:
        for version_id, login in rotation.passwords(source):
            if login.password in refused:
                continue
            if len(refused) >= rotation.settings.refused_logins:
                raise no_login_works(rotation)
            try:
                session = databases.connect(rotation, login)
            except LoginRefused:
                refused.append(login.password)
                continue
            rotation.facts["logged_in_with"] = source.name
            return source, meaning, version_id, login, session
    if has_administrator:
        return None
    raise no_login_works(rotation)


def no_login_works(rotation: Rotation) -> RotationError:
    """Return the error for a user none of whose stored passwords is accepted."""
    user = rotation.pending.username
    msg = f"No stored version of {rotation.secret_id} logs in as {user}."
    return NoLoginWorks(msg)


def choose_strategy(
    current: Login, tags: Mapping[str, str], default: StrategyName | None
) -> StrategyName:
    """Choose by the secret's tag, else the function's setting, else what the secret allows.

    Raises:
        BadSetting: The tag names no strategy.
    """
    if Tag.STRATEGY in tags:
        return StrategyName.read(tags[Tag.STRATEGY], f"The secret's tag {Tag.STRATEGY}")
    if default is not None:
        return default
    if current.administrator_arn:
        return StrategyName.ALTERNATING_USERS
    return StrategyName.SINGLE_USER


NEEDS_ADMINISTRATOR = frozenset(
    {StrategyName.SINGLE_USER_BY_ADMINISTRATOR, StrategyName.ALTERNATING_USERS}
)


def choose_pair(current_user: str, description: Description) -> tuple[str, str]:
    """Return the (first, second) user that take turns.

    The secret's tags say; else the pair that an earlier rotation pinned; else the current user is
    the first, whatever its name ends with: ``svc_clone`` may well be somebody's own user.

    Raises:
        BadSetting: The tags name a pair that the current user is not one of.
    """
    first = description.tags.get(Tag.FIRST_USER, "")
    second = description.tags.get(Tag.SECOND_USER, "")
    if first and second:
        return _tagged_pair(first, second, current_user)
    for labels in description.stages.values():
        for label in labels:
            pinned = Label.read_pair(label)
            if pinned and current_user in pinned and second in ("", pinned[1]):
                return pinned
    first = first or current_user
    return _tagged_pair(first, second or first + SECOND_USER_SUFFIX, current_user)


def _tagged_pair(first: str, second: str, current_user: str) -> tuple[str, str]:
    if first == second or current_user not in (first, second):
        msg = (
            f"The secret's tags {Tag.FIRST_USER} and {Tag.SECOND_USER} name {first} and {second}; "
            f"they must be two users, one of them the secret's {current_user}."
        )
        raise BadSetting(msg)
    return first, second


def rights_are_managed(tags: Mapping[str, str]) -> bool:
    """Say whether the framework keeps the second user's rights equal to the first's.

    Raises:
        BadSetting: The tag says neither ``managed`` nor ``untouched``.
    """
    text = tags.get(Tag.RIGHTS, RIGHTS_MANAGED).strip()
    if text not in (RIGHTS_MANAGED, RIGHTS_UNTOUCHED):
        msg = (
            f"The secret's tag {Tag.RIGHTS} is {text[:20]!r}; it must be {RIGHTS_MANAGED} or "
            f"{RIGHTS_UNTOUCHED}."
        )
        raise BadSetting(msg)
    return text == RIGHTS_MANAGED
