"""How an attempt begins, and how one ends that cannot succeed, against the faithful service."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import uuid4

import pytest

from local.secretsmanager import ConnectionLost, SecretsManagerService, ServiceError
from shared.administrators import Administrators
from shared.attempts import (
    REASONS,
    conclude,
    require_fresh,
    store_value,
    take_superseded_labels_off,
)
from shared.databases import Databases
from shared.deadline import Deadline
from shared.errors import (
    AttemptOutdated,
    BadSecret,
    DatabaseError,
    ForeignPending,
    LockTimeout,
    LoginRefused,
    NotRotatable,
    ReplicaBehind,
    ServiceFailed,
    UnknownVersion,
    VersionNotPending,
)
from shared.lifecycle import Standing
from shared.model import Label, Login, Stage, Step
from shared.plan import Plan, digest
from shared.reading import Reading
from shared.session import Lock, Session
from shared.settings import StrategyName
from tests.unit.test_holding import QuietSession, Secret, value

STORED, STORED_WITH_PENDING = "store with 1 labels", "store with 2 labels"
ATTACHED, TAKEN_OFF = "AWSPENDING: nobody > T", "AWSPENDING: T > nobody"


@pytest.fixture
def secret(service: SecretsManagerService) -> Iterator[Secret]:
    """A secret; time passes by waiting only."""
    secret = Secret(service)
    yield secret
    service.on_request = None


def prepared(secret: Secret) -> Plan:
    """Begin a rotation, as RotateSecret does, and return what may be planned for it."""
    secret.token = str(uuid4())
    secret.service.prepare_rotation(secret.arn, secret.token)
    return Plan(StrategyName.SINGLE_USER, digest(secret.first))


def labels(secret: Secret) -> set[str]:
    """Return the labels of the attempt's version."""
    found = secret.service.labels(secret.arn)
    return {label for label, holder in found.items() if holder == secret.token}


# Storing the value


def test_value_is_stored_with_its_plan(secret: Secret) -> None:
    """One call names the plan's label alone; AWSPENDING stays where RotateSecret has put it."""
    plan = prepared(secret)
    store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert secret.messages == [STORED]
    assert labels(secret) == {Stage.PENDING, plan.label(secret.token)}
    assert secret.service.value(secret.arn, secret.token) == value("the second")


def test_value_of_a_twin(secret: Secret) -> None:
    """A value that a twin has stored is as good, whatever password it has."""
    plan = prepared(secret)
    secret.put(value("the twin's"), plan.label(secret.token), token=secret.token)
    store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert secret.messages == [STORED, "value"]
    assert secret.service.value(secret.arn, secret.token) == value("the twin's")


def test_value_of_a_twin_that_cannot_be_read_yet(secret: Secret) -> None:
    """Whose it is, the next step will tell: after all patience this is no error."""
    plan = prepared(secret)
    secret.service.stale_reads = 100
    secret.put(value("the twin's"), plan.label(secret.token), token=secret.token)
    store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert secret.messages == [STORED, *["value"] * 4]


def test_value_of_somebody_else(secret: Secret) -> None:
    """A value without a plan is nobody's twin: it is refused, and stays as it is."""
    plan = prepared(secret)
    secret.put("foreign", "somebody's own", token=secret.token)
    with pytest.raises(ForeignPending) as caught:
        store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert caught.value.message == (
        f"Version {secret.token} of {secret.arn}: {REASONS[Standing.FOREIGN]}."
    )
    assert secret.service.value(secret.arn, secret.token) == "foreign"


# A service that does not leave AWSPENDING where it was


def test_pending_that_the_call_took_off(secret: Secret) -> None:
    """Where nobody has it, and AWSCURRENT is still the planned one, it is attached."""
    plan = prepared(secret)
    secret.meet(STORED, lambda: secret.give(Stage.PENDING, None))
    store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert secret.messages == [STORED, "read", ATTACHED, "read"]
    assert labels(secret) == {Stage.PENDING, plan.label(secret.token)}


def another_rotation(secret: Secret) -> None:
    """Abandon the attempt, and begin another rotation."""
    secret.give(Stage.PENDING, None)
    secret.service.prepare_rotation(secret.arn, str(uuid4()))


def another_current(secret: Secret) -> None:
    """Abandon the attempt, and let another rotation come and go."""
    secret.give(Stage.PENDING, None)
    secret.put(value("another"))


