"""The operations of the API, each from a validated request to its answer.

What the labels do is in :mod:`.versions`; here is what surrounds them: finding the secret, refusing
a deleted one, keys, dates, tags, and the shapes of the answers. Requests and answers are the JSON
structures of the API, except that times are :class:`~datetime.datetime`.
"""

import json
import re
import secrets
import string
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from local.secretsmanager.errors import DELETED, NOT_FOUND, UNFINISHED, ServiceError
from local.secretsmanager.keys import AWS_MANAGED, DECRYPT, GENERATE, Keys, Trial
from local.secretsmanager.passwords import random_password
from local.secretsmanager.schedule import Schedule, Window
from local.secretsmanager.versions import (
    CURRENT,
    PENDING,
    PREVIOUS,
    HolderCode,
    Value,
    Version,
    Versions,
)

Request = Mapping[str, Any]
Answer = dict[str, Any]

TAGS_PER_SECRET: Final = 50
PAGE: Final = 100
RECOVERY_DAYS: Final = (7, 30)

_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@!-]+")
_SUFFIX: Final = string.ascii_letters + string.digits
_SORTED_BY: Final = {
    "created-date": "CreatedDate",
    "last-accessed-date": "LastAccessedDate",
    "last-changed-date": "LastChangedDate",
    "name": "Name",
}


@dataclass
class Rotation:
    """How a secret is rotated; kept when rotation is switched off."""

    enabled: bool
    function_arn: str
    rules: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule | None = None
    next_window: Window | None = None
    # The first window since the last success whose rotation failed: its date is told until then.
    missed: Window | None = None
    last_rotated: datetime | None = None
    # What the functions of a cross-account rotation must hand back; one for each rotation.
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    # A rotation under way, which a repeated request does not start a second time.
    running: str | None = None


@dataclass
class Secret:
    """One secret: what it is called, and its versions."""

    arn: str
    name: str
    created: datetime
    changed: datetime
    description: str | None = None
    key_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    owning_service: str | None = None
    versions: Versions = field(default_factory=Versions)
    rotation: Rotation | None = None
    policy: str | None = None
    deleted: datetime | None = None
    accessed: datetime | None = None
    # What reads still see after a write, and how many of them: eventual consistency.
    before: Versions = field(default_factory=Versions)
    stale_reads: int = 0
    read_versions: set[str] = field(default_factory=set)


