"""Why a healthy rotation sends each of its messages: a table, made of recorded rotations."""

from collections.abc import Iterator, Mapping

from shared.model import Label, Stage, Step
from shared.settings import StrategyName
from tests.conformance.simulated import ADMINISTRATOR
from tests.pages.diagrams import LEFT_OUT, SAYS
from tests.pages.recording import LOG_IN, SECOND_USER, USER, Message, record

SIMPLE, TURNS = StrategyName.SINGLE_USER, StrategyName.ALTERNATING_USERS
ADMINISTRATED = "his secret is read only where its tags allow it: a name in a secret proves nothing"

PROMISES: Mapping[tuple[str, str, str], str] = {
    (Step.CREATE, "DescribeSecret", ""): "a version that has a plan is never planned again; tags",
    (Step.CREATE, "GetSecretValue", Stage.CURRENT): (
        "the plan names the very version that the new value was made from"
    ),
    (Step.CREATE, "PutSecretValue", ""): (
        "never lost: the new password is stored before any database hears of it"
    ),
    (Step.SET, "GetSecretValue", ""): "every step knows only what is stored, and what was planned",
    (
        Step.SET,
        "GetSecretValue",
        Stage.CURRENT,
    ): "AWSCURRENT is tried first: it is nearly always it",
    (Step.SET, "DescribeSecret", ADMINISTRATOR): ADMINISTRATED,
    (Step.SET, "GetSecretValue", ADMINISTRATOR): "his password is never kept",
    (
        Step.SET,
        LOG_IN,
        ADMINISTRATOR,
    ): "nobody else may prepare the idle user; the session holds the lock, and compares",
    (Step.SET, LOG_IN, f"{USER}, before the change"): (
        "shows which password is in force; the session changes it, and holds the lock"
    ),
    (Step.SET, LOG_IN, f"{USER}, after the change"): "nothing is promoted that does not log in",
    (Step.SET, LOG_IN, SECOND_USER): "nothing is promoted that does not log in, as whom it should",
    (Step.SET, "lock", ""): "deliveries change one after the other",
    (Step.SET, "DescribeSecret", ""): "over is over: what was read before the lock may be old",
    (Step.SET, "ownership", ""): "a user that somebody else made is not touched",
    (
        Step.SET,
        "sessions_of",
        SECOND_USER,
    ): "who still uses the idle user is told of, or stops it, by the tag",
    (Step.SET, "UpdateSecretVersionStage", Label.FENCE): (
        "the password that may be in force always has a label; who comes late is refused"
    ),
    (Step.SET, "change_password", USER): "the rotation itself",
    (Step.SET, "prepare", SECOND_USER): "the rotation itself",
    (Step.SET, "differences", SECOND_USER): "the new login has the rights that the old one has",
    (Step.SET, "UpdateSecretVersionStage", Stage.CURRENT): (
        "from the planned version or not at all: AWSCURRENT never goes back"
    ),
    (Step.TEST, "GetSecretValue", ""): "what is tested is what is stored, and still pending",
    (Step.TEST, LOG_IN, USER): "the step does what its name says, also alone, also when repeated",
    (Step.TEST, LOG_IN, SECOND_USER): "the step does what its name says, and changes nothing",
    (Step.FINISH, "GetSecretValue", ""): "a step that comes twice does nothing twice",
    (Step.FINISH, "DescribeSecret", ADMINISTRATOR): ADMINISTRATED,
    (Step.FINISH, "GetSecretValue", ADMINISTRATOR): "his password is never kept",
    (Step.FINISH, LOG_IN, ADMINISTRATOR): "nobody may promote who does not hold the lock",
    (Step.FINISH, "lock", ""): "nobody prepares another password in the middle",
    (Step.FINISH, "DescribeSecret", ""): "over is over: an abandoned rotation promotes nothing",
    (
        Step.FINISH,
        "differences",
        SECOND_USER,
    ): "a right that was lost meanwhile stops the promotion",
    (Step.FINISH, LOG_IN, SECOND_USER): (
        "a login from before the lock is no evidence: another delivery may have come between"
    ),
    (Step.FINISH, "UpdateSecretVersionStage", Stage.CURRENT): (
        "from the planned version or not at all: AWSCURRENT never goes back"
    ),
}
"""Step, message and subject to the promise that would be broken without it."""


def table(strategy: StrategyName, *, administrator: bool) -> str:
    """Return the rows of a table: each message of a healthy rotation, and why it is sent.

    Raises:
        KeyError: A message keeps no promise that anybody knows.
    """
    rows = [
        f"| {step} | {said} | {promise} |"
        for step, said, promise in _rows(strategy, administrator=administrator)
    ]
    return "\n".join(["| step | message | the promise that it keeps |", "|---|---|---|", *rows])


def _rows(strategy: StrategyName, *, administrator: bool) -> Iterator[tuple[str, str, str]]:
    for recorded in record(strategy, administrator=administrator):
        changed = False
        for message in recorded.messages:
            changed |= message.name == "change_password"
            if message.name not in LEFT_OUT:
                said = SAYS[message.name, message.subject]
                yield recorded.step, said, PROMISES[_key(recorded.step, message, changed)]


def _key(step: str, message: Message, changed: bool) -> tuple[str, str, str]:
    subject = message.subject
    if (step, message.name, subject) == (Step.SET, LOG_IN, USER):
        subject = f"{USER}, {'after' if changed else 'before'} the change"
    return step, message.name, subject
