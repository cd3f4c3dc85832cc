"""A bucket, two keys and sealed credentials: S3 is moto's, KMS ours, the cryptography real."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final
from unittest.mock import patch
from uuid import uuid4

import boto3

from escrow import sealing
from escrow.record import Record
from local.kms import KeyManagement

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

BUCKET = "escrow-of-this-test"
REGION: Final = "eu-central-1"
SECOND_ACCOUNT, SECOND_REGION = "210987654321", "eu-west-1"
SECRET = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:shop/app-AbCdEf"
TEXT = '{"engine": "postgres", "host": "db", "username": "app", "password": "geheim-🔑-1"}'


@cache
def _session() -> boto3.Session:
    """Make the SDK's session once: it reads megabytes of service models."""
    return boto3.Session("local", "local", region_name=REGION)


@cache
def _keys() -> tuple[KeyManagement, str, str, str]:
    """Make the keys once: a long one takes a second."""
    kms = KeyManagement()
    second = kms.make_key("RSA_3072", account=SECOND_ACCOUNT, region=SECOND_REGION)
    return kms, kms.make_key(), second, kms.make_key()


def settings_of(kms: KeyManagement, bucket: str, bucket_key: str, first: str, second: str) -> str:
    """Return what a function is told: where to put what it seals, and under which keys."""
    parts = {
        "bucket": bucket,
        "bucket-key": bucket_key,
        "first": first,
        "second": second,
        "public-key": kms.public_half(second),
    }
    return ",".join(f"{name}={value}" for name, value in parts.items())


class Escrow:
    """What a function seals with, and people open with.

    Attributes:
        kms: All keys.
        first: ARN of the first key.
        second: ARN of the second, in another account and Region.
        bucket_key: ARN of the bucket's own.
        s3: A client.
    """

    def __init__(self) -> None:
        self.kms, self.first, self.second, self.bucket_key = _keys()
        for key in self.kms.values():
            key.state, key.allows = "Enabled", lambda _use: True
        self.kms.uses.clear()
        self.s3: S3Client = _session().client("s3")
        self.s3.create_bucket(
            Bucket=BUCKET,
            CreateBucketConfiguration={"LocationConstraint": REGION},
            ObjectLockEnabledForBucket=True,
        )

    @property
    def settings(self) -> str:
        """What a function is told."""
        return settings_of(self.kms, BUCKET, self.bucket_key, self.first, self.second)

    def client(self, key: str) -> "KMSClient":
        """Return a client in a key's Region."""
        return _session().client("kms", region_name=key.split(":")[3])

    def seal(self, text: str = TEXT, version: str | None = None, secret: str = SECRET) -> str:
        """Seal as a function does; return the version."""
        version = version or str(uuid4())
        sealing.seal(self.settings, secret, version, text)
        return version

    def objects(self) -> dict[str, bytes]:
        """Return the newest version of everything in the bucket."""
        listed = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {
            each["Key"]: self.s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
            for each in listed
        }

    def record(self) -> Record:
        """Return the only record there is."""
        (raw,) = self.objects().values()
        return Record.from_bytes(raw)

    def put(self, place: str, raw: bytes) -> None:
        """Put something into the bucket, as somebody who may."""
        self.s3.put_object(Bucket=BUCKET, Key=place, Body=raw, ChecksumAlgorithm="SHA256")


@contextmanager
def escrow_world() -> Iterator[Escrow]:
    """Let everything in this process come to one escrow; moto, or what has it, has to be on."""
    for each in (sealing._kms, sealing._s3, sealing._settings):
        each.cache_clear()
    world = Escrow()
    with world.kms, patch.object(sealing, "get_session", lambda: _session()._session):
        yield world
