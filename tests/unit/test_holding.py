"""The order of messages while an attempt has the lock, against the faithful service."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from local.secretsmanager import ConnectionLost, SecretsManagerService, ServiceError
from shared.deadline import Deadline
from shared.errors import (
    AccessDenied,
    BadSecret,
    CurrentChanged,
    DatabaseError,
    LockTimeout,
    OutOfTime,
    PasswordRejected,
    ProofFailed,
    RotationError,
    ServiceFailed,
    StatementFailed,
    TooManyLabels,
    VersionNotPending,
)
from shared.holding import OLD_IS_BACK, OLD_IS_GONE, Follow, Hold, holding
from shared.model import Description, Label, Login, RotationEvent, Stage, Step
from shared.passwords import Profile
from shared.plan import Plan, digest
from shared.redaction import Redactor
from shared.rotation import AlreadyPromoted, Attempt, BeginAgain, Rotation
from shared.session import Lock, Session
from shared.settings import Settings, StrategyName
from shared.store import STALE_READ_PAUSES, SecretStore

QUICK = Config(retries={"total_max_attempts": 1})
RESERVE = 1.0
"""Seconds of the function's time that a deadline keeps back."""


def value(password: str, username: str = "app") -> str:
    """Return the text of a version."""
    return json.dumps({"host": "h", "username": username, "password": password})


class Store(SecretStore):
    """A store whose next descriptions may be old ones."""

    old: list[Description]

    def describe(self, secret_id: str) -> Description:
        """Return the next old answer, else the service's."""
        found = super().describe(secret_id)
        return self.old.pop(0) if self.old else found


class Secret:
    """A secret under rotation, and what its attempts work with; time passes by waiting only.

    Attributes:
        messages: What was said to the service and to the database, in this order. A label's move is
            ``label: from > to``, with the versions called ``first`` (AWSCURRENT at the beginning),
            ``T`` (the attempt's) and ``other``.
        trouble: What happens before or after a message: what it raises ends it; once each.
    """

    def __init__(self, service: SecretsManagerService) -> None:
        self.service = service
        self.arn = service.create_secret("app", value("the first"))
        service.enable_rotation(self.arn, service.register("function", lambda *_: None))
        self.first = service.labels(self.arn)[Stage.CURRENT]
        self.token = ""
        self.now = 0.0
        self.messages: list[str] = []
        self.trouble: dict[tuple[str, str], list[Callable[[], None]]] = {}
        client = boto3.client("secretsmanager", region_name="eu-central-1", config=QUICK)
        self.store = Store(client, sleep=self.sleep)
        self.store.old = []
        service.on_request = self._hear

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def holder(self, label: str) -> str | None:
        """Return who has a label."""
        return self.service.labels(self.arn).get(label)

    def give(self, label: str, holder: str | None) -> None:
        """Move a label there, as somebody else."""
        request = {"SecretId": self.arn, "VersionStage": label}
        if (source := self.holder(label)) is not None:
            request["RemoveFromVersionId"] = source
        if holder is not None:
            request["MoveToVersionId"] = holder
        if len(request) == len(("SecretId", "VersionStage")):
            return
        self.service._operations.update_secret_version_stage(request)

    def put(self, text: str, *labels: str, token: str | None = None) -> str:
        """Store a version, as somebody else; AWSCURRENT where no label is named."""
        request = {"SecretId": self.arn, "ClientRequestToken": token or str(uuid4())}
        request |= {"SecretString": text, "VersionStages": list(labels)}  # type: ignore[dict-item]
        return str(self.service._operations.put_secret_value(request)["VersionId"])

    def begin(self) -> Attempt:
        """Begin a rotation, and store the value of its attempt."""
        self.service.prepare_rotation(self.arn, token := str(uuid4()))
        plan = Plan(StrategyName.SINGLE_USER, digest(self.first))
        self.put(value("the second"), plan.label(token), token=token)
        self.token = token
        return Attempt(token, plan, Login.parse(value("the second"), where="x"), None)

    def rotation(self, step: Step = Step.SET, seconds: float = 60.0) -> Rotation:
        """Return the unit of work of a step that may take so long."""
        deadline = Deadline(seconds + RESERVE, clock=lambda: self.now, sleep=self.sleep)
        settings = Settings.from_environment({}, Profile())
        event = RotationEvent(step, self.arn, self.token)
        return Rotation(event, self.store, settings, deadline, Redactor())

    def say(self, message: str) -> Callable[[], None]:
        """Return an act that says so, unless there is trouble."""

        def act() -> None:
            self.messages.append(message)
            self._meet(message, "before")

        return act

    def meet(self, message: str, *troubles: Exception | Callable[[], None] | None) -> None:
        """Let the next such messages meet this before they have an effect; None is no trouble."""
        self._plan(message, "before", troubles)

    def meet_after(self, message: str, *troubles: Exception | Callable[[], None] | None) -> None:
        """Let the next such messages meet this after they had their effect."""
        self._plan(message, "after", troubles)

    def _plan(
        self, message: str, phase: str, troubles: tuple[Exception | Callable[[], None] | None, ...]
    ) -> None:
        def raising(error: Exception) -> Callable[[], None]:
            def act() -> None:
                raise error

            return act

        self.trouble[message, phase] = [
            raising(each) if isinstance(each, Exception) else each or (lambda: None)
            for each in troubles
        ]

    def _hear(self, operation: str, phase: str, index: int) -> None:
        message = {"DescribeSecret": "read", "GetSecretValue": "value"}.get(operation, operation)
        asked = self.service.requests[index - 1].parameters
        if operation == "UpdateSecretVersionStage":
            names = {self.first: "first", self.token: "T"}
            source, to = (
                names.get(asked[key], "other") if key in asked else "nobody"
                for key in ("RemoveFromVersionId", "MoveToVersionId")
            )
            message = f"{asked['VersionStage']}: {source} > {to}"
        elif operation == "PutSecretValue":
            message = f"store with {len(asked['VersionStages'])} labels"
        if phase == "before":
            self.messages.append(message)
        self._meet(message, phase)

    def _meet(self, message: str, phase: str) -> None:
        if troubles := self.trouble.get((message, phase)):
            troubles.pop(0)()


