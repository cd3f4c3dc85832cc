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
    NotRotatable,
    RotationError,
    ServiceFailed,
    Throttled,
    TooManyLabels,
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
REFUSED_MOVES = ("InvalidParameterException", "InvalidRequestException")
"""Which of them a wrong RemoveFromVersionId is answered with is not documented."""

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
    "LimitExceededException": TooManyLabels,
}


class NamesNoPending(Exception):
    """The service does not take a value for the token of a rotation without AWSPENDING, perhaps."""


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
            # Missing while the service tests a configuration, perhaps: only a clear no is one.
            rotation_enabled=answer.get("RotationEnabled", True),
            owning_service=answer.get("OwningService"),
            replication={
                each["Region"]: each.get("Status", "")
                for each in answer.get("ReplicationStatus", [])
            },
            window_seconds=_window(answer.get("RotationRules", {}).get("Duration", "")),
            primary_region=answer.get("PrimaryRegion"),
            partner=answer.get("Type"),
            function_arn=answer.get("RotationLambdaARN"),
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
        version = self.version(secret_id, version_id)
        for pause in STALE_READ_PAUSES:
            if version is not None:
                break
            self._sleep(pause)
            version = self.version(secret_id, version_id)
        return version

    def settled(self, secret_id: str, label: str, *, besides: str | None) -> Description:
        """Describe a secret, with patience while ``label`` reads as being where it was before."""
        description = self.describe(secret_id)
        for pause in STALE_READ_PAUSES:
            if description.holder(label) != besides:
                break
            self._sleep(pause)
            description = self.describe(secret_id)
        return description

    def _read(self, **which: str) -> Version:
        with _translated(f"GetSecretValue of {which['SecretId']}"):
            answer = self._client.get_secret_value(**which)
        return Version(
            id=answer["VersionId"],
            stages=frozenset(answer.get("VersionStages", [])),
            text=answer.get("SecretString"),
            created=answer.get("CreatedDate"),
        )

    def version_ids(self, secret_id: str) -> list[str]:
        """Return the ids of all versions, newest first, those without any label too.

        They are what abandoned attempts leave: still readable, listed only on request.
        """
        found: list[Any] = []
        token: dict[str, str] = {}
        while True:
            with _translated(f"ListSecretVersionIds of {secret_id}"):
                page: Any = self._client.list_secret_version_ids(
                    SecretId=secret_id, IncludeDeprecated=True, MaxResults=100, **token
                )
            found += page.get("Versions", [])
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        found.sort(key=lambda version: version["CreatedDate"], reverse=True)
        return [version["VersionId"] for version in found]

    def put_value(self, event: RotationEvent, text: str, *labels: str) -> frozenset[str] | None:
        """Store a value under the rotation's token.

        Args:
            event: Names secret and token.
            text: The JSON text; never rewritten once stored.
            labels: What to put on the version; taken from whatever version has them.

        Returns:
            All labels of the version; None when the token has another value: a twin delivery was
            faster.

        Raises:
            NamesNoPending: Refused, perhaps because AWSPENDING is not among ``labels``.
        """
        request: PutSecretValueRequestTypeDef = {
            "SecretId": event.secret_id,
            "ClientRequestToken": event.token,
            "SecretString": text,
            "VersionStages": list(labels),
        }
        passing = (EXISTS,) if Stage.PENDING in labels else (EXISTS, *REFUSED_MOVES)
        if event.rotation_token is not None:
            request["RotationToken"] = event.rotation_token
        try:
            with _translated(f"PutSecretValue of {event.secret_id}", passing=passing):
                answer = self._client.put_secret_value(**request)
        except ClientError as refused:
            if refused.response["Error"]["Code"] != EXISTS:
                raise NamesNoPending from None
            return None
        return frozenset(answer.get("VersionStages", []))

    def move_label(self, secret_id: str, label: str, to: str, holder: str | None) -> bool:
        """Put ``label`` on version ``to``, taking it from ``holder`` if another version has it.

        The service is asked in any case: that ``to`` has it already may be an old answer.

        Returns:
            False when ``holder`` is not the one who has it, which the service insists on: nothing
            was moved.

        Raises:
            UnknownVersion: ``to`` is no version of the secret.
        """
        source = {} if holder in (None, to) else {"RemoveFromVersionId": holder}
        moved = self._update_label(secret_id, label, MoveToVersionId=to, **source)
        if moved or holder != to:
            return moved
        # Whether the service takes a move to where the label is for done or for wrong is not
        # documented: a later answer tells.
        self._sleep(STALE_READ_PAUSES[-1])
        return self.describe(secret_id).holder(label) == to

    def remove_label(self, secret_id: str, label: str, holder: str) -> bool:
        """Take ``label`` off ``holder``; False when another version, or none, has it."""
        return self._update_label(secret_id, label, RemoveFromVersionId=holder)

    def _update_label(self, secret_id: str, label: str, **move: Any) -> bool:  # noqa: ANN401 (version ids, as the SDK names them)
        operation = f"UpdateSecretVersionStage of {secret_id}"
        try:
            with _translated(operation, passing=REFUSED_MOVES, not_found=UnknownVersion):
                self._client.update_secret_version_stage(
                    SecretId=secret_id, VersionStage=label, **move
                )
        except ClientError:
            return False
        return True


def _window(duration: str) -> int | None:
    """Return the length in seconds of a schedule's window, such as ``3h``; None for the default."""
    hours = duration.removesuffix("h")
    return int(hours) * 3600 if hours.isascii() and hours.isdigit() else None


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
