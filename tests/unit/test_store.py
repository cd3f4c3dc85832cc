"""The only room that talks to Secrets Manager, against the faithful service."""

import time
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from local.secretsmanager import Key, SecretsManagerService, ServiceError
from shared.errors import (
    AccessDenied,
    CurrentChanged,
    NotRotatable,
    RotationError,
    ServiceFailed,
    Throttled,
    UnknownVersion,
)
from shared.model import RotationEvent, Stage, Step
from shared.store import STALE_READ_PAUSES, SecretStore

QUICK = Config(retries={"total_max_attempts": 1}, connect_timeout=0.5, read_timeout=0.5)


@pytest.fixture
def pauses() -> list[float]:
    """How long the store has slept."""
    return []


@pytest.fixture
def store(service: SecretsManagerService, pauses: list[float]) -> SecretStore:
    """A store that does not really sleep."""
    client = boto3.client("secretsmanager", region_name="eu-central-1", config=QUICK)
    return SecretStore(client, sleep=pauses.append)


@pytest.fixture
def arn(service: SecretsManagerService) -> str:
    """A secret that rotates."""
    arn = service.create_secret("app", "first", tags={"rotation:strategy": "single-user"})
    service.enable_rotation(arn, service.register("function", lambda *_: None))
    return arn


def prepared(service: SecretsManagerService, arn: str) -> RotationEvent:
    """Begin a rotation, and return its first event."""
    service.prepare_rotation(arn, token := str(uuid4()))
    return RotationEvent(Step.CREATE, arn, token)


def refusing(service: SecretsManagerService, code: str) -> None:
    """Have the service refuse everything with this code, quoting a parameter in its message."""

    def refuse(operation: str, phase: str, index: int) -> None:
        if phase == "before":
            raise ServiceError(code, "Invalid value 'hunter2 hunter2'")

    service.on_request = refuse


def test_description(service: SecretsManagerService, store: SecretStore, arn: str) -> None:
    """Labels, tags and state of a secret, as the service tells them."""
    found = store.describe(arn)
    assert found.arn == arn
    assert found.tags == {"rotation:strategy": "single-user"}
    assert found.rotation_enabled
    assert found.owning_service is None
    assert found.holder(Stage.CURRENT) == service.labels(arn)["AWSCURRENT"]


def test_description_of_a_managed_secret(
    service: SecretsManagerService, store: SecretStore
) -> None:
    """The service that owns a secret is told; rotation is off by default."""
    arn = service.create_secret("managed", "x", owning_service="rds")
    assert store.describe(arn).owning_service == "rds"
    assert not store.describe(arn).rotation_enabled


def test_values(service: SecretsManagerService, store: SecretStore, arn: str) -> None:
    """Versions are read with their labels; one without a value, or an id that is none, is None."""
    current = store.current(arn)
    assert current.text == "first"
    assert current.stages == {"AWSCURRENT"}
    assert store.version(arn, current.id) == current
    assert store.version(arn, prepared(service, arn).token) is None
    for unknown in (str(uuid4()), "x", "x" * 65):
        assert store.version(arn, unknown) is None


def test_binary_value(service: SecretsManagerService, store: SecretStore, arn: str) -> None:
    """SecretBinary is a version without text."""
    service.client().put_secret_value(SecretId=arn, SecretBinary=b"x")
    assert store.current(arn).text is None