class QuietSession(Session):
    """A session that can be locked, and tells when."""

    def __init__(self, secret: Secret, lock: Lock | DatabaseError = Lock.AT_ONCE) -> None:
        self.secret = secret
        self.asked: list[tuple[str, float]] = []
        self._lock = lock

    def close(self) -> None:
        """Close."""
        self.secret.messages.append("close")

    def lock(self, name: str, seconds: float) -> Lock:
        """Take the lock, or do not."""
        self.secret.messages.append("lock")
        self.asked.append((name, seconds))
        if isinstance(self._lock, DatabaseError):
            raise self._lock
        return self._lock

    def change_password(self, username: str, password: str) -> None:
        """Refuse: what is changed here is said by acts."""
        raise AssertionError

    def account_problem(self, username: str) -> DatabaseError | None:
        """See nothing."""
        return None


@pytest.fixture
def secret(service: SecretsManagerService) -> Iterator[Secret]:
    """A secret with an attempt under way."""
    secret = Secret(service)
    yield secret
    service.on_request = None


def held(
    secret: Secret,
    attempt: Attempt,
    follow: Follow | None = None,
    seconds: float = 60.0,
) -> Hold:
    """Take the lock and return the hold, having forgotten how it was come by."""
    rotation = secret.rotation(seconds=seconds)
    with holding(QuietSession(secret), rotation, attempt, follow) as hold:
        secret.messages.clear()
        return hold


def following(secret: Secret) -> Follow:
    """Return a follower that says whose password it sets."""
    return lambda current: secret.say(f"follow {current.username} {current.password}")()


DENIED = ServiceError("AccessDeniedException", "no")
LOST = ConnectionLost("lost")
PROMOTION = "AWSCURRENT: first > T"


# The lock, and the verdict under it


def test_labels_are_read_under_the_lock(secret: Secret) -> None:
    """First the lock, then one reading, by which the attempt goes on."""
    attempt, rotation = secret.begin(), secret.rotation()
    session = QuietSession(secret)
    with holding(session, rotation, attempt) as hold:
        assert secret.messages == ["lock", "read"]
        assert hold.reading == rotation.read()
        assert (hold.session, hold.rotation, hold.attempt) == (session, rotation, attempt)
        assert hold.current().password == "the first"
    assert session.asked == [(secret.arn, 20.0)]
    assert "close" not in secret.messages


