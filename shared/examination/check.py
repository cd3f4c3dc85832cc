"""How one line of an examination is looked at, and what all of them share."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.errors import DatabaseError
from shared.examination.finding import Level
from shared.model import Description, Login
from shared.plan import Plan
from shared.reading import Reading
from shared.rotation import Rotation
from shared.session import Pair, Session
from shared.settings import SecretSettings, StrategyName

if TYPE_CHECKING:
    from shared.databases import Databases
    from shared.rotator import Rotator


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check has seen, where it raises no error.

    Attributes:
        code: A name of the registry.
        text: What was seen.
        do: What to do next; what the code says when empty.
        level: Where it is milder than the code's own.
        blocks: Whether what needs this check cannot be looked at.
    """

    code: str
    text: str
    do: str = ""
    level: Level | None = None
    blocks: bool = False


NEEDS_ADMINISTRATOR = frozenset(
    {StrategyName.SINGLE_USER_BY_ADMINISTRATOR, StrategyName.ALTERNATING_USERS}
)

ACTING = "acting"
"""Among a check's needs: whichever login a rotation would work through."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the examination.

    Attributes:
        name: In lower case, words joined by hyphens.
        look: Looks, and yields what it sees, if anything; a RotationError is a failure.
        needs: The checks that must have found nothing that stands in the way; or ACTING.
    """

    name: str
    look: Callable[["Subject"], Iterator[Seen] | None]
    needs: tuple[str, ...] = ()


@dataclass(slots=True)
class Subject:
    """The secret that is examined, as far as it is known by now.

    What a check learns stands here for those that need it; it is not there before.

    Attributes:
        rotator: Of the function.
        databases: Its ways into the database.
        rotation: Secret, store, settings, time.
        function_arn: The function's own; None where it is not known.
        reading: Labels and tags.
        wanted: What the tags say.
        login: The value of AWSCURRENT.
        plan: Of the next rotation; None until it is decided.
        session: The user's; None where he was not let in.
        refused: Why he was not.
        problem: What keeps the account from being used, whatever the password.
        administrator: The administrator's login.
        keeper: The administrator's session; None where there is none.
        server: Product and version.
        engine: By the secret, or by the function where it has but one.
        seconds: How long something took, by what it was.
        function_seconds: What the function's time is, or was when the examination began.
    """

    rotator: "Rotator"
    databases: "Databases"
    rotation: Rotation
    function_arn: str | None = None
    reading: Reading = field(init=False)
    wanted: SecretSettings = field(init=False)
    login: Login = field(init=False)
    plan: Plan | None = None
    session: Session | None = None
    refused: DatabaseError | None = None
    problem: DatabaseError | None = None
    administrator: Login = field(init=False)
    keeper: Session | None = None
    server: str | None = None
    engine: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    function_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.function_seconds = self.rotation.deadline.remaining()

    @property
    def description(self) -> Description:
        """Labels, tags and kind of the secret."""
        return self.reading.description

    @property
    def pair(self) -> Pair | None:
        """The two users that take turns; None where one user is rotated."""
        return None if self.plan is None else self.plan.pair(self.rotation.secret_id)

    @property
    def idle(self) -> str:
        """The user whose password changes next."""
        username = self.login.username
        return username if self.plan is None else self.plan.next_user(username)

    @property
    def acts_by_administrator(self) -> bool:
        """Whether the next rotation works through the administrator's login."""
        if self.plan is None:
            return False
        mends = self.session is None or self.plan.strategy is StrategyName.DUAL_PASSWORD
        named = self.login.administrator_arn is not None
        return self.plan.strategy in NEEDS_ADMINISTRATOR or (mends and named)

    @property
    def acting(self) -> Session:
        """The session through which the next rotation would work."""
        session = self.keeper if self.acts_by_administrator else self.session
        if session is None:
            msg = "a check that looks through it does not say that it needs ACTING"
            raise LookupError(msg)
        return session

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Remember how long something takes; the shortest, if it is done more than once."""
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        self.seconds[what] = min(seconds, self.seconds.get(what, seconds))

    def open(self, login: Login) -> Session:
        """Log in once, to look only.

        A server that has to wake up first is waited for, for half of the time that is left.

        Raises:
            DatabaseError: As :meth:`shared.rotator.Rotator.connect` says.
        """
        deadline = self.rotation.deadline.within(self.rotation.deadline.remaining() / 2)
        session = self.databases.connect(self.rotation, login, deadline)
        session.only_look()
        return session

    def close(self) -> None:
        """End the sessions."""
        for session in (self.session, self.keeper):
            if session is not None:
                session.close()
