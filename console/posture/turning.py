"""The rotation of a secret: on, scheduled, succeeding, and often enough."""

from collections.abc import Iterator

from console.condition import Condition, Standing
from console.posture.subject import Seen, Subject, command
from console.posture.view import Unseen

FAILING = {
    Condition.LOCKED_OUT: "RotationFails",
    Condition.FAILING: "RotationFails",
    Condition.STUCK: "AttemptUnfinished",
    Condition.OVERDUE: "Overdue",
    Condition.NO_FUNCTION: "FunctionMissing",
}
"""What stands for a rotation that does not succeed."""
NOT_OURS_TO_TURN = frozenset({Condition.MANAGED, Condition.REPLICA})


def check_rotation(subject: Subject) -> Iterator[Seen]:
    """Look at the rotation.

    Raises:
        Unseen: Nothing says that it fails, and its log cannot be read.
    """
    standing, secret = subject.standing, subject.secret
    subject.facts |= {
        "rotation": standing.condition.value,
        "last_rotated": secret.last_rotated,
        "age_days": None if standing.age is None else standing.age.days,
        "schedule": secret.schedule or None,
    }
    if standing.condition in NOT_OURS_TO_TURN:
        yield from _too_old(standing, subject.days)
        return
    if not secret.is_attached:
        do = f"rotation enable {secret.name}"
        yield Seen("RotationOff", "Nothing rotates it.", do)
    elif not secret.schedule:
        do = command(
            "secretsmanager",
            "rotate-secret",
            secret_id=secret.arn,
            rotation_rules="AutomaticallyAfterDays=30",
            rotate_immediately=False,
        )
        yield Seen("NotScheduled", "It rotates only when somebody says so.", do)
    if code := FAILING.get(standing.condition):
        yield Seen(code, standing.why or standing.condition.value, _next(code, secret.name))
    elif secret.is_attached and secret.last_rotated is None:
        yield Seen(
            "NeverRotated", "No rotation has succeeded yet.", f"rotation rotate {secret.name}"
        )
    yield from _too_old(standing, subject.days)
    if subject.unread and standing.condition not in FAILING:
        log = subject.function.log_group
        raise Unseen(f"Whether rotations fail stands in {log}: {subject.unread}.")


def _next(code: str, name: str) -> str:
    if code == "FunctionMissing":
        return f"rotation enable {name} --function <function's ARN>"
    if code == "Overdue":
        return f"rotation doctor {name}"
    return f"rotation recover {name}"


def _too_old(standing: Standing, days: int) -> Iterator[Seen]:
    if standing.is_within_policy is False and standing.condition is not Condition.REPLICA:
        age = f"{standing.age.days} days old" if standing.age else "of an age that is not told"
        text = f"The password is {age}; {days} are allowed."
        secret = standing.secret
        managed = command("secretsmanager", "rotate-secret", secret_id=secret.arn)
        yield Seen(
            "PasswordTooOld", text, managed if secret.owner else f"rotation rotate {secret.name}"
        )
