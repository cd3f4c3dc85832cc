"""Faults that can be ordered, and the log that a test counts calls in."""

from collections.abc import Iterator
from threading import Thread
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from local.secretsmanager import ConnectionLost, Killed, SecretsManagerService, ServiceError
from local.secretsmanager.sample import handler as sample


@pytest.fixture
def service() -> Iterator[SecretsManagerService]:
    """A service in process."""
    with SecretsManagerService() as running:
        yield running


def impatient() -> Any:  # noqa: ANN401 - a client
    """Make a client that does not retry."""
    return boto3.client("secretsmanager", config=Config(retries={"total_max_attempts": 1}))


def test_stale_reads_miss_a_value_just_written() -> None:
    """The first reads after a write do not find its value, and the next one does."""
    with SecretsManagerService(stale_reads=2) as service:
        client, token = service.client(), str(uuid4())
        arn = service.create_secret("app", "first")
        client.put_secret_value(
            SecretId=arn, ClientRequestToken=token, SecretString="new", VersionStages=["mine"]
        )
        for _ in range(2):
            with pytest.raises(client.exceptions.ResourceNotFoundException):
                client.get_secret_value(SecretId=arn, VersionId=token)
        assert client.get_secret_value(SecretId=arn, VersionId=token)["SecretString"] == "new"


def test_stale_reads_show_labels_where_they_were() -> None:
    """The first reads after a promotion still see the old AWSCURRENT; writes see the truth."""
    with SecretsManagerService(stale_reads=2) as service:
        client = service.client()
        arn = service.create_secret("app", "first")
        old = service.labels(arn)["AWSCURRENT"]
        new = client.put_secret_value(SecretId=arn, SecretString="second")["VersionId"]
        assert client.get_secret_value(SecretId=arn)["SecretString"] == "first"
        described = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
        assert described == {old: ["AWSCURRENT"]}
        client.update_secret_version_stage(
            SecretId=arn, VersionStage="AWSCURRENT", RemoveFromVersionId=new, MoveToVersionId=old
        )
        assert client.get_secret_value(SecretId=arn)["SecretString"] == "second"


def test_the_start_of_a_rotation_is_never_stale() -> None:
    """The service's own label is there when it invokes the function."""
    with SecretsManagerService(stale_reads=5) as service:
        token, arn = str(uuid4()), service.create_secret("app", "first")
        service.enable_rotation(arn, service.register("function", sample))
        service.prepare_rotation(arn, token)
        assert token in service.client().describe_secret(SecretId=arn)["VersionIdsToStages"]


def test_throttling_hits_a_repeatable_part_of_the_requests() -> None:
    """The same seed throttles the same requests, about as many as were ordered."""

    def throttled(seed: int) -> list[bool]:
        service = SecretsManagerService(throttle=0.3, seed=seed)
        arn = service.create_secret("app", "first")
        found = []
        for _ in range(200):
            try:
                service.handle("GetSecretValue", {"SecretId": arn})
                found.append(False)
            except ServiceError as error:
                found.append(error.message == "Rate exceeded")
        return found

    assert throttled(1) == throttled(1) != throttled(2)
    assert 30 < sum(throttled(1)) < 90


def test_a_throttled_request_has_no_effect(service: SecretsManagerService) -> None:
    """What was refused for its rate was not done."""
    arn = service.create_secret("app", "first")
    service.throttle = 1.0
    with pytest.raises(ServiceError, match="ThrottlingException"):
        service.handle(
            "PutSecretValue",
            {"SecretId": arn, "SecretString": "x", "ClientRequestToken": str(uuid4())},
        )
    assert service.value(arn) == "first"


def test_a_request_lost_before_its_effect_has_none(service: SecretsManagerService) -> None:
    """The nth request ends in a connection error, and the secret is as before."""
    arn, client = service.create_secret("app", "first"), impatient()
    service.fail_before("PutSecretValue", 2)
    client.put_secret_value(SecretId=arn, SecretString="second")
    with pytest.raises(ConnectionClosedError):
        client.put_secret_value(SecretId=arn, SecretString="third")
    assert service.value(arn) == "second"
    client.put_secret_value(SecretId=arn, SecretString="fourth")


def test_an_answer_lost_after_the_effect_leaves_the_effect(service: SecretsManagerService) -> None:
    """The caller sees the same error, and the secret has changed."""
    arn, client = service.create_secret("app", "first"), impatient()
    service.fail_after("PutSecretValue")
    with pytest.raises(ConnectionClosedError):
        client.put_secret_value(SecretId=arn, SecretString="second")
    assert service.value(arn) == "second"