class Operations:
    """The secrets of one account in one Region, and what can be asked of them.

    Args:
        region: The Region's name.
        account: The account's number, 12 digits.
        clock: Gives the time, with its zone.
        record: Called with an event's name and the secret's ARN.
        stale_reads: How many reads after a write still see what was before it.
        cross_account: Functions must hand the ``RotationToken`` of their rotation back.
        edit_abandons_rotation: A new AWSCURRENT from outside takes AWSPENDING off a rotation.
        wrong_holder: The code with which a wrong RemoveFromVersionId is refused.
        key_trial: What the trial of a key names as SecretARN.
    """

    def __init__(
        self,
        *,
        region: str,
        account: str,
        clock: Callable[[], datetime],
        record: Callable[[str, str], None],
        stale_reads: int = 0,
        cross_account: bool = False,
        edit_abandons_rotation: bool = True,
        wrong_holder: HolderCode = "InvalidParameterException",
        key_trial: Trial = "arn",
    ) -> None:
        self.region = region
        self.account = account
        self.clock = clock
        self.record = record
        self.stale_reads = stale_reads
        self.cross_account = cross_account
        self.edit_abandons_rotation = edit_abandons_rotation
        self.wrong_holder = wrong_holder
        self.secrets: dict[str, Secret] = {}  # by name
        self.keys = Keys(key_trial)

    # -- finding and changing a secret -----------------------------------------------------------

    def find(self, secret_id: str, *, deleted: bool = False) -> Secret:
        """Find a secret by its name, ARN, or ARN without the random ending.

        Raises:
            ServiceError: ``ResourceNotFoundException``, or ``InvalidRequestException`` where it is
                to be deleted and ``deleted`` ones are not asked for.
        """
        for secret in self.secrets.values():
            if secret_id in {secret.name, secret.arn, secret.arn[:-7]}:
                if secret.deleted is not None and not deleted:
                    raise ServiceError("InvalidRequestException", DELETED)
                return secret
        raise ServiceError("ResourceNotFoundException", NOT_FOUND)

    def read(self, secret: Secret) -> Versions:
        """Give the versions as a reader sees them, which may be those before the last write."""
        if secret.stale_reads > 0:
            secret.stale_reads -= 1
            return secret.before
        return secret.versions

    def write(self, secret: Secret, versions: Versions, *, settled: bool = False) -> None:
        """Replace a secret's versions.

        Args:
            secret: The secret to change.
            versions: Its versions from now on.
            settled: Readers see this at once: what the service itself does to start a rotation.
        """
        abandoned = secret.versions.pending()
        if abandoned is not None and versions.labels.get(PENDING) != abandoned:
            self.record("RotationAbandoned", secret.arn)
        if not settled and versions != secret.versions:
            secret.before, secret.stale_reads = secret.versions, self.stale_reads
        secret.versions = versions.purged(self.clock())
        secret.changed = self.clock()

    def put(
        self, secret: Secret, request: Request, labels: list[str], key_id: str | None = None
    ) -> str:
        """Store the value of a request as a version and give its id.

        Args:
            secret: The secret.
            request: What holds the value and the token.
            labels: The labels that move to it; AWSCURRENT where there are none.
            key_id: The key to encrypt it with; the secret's when omitted.

        Raises:
            ServiceError: As :meth:`.Versions.put` and :meth:`.Keys.use`; nothing has changed then.
        """
        key_id = key_id or secret.key_id
        version_id = _token(request)
        version = Version(version_id, _value(request), self.clock(), key_id)
        versions = secret.versions.put(version, labels, secret.arn)
        if versions is secret.versions:
            return version_id  # a repeated request
        self.keys.use(key_id, GENERATE, secret.arn, version_id)
        abandoned = versions.pending()
        edited = versions.labels.get(CURRENT) == version_id
        if edited and abandoned not in (None, version_id) and self.edit_abandons_rotation:
            versions = versions.move(PENDING, abandoned, None)
        self.write(secret, versions)
        rotation = secret.rotation
        if edited and rotation and rotation.schedule and "AutomaticallyAfterDays" in rotation.rules:
            # A new value from outside counts as a rotation for this kind of rule.
            rotation.next_window, rotation.missed = (
                rotation.schedule.next_window(self.clock()),
                None,
            )
        return version_id

    # -- values ----------------------------------------------------------------------------------

    def create_secret(self, request: Request) -> Answer:
        """Make a secret, with or without a first value."""
        name = request["Name"]
        if not _NAME.fullmatch(name):
            raise ServiceError(
                "InvalidParameterException",
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of "
                "the following: -/_+=.@!",
            )
        known = self.secrets.get(name)
        if known is not None:
            return self._created_again(known, request)
        key_id = request.get("KmsKeyId")
        suffix = "".join(secrets.choice(_SUFFIX) for _ in range(6))
        arn = f"arn:aws:secretsmanager:{self.region}:{self.account}:secret:{name}-{suffix}"
        self.keys.try_out(key_id, arn)
        secret = Secret(
            arn=arn,
            name=name,
            created=self.clock(),
            changed=self.clock(),
            description=request.get("Description"),
            key_id=key_id,
        )
        self._tag(secret, request.get("Tags", []))
        answer = {"ARN": secret.arn, "Name": name}
        if _has_value(request):
            answer["VersionId"] = self.put(secret, request, [])
            # Nobody has seen the secret yet: there is nothing stale to read.
            secret.stale_reads = 0
        self.secrets[name] = secret
        return answer

    def _created_again(self, known: Secret, request: Request) -> Answer:
        if known.deleted is not None:
            raise ServiceError(
                "InvalidRequestException",
                "You can't create this secret because a secret with this name is already scheduled "
                "for deletion.",
            )
        version = known.versions.by_id.get(request.get("ClientRequestToken", ""))
        if version is None or not _has_value(request) or version.value != _value(request):
            raise ServiceError(
                "ResourceExistsException",
                f"The operation failed because the secret {known.name} already exists.",
            )
        return {"ARN": known.arn, "Name": known.name, "VersionId": version.version_id}

    def put_secret_value(self, request: Request) -> Answer:
        """Store a value as a new version, or as that of the version that has none yet."""
        secret = self.find(request["SecretId"])
        if not _has_value(request):
            raise ServiceError(
                "InvalidRequestException",
                "You must provide either SecretString or SecretBinary.",
            )
        tokens = secret.rotation.tokens if secret.rotation else {}
        expected = tokens.get(request.get("ClientRequestToken", ""))
        if expected is not None and request.get("RotationToken") != expected:
            raise ServiceError(
                "AccessDeniedException",
                "The RotationToken is missing or is not the one of this rotation.",
            )
        version_id = self.put(secret, request, request.get("VersionStages", []))
        labels = secret.versions.labels_of(version_id)
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": version_id, **_stages(labels)}

    def update_secret(self, request: Request) -> Answer:
        """Change the description or key, or store a new current value."""
        secret = self.find(request["SecretId"])
        key_id = request.get("KmsKeyId", secret.key_id)
        if "KmsKeyId" in request:
            self.keys.try_out(key_id, secret.arn)
        answer = {"ARN": secret.arn, "Name": secret.name}
        if _has_value(request):
            answer["VersionId"] = self.put(secret, request, [], key_id)
        # Only now: a value that was refused leaves the rest as it was, too.
        if key_id != secret.key_id:
            self._encrypt_anew(secret, key_id)
        secret.key_id = key_id
        secret.description = request.get("Description", secret.description)
        secret.changed = self.clock()
        return answer

    def _encrypt_anew(self, secret: Secret, key_id: str | None) -> None:
        """Encrypt with another key what the service does: three labels, where both keys allow it.

        Other versions stay under the key that they have (API reference of UpdateSecret).
        """
        for label in (CURRENT, PENDING, PREVIOUS):
            version = secret.versions.by_id.get(secret.versions.labels.get(label, ""))
            if version is None or version.value is None:
                continue
            with suppress(ServiceError):
                self.keys.use(version.key_id, DECRYPT, secret.arn, version.version_id)
                self.keys.use(key_id, GENERATE, secret.arn, version.version_id)
                secret.versions = secret.versions.encrypted_anew(label, key_id)

    def get_secret_value(self, request: Request) -> Answer:
        """Read the value of a version."""
        secret = self.find(request["SecretId"])
        versions = self.read(secret)
        version = versions.read(request.get("VersionId"), request.get("VersionStage"))
        self.keys.use(version.key_id, DECRYPT, secret.arn, version.version_id)
        secret.accessed = _day(self.clock())
        secret.read_versions.add(version.version_id)
        return {
            "ARN": secret.arn,
            "Name": secret.name,
            "VersionId": version.version_id,
            "CreatedDate": version.created,
            **_stages(versions.labels_of(version.version_id)),
            **_shown(version.value),
        }

    def batch_get_secret_value(self, request: Request) -> Answer:
        """Read AWSCURRENT of several secrets."""
        names, filters = request.get("SecretIdList"), request.get("Filters")
        if (names is None) == (filters is None):
            raise ServiceError(
                "InvalidParameterException",
                "Either 'SecretIdList' or 'Filters' must be provided, but not both.",
            )
        values: list[Answer] = []
        errors: list[Answer] = []
        for name in names or [each["ARN"] for each in self._matching(filters or [])]:
            try:
                values.append(self.get_secret_value({"SecretId": name}))
            except ServiceError as error:
                errors.append({"SecretId": name, "ErrorCode": error.code, "Message": error.message})
        return {"SecretValues": values, "Errors": errors}

    # -- labels ----------------------------------------------------------------------------------

    def update_secret_version_stage(self, request: Request) -> Answer:
        """Move, attach or remove a staging label."""
        secret = self.find(request["SecretId"])
        label = request["VersionStage"]
        remove_from, move_to = request.get("RemoveFromVersionId"), request.get("MoveToVersionId")
        versions = secret.versions.move(label, remove_from, move_to, wrong_holder=self.wrong_holder)
        self.write(secret, versions)
        return {"ARN": secret.arn, "Name": secret.name}

    def list_secret_version_ids(self, request: Request) -> Answer:
        """List the versions that have a value; without labels too where ``IncludeDeprecated``."""
        secret = self.find(request["SecretId"], deleted=True)
        versions = self.read(secret)
        entries = [
            _without_none(
                {
                    "VersionId": version.version_id,
                    "CreatedDate": version.created,
                    "LastAccessedDate": (
                        secret.accessed if version.version_id in secret.read_versions else None
                    ),
                    "KmsKeyIds": [version.key_id or "DefaultEncryptionKey"],
                    **_stages(versions.labels_of(version.version_id)),
                }
            )
            for version in versions.by_id.values()
            if version.value is not None
            and (request.get("IncludeDeprecated", False) or versions.labels_of(version.version_id))
        ]
        return {"ARN": secret.arn, "Name": secret.name, **_page("Versions", entries, request)}

    # -- what a secret is ------------------------------------------------------------------------

    def describe_secret(self, request: Request) -> Answer:
        """Describe a secret: everything but its values."""
        secret = self.find(request["SecretId"], deleted=True)
        return self._described(secret, "VersionIdsToStages", self.read(secret))

    def _described(self, secret: Secret, versions_member: str, versions: Versions) -> Answer:
        tags = [{"Key": key, "Value": value} for key, value in secret.tags.items()]
        rotation: Answer = {}
        if secret.rotation is not None:
            window = secret.rotation.missed or secret.rotation.next_window
            if not secret.rotation.enabled:
                window = None
            rotation = {
                "RotationEnabled": secret.rotation.enabled,
                "RotationLambdaARN": secret.rotation.function_arn or None,
                "RotationRules": self._rules(secret.rotation) or None,
                "LastRotatedDate": secret.rotation.last_rotated,
                "NextRotationDate": window.closes if window else None,
            }
        return _without_none(
            {
                "ARN": secret.arn,
                "Name": secret.name,
                "Description": secret.description,
                "KmsKeyId": None if secret.key_id in AWS_MANAGED else secret.key_id,
                **rotation,
                "LastChangedDate": secret.changed,
                "LastAccessedDate": secret.accessed,
                "DeletedDate": secret.deleted,
                "Tags": tags,
                versions_member: versions.labelled() or None,
                "OwningService": secret.owning_service,
                "CreatedDate": secret.created,
            }
        )

    def _rules(self, rotation: Rotation) -> Answer:
        if rotation.schedule is None:
            return dict(rotation.rules)
        days = rotation.schedule.days_apart(self.clock())
        return {**rotation.rules, "AutomaticallyAfterDays": days}

    def list_secrets(self, request: Request) -> Answer:
        """List secrets, filtered and sorted."""
        entries = self._matching(request.get("Filters", []))
        if not request.get("IncludePlannedDeletion", False):
            entries = [each for each in entries if "DeletedDate" not in each]
        member = _SORTED_BY[request.get("SortBy", "created-date")]
        # A date that a secret has not, such as of its last access, sorts before all others.
        entries.sort(key=lambda each: (member in each, each.get(member)))
        if request.get("SortOrder") == "desc":
            entries.reverse()
        return _page("SecretList", entries, request)

    def _matching(self, filters: list[Mapping[str, Any]]) -> list[Answer]:
        found = list(self.secrets.values())
        if filters:
            from local.secretsmanager.filters import matches  # noqa: PLC0415 - moto takes 0.4 s

            found = [each for each in found if matches(filters, each)]
        return [self._described(each, "SecretVersionsToStages", each.versions) for each in found]

    def tag_resource(self, request: Request) -> Answer:
        """Add tags, or give tags new values."""
        self._tag(self.find(request["SecretId"]), request["Tags"])
        return {}

    def _tag(self, secret: Secret, tags: list[Mapping[str, str]]) -> None:
        merged = {**secret.tags, **{each["Key"]: each.get("Value", "") for each in tags}}
        if any(each["Key"].startswith("aws:") for each in tags):
            raise ServiceError(
                "InvalidParameterException", "Tag keys that start with aws: are reserved."
            )
        if len(merged) > TAGS_PER_SECRET:
            raise ServiceError(
                "InvalidParameterException", f"A secret has at most {TAGS_PER_SECRET} tags."
            )
        secret.tags = merged

    def untag_resource(self, request: Request) -> Answer:
        """Remove tags; a key that the secret has not is no error."""
        secret = self.find(request["SecretId"])
        for key in request["TagKeys"]:
            secret.tags.pop(key, None)
        return {}

    def delete_secret(self, request: Request) -> Answer:
        """Delete a secret after its recovery window, or at once."""
        forced = request.get("ForceDeleteWithoutRecovery", False)
        days = request.get("RecoveryWindowInDays")
        if forced and days is not None:
            raise ServiceError(
                "InvalidParameterException",
                "You can't use ForceDeleteWithoutRecovery in conjunction with "
                "RecoveryWindowInDays.",
            )
        if days is not None and not RECOVERY_DAYS[0] <= days <= RECOVERY_DAYS[1]:
            raise ServiceError(
                "InvalidParameterException",
                "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
            )
        try:
            secret = self.find(request["SecretId"], deleted=forced)
        except ServiceError:
            if not forced:
                raise
            # Documented: forcing the deletion of what is not there is no error.
            return {"Name": request["SecretId"], "DeletionDate": self.clock()}
        gone = self.clock() + timedelta(days=0 if forced else days or RECOVERY_DAYS[1])
        secret.deleted = gone
        if forced:
            del self.secrets[secret.name]
        return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": gone}

    def restore_secret(self, request: Request) -> Answer:
        """Take a deletion back."""
        secret = self.find(request["SecretId"], deleted=True)
        secret.deleted = None
        return {"ARN": secret.arn, "Name": secret.name}

    def remove_deleted(self) -> None:
        """Remove the secrets whose recovery window is over."""
        for secret in list(self.secrets.values()):
            if secret.deleted is not None and secret.deleted <= self.clock():
                del self.secrets[secret.name]

    def put_resource_policy(self, request: Request) -> Answer:
        """Store a resource policy. It is not enforced: there are no principals here."""
        secret = self.find(request["SecretId"])
        try:
            document = json.loads(request["ResourcePolicy"])
        except ValueError:
            document = None
        if not isinstance(document, dict) or "Statement" not in document:
            raise ServiceError(
                "MalformedPolicyDocumentException", "This resource policy is not valid."
            )
        secret.policy = request["ResourcePolicy"]
        return {"ARN": secret.arn, "Name": secret.name}

    def get_resource_policy(self, request: Request) -> Answer:
        """Give the resource policy, where there is one."""
        secret = self.find(request["SecretId"])
        return _without_none(
            {"ARN": secret.arn, "Name": secret.name, "ResourcePolicy": secret.policy}
        )

    def delete_resource_policy(self, request: Request) -> Answer:
        """Remove the resource policy."""
        secret = self.find(request["SecretId"])
        secret.policy = None
        return {"ARN": secret.arn, "Name": secret.name}

    def get_random_password(self, request: Request) -> Answer:
        """Make a password."""
        return {"RandomPassword": random_password(request)}

    # -- rotation --------------------------------------------------------------------------------

    def planned_rotation(self, secret: Secret, request: Request) -> Rotation:
        """Say how a secret would be rotated after a ``RotateSecret``; what it leaves out stays.

        Raises:
            ServiceError: ``InvalidRequestException`` where there is no function,
                ``InvalidParameterException`` where the rules do not hold.
        """
        known = secret.rotation or Rotation(enabled=True, function_arn="")
        function_arn = request.get("RotationLambdaARN") or known.function_arn
        if not function_arn:
            raise ServiceError(
                "InvalidRequestException",
                "No Lambda rotation function ARN is associated with this secret.",
            )
        rules = request.get("RotationRules") or known.rules
        schedule = Schedule.parse(rules) if rules else None
        window, missed = known.next_window, known.missed
        if rules != known.rules or window is None:
            window, missed = schedule.next_window(self.clock()) if schedule else None, None
        return replace(
            known,
            enabled=True,
            function_arn=function_arn,
            rules=rules,
            schedule=schedule,
            next_window=window,
            missed=missed,
        )

    def start_rotation(self, secret: Secret, rotation: Rotation, token: str) -> bool:
        """Put AWSPENDING, without a value, on the version that a rotation makes.

        ================================  ======================================================
        AWSPENDING is on                  then
        ================================  ======================================================
        no version, or AWSCURRENT's       the rotation starts
        the version of this token         it is the same rotation: it goes on
        another version                   refused: "A previous rotation isn't complete. …"
        ================================  ======================================================

        Returns:
            Whether there is anything to do: false for a token that already is AWSCURRENT.

        Raises:
            ServiceError: ``InvalidRequestException``, as above.
        """
        versions = secret.versions
        if versions.labels.get(CURRENT) == token:
            secret.rotation = rotation
            return False
        pending = versions.pending()
        if pending not in (None, token):
            raise ServiceError("InvalidRequestException", UNFINISHED)
        known = versions.by_id.get(token)
        if pending is None and known is not None and known.value is not None:
            raise ServiceError(
                "InvalidRequestException",
                f"You can't use ClientRequestToken {token} because that value is already in use "
                f"for a version of secret {secret.arn}.",
            )
        self.write(secret, versions.reserve(token, self.clock()), settled=True)
        if self.cross_account:
            rotation.tokens.setdefault(token, str(uuid4()))
        secret.rotation = rotation
        return True

    def cancel_rotate_secret(self, request: Request) -> Answer:
        """Switch rotation off. AWSPENDING stays where it is."""
        secret = self.find(request["SecretId"])
        if secret.rotation is None:
            raise ServiceError(
                "InvalidRequestException",
                "You tried to cancel the rotation of a secret that has none configured.",
            )
        secret.rotation.enabled = False
        pending = secret.versions.pending()
        return _without_none({"ARN": secret.arn, "Name": secret.name, "VersionId": pending})


