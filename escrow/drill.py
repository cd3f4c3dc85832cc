"""The drill: what is in escrow opens by the second key alone, and logs in to the real database.

Neither Secrets Manager nor the first key is asked: a drill is worth what it does without.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from escrow.bucket import fetch, records_of
from escrow.errors import NotOpened, WrongKey
from escrow.keys import open_record
from escrow.record import Record
from shared.errors import LoginRefused, RotationError
from shared.model import Login

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

VERSIONS = 3
"""Of how many versions the newest record is tried: an attempt that was given up, or put back,
leaves one that does not log in. More refused logins may lock an account."""

LogIn = Callable[[str, str], Login]
"""Gets a value, and what to call it; see :func:`escrow.login.log_in`."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a drill has shown; it holds no credential.

    Attributes:
        at: When, in UTC.
        secret: The secret's ARN.
        passed: Whether a record was opened and logged in.
        key: The key that opened it.
        version: Of the record that logged in, or was tried last; None when there was none.
        sealed: When that record was sealed.
        username: As whom it logged in.
        host: Where.
        refused: Versions that were newer, and were refused.
        reason: Why the drill did not pass.
    """

    at: str
    secret: str
    passed: bool
    key: str
    version: str | None = None
    sealed: str | None = None
    username: str | None = None
    host: str | None = None
    refused: tuple[str, ...] = ()
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it for a file."""
        return asdict(self)


def drill(
    secret: str, bucket: str, key: str, *, s3: "S3Client", kms: "KMSClient", log_in: LogIn
) -> Result:
    """Open the newest record of a secret by the second key, and log in with it.

    Args:
        secret: The secret's ARN.
        bucket: Where its records are.
        key: The second key.
        s3: A client in the bucket's Region.
        kms: A client in the key's Region.
        log_in: Logs in, or raises.
    """
    found: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "secret": secret,
        "key": key,
    }
    refused: list[str] = []
    try:
        for record in _newest_of_versions(s3, bucket, secret):
            found |= {"version": record.context.version, "sealed": record.context.sealed}
            if key != record.second.key:
                msg = f"{key} is not the record's second key, which is {record.second.key}."
                raise WrongKey(msg)
            text = open_record(record, key, kms)
            try:
                login = log_in(text, f"version {record.context.version} of {secret}")
            except LoginRefused as error:
                refused.append(record.context.version)
                found["reason"] = str(error)
                continue
            found |= {"username": login.username, "host": login.host, "reason": None}
            return Result(**found, passed=True, refused=tuple(refused))
    except (NotOpened, RotationError) as error:
        found["reason"] = str(error)
    return Result(**found, passed=False, refused=tuple(refused))


def _newest_of_versions(s3: "S3Client", bucket: str, secret: str) -> list[Record]:
    """Return the newest record of each of the newest versions."""
    records: dict[str, Record] = {}
    for stored in records_of(s3, bucket, secret):
        if len(records) == VERSIONS:
            break
        record = Record.from_bytes(fetch(s3, bucket, secret, stored))
        records.setdefault(record.context.version, record)
    return list(records.values())
