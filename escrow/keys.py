"""Opens a record with one of its two keys, which the person names: a record may name any."""

from typing import TYPE_CHECKING, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from escrow.errors import ContextSwapped, KeyUnavailable, RecordReplayed, WrongKey
from escrow.record import Record

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

NOT_THIS_KEY = ("IncorrectKeyException", "InvalidKeyUsageException")
NOT_THIS_CIPHERTEXT = "InvalidCiphertextException"


def open_record(record: Record, key: str, kms: "KMSClient") -> str:
    """Return the text that was sealed.

    Args:
        record: As it was fetched.
        key: ARN of the key that is to open it: one that is known, not what the record says.
        kms: A client in the key's Region.

    Raises:
        WrongKey: It is none of the record's, or did not wrap it.
        KeyUnavailable: It cannot be used.
        ContextSwapped, CiphertextTampered: The record is not what was sealed.
    """
    if key == record.first.key:
        data_key = _by_first(record, kms)
    elif key == record.second.key:
        data_key = _by_second(record, kms)
    else:
        msg = f"The record is under {record.first.key} and {record.second.key}, not {key}."
        raise WrongKey(msg)
    return record.open(data_key)


def require_asked_for(
    record: Record, *, secret: str, version: str | None = None, since: str | None = None
) -> None:
    """Make sure that a record is the one that is asked for.

    Args:
        record: As it was fetched; its context is proven only when it is opened.
        secret: ARN of the secret.
        version: Id of the version, where it is known.
        since: Time before which no record is taken, as a record has it.

    Raises:
        RecordReplayed: It is another one.
    """
    found = record.context
    if found.secret != secret or (version is not None and found.version != version):
        msg = f"The record is of version {found.version} of {found.secret}."
        raise RecordReplayed(msg)
    if since is not None and found.sealed < since:
        msg = f"The record of {secret} was sealed at {found.sealed}, before {since}."
        raise RecordReplayed(msg)


def _by_first(record: Record, kms: "KMSClient") -> bytes:
    try:
        return kms.decrypt(
            KeyId=record.first.key,
            CiphertextBlob=record.first.wrapped,
            EncryptionContext=record.context.encryption_context(),
        )["Plaintext"]
    except ClientError as error:
        if error.response["Error"]["Code"] == NOT_THIS_CIPHERTEXT:
            msg = f"{record.first.key} refuses the record of {record.context.secret}."
            raise ContextSwapped(msg) from None
        _refuse(record.first.key, error)
    except BotoCoreError as error:
        _refuse(record.first.key, error)


def _by_second(record: Record, kms: "KMSClient") -> bytes:
    try:
        return kms.decrypt(
            KeyId=record.second.key,
            CiphertextBlob=record.second.wrapped,
            EncryptionAlgorithm="RSAES_OAEP_SHA_256",
        )["Plaintext"]
    except (ClientError, BotoCoreError) as error:
        _refuse(record.second.key, error)


def _refuse(key: str, error: ClientError | BotoCoreError) -> NoReturn:
    told = type(error).__name__
    if isinstance(error, ClientError):
        told = error.response["Error"]["Code"]
        if told in {*NOT_THIS_KEY, NOT_THIS_CIPHERTEXT}:
            msg = f"{key} did not wrap this record: KMS says {told}."
            raise WrongKey(msg) from None
    msg = f"{key} cannot be used: KMS says {told}."
    raise KeyUnavailable(msg) from None
