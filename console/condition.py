"""How a secret stands, and why: by labels, dates and the function's log, without any I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from console.fleet import Secret
from console.functions import Function, Maker
from console.log import Line
from console.outcome import Exit
from shared import errors
from shared.errors import Remedy, RotationError

STUCK_AFTER = timedelta(hours=6)
"""Assumed, as the hourly check does: Secrets Manager has given up its own retries by then."""
OVERDUE_AFTER = timedelta(hours=24)
"""`NextRotationDate` is the latest date of the next rotation; it stays in the past when that failed
(API reference of DescribeSecret). A day leaves time for repeating."""
DAY = timedelta(days=1)


class Condition(Enum):
    """How a secret stands, the most urgent first."""

    LOCKED_OUT = "locked out"
    """The last attempt found that no password logs in, or left one that does not."""
    STUCK = "stuck"
    """A rotation was begun, has not ended, and the service has given it up by now."""
    FAILING = "failing"
    """The last attempt failed, and ended itself."""
    OVERDUE = "overdue"
    """The date of its rotation has passed."""
    UNFINISHED = "not finished"
    """A rotation was begun; the service carries it on, or repeats it."""
    NO_FUNCTION = "no function"
    """Its function does not exist."""
    TOO_OLD = "too old"
    """The password is older than the policy allows."""
    NEVER = "never rotated"
    """Attached, and not rotated since."""
    DETACHED = "not attached"
    """Nothing rotates it."""
    ELSEWHERE = "another's"
    """A function rotates it that is not this framework's."""
    WELL = "well"
    """Attached, and rotated when it should have been."""
    REPLICA = "replica"
    """Its primary in another Region is what is rotated."""
    MANAGED = "managed"
    """Another AWS service, or a partner, rotates it."""


LEVELS: Mapping[Condition, Exit] = {
    Condition.LOCKED_OUT: Exit.FAILURE,
    Condition.STUCK: Exit.FAILURE,
    Condition.FAILING: Exit.FAILURE,
    Condition.OVERDUE: Exit.FAILURE,
    Condition.NO_FUNCTION: Exit.FAILURE,
    Condition.UNFINISHED: Exit.WARNINGS,
    Condition.TOO_OLD: Exit.WARNINGS,
}
"""What a command over such a secret exits with; all others are well."""

URGENCY: Mapping[Condition, int] = {each: place for place, each in enumerate(Condition)}

MILDER_THAN_TOO_OLD = frozenset(
    {Condition.NEVER, Condition.DETACHED, Condition.ELSEWHERE, Condition.WELL}
)

MENDABLE = frozenset(
    {Condition.LOCKED_OUT, Condition.STUCK, Condition.FAILING, Condition.UNFINISHED}
)
"""An attempt has failed, or has not ended: `rotation recover` knows how to go on."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one secret stands.

    Attributes:
        secret: The secret.
        function: What rotates it.
        condition: How it stands.
        cause: The class of the error that its last attempt ended with, where the log tells.
        why: In words.
        age: How old the password is, as far as the service tells; None where it does not.
        changed_ago: How long ago a label, the value or a tag changed; likewise.
        policy_days: How old it may be; None where nobody said.
    """

    secret: Secret
    function: Function
    condition: Condition
    cause: str
    why: str
    age: timedelta | None
    changed_ago: timedelta | None = None
    policy_days: int | None = None

    def is_changed_within(self, time: timedelta) -> bool:
        """Say whether the secret was changed no longer ago than that."""
        return self.changed_ago is not None and self.changed_ago <= time

    @property
    def level(self) -> Exit:
        """What a command over this secret exits with."""
        return LEVELS.get(self.condition, Exit.WELL)

    @property
    def is_within_policy(self) -> bool | None:
        """Whether the password is no older than the policy allows; None where nobody said."""
        if self.policy_days is None:
            return None
        return self.age is not None and self.age <= DAY * self.policy_days

    @property
    def strategy(self) -> str:
        """How it is rotated: by its tag, the function, or its last rotation; else not known."""
        plan = self.secret.plan
        tagged = self.secret.tags.get("rotation:strategy", "")
        return tagged or self.function.strategy or (plan.strategy if plan else "")


