"""How an attempt begins, and how one ends that cannot succeed.

Whether Secrets Manager leaves AWSPENDING on a version that gets its value from a call that does not
name it, whether it takes such a call at all, and what it does when a function takes AWSPENDING off
inside a step, is not documented: what is here is right either way.
"""

from datetime import UTC, datetime

from shared.databases import Databases
from shared.errors import AttemptOutdated, ForeignPending, RotationError, VersionNotPending
from shared.lifecycle import Standing
from shared.model import Stage, Step
from shared.plan import Plan, is_plan
from shared.reading import Reading
from shared.rotation import Rotation
from shared.store import NamesNoPending

SUPERSEDED_PLANS = 5
"""How many labels of former plans may stay: a secret has twenty labels at most, over all versions.
They are taken off together, so that a rotation usually makes no call for it."""

DAY_SECONDS = 86_400
"""A schedule without a window of its own has one that ends with the day."""

REASONS = {
    Standing.FOREIGN: "AWSPENDING holds a value that this function did not store",
    Standing.EMPTY: "AWSPENDING has no value",
    Standing.ABANDONED: "the version has neither AWSPENDING nor AWSCURRENT",
    Standing.UNKNOWN: "the secret has no such version",
}


def store_value(rotation: Rotation, text: str, plan: Plan) -> None:
    """Store the new value with its plan, and see that it has AWSPENDING.

    RotateSecret has put AWSPENDING on the version. To name it once more would take it from another
    rotation, if this request arrives late.

    Raises:
        VersionNotPending: The attempt is over.
        ForeignPending: The token has a value that this framework did not store.
    """
    store, event = rotation.store, rotation.event
    label = plan.label(event.token)
    try:
        labels = store.put_value(event, text, label)
    except NamesNoPending:
        _require_pending(rotation, rotation.read())
        labels = store.put_value(event, text, label, Stage.PENDING)
    if labels is None:
        _require_twin(rotation)
    elif not labels & {Stage.PENDING, Stage.CURRENT}:
        _attach(rotation, plan)


def _require_twin(rotation: Rotation) -> None:
    """Make sure that it was a twin delivery that has stored another value."""
    version = rotation.store.settled_version(rotation.secret_id, rotation.token)
    if version is not None and Plan.read(version.stages) is None:
        msg = f"Version {rotation.token} of {rotation.secret_id}: {REASONS[Standing.FOREIGN]}."
        raise ForeignPending(msg)


def _attach(rotation: Rotation, plan: Plan) -> None:
    """Put AWSPENDING on the version if nobody has it, and no other rotation has ended since."""
    reading = rotation.read()
    free = reading.description.holder(Stage.PENDING) is None and plan.is_made_from(reading.current)
    if not free or not rotation.store.move_label(
        rotation.secret_id, Stage.PENDING, rotation.token, None
    ):
        _require_pending(rotation, reading)
        return
    if not plan.is_made_from(rotation.read().current):
        # Another rotation has ended in between: nobody would ever repeat this one.
        rotation.store.remove_label(rotation.secret_id, Stage.PENDING, rotation.token)
        msg = f"Version {rotation.token} of {rotation.secret_id}: {REASONS[Standing.ABANDONED]}."
        raise VersionNotPending(msg)


def _require_pending(rotation: Rotation, reading: Reading) -> None:
    if not reading.is_pending:
        msg = f"Version {rotation.token} of {rotation.secret_id}: {REASONS[Standing.ABANDONED]}."
        raise VersionNotPending(msg)


def take_superseded_labels_off(rotation: Rotation, reading: Reading) -> None:
    """Take the plans of former attempts off, when there are many.

    That of AWSCURRENT stays: it tells which two users take turns.
    """
    kept = (rotation.token, reading.current, reading.fence)
    superseded = [
        (label, version)
        for version, labels in reading.description.stages.items()
        for label in labels
        if is_plan(label) and version not in kept
    ]
    if len(superseded) >= SUPERSEDED_PLANS:
        for label, version in superseded:
            rotation.store.remove_label(rotation.secret_id, label, version)


def require_fresh(rotation: Rotation, reading: Reading) -> None:
    """Make sure that an attempt that has changed nothing is not from a former window.

    Raises:
        AttemptOutdated: It is: the next rotation begins with what holds today.
    """
    version = rotation.version(rotation.token)
    window = reading.description.window_seconds or DAY_SECONDS
    if version is None or version.created is None:
        return
    age = (datetime.now(UTC) - version.created).total_seconds()
    if age > window:
        msg = f"The attempt {rotation.token} of {rotation.secret_id} is {age / 3600:.0f} hours old."
        raise AttemptOutdated(msg)


def conclude(error: RotationError, rotation: Rotation, databases: Databases) -> None:
    """End the attempt if no retry can cure ``error``, and let the error tell what became of it.

    Commands in the error's advice name the secret from then on.
    """
    error.advice = error.advice.replace("<ARN>", rotation.secret_id)
    if error.retry_cures:
        return
    try:
        ended = _end(rotation, databases)
    except RotationError:
        ended = False
    if ended is None:
        return
    rotation.facts.ended = ended
    commands = {"secret": rotation.secret_id, "token": rotation.token}
    outcome = (ENDED if ended else NOT_ENDED).format(**commands)
    error.outcome = f"{error.outcome} {outcome}".strip()


ENDED = (
    "The attempt has ended itself: AWSPENDING is off. Once that is mended: "
    "`aws secretsmanager rotate-secret --secret-id {secret}`"
)
NOT_ENDED = (
    "Once that is mended, take AWSPENDING off and rotate again: `aws secretsmanager "
    "update-secret-version-stage --secret-id {secret} --version-stage AWSPENDING "
    "--remove-from-version-id {token} && aws secretsmanager rotate-secret --secret-id {secret}`"
)


def _end(rotation: Rotation, databases: Databases) -> bool | None:
    """Take AWSPENDING off the attempt's version, if nothing can be lost by it.

    Returns:
        Whether it was taken off; None where there is nothing to end: it is not on the version, or
        the version is the service's own, made to test a configuration.
    """
    reading = rotation.read()
    plan = Plan.read(reading.labels or ())
    ours = rotation.event.step is Step.CREATE or plan is not None
    if not ours or not reading.is_pending or reading.current == rotation.token:
        return None
    outdated = plan is not None and not plan.is_made_from(reading.current)
    if not reading.carries_fence or outdated:
        # Another AWSCURRENT than the plan's: no retry succeeds, whether it logs in or not. The
        # password that may be in force keeps the fence.
        return _take_pending_off(rotation)
    # Something may have been changed: AWSCURRENT must log in now, while nobody changes anything.
    with databases.connect(rotation, rotation.current_login(reading)) as session:
        session.lock(rotation.secret_id, rotation.settings.lock_seconds)
        again = rotation.read()
        return again.description.stages == reading.description.stages and _take_pending_off(
            rotation
        )


def _take_pending_off(rotation: Rotation) -> bool:
    removed = rotation.store.remove_label(rotation.secret_id, Stage.PENDING, rotation.token)
    # A removal whose answer is lost is repeated by the SDK, and refused then.
    return removed or not rotation.read().is_pending
