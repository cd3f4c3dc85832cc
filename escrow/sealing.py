"""What a rotation function calls before it changes a database: ``escrow.sealing.seal``.

The function may seal and not open: its rights are GenerateDataKey with the first key and PutObject.
The second key's public half is among the settings, so that nothing is asked of where that key is.
"""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Self, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from escrow.errors import BadEscrowSettings, EscrowUnreachable, SealingRefused
from escrow.record import Context, Record, Wrapped, wrap

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

VARIABLE = "ROTATION_BEFORE_CHANGE"
"""The function's variable: ``escrow.sealing.seal:`` and ``name=value`` with commas between."""

SHORTEST_RSA_BITS = 3072
"""As strong as the data key's 128 bits against what is known; NIST SP 800-57 part 1, table 2."""

PASSING = frozenset(
    {
        "DependencyTimeoutException",
        "InternalError",
        "KeyUnavailableException",
        "KMSInternalException",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingException",
    }
)
"""Errors of KMS and S3 that a retry cures; every other one is a refusal."""

# Before a change there is time for two calls that are tried twice each.
CLIENT_CONFIG = Config(
    connect_timeout=3,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 2},
    user_agent_extra="secret-rotation-escrow",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where records go, and the keys.

    Attributes:
        bucket: Name of the bucket.
        bucket_key: ARN of the key that encrypts the bucket; another than the first, so that records
            can be fetched when that one is gone.
        first: ARN of the first key, in the function's own account and Region.
        second: ARN, or any name, of the second key.
        public_key: Its public half.
    """

    bucket: str
    bucket_key: str
    first: str
    second: str
    public_key: RSAPublicKey

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what the escrow stack's output says.

        Raises:
            BadEscrowSettings: A part is missing, or cannot be used; the message names it.
        """
        found = dict(part.partition("=")[::2] for part in text.split(","))
        names = ("bucket", "bucket-key", "first", "second", "public-key")
        missing = [name for name in names if not found.get(name)]
        if missing:
            msg = f"{VARIABLE} lacks {', '.join(missing)}."
            raise BadEscrowSettings(msg)
        bucket, bucket_key, first, second, public = (found[name] for name in names)
        return cls(bucket, bucket_key, first, second, _public_key(public))

    @property
    def account(self) -> str:
        """The account that the bucket has to belong to: that of its key."""
        return self.bucket_key.split(":")[4]


def seal(settings_text: str, secret_arn: str, version_id: str, text: str) -> None:
    """Put a credential into escrow.

    Args:
        settings_text: What :meth:`Settings.from_text` takes.
        secret_arn: The secret.
        version_id: The version that holds the credential.
        text: Its value.

    Raises:
        NotSealed: A subclass tells why.
    """
    settings = _settings(settings_text)
    context = Context.now(secret_arn, version_id)
    record = _sealed(settings, context, text)
    with _translated("PutObject", settings.bucket):
        _s3().put_object(
            Bucket=settings.bucket,
            Key=context.place,
            Body=record.to_bytes(),
            ContentType="application/json",
            # The bucket refuses what names no key, or another one.
            ServerSideEncryption="aws:kms",
            SSEKMSKeyId=settings.bucket_key,
            BucketKeyEnabled=True,
            # Locked objects need a checksum.
            ChecksumAlgorithm="SHA256",
            # Not a bucket of the same name that somebody else has made since.
            ExpectedBucketOwner=settings.account,
        )


def _sealed(settings: Settings, context: Context, text: str) -> Record:
    """Seal; the plain data key lives in this call only."""
    with _translated("GenerateDataKey", settings.first):
        made = _kms().generate_data_key(
            KeyId=settings.first,
            KeySpec="AES_256",
            EncryptionContext=context.encryption_context(),
        )
    data_key = made["Plaintext"]
    return Record.seal(
        text,
        context,
        data_key,
        first=Wrapped(settings.first, made["CiphertextBlob"]),
        second=Wrapped(settings.second, wrap(data_key, settings.public_key)),
    )


@cache
def _settings(text: str) -> Settings:
    return Settings.from_text(text)


@cache
def _kms() -> "KMSClient":
    return cast("KMSClient", get_session().create_client("kms", config=CLIENT_CONFIG))


@cache
def _s3() -> "S3Client":
    return cast("S3Client", get_session().create_client("s3", config=CLIENT_CONFIG))


def _public_key(text: str) -> RSAPublicKey:
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < SHORTEST_RSA_BITS:
        msg = (
            f"public-key of {VARIABLE} is no RSA public key of {SHORTEST_RSA_BITS} bits or more, "
            "in DER and base64 (as `aws kms get-public-key --query PublicKey` gives it)."
        )
        raise BadEscrowSettings(msg)
    return key


@contextmanager
def _translated(operation: str, what: str) -> Iterator[None]:
    """Turn the SDK's errors into ours."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        kind = EscrowUnreachable if code in PASSING else SealingRefused
        # Only the code: the service's message may quote parameters.
        msg = f"{operation} with {what} was answered with {code}."
        raise kind(msg) from None
    except BotoCoreError as error:
        msg = f"{operation} with {what} got no answer ({type(error).__name__})."
        raise EscrowUnreachable(msg) from None
