"""Finds and fetches records: needs the bucket, and none of the keys that seal.

Records are written once. So of an object that has several versions the oldest is the record, and a
delete marker hides nothing: Object Lock keeps what is below it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from escrow.errors import BucketRefused, NoRecord, RecordReplayed
from escrow.record import Context, Record

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a record is.

    Attributes:
        place: The object's key.
        version: The object's version.
    """

    place: str
    version: str

    @property
    def sealed(self) -> str:
        """The time that the place tells."""
        return self.place.rpartition("/")[2].partition("_")[0]


def records_of(s3: "S3Client", bucket: str, secret: str) -> list[Stored]:
    """Return where the records of a secret are, the newest first.

    Raises:
        NoRecord: There is none.
        BucketRefused: The bucket does not open.
    """
    folder = Context(secret, "", "").folder
    found: dict[str, Stored] = {}
    with _translated(bucket):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=folder):
            # Of each object the newest version comes first: the last one seen is the oldest.
            for each in page.get("Versions", []):
                found[each["Key"]] = Stored(each["Key"], each["VersionId"])
    if not found:
        msg = f"Bucket {bucket} has no record of {secret}."
        raise NoRecord(msg)
    return sorted(found.values(), key=lambda each: each.place, reverse=True)


def fetch(s3: "S3Client", bucket: str, secret: str, stored: Stored) -> bytes:
    """Return a record as it is stored, still sealed.

    Raises:
        RecordReplayed: It does not say that it belongs where it is.
        RecordTruncated, FormatUnknown: It cannot be read.
        BucketRefused: The bucket does not open.
    """
    with _translated(bucket):
        answer = s3.get_object(Bucket=bucket, Key=stored.place, VersionId=stored.version)
        raw = answer["Body"].read()
    context = Record.from_bytes(raw).context
    if context.secret != secret or context.place != stored.place:
        msg = (
            f"What is at {stored.place} says that it is of version {context.version} of "
            f"{context.secret}, sealed at {context.sealed}."
        )
        raise RecordReplayed(msg)
    return raw


def newest(s3: "S3Client", bucket: str, secret: str, before: str | None = None) -> bytes:
    """Return the newest record of a secret, still sealed.

    Args:
        s3: A client in the bucket's Region.
        bucket: Its name.
        secret: The secret's ARN.
        before: Only of those that were sealed before this time.

    Raises:
        NotOpened: A subclass tells why.
    """
    for stored in records_of(s3, bucket, secret):
        if before is None or stored.sealed < before:
            return fetch(s3, bucket, secret, stored)
    msg = f"Bucket {bucket} has no record of {secret} from before {before}."
    raise NoRecord(msg)


@contextmanager
def _translated(bucket: str) -> Iterator[None]:
    """Turn the SDK's errors into ours; among them a key of the bucket that is gone."""
    try:
        yield
    except ClientError as error:
        msg = f"Bucket {bucket} answered with {error.response['Error']['Code']}."
        raise BucketRefused(msg) from None
    except BotoCoreError as error:
        msg = f"Bucket {bucket} gave no answer ({type(error).__name__})."
        raise BucketRefused(msg) from None
