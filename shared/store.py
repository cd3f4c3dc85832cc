"""The only room that talks to Secrets Manager.

Everything else sees :class:`~shared.model.Version` and :class:`~shared.model.Description`. Nothing
about a secret is kept between two invocations: a value that is cached is a value that is out of
date exactly when it matters.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import (
    AccessDenied,
    CurrentChanged,
    NotRotatable,
    RotationError,
    ServiceFailed,
    Throttled,
    UnknownVersion,
)
from shared.model import Description, RotationEvent, Stage, Version

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import PutSecretValueRequestTypeDef

STALE_READ_PAUSES = (0.1, 0.3, 0.8)
"""Seconds between reads of a value that should be there: reads are eventually consistent. Slow
enough for the service to catch up, short beside a function's timeout."""

CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 5
ATTEMPTS = 3
"""Bounds of one API call: where the VPC lacks the endpoint, a call ends in an error after about
ten seconds, well before Lambda kills the function without a word."""

VERSION_ID_LENGTHS = range(32, 65)
"""In characters, as the API has it; with others it answers that the request is invalid."""

NOT_FOUND = "ResourceNotFoundException"
EXISTS = "ResourceExistsException"
INVALID_PARAMETER = "InvalidParameterException"

ERRORS_BY_CODE: dict[str, type[RotationError]] = {
    NOT_FOUND: NotRotatable,
    "AccessDeniedException": AccessDenied,
    "AccessDenied": AccessDenied,
    "KMSAccessDeniedException": AccessDenied,
    "DecryptionFailure": AccessDenied,
    "EncryptionFailure": AccessDenied,
    "ThrottlingException": Throttled,
    "Throttling": Throttled,
    "TooManyRequestsException": Throttled,
    "RequestLimitExceeded": Throttled,
}