@pytest.mark.parametrize("meanwhile", [another_rotation, another_current])
def test_attempt_that_is_over(secret: Secret, meanwhile: Callable[[Secret], None]) -> None:
    """What was abandoned takes AWSPENDING from nobody, and does not come back to life."""
    plan = prepared(secret)
    secret.meet(STORED, lambda: meanwhile(secret))
    with pytest.raises(VersionNotPending) as caught:
        store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert caught.value.message == (
        f"Version {secret.token} of {secret.arn}: {REASONS[Standing.ABANDONED]}."
    )
    assert secret.messages == [STORED, "read"]
    assert secret.holder(Stage.PENDING) != secret.token


def test_pending_that_another_rotation_takes_first(secret: Secret) -> None:
    """The service itself refuses to attach what somebody has by now."""
    plan = prepared(secret)
    secret.meet(STORED, lambda: secret.give(Stage.PENDING, None))
    secret.meet(ATTACHED, lambda: another_rotation(secret))
    with pytest.raises(VersionNotPending):
        store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert secret.holder(Stage.PENDING) not in (None, secret.token)


def test_pending_that_is_free_because_another_rotation_has_ended(secret: Secret) -> None:
    """What is attached after the end of another rotation is taken off again: it is over."""
    plan = prepared(secret)
    secret.meet(STORED, lambda: secret.give(Stage.PENDING, None))
    secret.meet(ATTACHED, lambda: another_current(secret))
    with pytest.raises(VersionNotPending) as caught:
        store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert caught.value.message == (
        f"Version {secret.token} of {secret.arn}: {REASONS[Standing.ABANDONED]}."
    )
    assert secret.messages == [STORED, "read", ATTACHED, "read", TAKEN_OFF]
    assert secret.holder(Stage.PENDING) is None


def test_pending_that_the_next_reading_shows(secret: Secret) -> None:
    """Where the answer lacks it and the labels have it, there is nothing to attach."""
    plan = prepared(secret)
    secret.meet(STORED, lambda: secret.give(Stage.PENDING, None))
    secret.meet_after(STORED, lambda: secret.give(Stage.PENDING, secret.token))
    store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert secret.messages == [STORED, "read"]


def test_value_of_a_version_that_is_promoted(secret: Secret) -> None:
    """A late delivery finds its version in use: nothing is attached to it any more."""
    plan = prepared(secret)

    def promoted() -> None:
        secret.give(Stage.CURRENT, secret.token)
        secret.give(Stage.PENDING, None)

    secret.meet(STORED, promoted)
    store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert secret.messages == [STORED]


@pytest.mark.parametrize("code", ["InvalidParameterException", "InvalidRequestException"])
def test_service_that_wants_awspending_named(secret: Secret, code: str) -> None:
    """It is named, once the labels have shown that this takes it from nobody."""
    plan = prepared(secret)
    secret.meet(STORED, ServiceError(code, "no"))
    store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert secret.messages == [STORED, "read", STORED_WITH_PENDING]
    assert labels(secret) == {Stage.PENDING, plan.label(secret.token)}


def test_late_delivery_to_a_service_that_wants_awspending_named(secret: Secret) -> None:
    """It is not named where another rotation has it."""
    plan = prepared(secret)
    another_rotation(secret)
    secret.meet(STORED, ServiceError("InvalidParameterException", "no"))
    with pytest.raises(VersionNotPending):
        store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert secret.messages == [STORED, "read"]


def test_twin_of_a_service_that_wants_awspending_named(secret: Secret) -> None:
    """What a twin has stored meanwhile is as good there, too."""
    plan = prepared(secret)
    secret.meet(STORED, ServiceError("InvalidParameterException", "no"))

    def twin() -> None:
        secret.put(value("the twin's"), plan.label(secret.token), token=secret.token)

    secret.meet(STORED_WITH_PENDING, twin)
    store_value(secret.rotation(Step.CREATE), value("the second"), plan)
    assert secret.messages == [STORED, "read", STORED_WITH_PENDING, "value"]


@pytest.mark.parametrize("code", ["InvalidParameterException", "InvalidRequestException"])
def test_value_that_the_service_refuses(secret: Secret, code: str) -> None:
    """With AWSPENDING or without it: this is an error like any other."""
    plan = prepared(secret)
    secret.meet(STORED, ServiceError(code, "no"))
    secret.meet(STORED_WITH_PENDING, ServiceError(code, "no"))
    with pytest.raises(ServiceFailed, match=code):
        store_value(secret.rotation(Step.CREATE), value("the second"), plan)