@pytest.mark.parametrize(("left", "waits"), [(60.0, 20.0), (7.5, 7.5)])
def test_time_for_the_lock(secret: Secret, left: float, waits: float) -> None:
    """The wait is as long as configured, or as there is time for."""
    attempt, session = secret.begin(), QuietSession(secret)
    with holding(session, secret.rotation(seconds=left), attempt):
        assert session.asked == [(secret.arn, waits)]


def test_no_time_for_the_lock(secret: Secret) -> None:
    """Without any time left the lock is not even asked for."""
    with (
        pytest.raises(OutOfTime, match="wait for the lock"),
        holding(QuietSession(secret), secret.rotation(seconds=0.0), secret.begin()),
    ):
        pass
    assert secret.messages == []


def test_lock_that_another_delivery_keeps(secret: Secret) -> None:
    """Nothing is read or changed without it."""
    session = QuietSession(secret, LockTimeout("kept"))
    with pytest.raises(LockTimeout), holding(session, secret.rotation(), secret.begin()):
        pass
    assert secret.messages == ["lock"]


@pytest.mark.parametrize(
    ("lock", "told"),
    [
        (Lock.AT_ONCE, None),
        (Lock.AFTER_WAITING, "AFTER_WAITING"),
        (Lock.NOT_HELD, "NOT_HELD"),
    ],
)
def test_lock_is_told(secret: Secret, lock: Lock, told: str | None) -> None:
    """The step's log line says how the lock was come by, if not at once."""
    attempt, rotation = secret.begin(), secret.rotation()
    with holding(QuietSession(secret, lock), rotation, attempt):
        assert rotation.facts.lock == told


@pytest.mark.parametrize("pending", [True, False])
def test_attempt_that_a_twin_has_promoted(secret: Secret, pending: bool) -> None:
    """Nothing is left to do, whether the service has left AWSPENDING there or not."""
    attempt = secret.begin()
    secret.give(Stage.CURRENT, attempt.token)
    if not pending:
        secret.give(Stage.PENDING, None)
    with (
        pytest.raises(AlreadyPromoted),
        holding(QuietSession(secret), secret.rotation(), attempt, following(secret)),
    ):
        pass
    assert secret.messages == ["lock", "read"]


@pytest.mark.parametrize("edited", [True, False])
def test_attempt_that_was_abandoned(secret: Secret, edited: bool) -> None:
    """Over is over: it follows nothing either, though it has the fence."""
    attempt = secret.begin()
    secret.give(Label.FENCE, attempt.token)
    secret.give(Stage.PENDING, None)
    if edited:
        secret.put(value("by hand"))
    with (
        pytest.raises(VersionNotPending, match=f"{attempt.token} of {secret.arn} was abandoned"),
        holding(QuietSession(secret), secret.rotation(), attempt, following(secret)),
    ):
        pass
    assert secret.messages == ["lock", "read"]


@pytest.mark.parametrize(
    ("fence", "follows", "username", "followed"),
    [
        ("T", True, "app", ["value", "follow app by hand"]),
        ("T", True, "other", ["value"]),
        ("T", False, "app", []),
        ("first", True, "app", []),
        (None, True, "app", []),
    ],
)
def test_current_that_was_edited(
    secret: Secret, fence: str | None, follows: bool, username: str, followed: list[str]
) -> None:
    """The attempt ends; the database follows AWSCURRENT only if the attempt had changed it."""
    secret.service._operations.edit_abandons_rotation = False
    attempt = secret.begin()
    secret.give(Label.FENCE, {"T": attempt.token, "first": secret.first}.get(fence or ""))
    secret.put(value("by hand", username))
    follow = following(secret) if follows else None
    with (
        pytest.raises(CurrentChanged, match=f"AWSCURRENT of {secret.arn} was edited"),
        holding(QuietSession(secret), secret.rotation(), attempt, follow),
    ):
        pass
    assert secret.messages == ["lock", "read", *followed]


def test_current_that_is_not_usable(secret: Secret) -> None:
    """The error names AWSCURRENT and the secret."""
    secret.begin()
    secret.put("[]")
    rotation = secret.rotation()
    with pytest.raises(BadSecret, match=f"AWSCURRENT of secret {secret.arn} is JSON but"):
        rotation.current_login(rotation.read())


