"""The driver: a rotation, its retries and its end, as the service carries them out."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from time import sleep
from typing import Any
from uuid import uuid4

import boto3
import pytest

from local.secretsmanager import Killed, RotationFailed, SecretsManagerService, ServiceError
from local.secretsmanager.sample import handler as sample
from local.secretsmanager.versions import HolderCode

STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]
UNFINISHED = "A previous rotation isn't complete. That rotation will be reattempted."


class Function:
    """A rotation function that remembers its events and can be made to fail."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.failing: dict[str, list[BaseException]] = {}

    def __call__(self, event: dict[str, Any], context: object) -> None:
        """Rotate as the sample does, unless the step is to fail."""
        self.events.append(event)
        errors = self.failing.get(event["Step"])
        if errors:
            raise errors.pop(0)
        sample(event, context)

    def fail(self, step: str, times: int, error: BaseException | None = None) -> None:
        """Let a step fail so often."""
        self.failing[step] = [error or RuntimeError("database is away")] * times

    @property
    def steps(self) -> list[str]:
        """The steps it was invoked for."""
        return [event["Step"] for event in self.events]


@pytest.fixture
def service() -> Iterator[SecretsManagerService]:
    """A service in process."""
    with SecretsManagerService() as running:
        yield running


@pytest.fixture
def function() -> Function:
    """A function that rotates."""
    return Function()


@pytest.fixture
def arn(service: SecretsManagerService, function: Function) -> str:
    """A secret that it rotates."""
    arn = service.create_secret("app", "first")
    service.enable_rotation(arn, service.register("function", function))
    return arn


def names(service: SecretsManagerService) -> list[str]:
    """The events' names, oldest first."""
    return [event["detail"]["eventName"] for event in service.events]


def test_a_rotation_is_four_invocations_in_order(
    service: SecretsManagerService, function: Function, arn: str
) -> None:
    """Each step is invoked once, with the ARN and the token, and the outcome tells all of it."""
    outcome = service.rotate("app")
    assert function.events == [
        {"Step": step, "SecretId": arn, "ClientRequestToken": outcome.token} for step in STEPS
    ]
    assert [(each.step, each.error) for each in outcome.steps] == [(step, None) for step in STEPS]
    assert (outcome.succeeded, outcome.attempts, outcome.error) == (True, 1, None)
    assert service.labels(arn)["AWSCURRENT"] == outcome.token
    assert names(service) == ["RotationStarted", "RotationSucceeded"]


@pytest.mark.parametrize("cleans_up", [False, True])
def test_awspending_after_a_success_stays_or_goes(function: Function, cleans_up: bool) -> None:
    """A promoted version keeps AWSPENDING or loses it; both are ends of a rotation, and go on."""
    with SecretsManagerService(cleans_up_pending=cleans_up) as service:
        arn = service.create_secret("app", "first")
        service.enable_rotation(arn, service.register("function", function))
        for _ in range(2):
            token = service.rotate(arn).check().token
            expected = {"AWSCURRENT", "AWSPENDING"} - ({"AWSPENDING"} if cleans_up else set())
            assert {label for label, on in service.labels(arn).items() if on == token} == expected
        assert names(service) == ["RotationStarted", "RotationSucceeded"] * 2


@pytest.mark.parametrize("cleans_up", [False, True])
def test_awspending_of_a_failed_rotation_stays(function: Function, cleans_up: bool) -> None:
    """Only after a success is anything taken off."""
    with SecretsManagerService(cleans_up_pending=cleans_up, retries=0) as service:
        arn = service.create_secret("app", "first")
        service.enable_rotation(arn, service.register("function", function))
        function.fail("setSecret", 1)
        outcome = service.rotate(arn)
        assert service.labels(arn)["AWSPENDING"] == outcome.token


@pytest.mark.parametrize("code", ["InvalidParameterException", "InvalidRequestException"])
def test_the_code_for_a_wrong_holder_can_be_chosen(code: HolderCode) -> None:
    """A move that names the wrong version is refused with the code that the service was given."""
    with SecretsManagerService(wrong_holder=code) as service:
        arn = service.create_secret("app", "first")
        with pytest.raises(service.client().exceptions.ClientError, match=code):
            service.client().update_secret_version_stage(
                SecretId=arn, VersionStage="AWSCURRENT", RemoveFromVersionId="0" * 32
            )