# Labels of former plans


@pytest.mark.parametrize(("former", "taken_off"), [(4, False), (5, True), (6, True)])
def test_superseded_labels(secret: Secret, former: int, taken_off: bool) -> None:
    """They are taken off together, once there are many; those that still tell something stay."""
    plan = prepared(secret)
    secret.put(value("the second"), plan.label(secret.token), token=secret.token)
    for kept in ("current", "fenced"):
        secret.put(kept, plan.label(kept), "somebody's own")
    secret.give(Label.FENCE, secret.holder(plan.label("fenced")))
    secret.give(Stage.CURRENT, secret.holder(plan.label("current")))
    for number in range(former):
        secret.put(f"value {number}", plan.label(f"{number}"), "mark")
    before = secret.service.labels(secret.arn)
    rotation = secret.rotation(Step.CREATE)
    take_superseded_labels_off(rotation, rotation.read())
    gone = {plan.label(f"{number}") for number in range(former)} if taken_off else set()
    assert before.keys() - secret.service.labels(secret.arn).keys() == gone
    assert len(secret.messages) == 1 + len(gone)


def test_superseded_label_that_is_gone_already(secret: Secret) -> None:
    """What a twin has taken off first is no error."""
    plan = prepared(secret)
    for number in range(5):
        secret.put(f"value {number}", plan.label(f"{number}"))
    rotation = secret.rotation(Step.CREATE)
    reading = rotation.read()
    secret.give(plan.label("0"), None)
    take_superseded_labels_off(rotation, reading)
    assert len(secret.messages) == 1 + 5
    assert not [label for label in secret.service.labels(secret.arn) if "--" in label]


# Attempts of a former window


@pytest.mark.parametrize(
    ("hours", "window_hours", "outdated"),
    [
        (23.9, None, False),
        (24.0, None, True),
        (0.9, 1, False),
        (1.1, 1, True),
        (30.2, None, True),
        (0, None, False),
    ],
)
def test_age_of_an_attempt(
    secret: Secret, hours: float, window_hours: int | None, outdated: bool
) -> None:
    """It may be as old as the schedule's window is long; a day where that is not said."""
    secret.service._clock = lambda: datetime.now(UTC) - timedelta(hours=hours)
    secret.begin()
    rotation = secret.rotation(Step.CREATE)
    seconds = None if window_hours is None else window_hours * 3600
    described = replace(rotation.read().description, window_seconds=seconds)
    reading = Reading(secret.token, described)
    if not outdated:
        require_fresh(rotation, reading)
        return
    with pytest.raises(AttemptOutdated) as caught:
        require_fresh(rotation, reading)
    assert caught.value.message == (
        f"The attempt {secret.token} of {secret.arn} is {hours:.0f} hours old."
    )


def test_age_that_is_not_known(secret: Secret) -> None:
    """A version without a value, or without a date, is not called old."""
    prepared(secret)
    rotation = secret.rotation(Step.CREATE)
    require_fresh(rotation, rotation.read())
    secret.put(value("the second"), "label", token=secret.token)
    version = rotation.version(secret.token)
    assert version is not None
    rotation._versions[secret.token] = replace(version, created=None)
    require_fresh(rotation, rotation.read())


# The end


class Way(Databases):
    """A way into the database that tells who goes there, and lets AWSCURRENT's login in only."""

    def __init__(self, secret: Secret, lock: Lock | DatabaseError = Lock.AT_ONCE) -> None:
        super().__init__(self._open, cast("Administrators", None), 1, users_lock=True)
        self.session = QuietSession(secret, lock)
        self.in_force = "the first"

    def _open(self, login: Login, deadline: Deadline) -> Session:
        self.session.secret.say(f"log in with {login.password}")()
        if login.password != self.in_force:
            raise LoginRefused("no")
        return self.session


def ended(secret: Secret) -> str:
    """Return what is told of an attempt that has ended itself."""
    return (
        "The attempt has ended itself: AWSPENDING is off. Once that is mended: "
        f"`aws secretsmanager rotate-secret --secret-id {secret.arn}`"
    )