def test_current_that_cannot_be_followed(secret: Secret) -> None:
    """Why the database could not follow AWSCURRENT is worth more than that it was edited."""
    secret.service._operations.edit_abandons_rotation = False
    attempt = secret.begin()
    secret.give(Label.FENCE, attempt.token)
    secret.put(value("by hand"))
    secret.meet("follow app by hand", StatementFailed("no"))
    with (
        pytest.raises(StatementFailed),
        holding(QuietSession(secret), secret.rotation(), attempt, following(secret)),
    ):
        pass


@pytest.mark.parametrize("labels", [{Stage.PENDING}, {Stage.PENDING, "somebody's own"}])
def test_reading_from_before_the_plan(secret: Secret, labels: set[str]) -> None:
    """The attempt's plan was read before: an answer that does not have it yet is an old one."""
    attempt = secret.begin()
    found = secret.store.describe(secret.arn)
    stages = {**found.stages, attempt.token: frozenset(labels)}
    secret.store.old = [replace(found, stages=stages)]
    with (
        pytest.raises(BeginAgain),
        holding(QuietSession(secret), secret.rotation(), attempt, following(secret)),
    ):
        pass


# What must be true besides


@pytest.mark.parametrize("fence", [None, "first", "T"])
def test_nothing_was_left_unfinished(secret: Secret, fence: str | None) -> None:
    """Nobody's remains: there is nothing to wait for, and nothing is read again."""
    attempt = secret.begin()
    secret.give(Label.FENCE, {"T": attempt.token, "first": secret.first}.get(fence or ""))
    held(secret, attempt).require_settled()
    assert secret.messages == []
    assert secret.now == 0.0


def test_remains_are_looked_at_twice(secret: Secret) -> None:
    """The second look comes after the service's settling time; if it agrees the reading holds."""
    attempt = secret.begin()
    secret.give(Label.FENCE, secret.put(value("left behind"), "remains"))
    held(secret, attempt).require_settled()
    assert secret.messages == ["read"]
    assert secret.now == 1.0


def test_reading_of_remains_that_was_an_old_one(secret: Secret) -> None:
    """Where the second look differs in any label, the step begins again."""
    attempt = secret.begin()
    left = secret.put(value("left behind"), "remains")
    secret.give(Label.FENCE, left)
    hold = held(secret, attempt)
    secret.give(Stage.CURRENT, left)
    with pytest.raises(BeginAgain):
        hold.require_settled()


def test_fence_that_must_be_the_attempt_s(secret: Secret) -> None:
    """What another attempt was about to change since is not promoted."""
    attempt = secret.begin()
    for holder in (None, secret.first):
        secret.give(Label.FENCE, holder)
        with pytest.raises(BeginAgain):
            held(secret, attempt).require_fence()
    secret.give(Label.FENCE, attempt.token)
    held(secret, attempt).require_fence()


# The fence, the change, the proof


@pytest.mark.parametrize(
    ("fence", "move"),
    [
        (None, "rotation-fence: nobody > T"),
        ("first", "rotation-fence: first > T"),
        ("T", "rotation-fence: nobody > T"),
    ],
)
def test_fence_is_moved_before_the_change(secret: Secret, fence: str | None, move: str) -> None:
    """Fence, change, proof: in this order; the service is asked also where the fence is T's."""
    attempt = secret.begin()
    if fence is not None:
        secret.give(Label.FENCE, {"T": attempt.token, "first": secret.first}[fence])
    put_back = secret.say("put back")
    hold = held(secret, attempt)
    hold.set_and_prove(secret.say("change"), secret.say("prove"), put_back)
    assert secret.messages == [move, "change", "prove"]
    assert secret.holder(Label.FENCE) == attempt.token
    assert hold.rotation.facts.put_back is None


def test_change_that_was_made_before(secret: Secret) -> None:
    """The fence is moved all the same, then the proof is all there is to do."""
    held(secret, secret.begin()).set_and_prove(None, secret.say("prove"))
    assert secret.messages == ["rotation-fence: nobody > T", "prove"]


@pytest.mark.parametrize("changes", [True, False])
def test_proof_of_an_earlier_change_that_fails(secret: Secret, changes: bool) -> None:
    """What this hold has not changed it does not put back."""
    secret.meet("prove", ProofFailed("refused"))
    change = secret.say("change") if changes else None
    with pytest.raises(ProofFailed):
        held(secret, secret.begin()).set_and_prove(
            change, secret.say("prove"), secret.say("put back")
        )
    assert ("put back" in secret.messages) is changes