def assess(
    secret: Secret,
    function: Function,
    error: Line | None,
    *,
    region: str,
    now: datetime,
    policy_days: int | None = None,
) -> Standing:
    """Say how a secret stands.

    Args:
        secret: The secret.
        function: What rotates it.
        error: The last step that failed, however long ago; None where the log has none.
        region: Where it was asked for.
        now: With its time zone.
        policy_days: How old a password may be; None where nobody said.
    """
    since = secret.last_rotated
    if error is not None and since is not None and error.moment <= since:
        error = None  # mended since
    condition = _condition(secret, function, error, region=region, now=now)
    born = since or secret.created
    age = now - born if born else None
    policy_holds = policy_days is None or (age is not None and age <= DAY * policy_days)
    if not policy_holds and condition in MILDER_THAN_TOO_OLD:
        condition = Condition.TOO_OLD
    return Standing(
        secret=secret,
        function=function,
        condition=condition,
        cause=error.cause if error and secret.is_attached else "",
        why=_why(secret, condition, error if secret.is_attached else None, now, policy_days),
        age=age,
        changed_ago=now - secret.changed if secret.changed else None,
        policy_days=policy_days,
    )


def _condition(
    secret: Secret, function: Function, error: Line | None, *, region: str, now: datetime
) -> Condition:
    """Return the first that is true, in an order in which what is told says the most."""
    attached, ours = secret.is_attached, function.maker is Maker.OURS
    pending = attached and secret.pending is not None
    changed, due = secret.changed or now, secret.next_rotation or now
    known = kind_of(error.cause) if error else None
    table: tuple[tuple[bool, Condition], ...] = (
        (secret.is_replica(region), Condition.REPLICA),
        (bool(secret.owner or secret.kind), Condition.MANAGED),
        (not attached, Condition.DETACHED),
        (function.maker is Maker.MISSING, Condition.NO_FUNCTION),
        (known is not None and known.remedy is Remedy.LOCKED_OUT, Condition.LOCKED_OUT),
        (pending and changed + STUCK_AFTER < now, Condition.STUCK),
        (pending, Condition.UNFINISHED),
        (error is not None or secret.attempt_ended is not None, Condition.FAILING),
        (due + OVERDUE_AFTER < now, Condition.OVERDUE),
        (not ours and function.maker is not Maker.UNKNOWN, Condition.ELSEWHERE),
        (secret.last_rotated is None, Condition.NEVER),
    )
    return next((found for holds, found in table if holds), Condition.WELL)


def _why(
    secret: Secret, condition: Condition, error: Line | None, now: datetime, policy_days: int | None
) -> str:
    if error is not None:
        found = _first_sentence(error.message).replace(secret.arn, secret.name)
        return f"{error.step}: {error.cause}: {found}"
    ago = told_age(now - secret.changed) if secret.changed else "some time"
    due = told_age(now - secret.next_rotation) if secret.next_rotation else ""
    texts: Mapping[Condition, str] = {
        Condition.STUCK: f"AWSPENDING is on a version of its own since {ago}; the log has no error",
        Condition.UNFINISHED: f"begun or repeated {ago} ago; the log has no error yet",
        Condition.FAILING: "an attempt was ended; the log has no error of it",
        Condition.OVERDUE: f"due {due} ago; the log has no error",
        Condition.NO_FUNCTION: f"{secret.function} does not exist",
        Condition.TOO_OLD: f"older than {policy_days} days",
        Condition.ELSEWHERE: f"rotated by {secret.function.rpartition(':')[2]}",
        Condition.MANAGED: f"by {secret.owner or secret.kind}",
        Condition.REPLICA: f"of the one in {secret.primary_region}",
    }
    return texts.get(condition, "")


def _first_sentence(message: str) -> str:
    """Return what was found; what to do about it `rotation recover` and `explain` tell."""
    return message.partition(". ")[0].removesuffix(".")


def told_age(age: timedelta) -> str:
    """Say how long that is, in its largest unit."""
    seconds = max(0, int(age.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def kind_of(cause: str) -> type[RotationError] | None:
    """Return the class of error that a log line names; None for one that is not known here."""
    found = getattr(errors, cause, None)
    is_kind = isinstance(found, type) and issubclass(found, RotationError)
    return found if is_kind else None