def not_ended(secret: Secret) -> str:
    """Return what is told of an attempt that a human has to end."""
    return (
        "Once that is mended, take AWSPENDING off and rotate again: `aws secretsmanager "
        f"update-secret-version-stage --secret-id {secret.arn} --version-stage AWSPENDING "
        f"--remove-from-version-id {secret.token} && aws secretsmanager rotate-secret "
        f"--secret-id {secret.arn}`"
    )


def concluded(
    secret: Secret,
    step: Step = Step.SET,
    way: Way | None = None,
    error: DatabaseError | NotRotatable | None = None,
) -> tuple[bool | None, str]:
    """Conclude with an error that no retry cures; return whether it ended, and what is told."""
    error = error or BadSecret("A field is missing.")
    rotation = secret.rotation(step)
    conclude(error, rotation, way or Way(secret))
    return rotation.facts.ended, error.outcome


def test_error_that_a_retry_cures(secret: Secret) -> None:
    """The service repeats the rotation: nothing is asked, and nothing told."""
    secret.begin()
    assert concluded(secret, error=LockTimeout("kept")) == (None, "")
    assert secret.messages == []
    assert secret.holder(Stage.PENDING) == secret.token


@pytest.mark.parametrize("step", Step)
def test_attempt_that_has_changed_nothing(secret: Secret, step: Step) -> None:
    """Without the fence it ends without asking the database."""
    secret.begin()
    assert concluded(secret, step) == (True, ended(secret))
    assert secret.messages == ["read", TAKEN_OFF]
    assert secret.holder(Stage.PENDING) is None


def test_attempt_without_a_value(secret: Secret) -> None:
    """In createSecret the attempt is the rotation's own, though nothing is stored yet."""
    prepared(secret)
    assert concluded(secret, Step.CREATE) == (True, ended(secret))
    assert secret.holder(Stage.PENDING) is None


def test_foreign_value_in_create_secret(secret: Secret) -> None:
    """A value that something else has stored for the rotation ends it; no rotation can use it."""
    prepared(secret)
    secret.put("foreign", Stage.PENDING, token=secret.token)
    assert concluded(secret, Step.CREATE, error=ForeignPending("no")) == (True, ended(secret))


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("step", [Step.SET, Step.TEST, Step.FINISH])
def test_version_that_is_not_ours(secret: Secret, step: Step, copied: bool) -> None:
    """The temporary version of RotateImmediately=false is the service's own: it stays."""
    prepared(secret)
    if copied:
        secret.put(value("the first"), Stage.PENDING, token=secret.token)
    assert concluded(secret, step) == (None, "")
    assert secret.messages == ["read"]
    assert secret.holder(Stage.PENDING) == secret.token


def test_attempt_that_is_over_already(secret: Secret) -> None:
    """AWSPENDING that is elsewhere is left there, and nothing is told to be done."""
    secret.begin()
    another_rotation(secret)
    assert concluded(secret) == (None, "")
    assert secret.messages == ["read"]


@pytest.mark.parametrize("step", [Step.CREATE, Step.SET])
def test_version_that_is_promoted(secret: Secret, step: Step) -> None:
    """AWSPENDING beside AWSCURRENT is no attempt: whatever fails, it stays."""
    attempt = secret.begin()
    secret.give(Stage.CURRENT, attempt.token)
    assert concluded(secret, step) == (None, "")
    assert secret.messages == ["read"]
    assert secret.holder(Stage.PENDING) == attempt.token


def test_attempt_that_may_have_changed_something(secret: Secret) -> None:
    """With the fence it ends only while AWSCURRENT logs in, under the lock, labels unchanged."""
    attempt, way = secret.begin(), Way(secret)
    secret.give(Label.FENCE, attempt.token)
    assert concluded(secret, way=way) == (True, ended(secret))
    assert secret.messages == [
        "read",
        "value",
        "log in with the first",
        "lock",
        "read",
        TAKEN_OFF,
        "close",
    ]
    assert way.session.asked == [(secret.arn, 20.0)]
    assert secret.holder(Stage.PENDING) is None
    assert secret.holder(Label.FENCE) == attempt.token


def test_fence_of_another_attempt(secret: Secret) -> None:
    """It says nothing about this one, which has changed nothing."""
    secret.begin()
    secret.give(Label.FENCE, secret.first)
    assert concluded(secret) == (True, ended(secret))
    assert secret.messages == ["read", TAKEN_OFF]