def test_the_outcome_counts_the_functions_calls_only(
    service: SecretsManagerService, arn: str
) -> None:
    """Calls by others during a rotation are in the log, and not in the outcome."""

    def busy(event: dict[str, Any], context: object) -> None:
        service.handle("DescribeSecret", {"SecretId": arn}, caller="app/other")
        sample(event, context)

    service.register("function", busy)
    outcome = service.rotate(arn).check()
    calls = [each.operation for each in outcome.calls]
    assert calls.count("PutSecretValue") == 1
    assert calls.count("DescribeSecret") == 4
    assert len(service.requests) == len(calls) + 4


def test_a_failed_step_starts_the_rotation_over_with_the_same_token(
    service: SecretsManagerService, function: Function, arn: str
) -> None:
    """After an error in testSecret everything comes again, createSecret first."""
    function.fail("testSecret", 2)
    outcome = service.rotate(arn).check()
    assert function.steps == [*STEPS[:3], *STEPS[:3], *STEPS]
    assert {event["ClientRequestToken"] for event in function.events} == {outcome.token}
    assert outcome.attempts == 3
    assert [str(each.error) for each in outcome.steps if each.error] == ["database is away"] * 2


def test_after_the_last_retry_awspending_stays(
    service: SecretsManagerService, function: Function, arn: str
) -> None:
    """A rotation that failed every time leaves its pending version, and the next is refused."""
    function.fail("setSecret", 99)
    outcome = service.rotate(arn)
    assert (outcome.succeeded, outcome.attempts) == (False, 4)
    assert service.labels(arn)["AWSPENDING"] == outcome.token
    assert service.value(arn) == "first"
    assert names(service) == ["RotationStarted", "RotationFailed"]
    with pytest.raises(RotationFailed, match="setSecret: database is away"):
        outcome.check()
    with pytest.raises(ServiceError, match=UNFINISHED):
        service.rotate(arn)


@pytest.mark.parametrize("error", [Killed(), SystemExit(1)])
def test_a_function_that_dies_has_failed(
    service: SecretsManagerService, function: Function, arn: str, error: BaseException
) -> None:
    """A killed function is retried like one that raised."""
    function.fail("setSecret", 1, error)
    outcome = service.rotate(arn).check()
    assert outcome.steps[1].error is error
    assert outcome.attempts == 2


def test_the_same_token_carries_an_unfinished_rotation_on(
    service: SecretsManagerService, function: Function, arn: str
) -> None:
    """RotateSecret under the stuck version's own token is the same rotation, not another one."""
    function.fail("setSecret", 4)
    token = service.rotate(arn).token
    pending = service.value(arn, token)
    assert service.rotate(arn, token).succeeded
    assert service.value(arn) == pending


def test_an_abandoned_version_stays_readable_and_a_new_rotation_starts(
    service: SecretsManagerService, function: Function, arn: str
) -> None:
    """After the operator took the label off, the value lives on without one."""
    function.fail("setSecret", 4)
    token = service.rotate(arn).token
    service.abandon(arn, token)
    assert service.value(arn, token).startswith("made in a rotation")
    assert token not in service.client().describe_secret(SecretId=arn)["VersionIdsToStages"]
    assert service.rotate(arn).check().token != token
    assert "RotationAbandoned" in names(service)


def test_an_abandoned_rotation_is_not_retried(
    service: SecretsManagerService, function: Function, arn: str
) -> None:
    """When AWSPENDING is taken away midway, the failed attempt is the last one."""

    def abandoned(event: dict[str, Any], context: object) -> None:
        function(event, context)
        if event["Step"] == "setSecret":
            service.abandon(arn, event["ClientRequestToken"])
            raise RuntimeError("stopped by hand")

    service.register("function", abandoned)
    outcome = service.rotate(arn)
    assert (outcome.attempts, outcome.succeeded) == (1, False)
    assert names(service) == ["RotationStarted", "RotationAbandoned", "RotationFailed"]


@pytest.mark.parametrize("abandons", [True, False])
def test_a_new_current_value_from_outside_abandons_the_rotation(*, abandons: bool) -> None:
    """A value stored by hand takes AWSPENDING off, unless that is switched off."""
    with SecretsManagerService(edit_abandons_rotation=abandons) as service:
        arn = service.create_secret("app", "first")
        service.enable_rotation(arn, service.register("function", sample))
        service.prepare_rotation(arn, str(uuid4()))
        service.client().put_secret_value(SecretId=arn, SecretString="by hand")
        assert ("AWSPENDING" not in service.labels(arn)) == abandons
        assert ("RotationAbandoned" in names(service)) == abandons


