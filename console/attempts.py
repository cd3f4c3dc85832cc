"""What a person may do to an attempt from outside: end one, begin one.

AWSCURRENT is never moved here: that is the function's alone, after a login.
"""

from dataclasses import dataclass
from uuid import uuid4

from botocore.exceptions import ClientError

from console.account import Account, asking, code_of
from console.fleet import Secret
from console.outcome import Stop
from shared.model import Stage
from shared.store import REFUSED_MOVES

UNFINISHED = "A previous rotation isn't complete"
"""RotateSecret's refusal while AWSPENDING is on a version of its own (its API reference)."""


class NotComplete(Stop):
    """Another rotation has begun, or has not ended."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A rotation that RotateSecret has begun: secret and token."""

    secret: str
    token: str


def end_attempt(account: Account, secret: Secret) -> bool:
    """Take AWSPENDING off the version of an attempt.

    Whatever it did to the database, the next one finds it: the version's password stays readable,
    and one that may be in force has the fence.

    Returns:
        False where AWSPENDING was not there any more.
    """
    if secret.pending is None:
        return False
    with asking():
        try:
            account.secrets.update_secret_version_stage(
                SecretId=secret.arn,
                VersionStage=Stage.PENDING,
                RemoveFromVersionId=secret.pending,
            )
        except ClientError as error:
            if code_of(error) not in REFUSED_MOVES:
                raise
            return False
    return True


def begin(account: Account, secret: Secret, token: str = "") -> Begun:
    """Begin a rotation, as it is set up.

    Args:
        account: The account.
        secret: What rotates.
        token: The id of the version to make; a new one where it is empty.

    Raises:
        NotComplete: Another one has not ended.
    """
    token = token or str(uuid4())
    with asking():
        try:
            account.secrets.rotate_secret(SecretId=secret.arn, ClientRequestToken=token)
        except ClientError as error:
            if UNFINISHED in str(error):
                raise NotComplete(f"Another rotation of {secret.name} has not ended.") from None
            raise
    return Begun(secret.arn, token)