@pytest.mark.parametrize("changes", [True, False])
@pytest.mark.parametrize("before", [None, "first"])
def test_fence_that_another_attempt_has(secret: Secret, before: str | None, changes: bool) -> None:
    """The service refuses whoever read an old answer, and nothing is changed."""
    attempt = secret.begin()
    if before:
        secret.give(Label.FENCE, secret.first)
    hold = held(secret, attempt)
    secret.give(Label.FENCE, other := secret.put(value("another"), "another"))
    change = secret.say("change") if changes else None
    with pytest.raises(BeginAgain):
        hold.set_and_prove(change, secret.say("prove"), secret.say("put back"))
    assert len(secret.messages) == 1
    assert secret.holder(Label.FENCE) == other


def test_fence_whose_answer_is_lost(secret: Secret) -> None:
    """Whether the fence has moved is not known: nothing is changed, and a retry goes on."""
    attempt = secret.begin()
    secret.meet_after("rotation-fence: nobody > T", LOST)
    with pytest.raises(ServiceFailed):
        held(secret, attempt).set_and_prove(secret.say("change"), secret.say("prove"))
    assert secret.messages == ["rotation-fence: nobody > T"]
    held(secret, attempt).set_and_prove(secret.say("change"), secret.say("prove"))
    assert secret.messages == ["rotation-fence: nobody > T", "change", "prove"]


@pytest.mark.parametrize(("seconds", "enough"), [(5.0, True), (4.9, False)])
def test_time_for_a_change(secret: Secret, seconds: float, enough: bool) -> None:
    """A change is begun only if there is time to prove it and to undo it; else nothing is asked."""
    hold = held(secret, secret.begin(), seconds=seconds)
    if enough:
        hold.set_and_prove(secret.say("change"), secret.say("prove"))
        return
    with pytest.raises(OutOfTime, match="5 seconds are left to change the password"):
        hold.set_and_prove(secret.say("change"), secret.say("prove"))
    assert secret.messages == []


@pytest.mark.parametrize("problem", [ProofFailed("refused"), StatementFailed("no answer")])
def test_proof_that_fails(secret: Secret, problem: RotationError) -> None:
    """What was changed is put back, and the error says that AWSCURRENT logs in."""
    hold = held(secret, attempt := secret.begin())
    secret.meet("prove", problem)
    with pytest.raises(type(problem)) as caught:
        hold.set_and_prove(secret.say("change"), secret.say("prove"), secret.say("put back"))
    assert caught.value is problem
    assert secret.messages[1:] == ["change", "prove", "put back"]
    assert secret.holder(Label.FENCE) == attempt.token
    assert hold.rotation.facts.put_back == "done"
    assert problem.outcome == OLD_IS_BACK
    assert "AWSCURRENT logs in" in str(problem)


def test_password_that_cannot_be_put_back(secret: Secret) -> None:
    """The error of the proof is told, and that AWSCURRENT is refused until this is mended."""
    hold = held(secret, secret.begin())
    problem = ProofFailed("refused")
    secret.meet("prove", problem)
    secret.meet("put back", PasswordRejected("used before"))
    with pytest.raises(ProofFailed):
        hold.set_and_prove(secret.say("change"), secret.say("prove"), secret.say("put back"))
    assert hold.rotation.facts.put_back == "PasswordRejected"
    assert problem.outcome == OLD_IS_GONE
    assert "AWSCURRENT is refused" in str(problem)


def test_proof_that_fails_beside_a_password_that_works(secret: Secret) -> None:
    """Where AWSCURRENT has kept working there is nothing to put back, nor to tell."""
    hold = held(secret, secret.begin())
    problem = ProofFailed("refused")
    secret.meet("prove", problem)
    with pytest.raises(ProofFailed):
        hold.set_and_prove(secret.say("change"), secret.say("prove"))
    assert hold.rotation.facts.put_back is None
    assert problem.outcome == ""


def test_password_that_is_in_force_already(secret: Secret) -> None:
    """A history refuses it as one that was used: the proof decides, and it is good."""
    secret.meet("change", PasswordRejected("used before"))
    held(secret, secret.begin()).set_and_prove(
        secret.say("change"), secret.say("prove"), secret.say("put back")
    )
    assert secret.messages[1:] == ["change", "prove"]