def test_four_steps_without_promotion_are_no_success(
    service: SecretsManagerService, arn: str
) -> None:
    """What counts is where AWSPENDING is in the end, not that nothing was raised."""
    service.register("function", lambda _event, _context: None)
    outcome = service.rotate(arn)
    assert (outcome.succeeded, len(outcome.steps)) == (False, 4)
    assert "AWSPENDING was left" in str(outcome.error)


def test_a_repeated_request_does_not_rotate_twice(
    service: SecretsManagerService, function: Function, arn: str
) -> None:
    """RotateSecret under one token runs once, while it runs and after it has succeeded."""
    go = Event()

    def slow(event: dict[str, Any], context: object) -> None:
        assert go.wait(10)
        function(event, context)

    service.register("function", slow)
    client, token = service.client(), str(uuid4())
    for _ in range(2):
        client.rotate_secret(SecretId=arn, ClientRequestToken=token)
    go.set()
    service.wait()
    client.rotate_secret(SecretId=arn, ClientRequestToken=token)
    service.wait()
    assert function.steps == STEPS


def test_a_token_of_another_version_is_refused(service: SecretsManagerService, arn: str) -> None:
    """A version that has a value already cannot be made by a rotation."""
    token = str(uuid4())
    client = service.client()
    client.put_secret_value(SecretId=arn, ClientRequestToken=token, SecretString="x")
    client.put_secret_value(SecretId=arn, SecretString="y")
    with pytest.raises(client.exceptions.InvalidRequestException, match="already in use"):
        client.rotate_secret(SecretId=arn, ClientRequestToken=token)


@pytest.mark.parametrize("kind", ["valueless", "copy"])
@pytest.mark.parametrize("fails", [False, True])
def test_rotating_later_tests_now_on_a_temporary_version(kind: Any, *, fails: bool) -> None:  # noqa: ANN401 - a literal
    """RotateImmediately=False runs testSecret alone and leaves no version behind."""
    with SecretsManagerService(test_version=kind) as service:
        client, seen = service.client(), list[tuple[str, list[str], str | None]]()
        arn = service.create_secret("app", "first")

        def tested(event: dict[str, Any], _context: object) -> None:
            token = event["ClientRequestToken"]
            labels = client.describe_secret(SecretId=arn)["VersionIdsToStages"][token]
            try:
                value = client.get_secret_value(SecretId=arn, VersionId=token)["SecretString"]
            except client.exceptions.ResourceNotFoundException:
                value = None
            seen.append((event["Step"], list(labels), value))
            if fails:
                raise RuntimeError("no login")

        function = service.register("function", tested)
        client.rotate_secret(SecretId=arn, RotationLambdaARN=function, RotateImmediately=False)
        service.wait()
        assert seen == [("testSecret", ["AWSPENDING"], "first" if kind == "copy" else None)]
        assert list(service.labels(arn)) == ["AWSCURRENT"]
        assert len(service.versions(arn)) == 1
        assert names(service) == ["TestRotationFailed" if fails else "TestRotationSucceeded"]


def test_a_promotion_in_a_test_of_the_rotation_is_not_covered_up(
    service: SecretsManagerService,
) -> None:
    """A function that promotes from the temporary version is found out by AWSCURRENT."""
    arn = service.create_secret("app", "first")

    def promoting(event: dict[str, Any], _context: object) -> None:
        sample({**event, "Step": "finishSecret"}, None)

    function = service.register("function", promoting)
    service.client().rotate_secret(
        SecretId=arn, RotationLambdaARN=function, RotateImmediately=False
    )
    service.wait()
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        service.value(arn)


def test_a_cross_account_rotation_needs_its_rotation_token() -> None:
    """Events carry the token; without it the pending value is refused; the log never has it."""
    with SecretsManagerService(cross_account=True) as service:
        function = Function()
        arn = service.create_secret("app", "first")
        service.enable_rotation(arn, service.register("function", function))
        token = str(uuid4())
        service.prepare_rotation(arn, token)
        client = service.client()
        pending = {"SecretId": arn, "ClientRequestToken": token, "VersionStages": ["AWSPENDING"]}
        for wrong in ({}, {"RotationToken": str(uuid4())}):
            with pytest.raises(client.exceptions.ClientError, match="AccessDeniedException"):
                client.put_secret_value(SecretString="x", **pending, **wrong)  # type: ignore[arg-type]
        assert service.rotate(arn, token).succeeded
        given = {event["RotationToken"] for event in function.events}
        assert len(given) == 1
        assert given.pop() not in repr(service.requests)


