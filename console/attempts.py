"""What a person may do from outside: end an attempt, begin one, attach a secret, detach it.

AWSCURRENT is never moved here: that is the function's alone, after a login.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from console.account import Account, asking, code_of
from console.fleet import Secret, describe
from console.outcome import Stop
from shared.model import Stage
from shared.store import REFUSED_MOVES

UNFINISHED = "A previous rotation isn't complete"
"""RotateSecret's refusal while AWSPENDING is on a version of its own (its API reference)."""

TEST_SECONDS = 120.0
"""How long the service's test is waited for."""
POLL_SECONDS = 0.3
NOTHING_TO_CANCEL = "InvalidRequestException"


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


def rotate_later(account: Account, secret: Secret, function: str, rules: Mapping[str, Any]) -> str:
    """Attach a secret, which has the function test it, and rotates nothing.

    Returns:
        The version of the service's test.

    Raises:
        Stop: Refused.
    """
    token = str(uuid4())
    request: dict[str, Any] = {
        "SecretId": secret.arn,
        "ClientRequestToken": token,
        "RotationLambdaARN": function,
        "RotateImmediately": False,
    }
    if rules:
        request["RotationRules"] = dict(rules)
    with asking():
        try:
            account.secrets.rotate_secret(**request)
        except ClientError as error:
            if UNFINISHED in str(error):
                advice = f"`rotation recover {secret.name}`"
                raise Stop(f"A rotation has begun meanwhile: {advice}") from None
            if "cannot invoke" in str(error):
                advice = (
                    f"`aws lambda add-permission --function-name {function} --statement-id "
                    "SecretsManager --action lambda:InvokeFunction "
                    "--principal secretsmanager.amazonaws.com`"
                )
                raise Stop(f"Secrets Manager may not invoke the function: {advice}") from None
            raise Stop(f"{code_of(error)}: {error.response['Error'].get('Message', '')}") from None
    return token


def wait_for_test(account: Account, arn: str, token: str, sleep: Callable[[float], None]) -> bool:
    """Wait until the service has taken the version of its test away again."""
    ends = time.monotonic() + TEST_SECONDS
    while time.monotonic() < ends:
        if Stage.PENDING not in describe(account, arn).labels.get(token, frozenset()):
            return True
        sleep(POLL_SECONDS)
    return False


def detach(account: Account, secret: Secret) -> None:
    """Switch the rotation of a secret off; that it is off already is as good.

    Raises:
        Stop: Refused.
    """
    with asking():
        try:
            account.secrets.cancel_rotate_secret(SecretId=secret.arn)
        except ClientError as error:
            if code_of(error) != NOTHING_TO_CANCEL or describe(account, secret.arn).is_attached:
                raise
