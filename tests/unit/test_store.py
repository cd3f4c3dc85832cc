"""The only room that talks to Secrets Manager, against the faithful service."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.secretsmanager import Key, SecretsManagerService, ServiceError
from shared.errors import (
    AccessDenied,
    NotRotatable,
    RotationError,
    ServiceFailed,
    Throttled,
    TooManyLabels,
    UnknownVersion,
)
from shared.model import Description, RotationEvent, Stage, Step, Version
from shared.store import STALE_READ_PAUSES, NamesNoPending, SecretStore

QUICK = Config(retries={"total_max_attempts": 1}, connect_timeout=0.5, read_timeout=0.5)


REFUSALS = ["InvalidParameterException", "InvalidRequestException"]
"""With which of them a wrong holder is answered, or a missing label, is not documented."""


class _Client:
    """A client that answers each call with what it was given; a code in its place refuses it."""

    def __init__(self, answers: Mapping[str, object]) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Callable[..., object]:
        answer = self._answers[name]

        def call(**_request: object) -> object:
            if isinstance(answer, str):
                raise ClientError({"Error": {"Code": answer, "Message": "hunter2"}}, name)
            return answer

        return call


def answering(pauses: list[float] | None = None, **answers: object) -> SecretStore:
    """Return a store whose service gives these answers."""
    sleep = ([] if pauses is None else pauses).append
    return SecretStore(_Client(answers), sleep=sleep)  # type: ignore[arg-type]


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


def test_replicas() -> None:
    """The Regions of replicas are told with their status; one without any is not in sync."""
    replicas = [{"Region": "eu-west-1", "Status": "InSync"}, {"Region": "us-east-1"}]
    store = answering(describe_secret={"ARN": "arn", "ReplicationStatus": replicas})
    assert store.describe("arn").replication == {"eu-west-1": "InSync", "us-east-1": ""}


def test_description_of_a_managed_secret(
    service: SecretsManagerService, store: SecretStore
) -> None:
    """The service that owns a secret is told."""
    arn = service.create_secret("managed", "x", owning_service="rds")
    assert store.describe(arn).owning_service == "rds"


def test_description_of_what_is_not_ours() -> None:
    """Who else may rotate a secret is told: a partner, another Region, another function."""
    theirs = {"Type": "A partner's", "PrimaryRegion": "eu-west-1", "RotationLambdaARN": "function"}
    found = answering(describe_secret={"ARN": "arn", **theirs}).describe("arn")
    assert (found.partner, found.primary_region, found.function_arn) == tuple(theirs.values())


def test_rotation_that_is_off(service: SecretsManagerService, store: SecretStore, arn: str) -> None:
    """Only a clear no is one: the answer may lack the field while a configuration is tested."""
    client = service.client()
    client.cancel_rotate_secret(SecretId=arn)
    assert not store.describe(arn).rotation_enabled
    other = service.create_secret("never-rotated", "x")
    assert "RotationEnabled" not in client.describe_secret(SecretId=other)
    assert store.describe(other).rotation_enabled


def test_description_of_little() -> None:
    """Whatever the service leaves out of its answer is empty, or the default."""
    found = answering(describe_secret={"ARN": "arn", "Tags": [{"Key": "marker"}]}).describe("arn")
    assert found == Description("arn", {}, {"marker": ""}, True, None, None)


@pytest.mark.parametrize(
    ("rules", "seconds"),
    [
        (None, None),
        ({}, None),
        ({"AutomaticallyAfterDays": 30}, None),
        ({"Duration": "1h"}, 3600),
        ({"Duration": "24h"}, 86_400),
        ({"Duration": ""}, None),
        ({"Duration": "h"}, None),
        ({"Duration": "3m"}, None),
        ({"Duration": "-3h"}, None),
        ({"Duration": "\u0663h"}, None),
        ({"Duration": "\u00b3h"}, None),
    ],
)
def test_window_of_the_schedule(rules: object, seconds: int | None) -> None:
    """Hours as the API has them; anything else is no window of its own."""
    answer = {"ARN": "arn"} if rules is None else {"ARN": "arn", "RotationRules": rules}
    assert answering(describe_secret=answer).describe("arn").window_seconds == seconds


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


def test_when_a_version_was_made(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """The moment is read with the value, with its zone; without it there is none."""
    made = store.current(arn).created
    assert made is not None
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=1)
    bare = answering(get_secret_value={"VersionId": "v"}).current("arn")
    assert bare == Version("v", frozenset(), None, None)


@pytest.mark.parametrize(("length", "asked"), [(31, 0), (32, 1), (64, 1), (65, 0)])
def test_ids_that_can_be_none(
    service: SecretsManagerService, store: SecretStore, arn: str, length: int, asked: int
) -> None:
    """The service is not asked for what it would only call invalid."""
    service.reset_requests()
    assert store.version(arn, "x" * length) is None
    assert len(service.requests) == asked


# A value under the rotation's token


def test_value_is_stored_once(service: SecretsManagerService, store: SecretStore, arn: str) -> None:
    """The same value again is a success, another one under the same token is a twin's."""
    event = prepared(service, arn)
    labels = frozenset({"AWSPENDING", "rotation--plan"})
    assert store.put_value(event, "second", "rotation--plan") == labels
    assert store.put_value(event, "second", "rotation--plan") == labels
    assert store.put_value(event, "third", "rotation--plan") is None
    version = store.version(arn, event.token)
    assert version is not None
    assert version.text == "second"
    assert version.stages == labels
    assert service.value(arn) == "first"