def test_a_function_gets_a_context_that_counts_down(
    service: SecretsManagerService, arn: str
) -> None:
    """The context has what Lambda's has: names, memory, a request id, the remaining time."""
    contexts: list[Any] = []

    def patient(event: dict[str, Any], context: Any) -> None:  # noqa: ANN401 - as in Lambda
        contexts.append((context, context.get_remaining_time_in_millis()))
        sleep(0.002)
        contexts.append((context, context.get_remaining_time_in_millis()))
        sample(event, context)

    function = service.register("function", patient, timeout_seconds=30, memory_limit_in_mb=128)
    service.rotate(arn).check()
    (context, first), (_, second) = contexts[:2]
    assert 29_000 < second < first <= 30_000
    assert (context.function_name, context.memory_limit_in_mb) == ("function", 128)
    assert context.invoked_function_arn == function
    assert len({each.aws_request_id for each, _ in contexts}) == 4


def test_a_function_that_took_too_long_has_failed(service: SecretsManagerService, arn: str) -> None:
    """Beyond its timeout a function has failed, whatever it did."""
    service.register("function", lambda _event, _context: sleep(0.02), timeout_seconds=0.01)
    outcome = service.rotate(arn)
    assert str(outcome.error) == "Task timed out after 0.01 seconds"


def test_an_invoke_of_the_callers_own_carries_the_steps_out() -> None:
    """Functions may live elsewhere: the given callable gets the ARN and the event."""
    invoked = []

    def invoke(function_arn: str, event: dict[str, str]) -> None:
        invoked.append((function_arn, event["Step"]))
        sample(event, None)

    with SecretsManagerService(invoke=invoke) as service:
        arn = service.create_secret("app", "first")
        service.enable_rotation(arn, "arn:elsewhere")
        outcome = service.rotate(arn).check()
        assert invoked == [("arn:elsewhere", step) for step in STEPS]
        assert outcome.calls


def test_a_function_that_is_not_there_cannot_be_invoked(service: SecretsManagerService) -> None:
    """RotateSecret of an unknown function is refused, and configures nothing."""
    arn, client = service.create_secret("app", "first"), service.client()
    with pytest.raises(client.exceptions.ClientError, match="cannot invoke the specified Lambda"):
        client.rotate_secret(SecretId=arn, RotationLambdaARN="arn:aws:lambda:::function:none")
    assert "RotationEnabled" not in client.describe_secret(SecretId=arn)


def test_one_step_alone_raises_what_the_function_raises(
    service: SecretsManagerService, function: Function, arn: str
) -> None:
    """Single steps are for tests of functions: the error comes out as it is."""
    token = str(uuid4())
    service.prepare_rotation(arn, token)
    service.invoke_step(arn, token, "createSecret")
    assert service.value(arn, token).startswith("made in a rotation")
    function.fail("setSecret", 1)
    with pytest.raises(RuntimeError, match="database is away"):
        service.invoke_step(arn, token, "setSecret")


def test_cancelling_rotation_leaves_awspending(service: SecretsManagerService, arn: str) -> None:
    """CancelRotateSecret switches rotation off, names the pending version, and removes nothing."""
    client, token = service.client(), str(uuid4())
    service.prepare_rotation(arn, token)
    assert client.cancel_rotate_secret(SecretId=arn)["VersionId"] == token
    assert client.describe_secret(SecretId=arn)["RotationEnabled"] is False
    assert service.labels(arn)["AWSPENDING"] == token


def test_due_rotations_fire_as_time_passes(function: Function) -> None:
    """Every window that opens in the time that passes brings one rotation, at its opening."""
    start = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    with SecretsManagerService(clock=lambda: start) as service:
        arn = service.create_secret("app", "first")
        rules = {"ScheduleExpression": "cron(0 8/8 * * ? *)", "Duration": "2h"}
        service.enable_rotation(arn, service.register("function", function), rules)
        assert service.advance(timedelta(hours=6)) == []
        outcomes = service.advance(timedelta(hours=20))
        assert [each.succeeded for each in outcomes] == [True, True]
        described = service.client().describe_secret(SecretId=arn)
        assert described["LastRotatedDate"] == datetime(2026, 3, 2, 8, tzinfo=UTC)
        assert described["NextRotationDate"] == datetime(2026, 3, 2, 18, tzinfo=UTC)
        assert service.now() == start + timedelta(hours=26)