@pytest.mark.parametrize("problem", [ProofFailed("refused"), StatementFailed("no answer")])
def test_password_that_the_policy_refuses(secret: Secret, problem: RotationError) -> None:
    """The policy's refusal is told, not the proof's; nothing was changed to be put back."""
    rejected = PasswordRejected("too short")
    secret.meet("change", rejected)
    secret.meet("prove", problem)
    with pytest.raises(PasswordRejected) as caught:
        held(secret, secret.begin()).set_and_prove(
            secret.say("change"), secret.say("prove"), secret.say("put back")
        )
    assert caught.value is rejected
    assert secret.messages[1:] == ["change", "prove"]
    assert rejected.outcome == ""


def test_change_that_fails(secret: Secret) -> None:
    """With the session gone nothing can be proven or put back: the fence tells the retry."""
    attempt = secret.begin()
    secret.meet("change", StatementFailed("no answer"))
    with pytest.raises(StatementFailed):
        held(secret, attempt).set_and_prove(
            secret.say("change"), secret.say("prove"), secret.say("put back")
        )
    assert secret.messages[1:] == ["change"]
    assert secret.holder(Label.FENCE) == attempt.token


# The promotion


def test_promotion(secret: Secret) -> None:
    """AWSCURRENT is moved from the version that the plan was made from, in one call."""
    attempt = secret.begin()
    held(secret, attempt).promote(secret.say("put back"))
    assert secret.messages == [PROMOTION]
    assert secret.holder(Stage.CURRENT) == attempt.token
    assert secret.holder(Stage.PREVIOUS) == secret.first


REFUSALS = [
    (DENIED, AccessDenied),
    (ServiceError("LimitExceededException", "no"), TooManyLabels),
]


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize(("refusal", "kind"), REFUSALS)
def test_promotion_that_is_refused(
    secret: Secret, refusal: ServiceError, kind: type[RotationError], fails: bool
) -> None:
    """A definite refusal is no reason to wait: the former password is put back, and that told."""
    hold = held(secret, secret.begin())
    secret.meet(PROMOTION, refusal)
    if fails:
        secret.meet("put back", StatementFailed("no answer"))
    with pytest.raises(kind) as caught:
        hold.promote(secret.say("put back"))
    assert secret.messages[0] == PROMOTION
    assert secret.messages[-1] == "put back"
    assert secret.messages.count(PROMOTION) == 1
    assert caught.value.outcome == (OLD_IS_GONE if fails else OLD_IS_BACK)
    assert hold.rotation.facts.put_back == ("StatementFailed" if fails else "done")


@pytest.mark.parametrize(("refusal", "kind"), REFUSALS)
def test_refused_promotion_beside_a_password_that_works(
    secret: Secret, refusal: ServiceError, kind: type[RotationError]
) -> None:
    """Where AWSCURRENT has kept working nothing is put back, nor told."""
    hold = held(secret, secret.begin())
    secret.meet(PROMOTION, refusal)
    with pytest.raises(kind) as caught:
        hold.promote()
    assert caught.value.outcome == ""


def test_promotion_whose_request_is_lost(secret: Secret) -> None:
    """It is repeated after a pause, and nothing is put back."""
    attempt = secret.begin()
    secret.meet(PROMOTION, LOST, LOST)
    held(secret, attempt).promote(secret.say("put back"))
    assert secret.messages == [PROMOTION] * 3
    assert secret.now == 1.0
    assert secret.holder(Stage.CURRENT) == attempt.token


def test_promotion_whose_answer_is_lost(secret: Secret) -> None:
    """Its repetition is refused, and the holder tells that it was done."""
    attempt = secret.begin()
    secret.meet_after(PROMOTION, LOST)
    held(secret, attempt).promote(secret.say("put back"))
    assert secret.messages == [PROMOTION, PROMOTION, "read"]
    assert secret.holder(Stage.CURRENT) == attempt.token


def test_promotion_whose_answer_is_lost_with_old_answers_after_it(secret: Secret) -> None:
    """An answer that names the version before is not believed: nothing is put back."""
    attempt = secret.begin()
    hold = held(secret, attempt)
    before = hold.reading.description
    secret.meet_after(PROMOTION, LOST)
    secret.store.old = [before] * 2
    hold.promote(secret.say("put back"))
    assert secret.messages == [PROMOTION, PROMOTION, "read", "read", "read"]