class SecretStore:
    """One secret's versions and labels, for the length of one invocation.

    Args:
        client: A boto3 Secrets Manager client; shared by all invocations of one environment.
        sleep: Waits between two reads; for tests.
    """

    def __init__(
        self, client: "SecretsManagerClient", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._sleep = sleep

    def describe(self, secret_id: str) -> Description:
        """Return labels, tags and rotation state of a secret.

        Raises:
            NotRotatable: There is no such secret.
            ServiceFailed: Any other refusal; AccessDenied and Throttled have their own classes.
        """
        with _translated(f"DescribeSecret of {secret_id}"):
            answer = self._client.describe_secret(SecretId=secret_id)
        return Description(
            arn=answer["ARN"],
            stages={
                version: frozenset(labels)
                for version, labels in answer.get("VersionIdsToStages", {}).items()
            },
            tags={tag["Key"]: tag.get("Value", "") for tag in answer.get("Tags", [])},
            rotation_enabled=answer.get("RotationEnabled", False),
            owning_service=answer.get("OwningService"),
        )

    def current(self, secret_id: str) -> Version:
        """Read the version with AWSCURRENT.

        Raises:
            NotRotatable: There is no such secret, or it has no value.
        """
        return self._read(SecretId=secret_id, VersionStage=Stage.CURRENT)

    def version(self, secret_id: str, version_id: str) -> Version | None:
        """Read one version with its labels, None when it does not exist or has no value (yet)."""
        if len(version_id) not in VERSION_ID_LENGTHS:
            return None
        try:
            return self._read(SecretId=secret_id, VersionId=version_id)
        except NotRotatable:
            return None

    def settled_version(self, secret_id: str, version_id: str) -> Version | None:
        """Read one version that was just written, with patience for stale reads."""
        for pause in STALE_READ_PAUSES:
            version = self.version(secret_id, version_id)
            if version is not None:
                return version
            self._sleep(pause)
        return self.version(secret_id, version_id)

    def _read(self, **which: str) -> Version:
        with _translated(f"GetSecretValue of {which['SecretId']}"):
            answer = self._client.get_secret_value(**which)
        return Version(
            id=answer["VersionId"],
            stages=frozenset(answer.get("VersionStages", [])),
            text=answer.get("SecretString"),
        )

    def unlabelled(self, secret_id: str) -> list[str]:
        """Return the ids of the versions without any label, newest first.

        They are what abandoned attempts leave: still readable, listed only on request.
        """
        found = []
        token: dict[str, str] = {}
        while True:
            with _translated(f"ListSecretVersionIds of {secret_id}"):
                page: Any = self._client.list_secret_version_ids(
                    SecretId=secret_id, IncludeDeprecated=True, MaxResults=100, **token
                )
            found += [v for v in page.get("Versions", []) if not v.get("VersionStages")]
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        found.sort(key=lambda version: version["CreatedDate"], reverse=True)
        return [version["VersionId"] for version in found]

    def put_pending(self, event: RotationEvent, text: str, labels: list[str]) -> bool:
        """Store the pending value under the rotation's token.

        Args:
            event: Names secret and token.
            text: The JSON text; never rewritten once stored.
            labels: What to put on the version beside AWSPENDING.

        Returns:
            False when the token already has another value: a twin delivery was faster.
        """
        request: PutSecretValueRequestTypeDef = {
            "SecretId": event.secret_id,
            "ClientRequestToken": event.token,
            "SecretString": text,
            "VersionStages": [Stage.PENDING, *labels],
        }
        if event.rotation_token is not None:
            request["RotationToken"] = event.rotation_token
        try:
            with _translated(f"PutSecretValue of {event.secret_id}", passing=(EXISTS,)):
                self._client.put_secret_value(**request)
        except ClientError:
            return False
        return True

    def move_label(self, secret_id: str, label: str, to: str, holder: str | None) -> bool:
        """Put ``label`` on version ``to``, taking it from ``holder`` if another version has it.

        Returns:
            False when ``holder`` is not the one who has it, which the service insists on: nothing
            was moved.

        Raises:
            UnknownVersion: ``to`` is no version of the secret.
        """
        if holder == to:
            return True
        try:
            self._move_label(secret_id, label, to, holder)
        except ClientError:
            return False
        return True

    def promote(self, secret_id: str, version_id: str, current_id: str) -> None:
        """Move AWSCURRENT from ``current_id`` to ``version_id``; done already is success.

        Raises:
            CurrentChanged: Another version than ``current_id`` is AWSCURRENT meanwhile.
        """
        try:
            self._move_label(secret_id, Stage.CURRENT, version_id, current_id)
        except ClientError:
            holder = self.describe(secret_id).holder(Stage.CURRENT)
            if holder != version_id:
                msg = f"AWSCURRENT moved to version {holder} while version {version_id} was set."
                raise CurrentChanged(msg) from None

    def _move_label(self, secret_id: str, label: str, to: str, holder: str | None) -> None:
        source = {} if holder is None else {"RemoveFromVersionId": holder}
        operation = f"UpdateSecretVersionStage of {secret_id}"
        with _translated(operation, passing=(INVALID_PARAMETER,), not_found=UnknownVersion):
            self._client.update_secret_version_stage(
                SecretId=secret_id, VersionStage=label, MoveToVersionId=to, **source
            )


@contextmanager
def _translated(
    operation: str,
    *,
    passing: tuple[str, ...] = (),
    not_found: type[RotationError] = NotRotatable,
) -> Iterator[None]:
    """Turn the SDK's errors into ours; let the codes in ``passing`` through as they are."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        if code in passing:
            raise
        kind = not_found if code == NOT_FOUND else ERRORS_BY_CODE.get(code, ServiceFailed)
        # Only the code: the service's message may quote parameters.
        msg = f"{operation} was answered with {code}."
        raise kind(msg, hint=NOT_FOUND_HINT if code == NOT_FOUND else None) from None
    except BotoCoreError as error:
        msg = f"{operation} got no answer ({type(error).__name__})."
        raise ServiceFailed(msg, hint=ENDPOINT_HINT) from None


NOT_FOUND_HINT = "Check the secret's ARN and Region, and that it has a value."
ENDPOINT_HINT = (
    "A function in a VPC needs an interface endpoint for Secrets Manager (or a NAT gateway), and a "
    "security group that lets it reach port 443."
)