def _token(request: Request) -> str:
    token = request.get("ClientRequestToken")
    if not isinstance(token, str):
        raise ServiceError(
            "InvalidRequestException",
            "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
        )
    return token


def _has_value(request: Request) -> bool:
    string, binary = request.get("SecretString"), request.get("SecretBinary")
    if string is not None and binary is not None:
        raise ServiceError(
            "InvalidParameterException",
            "You can't specify both a binary secret value and a string secret value in the same "
            "secret.",
        )
    return string is not None or binary is not None


def _value(request: Request) -> Value:
    return Value(request.get("SecretString"), request.get("SecretBinary"))


def _shown(value: Value | None) -> Answer:
    if value is None:
        return {}
    return _without_none({"SecretString": value.string, "SecretBinary": value.binary})


def _stages(labels: list[str]) -> Answer:
    return {"VersionStages": labels} if labels else {}


def _without_none(answer: Answer) -> Answer:
    return {member: value for member, value in answer.items() if value is not None}


def _day(moment: datetime) -> datetime:
    """Give the day of a moment: dates of access are no finer."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _page(member: str, entries: list[Answer], request: Request) -> Answer:
    """Cut one page out of a listing. The token is the place where the next one starts."""
    token = request.get("NextToken", "0")
    if not token.isdigit() or int(token) > len(entries):
        raise ServiceError("InvalidNextTokenException", "The NextToken is not valid.")
    start = int(token)
    end = start + request.get("MaxResults", PAGE)
    more = {"NextToken": str(end)} if end < len(entries) else {}
    return {member: entries[start:end], **more}


OPERATIONS: Final[Mapping[str, Callable[[Operations, Request], Answer]]] = {
    "BatchGetSecretValue": Operations.batch_get_secret_value,
    "CancelRotateSecret": Operations.cancel_rotate_secret,
    "CreateSecret": Operations.create_secret,
    "DeleteResourcePolicy": Operations.delete_resource_policy,
    "DeleteSecret": Operations.delete_secret,
    "DescribeSecret": Operations.describe_secret,
    "GetRandomPassword": Operations.get_random_password,
    "GetResourcePolicy": Operations.get_resource_policy,
    "GetSecretValue": Operations.get_secret_value,
    "ListSecretVersionIds": Operations.list_secret_version_ids,
    "ListSecrets": Operations.list_secrets,
    "PutResourcePolicy": Operations.put_resource_policy,
    "PutSecretValue": Operations.put_secret_value,
    "RestoreSecret": Operations.restore_secret,
    "TagResource": Operations.tag_resource,
    "UntagResource": Operations.untag_resource,
    "UpdateSecret": Operations.update_secret,
    "UpdateSecretVersionStage": Operations.update_secret_version_stage,
}