def test_refusal_that_comes_after_a_lost_answer(secret: Secret) -> None:
    """A promotion that has had its effect is not undone because its repetition is refused."""
    attempt = secret.begin()
    secret.meet_after(PROMOTION, LOST)
    secret.meet(PROMOTION, None, DENIED)
    with suppress(AccessDenied):
        held(secret, attempt).promote(secret.say("put back"))
    assert secret.holder(Stage.CURRENT) == attempt.token
    assert "put back" not in secret.messages


def test_service_that_contradicts_itself(secret: Secret) -> None:
    """It refuses to take AWSCURRENT from whom it names: unclear, so nothing is put back."""
    attempt = secret.begin()
    hold = held(secret, attempt, following(secret))
    before = hold.reading.description
    secret.give(Stage.CURRENT, attempt.token)
    secret.store.old = [before] * 1000
    with pytest.raises(ServiceFailed, match=f"about AWSCURRENT of {secret.arn}") as caught:
        hold.promote(secret.say("put back"))
    assert type(caught.value) is ServiceFailed
    assert set(secret.messages) == {PROMOTION, "read"}
    assert 58.0 < secret.now < 60.0


def test_contradiction_that_ends(secret: Secret) -> None:
    """Asked again after a pause, the service names the attempt's version at last."""
    attempt = secret.begin()
    hold = held(secret, attempt)
    before = hold.reading.description
    secret.give(Stage.CURRENT, attempt.token)
    looks = 1 + len(STALE_READ_PAUSES)
    secret.store.old = [before] * looks
    hold.promote(secret.say("put back"))
    assert secret.messages == [PROMOTION, *["read"] * looks, PROMOTION, "read"]
    assert secret.now == pytest.approx(sum(STALE_READ_PAUSES) + 0.5)


@pytest.mark.parametrize(("seconds", "tries"), [(1.9, 1), (2.0, 2), (3.4, 4)])
def test_patience_of_a_promotion(secret: Secret, seconds: float, tries: int) -> None:
    """An unclear answer is followed by another try every half second while two are left."""
    hold = held(secret, secret.begin(), seconds=seconds)
    secret.meet(PROMOTION, *[LOST] * 10)
    with pytest.raises(ServiceFailed):
        hold.promote(secret.say("put back"))
    assert secret.messages == [PROMOTION] * tries


@pytest.mark.parametrize("abandons", [True, False])
def test_edit_between_change_and_promotion(secret: Secret, abandons: bool) -> None:
    """AWSCURRENT is not overruled: the database follows it, AWSPENDING taken off by it or not."""
    secret.service._operations.edit_abandons_rotation = abandons
    attempt = secret.begin()
    hold = held(secret, attempt, following(secret))
    hold.set_and_prove(secret.say("change"), secret.say("prove"))
    secret.messages.clear()
    edited = secret.put(value("by hand"))
    with pytest.raises((CurrentChanged, VersionNotPending)):
        hold.promote(secret.say("put back"))
    assert secret.holder(Stage.CURRENT) == edited
    assert secret.messages == [PROMOTION, "read", "value", "follow app by hand"]


def test_edit_beside_a_password_that_works(secret: Secret) -> None:
    """Where AWSCURRENT keeps working the database follows nothing."""
    secret.service._operations.edit_abandons_rotation = False
    attempt = secret.begin()
    hold = held(secret, attempt)
    hold.fence()
    secret.messages.clear()
    secret.put(value("by hand"))
    with pytest.raises(CurrentChanged):
        hold.promote()
    assert secret.messages == [PROMOTION, "read"]


def test_edit_that_the_next_reading_does_not_show(secret: Secret) -> None:
    """The database never follows the version that AWSCURRENT is known to have left."""
    secret.service._operations.edit_abandons_rotation = False
    attempt = secret.begin()
    hold = held(secret, attempt, following(secret))
    hold.fence()
    before = secret.store.describe(secret.arn)
    secret.put(value("by hand"))
    secret.store.old = [secret.store.describe(secret.arn), before]
    with pytest.raises(CurrentChanged):
        hold.promote(secret.say("put back"))
    assert "follow app the first" not in secret.messages
    assert "put back" not in secret.messages