def test_the_sdks_own_retry_survives_a_lost_answer(service: SecretsManagerService) -> None:
    """A repeated request with its token is no second version: what idempotency is for."""
    arn = service.create_secret("app", "first")
    service.fail_after("PutSecretValue", times=2)
    service.client().put_secret_value(SecretId=arn, SecretString="second")
    assert len(service.versions(arn)) == 2
    assert len(service.requests) == 3


def test_every_boundary_of_every_request_is_announced(service: SecretsManagerService) -> None:
    """The call-back gets operation, phase and number, before and after each effect."""
    arn, client, seen = service.create_secret("app", "first"), service.client(), []
    service.on_request = lambda *boundary: seen.append((*boundary, service.value(arn)))
    client.put_secret_value(SecretId=arn, SecretString="second")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_secret_value(SecretId="nowhere")
    assert seen == [
        ("PutSecretValue", "before", 1, "first"),
        ("PutSecretValue", "after", 1, "second"),
        ("GetSecretValue", "before", 2, "second"),
        ("GetSecretValue", "after", 2, "second"),
    ]


@pytest.mark.parametrize("boundary", range(1, 10))
@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_function_killed_at_any_boundary_is_retried_to_the_end(
    service: SecretsManagerService, boundary: int, phase: str
) -> None:
    """No ``except Exception`` survives the kill, and the service's retry ends the rotation."""
    arn = service.create_secret("app", "first")
    service.enable_rotation(arn, service.register("function", sample))

    def kill(_operation: str, at: str, index: int) -> None:
        if (at, index) == (phase, boundary):
            raise Killed

    service.on_request = kill
    outcome = service.rotate(arn).check()
    killed = [each for each in outcome.steps if isinstance(each.error, Killed)]
    assert len(killed) == (1 if len(service.requests) >= boundary else 0)
    assert service.value(arn) == service.value(arn, outcome.token)


def test_the_log_has_no_values_and_says_who_asked_what(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters are logged without secrets, with the caller's tag and the error."""
    arn = service.create_secret("app", "first")
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "reader")
    client = boto3.client("secretsmanager")
    client.put_secret_value(SecretId=arn, SecretString="s3cret", VersionStages=["mine"])
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_secret_value(SecretId="nowhere")
    stored, missing = service.requests
    assert stored.parameters["VersionStages"] == ["mine"]
    assert "s3cret" not in repr(service.requests)
    assert (stored.caller, stored.error) == ("app/reader", None)
    assert (missing.operation, missing.error) == ("GetSecretValue", "ResourceNotFoundException")
    service.reset_requests()
    assert service.requests == []


def test_a_lambda_is_known_by_its_execution_environment(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests from a Lambda runtime outside of this process count as the function's."""
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13")
    boto3.client("secretsmanager").list_secrets()
    assert service.requests[0].caller == "exec-env/AWS_Lambda_python3.13"
    assert service.requests[0].made_by("any")


def test_many_threads_at_once_leave_one_winner(service: SecretsManagerService) -> None:
    """Twenty values under one token at the same time: one is stored, the others are refused."""
    arn, token, results = service.create_secret("app", "first"), str(uuid4()), list[str]()

    def store(value: str) -> None:
        request = {"SecretId": arn, "ClientRequestToken": token, "SecretString": value}
        try:
            service.handle("PutSecretValue", request)
            results.append("stored")
        except ServiceError as error:
            results.append(error.code)

    threads = [Thread(target=store, args=(f"value {number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["ResourceExistsException"] * 19 + ["stored"]
    assert [each.index for each in service.requests] == list(range(1, 21))


def test_requests_can_be_made_without_boto3(service: SecretsManagerService) -> None:
    """The same operations are plain calls, with the same faults."""
    service.fail_before("ListSecrets")
    with pytest.raises(ConnectionLost):
        service.handle("ListSecrets", {})
    assert service.handle("ListSecrets", {}) == {"SecretList": []}
    for operation, code in [
        ("Nonsense", "UnknownOperationException"),
        ("StopReplicationToReplica", "NotImplemented"),
    ]:
        with pytest.raises(ServiceError, match=f"^{code}: "):
            service.handle(operation, {"SecretId": "app"})
