"""The secrets that a command is about, and what the service tells of them: never a value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from console.account import NOT_FOUND, Account, asking, code_of
from console.outcome import Misused
from shared.model import Label, Stage
from shared.plan import Plan

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.type_defs import FilterTypeDef

NAMES_HINT = "Name secrets, or choose them with --tag KEY=VALUE, or --all."


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret, as ListSecrets or DescribeSecret tells of it.

    Attributes:
        arn: Its ARN.
        name: Its name.
        labels: Version id to its staging labels.
        tags: Key to value.
        is_attached: Whether rotation is on.
        function: The ARN of the function that rotates it, or did; empty where there never was one.
        rules: ``RotationRules``, as the API has them.
        last_rotated, next_rotation, changed, created: Dates of the service.
        owner: The service that manages it; empty for an ordinary one.
        primary_region: Of a secret with replicas; empty for others.
        kind: A partner's type; empty for an ordinary one.
        key: The customer's key; empty for AWS's own.
    """

    arn: str
    name: str
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    is_attached: bool = False
    function: str = ""
    rules: Mapping[str, Any] = field(default_factory=dict)
    last_rotated: datetime | None = None
    next_rotation: datetime | None = None
    changed: datetime | None = None
    created: datetime | None = None
    owner: str = ""
    primary_region: str = ""
    kind: str = ""
    key: str = ""

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read an entry of ListSecrets, or the answer of DescribeSecret."""
        labels = answer.get("SecretVersionsToStages") or answer.get("VersionIdsToStages") or {}
        return cls(
            arn=answer["ARN"],
            name=answer.get("Name", answer["ARN"]),
            labels={version: frozenset(on) for version, on in labels.items()},
            tags={tag["Key"]: tag.get("Value", "") for tag in answer.get("Tags", [])},
            is_attached=bool(answer.get("RotationEnabled")),
            function=answer.get("RotationLambdaARN") or "",
            rules=answer.get("RotationRules") or {},
            last_rotated=answer.get("LastRotatedDate"),
            next_rotation=answer.get("NextRotationDate"),
            changed=answer.get("LastChangedDate"),
            created=answer.get("CreatedDate"),
            owner=answer.get("OwningService") or "",
            primary_region=answer.get("PrimaryRegion") or "",
            kind=answer.get("Type") or "",
            key=answer.get("KmsKeyId") or "",
        )

    def holder(self, label: str) -> str | None:
        """Return the id of the version that has a label, None when no version has it."""
        return next((version for version, on in self.labels.items() if label in on), None)

    @property
    def current(self) -> str | None:
        """The version with AWSCURRENT."""
        return self.holder(Stage.CURRENT)

    @property
    def pending(self) -> str | None:
        """The version of a rotation that is not complete: AWSPENDING apart from AWSCURRENT."""
        version = self.holder(Stage.PENDING)
        return None if version == self.current else version

    @property
    def plan(self) -> Plan | None:
        """What the rotation that made AWSCURRENT had decided; None where none of ours made it."""
        return Plan.read(self.labels.get(self.current or "", ()))

    @property
    def attempt_ended(self) -> str | None:
        """The version of an attempt that began with today's AWSCURRENT, and was ended."""
        for version, on in self.labels.items():
            plan = Plan.read(on)
            over = version not in {self.current, self.pending} and Stage.PREVIOUS not in on
            if plan is not None and over and plan.is_made_from(self.current):
                return version
        return None

    @property
    def was_ours(self) -> bool:
        """Whether this framework has begun a rotation of it before."""
        return any(
            label == Label.FENCE or Plan.read([label]) is not None
            for on in self.labels.values()
            for label in on
        )

    def is_replica(self, region: str) -> bool:
        """Whether it is a copy of a secret in another Region."""
        return self.primary_region not in {"", region}

    @property
    def schedule(self) -> str:
        """When it is rotated, in the words of its rules; empty where by hand only."""
        days = self.rules.get("AutomaticallyAfterDays")
        return str(self.rules.get("ScheduleExpression") or (f"rate({days} days)" if days else ""))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which secrets a command is about.

    Attributes:
        names: Names or ARNs.
        tags: ``KEY=VALUE``, all of which a secret must have.
        every: Whether all are meant.
    """

    names: Sequence[str] = ()
    tags: Sequence[str] = ()
    every: bool = False

    def require_one(self) -> None:
        """Make sure that it is said which, in one way.

        Raises:
            Misused: It is not, or in several ways.
        """
        ways = [bool(self.names), bool(self.tags), self.every]
        if sum(ways) != 1:
            raise Misused(NAMES_HINT if not any(ways) else f"Choose one way. {NAMES_HINT}")
        for tag in self.tags:
            if "=" not in tag:
                raise Misused(f"--tag {tag}: it must be KEY=VALUE.")


def select(account: Account, wanted: Wanted) -> list[Secret]:
    """Return the secrets that are meant, those to be deleted left out.

    Raises:
        Misused: It is not said which, or a name is none.
        CouldNotLook: Secrets Manager refuses to tell.
    """
    wanted.require_one()
    if wanted.names:
        found = {
            secret.arn: secret for name in wanted.names for secret in [describe(account, name)]
        }
        return [*found.values()]
    pairs = [tuple(tag.partition("=")[::2]) for tag in wanted.tags]
    return [
        secret
        for secret in _list(account, pairs)
        if all(secret.tags.get(key) == value for key, value in pairs)
    ]


def describe(account: Account, name: str) -> Secret:
    """Return one secret by its name or ARN.

    Raises:
        Misused: There is none.
        CouldNotLook: Secrets Manager refuses to tell.
    """
    with asking():
        try:
            return Secret.of(account.secrets.describe_secret(SecretId=name))
        except ClientError as error:
            if code_of(error) in NOT_FOUND:
                raise Misused(f"There is no secret {name} in {account.region}.") from None
            raise


def _list(account: Account, pairs: Sequence[tuple[str, ...]]) -> Iterator[Secret]:
    # The service compares beginnings, and key and value apart: the rest is done by whoever asks.
    filters: list[FilterTypeDef] = [{"Key": "tag-key", "Values": [key]} for key, _ in pairs]
    filters += [{"Key": "tag-value", "Values": [value]} for _, value in pairs if value]
    with asking():
        pages = account.secrets.get_paginator("list_secrets").paginate(
            Filters=filters, PaginationConfig={"PageSize": 100}
        )
        for page in pages:
            for entry in page["SecretList"]:
                yield Secret.of(entry)