def test_the_next_rotations_date_stays_in_the_past_until_one_succeeds(function: Function) -> None:
    """After a failed rotation its date stays, window after window, so that it can be noticed."""
    start = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    with SecretsManagerService(clock=lambda: start, retries=0) as service:
        arn = service.create_secret("app", "first")
        rules = {"ScheduleExpression": "rate(1 day)"}
        service.enable_rotation(arn, service.register("function", function), rules)

        def told() -> datetime:
            return service.client().describe_secret(SecretId=arn)["NextRotationDate"]

        missed = told()
        function.fail("setSecret", 2)
        assert [each.succeeded for each in service.advance(timedelta(days=2))] == [False, False]
        assert told() == missed < service.now()
        assert [each.succeeded for each in service.advance(timedelta(days=1))] == [True]
        assert told() > service.now()


def test_a_raw_request_to_rotate_needs_its_token(service: SecretsManagerService, arn: str) -> None:
    """SDKs and the CLI make a token; a request without one is refused, and rotates nothing."""
    with pytest.raises(ServiceError, match=r"^InvalidParameterException: "):
        service.handle("RotateSecret", {"SecretId": arn})
    assert list(service.labels(arn)) == ["AWSCURRENT"]


def test_the_schedule_reattempts_an_unfinished_rotation(
    service: SecretsManagerService, function: Function, arn: str
) -> None:
    """The rotation that was refused as unfinished is carried on with its own token when due."""
    service.enable_rotation(
        arn, service.register("function", function), {"AutomaticallyAfterDays": 1}
    )
    function.fail("setSecret", 4)
    token = service.rotate(arn).token
    (again,) = service.advance(timedelta(days=1))
    assert (again.token, again.succeeded) == (token, True)


def test_a_cancelled_or_deleted_secret_is_not_rotated_on_schedule(
    service: SecretsManagerService, function: Function
) -> None:
    """Neither switching off nor deleting lets a schedule go on."""
    rules, client = {"AutomaticallyAfterDays": 1}, service.client()
    lambda_arn = service.register("function", function)
    for name in ("cancelled", "deleted"):
        service.enable_rotation(service.create_secret(name, "x"), lambda_arn, rules)
    client.cancel_rotate_secret(SecretId="cancelled")
    client.delete_secret(SecretId="deleted", RecoveryWindowInDays=7)
    assert service.advance(timedelta(days=30)) == []
    assert [each["Name"] for each in client.list_secrets()["SecretList"]] == ["cancelled"]
    assert "NextRotationDate" not in client.describe_secret(SecretId="cancelled")


def test_a_value_by_hand_counts_as_a_rotation_for_rules_in_days(
    service: SecretsManagerService, function: Function, arn: str
) -> None:
    """AutomaticallyAfterDays counts from the last change, also one from outside."""
    service.enable_rotation(
        arn, service.register("function", function), {"AutomaticallyAfterDays": 10}
    )
    service.advance(timedelta(days=9))
    service.client().put_secret_value(SecretId=arn, SecretString="by hand")
    assert service.advance(timedelta(days=9)) == []
    assert len(service.advance(timedelta(days=2))) == 1


def test_events_have_eventbridges_shape(service: SecretsManagerService, arn: str) -> None:
    """An event pattern on source, detail-type and eventName would match them."""
    service.rotate(arn).check()
    event = json.loads(json.dumps(service.events[-1]))
    assert event["source"] == "aws.secretsmanager"
    assert event["detail-type"] == "AWS Service Event via CloudTrail"
    assert event["detail"]["eventName"] == "RotationSucceeded"
    assert event["detail"]["additionalEventData"]["SecretId"] == arn


def test_a_client_made_anywhere_inside_is_answered(service: SecretsManagerService) -> None:
    """boto3's default session needs neither Region nor credentials to be given."""
    arn = service.create_secret("app", {"password": "x"})
    value = boto3.client("secretsmanager").get_secret_value(SecretId="app")
    assert (value["ARN"], value["SecretString"]) == (arn, '{"password": "x"}')
    assert boto3.client("sts").get_caller_identity()["Account"] == "123456789012"
