"""One healthy rotation, recorded: every message of the function, in the order in which it was sent.

The function is the real one; Secrets Manager is the local service, the database the simulated one.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import uuid4

from local.secretsmanager import SecretsManagerService
from local.secretsmanager.rotation import STEPS
from shared.deadline import Deadline
from shared.lifecycle import Standing, standing
from shared.model import Login
from shared.plan import SECOND_USER_SUFFIX, Plan
from shared.runtime import handler_for
from shared.settings import StrategyName
from tests.conformance.simulated import (
    ADMINISTRATOR,
    ADMINISTRATOR_PASSWORD,
    Account,
    Database,
    SimulatedRotator,
    SimulatedSession,
)

USER = "app"
SECOND_USER = USER + SECOND_USER_SUFFIX
PASSWORD = "First-Password-of-1-app"
LOG_IN = "log in"
NO_MESSAGES = {"close", "unable"}
"""Methods of a session that ask the server nothing."""


@dataclass(frozen=True)
class Message:
    """One message of the function.

    Attributes:
        name: Of Secrets Manager the operation; of the database the session's method, or ``log in``.
        subject: A label, a user, or ``administrator`` for what is about his secret.
        is_refused: Whether the database refuses AWSCURRENT when the message is sent.
    """

    name: str
    subject: str
    is_refused: bool

    @property
    def is_for_the_service(self) -> bool:
        """Whether it goes to Secrets Manager: its operations begin with a capital."""
        return self.name[0].isupper()


@dataclass
class Recorded:
    """One step.

    Attributes:
        step: Its name.
        before: Where the attempt's version stood when it began.
        after: And when it had ended.
        messages: What the function has sent.
    """

    step: str
    before: Standing
    after: Standing
    messages: list[Message] = field(default_factory=list)


class RecordingSession(SimulatedSession):
    """Tells which of its methods are called."""

    tell: ClassVar[Callable[[str, str], None]]

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - whatever the attribute is
        """Return the attribute; a public method tells first that it is called."""
        found = super().__getattribute__(name)
        if name.startswith("_") or name in NO_MESSAGES or not callable(found):
            return found

        def told(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - likewise
            users = (each for each in arguments if each in {USER, SECOND_USER})
            RecordingSession.tell(name, next(users, ""))
            return found(*arguments, **options)

        return told


class RecordingRotator(SimulatedRotator):
    """Tells who logs in."""

    def connect(self, login: Login, deadline: Deadline) -> RecordingSession:
        """Log in."""
        RecordingSession.tell(LOG_IN, login.username)
        super().connect(login, deadline)
        return RecordingSession(self.database, login.username)


def record(strategy: StrategyName, *, administrator: bool) -> list[Recorded]:
    """Rotate a secret for the first time, by ``strategy``, and return what was sent."""
    with _prepared(strategy, administrator=administrator) as (service, arn):
        return list(_recorded(service, arn))


@contextmanager
def _prepared(
    strategy: StrategyName, *, administrator: bool
) -> Iterator[tuple[SecretsManagerService, str]]:
    RecordingRotator.database = Database(
        accounts={
            ADMINISTRATOR: Account([ADMINISTRATOR_PASSWORD]),
            USER: Account([PASSWORD], rights=frozenset({"read"})),
        }
    )
    document = {"engine": "simulated", "host": "db", "username": USER, "password": PASSWORD}
    with SecretsManagerService(retries=0) as service:
        if administrator:
            who = {"username": ADMINISTRATOR, "password": ADMINISTRATOR_PASSWORD}
            document["masterarn"] = service.create_secret(ADMINISTRATOR, document | who)
        arn = service.create_secret(USER, document, tags={"rotation:strategy": str(strategy)})
        function = service.register("rotator", handler_for(RecordingRotator, environment={}))
        service.enable_rotation(arn, function)
        yield service, arn


def _recorded(service: SecretsManagerService, arn: str) -> Iterator[Recorded]:
    token = str(uuid4())
    service.prepare_rotation(arn, token)
    for step in STEPS:
        before = _stands(service, arn, token)
        messages = _listen(service, arn)
        service.invoke_step(arn, token, step)
        yield Recorded(step, before, _stands(service, arn, token), messages)


def _listen(service: SecretsManagerService, arn: str) -> list[Message]:
    """Return the list to which messages are added from now on."""
    messages: list[Message] = []

    def tell(name: str, subject: str) -> None:
        current = json.loads(str(service.value(arn)))
        accepted = RecordingRotator.database.accepts(current["username"], current["password"])
        messages.append(Message(name, subject, not accepted))

    def on_request(operation: str, phase: str, _number: int) -> None:
        if phase == "before":
            asked = service.requests[-1].parameters
            is_own = asked["SecretId"] == arn
            tell(operation, asked.get("VersionStage", "") if is_own else ADMINISTRATOR)

    service.on_request = on_request
    RecordingSession.tell = tell
    return messages


def _stands(service: SecretsManagerService, arn: str, token: str) -> Standing:
    labels = frozenset(name for name, on in service.labels(arn).items() if on == token)
    (value,) = (each.value for each in service.versions(arn) if each.version_id == token)
    return standing(labels, has_plan=Plan.read(labels) is not None, has_value=value is not None)