def test_attempt_whose_change_is_in_force(secret: Secret) -> None:
    """While AWSCURRENT is refused the attempt must not end: its value is what logs in."""
    attempt, way = secret.begin(), Way(secret)
    way.in_force = "the second"
    secret.give(Label.FENCE, attempt.token)
    assert concluded(secret, way=way) == (False, not_ended(secret))
    assert secret.messages == ["read", "value", "log in with the first"]
    assert secret.holder(Stage.PENDING) == attempt.token


def test_attempt_that_another_awscurrent_has_outdated(secret: Secret) -> None:
    """No retry succeeds, whether AWSCURRENT logs in or not: nothing is asked of the database."""
    secret.service._operations.edit_abandons_rotation = False
    attempt = secret.begin()
    secret.give(Label.FENCE, attempt.token)
    secret.put(value("by hand"))
    assert concluded(secret) == (True, ended(secret))
    assert secret.messages == ["read", TAKEN_OFF]
    assert secret.holder(Label.FENCE) == attempt.token


def test_attempt_whose_twin_is_at_work(secret: Secret) -> None:
    """Without the lock nothing is known: AWSPENDING stays."""
    attempt = secret.begin()
    secret.give(Label.FENCE, attempt.token)
    way = Way(secret, LockTimeout("kept"))
    assert concluded(secret, way=way) == (False, not_ended(secret))
    assert secret.messages[-2:] == ["lock", "close"]
    assert secret.holder(Stage.PENDING) == attempt.token


def test_labels_that_change_before_the_end(secret: Secret) -> None:
    """What AWSCURRENT logged in with must be what AWSCURRENT is, when the attempt ends."""
    secret.service._operations.edit_abandons_rotation = False
    attempt = secret.begin()
    secret.give(Label.FENCE, attempt.token)
    secret.meet("log in with the first", lambda: secret.give(Stage.CURRENT, edited))
    edited = secret.put(value("by hand"), "edited")
    assert concluded(secret) == (False, not_ended(secret))
    assert secret.messages[-2:] == ["read", "close"]
    assert secret.holder(Stage.PENDING) == attempt.token


@pytest.mark.parametrize("message", ["read", TAKEN_OFF])
@pytest.mark.parametrize(
    "trouble", [ServiceError("AccessDeniedException", "no"), ConnectionLost("lost")]
)
def test_end_that_fails(secret: Secret, message: str, trouble: Exception) -> None:
    """The first error is the one that is told, with how to end the attempt by hand."""
    secret.begin()
    secret.meet(message, trouble)
    assert concluded(secret) == (False, not_ended(secret))


def test_pending_that_goes_just_before(secret: Secret) -> None:
    """AWSPENDING is taken off the attempt's own version, never off another one."""
    secret.begin()
    secret.meet(TAKEN_OFF, lambda: another_rotation(secret))
    assert concluded(secret) == (True, ended(secret))
    assert secret.holder(Stage.PENDING) not in (None, secret.token)


@pytest.mark.parametrize("error", [UnknownVersion("none"), VersionNotPending("abandoned")])
@pytest.mark.parametrize("step", [Step.CREATE, Step.SET])
def test_refusal_by_an_old_reading(
    secret: Secret, step: Step, error: UnknownVersion | VersionNotPending
) -> None:
    """An attempt that was not found, and has AWSPENDING after all, is left to the retry."""
    attempt = secret.begin()
    concluded(secret, step, error=error)
    assert secret.holder(Stage.PENDING) == attempt.token


def test_commands_name_the_secret(secret: Secret) -> None:
    """What an error advises can be typed as it stands, also where the attempt goes on."""
    secret.begin()
    for error in (BadSecret("no"), ReplicaBehind("no")):
        conclude(error, secret.rotation(), Way(secret))
        assert "<ARN>" not in error.advice
        assert f"--secret-id {secret.arn} " in error.advice


def test_outcome_comes_after_what_is_told_already(secret: Secret) -> None:
    """That the former password is back is told first, then how the attempt has ended."""
    secret.begin()
    error = BadSecret("A field is missing.", hint="Add it.")
    error.outcome = "The former password is back."
    concluded(secret, error=error)
    assert error.outcome == f"The former password is back. {ended(secret)}"
    assert str(error) == f"A field is missing. Add it. {error.outcome}"