def test_value_takes_only_the_labels_that_it_names(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """A request that arrives late takes AWSPENDING from another rotation only if it names it."""
    late = prepared(service, arn)
    service.abandon(arn, late.token)
    other = prepared(service, arn)
    assert store.put_value(late, "second", "rotation--late") == frozenset({"rotation--late"})
    assert service.labels(arn)["AWSPENDING"] == other.token
    later = RotationEvent(Step.CREATE, arn, str(uuid4()))
    assert store.put_value(later, "third", "one", "AWSPENDING") == frozenset({"one", "AWSPENDING"})
    assert service.labels(arn)["AWSPENDING"] == later.token


def test_answer_without_labels() -> None:
    """A version of which the answer names no label has none."""
    event = RotationEvent(Step.CREATE, "arn", "x" * 32)
    assert answering(put_secret_value={}).put_value(event, "second", "label") == frozenset()


@pytest.mark.parametrize("code", REFUSALS)
def test_value_that_is_refused_without_awspending(code: str) -> None:
    """It is told apart, so that it can be stored with it; with it, it is an error like others."""
    event = RotationEvent(Step.CREATE, "arn", "x" * 32)
    store = answering(put_secret_value=code)
    with pytest.raises(NamesNoPending) as caught:
        store.put_value(event, "second", "rotation--plan")
    assert caught.value.__suppress_context__
    with pytest.raises(ServiceFailed, match=code):
        store.put_value(event, "second", "rotation--plan", Stage.PENDING)


@pytest.mark.parametrize("labels", [(), ("rotation--plan",), (Stage.PENDING,)])
def test_value_of_a_twin(labels: tuple[str, ...]) -> None:
    """Whatever labels are named, a token with another value is told as such."""
    event = RotationEvent(Step.CREATE, "arn", "x" * 32)
    store = answering(put_secret_value="ResourceExistsException")
    assert store.put_value(event, "second", *labels) is None


def test_rotation_token_is_passed_on() -> None:
    """Across accounts PutSecretValue is refused without the event's RotationToken."""
    with SecretsManagerService(cross_account=True) as service:
        client = boto3.client("secretsmanager", region_name="eu-central-1", config=QUICK)
        store = SecretStore(client)
        arn = service.create_secret("app", "first")
        service.enable_rotation(arn, service.register("function", lambda *_: None))
        event = prepared(service, arn)
        with pytest.raises(ServiceFailed):
            store.put_value(event, "second", "label")
        rotation = service._operations.find(arn).rotation
        assert rotation is not None
        given = rotation.tokens[event.token]
        event = RotationEvent(Step.CREATE, arn, event.token, given)
        assert store.put_value(event, "second", "label") == frozenset({"AWSPENDING", "label"})


def test_patience_with_stale_reads(
    service: SecretsManagerService, store: SecretStore, arn: str, pauses: list[float]
) -> None:
    """A value that was just written is awaited; one that never comes is None after all pauses."""
    event = prepared(service, arn)
    service.stale_reads = 2
    store.put_value(event, "second", "label")
    version = store.settled_version(arn, event.token)
    assert version is not None
    assert version.text == "second"
    assert pauses == list(STALE_READ_PAUSES[: len(pauses)])
    assert pauses
    pauses.clear()
    assert store.settled_version(arn, str(uuid4())) is None
    assert pauses == list(STALE_READ_PAUSES)


def test_patience_for_a_label_s_holder(
    service: SecretsManagerService, store: SecretStore, arn: str, pauses: list[float]
) -> None:
    """Answers that name the holder before are asked for again, until another one is named."""
    current, event = store.current(arn).id, prepared(service, arn)
    store.put_value(event, "second", "label")
    assert store.settled(arn, "AWSCURRENT", besides=None).holder("AWSCURRENT") == current
    assert store.settled(arn, "AWSCURRENT", besides=event.token).holder("AWSCURRENT") == current
    assert pauses == []
    service.stale_reads = 2
    assert store.move_label(arn, "AWSCURRENT", event.token, current)
    assert store.settled(arn, "AWSCURRENT", besides=current).holder("AWSCURRENT") == event.token
    assert pauses == list(STALE_READ_PAUSES[:2])


def test_holder_that_stays(store: SecretStore, arn: str, pauses: list[float]) -> None:
    """After all pauses the last answer is believed, also that nobody has the label."""
    current = store.current(arn).id
    assert store.settled(arn, "AWSCURRENT", besides=current).holder("AWSCURRENT") == current
    assert pauses == list(STALE_READ_PAUSES)
    pauses.clear()
    assert store.settled(arn, "rotation-fence", besides=None).holder("rotation-fence") is None
    assert pauses == list(STALE_READ_PAUSES)


def test_versions_are_listed(service: SecretsManagerService, store: SecretStore, arn: str) -> None:
    """Newest first, however many; those without a label too, since abandoned attempts are such."""
    written = [store.current(arn).id]
    for number in range(5):
        answer = service.client().put_secret_value(SecretId=arn, SecretString=f"value {number}")
        written.append(answer["VersionId"])
    assert store.version_ids(arn) == written[::-1]


def test_versions_on_several_pages() -> None:
    """A listing that comes in pages is read to its end, and put in order as a whole."""
    pages = [
        {
            "Versions": [
                {"VersionId": "old", "CreatedDate": 1, "VersionStages": []},
                {"VersionId": "labelled", "CreatedDate": 3, "VersionStages": ["AWSCURRENT"]},
            ],
            "NextToken": "more",
        },
        {"NextToken": "still more"},
        {"Versions": [{"VersionId": "new", "CreatedDate": 2}]},
    ]
    asked = []

    class Paging:
        def list_secret_version_ids(self, **request: object) -> object:
            asked.append(request)
            return pages[len(asked) - 1]

    store = SecretStore(Paging())  # type: ignore[arg-type]
    assert store.version_ids("arn") == ["labelled", "new", "old"]
    first = {"SecretId": "arn", "IncludeDeprecated": True, "MaxResults": 100}
    assert asked == [first, {**first, "NextToken": "more"}, {**first, "NextToken": "still more"}]


# Labels


FENCE = "rotation-fence"


def moves(service: SecretsManagerService) -> list[dict[str, object]]:
    """Return which versions the moves named that the service was asked for."""
    return [
        {key: value for key, value in request.parameters.items() if key.endswith("VersionId")}
        for request in service.requests
        if request.operation == "UpdateSecretVersionStage"
    ]


def test_label_is_moved_from_its_holder(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """A label is attached where nobody has it, and moved from whom it is taken by name."""
    current, event = store.current(arn).id, prepared(service, arn)
    service.reset_requests()
    assert store.move_label(arn, FENCE, current, None)
    assert service.labels(arn)[FENCE] == current
    assert store.move_label(arn, FENCE, event.token, current)
    assert service.labels(arn)[FENCE] == event.token
    assert moves(service) == [
        {"MoveToVersionId": current},
        {"MoveToVersionId": event.token, "RemoveFromVersionId": current},
    ]


def test_label_that_is_there_already(
    service: SecretsManagerService, store: SecretStore, arn: str, pauses: list[float]
) -> None:
    """The service is asked all the same: that it is there may be an old answer."""
    current, event = store.current(arn).id, prepared(service, arn)
    store.move_label(arn, FENCE, current, None)
    service.reset_requests()
    assert store.move_label(arn, FENCE, current, current)
    assert moves(service) == [{"MoveToVersionId": current}]
    assert not store.move_label(arn, FENCE, event.token, event.token)
    assert service.labels(arn)[FENCE] == current
    assert pauses == [STALE_READ_PAUSES[-1]]


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize(("holder", "moved"), [("v1", True), ("v2", False), (None, False)])
def test_service_that_refuses_a_move_to_where_the_label_is(
    pauses: list[float], code: str, holder: str | None, moved: bool
) -> None:
    """A later answer tells whether it was for done already, or for wrong."""
    stages = {} if holder is None else {holder: [FENCE]}
    store = answering(
        pauses,
        update_secret_version_stage=code,
        describe_secret={"ARN": "arn", "VersionIdsToStages": stages},
    )
    assert store.move_label("arn", FENCE, "v1", "v1") is moved
    assert pauses == [STALE_READ_PAUSES[-1]]


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("holder", [None, "v0"])
def test_refused_moves(pauses: list[float], code: str, holder: str | None) -> None:
    """Either code says that the holder is another one; nobody is asked who."""
    store = answering(pauses, update_secret_version_stage=code)
    assert not store.move_label("arn", FENCE, "v1", holder)
    assert not store.remove_label("arn", FENCE, "v1")
    assert pauses == []


def test_label_with_another_holder_is_left_alone(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """With a wrong holder, or none, nothing moves, and the caller is told."""
    current, event = store.current(arn).id, prepared(service, arn)
    store.put_value(event, "second", "label")
    other = service.client().put_secret_value(
        SecretId=arn, SecretString="third", VersionStages=["somebody's own"]
    )["VersionId"]
    store.move_label(arn, FENCE, current, None)
    for holder in (None, other):
        assert not store.move_label(arn, FENCE, event.token, holder)
    assert service.labels(arn)[FENCE] == current


def test_label_on_a_version_that_is_none(store: SecretStore, arn: str) -> None:
    """A version that does not exist gets no label."""
    with pytest.raises(UnknownVersion):
        store.move_label(arn, FENCE, str(uuid4()), None)


def test_label_is_taken_off(service: SecretsManagerService, store: SecretStore, arn: str) -> None:
    """It is taken off the version that has it, and off no other."""
    current, event = store.current(arn).id, prepared(service, arn)
    assert not store.remove_label(arn, "AWSPENDING", current)
    assert service.labels(arn)["AWSPENDING"] == event.token
    service.reset_requests()
    assert store.remove_label(arn, "AWSPENDING", event.token)
    assert "AWSPENDING" not in service.labels(arn)
    assert moves(service) == [{"RemoveFromVersionId": event.token}]
    assert not store.remove_label(arn, "AWSPENDING", event.token)


def test_promotion(service: SecretsManagerService, store: SecretStore, arn: str) -> None:
    """AWSCURRENT moves, AWSPREVIOUS follows, and it cannot be taken off."""
    current, event = store.current(arn).id, prepared(service, arn)
    store.put_value(event, "second", "label")
    assert store.move_label(arn, "AWSCURRENT", event.token, current)
    labels = service.labels(arn)
    assert labels["AWSCURRENT"] == labels["AWSPENDING"] == event.token
    assert labels["AWSPREVIOUS"] == current
    assert not store.move_label(arn, "AWSCURRENT", event.token, current)
    assert not store.remove_label(arn, "AWSCURRENT", event.token)


def test_promotion_whose_answer_is_lost(service: SecretsManagerService, arn: str) -> None:
    """The SDK repeats it, the service refuses the repetition, and the holder tells."""
    client = boto3.client("secretsmanager", region_name="eu-central-1")
    store = SecretStore(client)
    current, event = store.current(arn).id, prepared(service, arn)
    store.put_value(event, "second", "label")
    service.fail_after("UpdateSecretVersionStage", 1)
    assert not store.move_label(arn, "AWSCURRENT", event.token, current)
    assert store.settled(arn, "AWSCURRENT", besides=current).holder("AWSCURRENT") == event.token


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
        ("KMSAccessDeniedException", AccessDenied),
        ("Throttling", Throttled),
        ("RequestLimitExceeded", Throttled),
        ("LimitExceededException", TooManyLabels),
        ("SomethingNew", ServiceFailed),
    ],
)
def test_refusals_by_their_code(
    service: SecretsManagerService,
    store: SecretStore,
    arn: str,
    code: str,
    kind: type[RotationError],
) -> None:
    """Each code has its class; the service's message, which may quote anything, is not shown."""
    event = prepared(service, arn)
    refusing(service, code)
    for call in (
        lambda: store.describe(arn),
        lambda: store.current(arn),
        lambda: store.version(arn, event.token),
        lambda: store.settled_version(arn, event.token),
        lambda: store.settled(arn, "AWSCURRENT", besides=None),
        lambda: store.version_ids(arn),
        lambda: store.put_value(event, "second", "label"),
        lambda: store.put_value(event, "second", "AWSPENDING"),
        lambda: store.move_label(arn, FENCE, event.token, None),
        lambda: store.remove_label(arn, FENCE, event.token),
    ):
        with pytest.raises(RotationError) as caught:
            call()
        assert type(caught.value) is kind
        assert code in caught.value.message
        assert caught.value.advice == kind.hint
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__


def test_secret_that_does_not_exist(service: SecretsManagerService, store: SecretStore) -> None:
    """A missing secret is not rotatable; the hint says what to look at."""
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:none-AbCdEf"
    event = RotationEvent(Step.CREATE, arn, str(uuid4()))
    for call in (
        lambda: store.describe(arn),
        lambda: store.current(arn),
        lambda: store.version_ids(arn),
        lambda: store.put_value(event, "second", "label"),
    ):
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


def test_current_is_asked_for_by_its_label(
    service: SecretsManagerService, store: SecretStore, arn: str
) -> None:
    """What the service returns without a label, is not relied on."""
    store.current(arn)
    asked = service.requests[-1]
    assert asked.operation == "GetSecretValue"
    assert asked.parameters == {"SecretId": arn, "VersionStage": "AWSCURRENT"}


def test_refused_move_is_told(service: SecretsManagerService, store: SecretStore, arn: str) -> None:
    """The error names the call and the secret."""
    version = service.labels(arn)["AWSCURRENT"]
    refusing(service, "AccessDeniedException")
    with pytest.raises(AccessDenied, match=f"UpdateSecretVersionStage of {arn} was answered"):
        store.move_label(arn, "label", version, None)
    service.on_request = None
