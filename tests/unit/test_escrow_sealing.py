"""What a function seals: where it goes, with which rights, and how it fails before any change."""

import base64
import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from escrow import errors, sealing
from escrow.errors import BadEscrowSettings, EscrowUnreachable, NotSealed, SealingRefused
from escrow.sealing import VARIABLE, Settings
from local.kms import KeyManagement, State
from shared.errors import Remedy
from tests.escrow_world import BUCKET, SECRET, TEXT, Escrow, escrow_world

SETTINGS_PARTS = ("bucket", "bucket-key", "first", "second", "public-key")


@pytest.fixture
def escrow() -> Iterator[Escrow]:
    """An escrow, empty."""
    with mock_aws(), escrow_world() as world:
        yield world


class Bucket:
    """A bucket that notes what is put into it."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def put_object(self, **request: Any) -> None:  # noqa: ANN401 - as the SDK takes it
        """Note it."""
        self.requests.append(request)


def test_sealing_asks_twice(escrow: Escrow) -> None:
    """One call of KMS and one of S3; the second key, wherever it is, is not asked."""
    bucket = Bucket()
    with patch.object(sealing, "_s3", lambda: bucket):
        escrow.seal()
    assert [(use.key_id, use.action) for use in escrow.kms.uses] == [
        (escrow.first, "kms:GenerateDataKey")
    ]
    assert len(bucket.requests) == 1


def test_where_a_record_goes(escrow: Escrow) -> None:
    """Its name tells secret, time and version, and it is encrypted under the bucket's own key."""
    version = escrow.seal()
    ((place, _),) = escrow.objects().items()
    arn = SECRET.replace(":", "/")
    assert re.fullmatch(rf"records/{arn}/\d{{8}}T\d{{6}}\.\d{{6}}Z_{version}\.json", place)
    head = escrow.s3.head_object(Bucket=BUCKET, Key=place)
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"] == escrow.bucket_key
    assert head["BucketKeyEnabled"]


def test_each_record_has_a_data_key_of_its_own(escrow: Escrow) -> None:
    """The same value sealed twice is two records under two data keys."""
    version = escrow.seal()
    escrow.seal(version=version)
    assert len(escrow.objects()) == len(escrow.kms.uses) == 2


@pytest.mark.parametrize(
    ("state", "code"),
    [("Disabled", "DisabledException"), ("PendingDeletion", "KMSInvalidStateException")],
)
def test_first_key_that_is_gone(escrow: Escrow, state: State, code: str) -> None:
    """Without its first key nothing is sealed; the message names the key."""
    escrow.kms[escrow.first].state = state
    with pytest.raises(SealingRefused, match=code) as raised:
        escrow.seal()
    assert escrow.first in raised.value.message
    assert escrow.objects() == {}


def test_key_policy_that_refuses(escrow: Escrow) -> None:
    """A policy that binds the key to secrets of its own is asked with the secret's ARN."""
    escrow.kms[escrow.first].allows = lambda use: use.context["secret"] != SECRET
    with pytest.raises(SealingRefused, match="AccessDenied"):
        escrow.seal()


class FailingS3:
    """A bucket that answers with an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def put_object(self, **_: object) -> None:
        """Fail."""
        raise self.error


def answered(code: str) -> ClientError:
    """Return an answer of S3 that is an error."""
    return ClientError({"Error": {"Code": code, "Message": f"quotes {TEXT}"}}, "PutObject")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered("AccessDenied"), SealingRefused),
        (answered("NoSuchBucket"), SealingRefused),
        (answered("SlowDown"), EscrowUnreachable),
        (answered("ServiceUnavailable"), EscrowUnreachable),
        (EndpointConnectionError(endpoint_url="https://s3"), EscrowUnreachable),
    ],
)
def test_bucket_that_fails(escrow: Escrow, error: Exception, kind: type[NotSealed]) -> None:
    """What a retry cures is told from what somebody has to mend; the answer is not quoted."""
    with (
        patch.object(sealing, "_s3", lambda: FailingS3(error)),
        pytest.raises(kind, match=BUCKET) as raised,
    ):
        escrow.seal()
    assert "geheim" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert kind.retry_cures is (kind is EscrowUnreachable)


def test_bucket_of_somebody_else(escrow: Escrow) -> None:
    """A bucket of the same name in another account is not written to: S3 is told whose it is."""
    bucket = Bucket()
    with patch.object(sealing, "_s3", lambda: bucket):
        escrow.seal()
    (asked,) = bucket.requests
    assert asked["ExpectedBucketOwner"] == escrow.bucket_key.split(":")[4] == "123456789012"
    assert asked["ChecksumAlgorithm"] == "SHA256"


@pytest.mark.parametrize("name", SETTINGS_PARTS)
def test_settings_that_lack_a_part(escrow: Escrow, name: str) -> None:
    """The part that is missing, or empty, is named."""
    whole = escrow.settings
    for text in (
        re.sub(f"(^|,){name}=[^,]*", "", whole),
        re.sub(f"{name}=[^,]*", f"{name}=", whole),
    ):
        with pytest.raises(BadEscrowSettings, match=f"{VARIABLE} lacks {name}"):
            Settings.from_text(text)


def test_settings_that_lack() -> None:
    """A function that is told to seal and not where is stopped before any change."""
    with pytest.raises(BadEscrowSettings):
        sealing.seal("", SECRET, "0" * 32, TEXT)


@pytest.mark.parametrize("text", ["no base64", "AAAA", ""])
def test_public_half_that_is_none(escrow: Escrow, text: str) -> None:
    """A public half that cannot be used is told when the function starts to need it."""
    with pytest.raises(BadEscrowSettings, match="public-key"):
        Settings.from_text(re.sub("public-key=.*", f"public-key={text}", escrow.settings))


def test_public_half_that_is_short(escrow: Escrow) -> None:
    """A key that is weaker than what it wraps is refused."""
    kms = KeyManagement()
    short = kms.make_key("RSA_2048")
    with pytest.raises(BadEscrowSettings, match="3072 bits"):
        Settings.from_text(
            re.sub("public-key=.*", f"public-key={kms.public_half(short)}", escrow.settings)
        )


def test_the_plain_data_key_goes_no_further(escrow: Escrow) -> None:
    """What KMS gives in clear stands in nothing that is stored."""
    escrow.seal()
    record = escrow.record()
    data_key = escrow.client(escrow.second).decrypt(
        KeyId=escrow.second,
        CiphertextBlob=record.second.wrapped,
        EncryptionAlgorithm="RSAES_OAEP_SHA_256",
    )["Plaintext"]
    assert record.open(data_key) == TEXT
    assert data_key not in record.to_bytes()
    assert base64.b64encode(data_key) not in record.to_bytes()


def test_each_failure_has_a_remedy() -> None:
    """Somebody's rights, a network or a setting: three failures, three chapters of the runbook."""
    kinds: list[type[NotSealed]] = NotSealed.__subclasses__()
    assert {kind: kind.remedy for kind in kinds} == {
        SealingRefused: Remedy.RIGHTS,
        EscrowUnreachable: Remedy.NETWORK,
        BadEscrowSettings: Remedy.SETTING,
    }
    assert len({kind.hint for kind in kinds}) == len(kinds)
    drawn = re.findall(r"[├└]─ (\w+)", errors.__doc__ or "")
    assert {kind.__name__ for kind in kinds} | {"NotSealed"} <= set(drawn)