def test_pending_value_is_stored_once(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """The same value again is a success, another one under the same token is a twin's."""
    event = prepared(service, arn)
    assert store.put_pending(event, "second", ["rotation:single-user"])
    assert store.put_pending(event, "second", ["rotation:single-user"])
    assert not store.put_pending(event, "third", ["rotation:single-user"])
    version = store.version(arn, event.token)
    assert version is not None
    assert version.text == "second"
    assert version.stages == {"AWSPENDING", "rotation:single-user"}
    assert service.value(arn) == "first"


def test_rotation_token_is_passed_on() -> None:
    """Across accounts PutSecretValue is refused without the event's RotationToken."""
    with SecretsManagerService(cross_account=True) as service:
        client = boto3.client("secretsmanager", region_name="eu-central-1", config=QUICK)
        store = SecretStore(client)
        arn = service.create_secret("app", "first")
        service.enable_rotation(arn, service.register("function", lambda *_: None))
        event = prepared(service, arn)
        with pytest.raises(ServiceFailed):
            store.put_pending(event, "second", [])
        rotation = service._operations.find(arn).rotation
        assert rotation is not None
        given = rotation.tokens[event.token]
        assert store.put_pending(RotationEvent(Step.CREATE, arn, event.token, given), "second", [])


def test_patience_with_stale_reads(
    service: SecretsManagerService, store: SecretStore, arn: str, pauses: list[float]
) -> None:
    """A value that was just written is awaited; one that never comes is None after all pauses."""
    event = prepared(service, arn)
    service.stale_reads = 2
    store.put_pending(event, "second", [])
    version = store.settled_version(arn, event.token)
    assert version is not None
    assert version.text == "second"
    assert pauses == list(STALE_READ_PAUSES[: len(pauses)])
    assert pauses
    pauses.clear()
    assert store.settled_version(arn, str(uuid4())) is None
    assert pauses == list(STALE_READ_PAUSES)


def test_versions_without_a_label(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """They are listed newest first, however many; labelled ones are not."""
    written = [store.current(arn).id]
    for number in range(5):
        answer = service.client().put_secret_value(SecretId=arn, SecretString=f"value {number}")
        written.append(answer["VersionId"])
    assert store.unlabelled(arn) == written[-3::-1]


def test_versions_on_several_pages(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """A listing that comes in pages is read to its end."""
    pages = [
        {
            "Versions": [
                {"VersionId": "old", "CreatedDate": 1, "VersionStages": []},
                {"VersionId": "labelled", "CreatedDate": 3, "VersionStages": ["AWSCURRENT"]},
            ],
            "NextToken": "more",
        },
        {"Versions": [{"VersionId": "new", "CreatedDate": 2}]},
    ]

    class Paging:
        def list_secret_version_ids(self, **request: object) -> object:
            assert request.get("NextToken") == (None if len(pages) == 2 else "more")
            return pages.pop(0)

    assert SecretStore(Paging()).unlabelled(arn) == ["new", "old"]  # type: ignore[arg-type]


# Labels


def test_label_is_moved_from_its_holder(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """A label is attached, moved and left where it is."""
    current, event = store.current(arn).id, prepared(service, arn)
    store.put_pending(event, "second", [])
    assert store.move_label(arn, "rotation:applying", current, None)
    assert store.move_label(arn, "rotation:applying", event.token, current)
    service.reset_requests()
    assert store.move_label(arn, "rotation:applying", event.token, event.token)
    assert service.requests == []
    assert service.labels(arn)["rotation:applying"] == event.token


def test_label_with_another_holder_is_left_alone(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """With a wrong holder, or none, nothing moves, and the caller is told."""
    current, event = store.current(arn).id, prepared(service, arn)
    store.put_pending(event, "second", [])
    other = service.client().put_secret_value(
        SecretId=arn, SecretString="third", VersionStages=["somebody's own"]
    )["VersionId"]
    store.move_label(arn, "rotation:applying", current, None)
    for holder in (None, other):
        assert not store.move_label(arn, "rotation:applying", event.token, holder)
    assert service.labels(arn)["rotation:applying"] == current


def test_label_on_a_version_that_is_none(store: SecretStore, arn: str) -> None:
    """A version that does not exist gets no label."""
    with pytest.raises(UnknownVersion):
        store.move_label(arn, "rotation:applying", str(uuid4()), None)


def test_promotion(service: SecretsManagerService, store: SecretStore, arn: str) -> None:
    """AWSCURRENT moves, AWSPREVIOUS follows, and done already is success."""
    current, event = store.current(arn).id, prepared(service, arn)
    store.put_pending(event, "second", [])
    store.promote(arn, event.token, current)
    store.promote(arn, event.token, current)
    labels = service.labels(arn)
    assert labels["AWSCURRENT"] == labels["AWSPENDING"] == event.token
    assert labels["AWSPREVIOUS"] == current


def test_promotion_whose_answer_is_lost(service: SecretsManagerService, arn: str) -> None:
    """The SDK repeats it, the service refuses the repetition, and that is success."""
    client = boto3.client("secretsmanager", region_name="eu-central-1")
    store = SecretStore(client)
    current, event = store.current(arn).id, prepared(service, arn)
    store.put_pending(event, "second", [])
    service.fail_after("UpdateSecretVersionStage", 1)
    store.promote(arn, event.token, current)
    assert service.labels(arn)["AWSCURRENT"] == event.token


def test_promotion_when_current_moved(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """An AWSCURRENT that somebody else moved is not overruled."""
    current, event = store.current(arn).id, prepared(service, arn)
    store.put_pending(event, "second", [])
    service.client().put_secret_value(SecretId=arn, SecretString="by hand")
    with pytest.raises(CurrentChanged):
        store.promote(arn, event.token, current)
    assert service.value(arn) == "by hand"


# Refusals


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", AccessDenied),
        ("AccessDenied", AccessDenied),
        ("DecryptionFailure", AccessDenied),
        ("EncryptionFailure", AccessDenied),
        ("ThrottlingException", Throttled),
        ("TooManyRequestsException", Throttled),
        ("InternalServiceError", ServiceFailed),
        ("LimitExceededException", ServiceFailed),
        ("SomethingNew", ServiceFailed),
    ],
)
def test_refusals_by_their_code(
    service: SecretsManagerService, store: SecretStore, arn: str, code: str, kind: type[Exception]
) -> None:
    """Each code has its class; the service's message, which may quote anything, is not shown."""
    event = prepared(service, arn)
    refusing(service, code)
    for call in (
        lambda: store.describe(arn),
        lambda: store.current(arn),
        lambda: store.version(arn, event.token),
        lambda: store.unlabelled(arn),
        lambda: store.put_pending(event, "second", []),
        lambda: store.move_label(arn, "rotation:applying", event.token, None),
        lambda: store.promote(arn, event.token, event.token),
    ):
        with pytest.raises(RotationError) as caught:
            call()
        assert type(caught.value) is kind
        assert code in caught.value.message
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__


def test_secret_that_does_not_exist(service: SecretsManagerService, store: SecretStore) -> None:
    """A missing secret is not rotatable; the hint says what to look at."""
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:none-AbCdEf"
    for call in (lambda: store.describe(arn), lambda: store.current(arn)):
        with pytest.raises(NotRotatable) as caught:
            call()
        assert type(caught.value) is NotRotatable
        assert "Region" in caught.value.advice


def test_customer_s_key_that_is_disabled(
    service: SecretsManagerService, store: SecretStore
) -> None:
    """A key that cannot be used is told as such."""
    service.keys["alias/ours"] = Key()
    arn = service.create_secret("app", "first", kms_key_id="alias/ours")
    service.keys["alias/ours"] = Key(enabled=False)
    with pytest.raises(ServiceFailed):
        store.current(arn)


def test_endpoint_that_is_out_of_reach() -> None:
    """Where nothing listens, a call ends in time, and the hint says what a VPC needs."""
    client = boto3.client(
        "secretsmanager",
        region_name="eu-central-1",
        endpoint_url="http://127.0.0.1:1",
        config=QUICK,
    )
    began = time.monotonic()
    with pytest.raises(ServiceFailed) as caught:
        SecretStore(client).describe("app")
    assert "interface endpoint" in caught.value.advice
    assert time.monotonic() - began < 3
