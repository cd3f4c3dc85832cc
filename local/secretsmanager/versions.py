"""Versions of one secret and the staging labels on them: the rules, without any I/O.

Theory
======

A secret is a set of **versions**, each known by an id (the client's request token), and a set of
**staging labels**, each of which is on one version.

Rule 1. *A value is never rewritten.* A version gets its value once. The same value again is a
        repeated request and changes nothing; another value is ``ResourceExistsException``.
Rule 2. *A label is on one version.* Attaching it elsewhere takes it away from where it was. That
        is why labels are kept here as ``label -> version id``: two holders cannot be written down.
Rule 3. *AWSPREVIOUS follows AWSCURRENT.* When AWSCURRENT moves, AWSPREVIOUS goes to the version
        that AWSCURRENT left.
Rule 4. *AWSCURRENT never goes away.* It can only move; and the first value ever gets it, whatever
        labels the request names.
Rule 5. *Whoever moves a label names its holder*, or the move is refused: of two clients that move
        the same label at the same time, one loses.
Rule 6. *A secret has at most 20 labels*, on all its versions together (user guide, quotas).
Rule 7. *A version without a label is deprecated*, still readable by its id, and removed only when
        there are more than 100 versions and it is older than 24 hours.

A rotation begins with a version that has a label and **no value**: reading it is
``ResourceNotFoundException``.

:class:`Versions` is immutable; each operation gives a new one. So a reader may be handed an older
one (reads are eventually consistent), and a refused operation cannot leave half of its effect.

Not documented: the code with which Rule 5 refuses a wrong holder, which is an argument of
:meth:`Versions.move`.

Not documented, and allowed here because it is the worse of the two for a function that does it:
moving AWSCURRENT to a version that has no value.

Sources: the API reference of ``PutSecretValue``, ``GetSecretValue`` and
``UpdateSecretVersionStage``, and the user guide's page on a secret's versions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal, Self

from local.secretsmanager.errors import ServiceError

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
PREVIOUS: Final = "AWSPREVIOUS"

LABELS_PER_SECRET: Final = 20
VERSIONS_KEPT: Final = 100
KEPT_FOR: Final = timedelta(hours=24)

HolderCode = Literal["InvalidParameterException", "InvalidRequestException"]
"""With which code a wrong RemoveFromVersionId is refused. It is documented that it is, not how."""


@dataclass(frozen=True)
class Value:
    """A secret's value: text, or bytes in base64 as they are on the wire. Never in a repr."""

    string: str | None = field(default=None, repr=False)
    binary: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Version:
    """One version; ``value`` is ``None`` from the start of a rotation until its createSecret."""

    version_id: str
    value: Value | None
    created: datetime
    key_id: str | None = None


@dataclass(frozen=True)
class Versions:
    """All versions of one secret (oldest first), and which of them each label is on."""

    by_id: Mapping[str, Version] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def labels_of(self, version_id: str) -> list[str]:
        """Name the labels on a version; none for a deprecated one."""
        return sorted(label for label, holder in self.labels.items() if holder == version_id)

    def labelled(self) -> dict[str, list[str]]:
        """Map the ids of the labelled versions to their labels, as ``DescribeSecret`` does."""
        return {each: labels for each in self.by_id if (labels := self.labels_of(each))}

    def pending(self) -> str | None:
        """Give the version of a rotation that is not complete: AWSPENDING off AWSCURRENT."""
        pending = self.labels.get(PENDING)
        return None if pending == self.labels.get(CURRENT) else pending

    def read(self, version_id: str | None = None, label: str | None = None) -> Version:
        """Find the version that a ``GetSecretValue`` reads.

        ========= ============ =====================================
        VersionId VersionStage reads
        ========= ============ =====================================
        no        no           the version with AWSCURRENT
        no        yes          the version with that label
        yes       no           that version
        yes       yes          that version, if it has that label
        ========= ============ =====================================

        Raises:
            ServiceError: ``ResourceNotFoundException`` where there is no version or no value,
                ``InvalidRequestException`` where the version has not the label.
        """
        wanted = label or CURRENT
        found = self.by_id.get(version_id or self.labels.get(wanted, ""))
        named = f"VersionId: {version_id}" if version_id else f"staging label: {wanted}"
        missing = ServiceError(
            "ResourceNotFoundException",
            f"Secrets Manager can't find the specified secret value for {named}",
        )
        if found is None:
            raise missing
        if version_id and label and self.labels.get(label) != version_id:
            raise ServiceError(
                "InvalidRequestException",
                "You provided a VersionStage that is not associated to the provided VersionId.",
            )
        if found.value is None:
            raise missing
        return found

    def put(self, version: Version, labels: Sequence[str], arn: str) -> Self:
        """Store a value and attach labels to it (``PutSecretValue``).

        Args:
            version: The version, with its value.
            labels: Labels that move to it; AWSCURRENT where there are none.
            arn: The secret's, for the message.

        Raises:
            ServiceError: ``ResourceExistsException`` where the version has another value,
                ``LimitExceededException`` where the secret would have more than 20 labels.
        """
        known = self.by_id.get(version.version_id)
        if known is not None and known.value is not None:
            if known.value == version.value:
                return self
            raise ServiceError(
                "ResourceExistsException",
                f"You can't use ClientRequestToken {version.version_id} because that value is "
                f"already in use for a version of secret {arn}.",
            )
        wanted = set(labels) or {CURRENT}
        if CURRENT not in self.labels:
            wanted.add(CURRENT)
        # AWSCURRENT last: that AWSPREVIOUS follows it stands above a request that names both.
        attached = dict(self.labels)
        for label in sorted(wanted, key=lambda each: (each == CURRENT, each)):
            attached = _attached(attached, label, version.version_id)
        _limit(attached)
        by_id = {**self.by_id, version.version_id: version}
        return replace(self, by_id=by_id, labels=attached)

    def reserve(self, version_id: str, now: datetime) -> Self:
        """Start a rotation: AWSPENDING on a version that has no value yet."""
        known = self.by_id.get(version_id, Version(version_id, None, now))
        return replace(
            self,
            by_id={**self.by_id, version_id: known},
            labels={**self.labels, PENDING: version_id},
        )

    def move(
        self,
        label: str,
        remove_from: str | None,
        move_to: str | None,
        *,
        wrong_holder: HolderCode = "InvalidParameterException",
    ) -> Self:
        """Move a label, attach a new one, or take one off (``UpdateSecretVersionStage``).

        Raises:
            ServiceError: ``wrong_holder`` where ``remove_from`` is not the label's holder,
                ``InvalidParameterException`` where it is missing (Rule 5) or AWSCURRENT would go
                away (Rule 4), ``ResourceNotFoundException`` where ``move_to`` is no version.
        """
        holder = self.labels.get(label)
        if remove_from is not None and remove_from != holder:
            raise ServiceError(
                wrong_holder,
                f"When you move staging label {label}, if you specify RemoveFromVersionId, it must "
                f"be set to the version that currently has the staging label {label}.",
            )
        if refusal := _refusal(label, holder, remove_from, move_to):
            raise ServiceError("InvalidParameterException", refusal)
        if move_to is None:
            kept = {each: where for each, where in self.labels.items() if each != label}
            return replace(self, labels=kept)
        if move_to not in self.by_id:
            raise ServiceError(
                "ResourceNotFoundException",
                f"Secrets Manager can't find the specified secret value for VersionId: {move_to}",
            )
        attached = _attached(self.labels, label, move_to)
        _limit(attached)
        return replace(self, labels=attached)

    def concluded(self, version_id: str) -> Self:
        """End a test of the rotation: AWSPENDING goes, and the temporary version with it.

        A version that got another label meanwhile stays: a function that promoted it is to be
        found out, not helped.
        """
        labels = {each: where for each, where in self.labels.items() if each != PENDING}
        by_id = {
            each: version
            for each, version in self.by_id.items()
            if each != version_id or version_id in labels.values()
        }
        return replace(self, by_id=by_id, labels=labels)

    def encrypted_anew(self, label: str, key_id: str | None) -> Self:
        """Give the version that has a label another key; without that label nothing changes."""
        version = self.by_id.get(self.labels.get(label, ""))
        if version is None:
            return self
        moved = {version.version_id: replace(version, key_id=key_id)}
        return replace(self, by_id={**self.by_id, **moved})

    def purged(self, now: datetime) -> Self:
        """Remove what Rule 7 allows: the oldest deprecated versions above 100."""
        removable = [
            each
            for each, version in self.by_id.items()
            if not self.labels_of(each) and now - version.created > KEPT_FOR
        ]
        surplus = set(removable[: max(0, len(self.by_id) - VERSIONS_KEPT)])
        kept = {each: version for each, version in self.by_id.items() if each not in surplus}
        return replace(self, by_id=kept)


def _attached(labels: Mapping[str, str], label: str, version_id: str) -> dict[str, str]:
    """Put a label on a version, and AWSPREVIOUS where AWSCURRENT was (Rules 2 and 3)."""
    attached = {**labels, label: version_id}
    left = labels.get(CURRENT)
    if label == CURRENT and left is not None and left != version_id:
        attached[PREVIOUS] = left
    return attached


def _limit(labels: Mapping[str, str]) -> None:
    if len(labels) > LABELS_PER_SECRET:
        raise ServiceError(
            "LimitExceededException",
            f"A secret can have at most {LABELS_PER_SECRET} staging labels on all its versions.",
        )


def _refusal(
    label: str, holder: str | None, remove_from: str | None, move_to: str | None
) -> str | None:
    """Say why a label may not be moved so; ``None`` where it may."""
    if remove_from is None and move_to is None:
        return "You must specify RemoveFromVersionId, MoveToVersionId, or both."
    if remove_from is None and holder not in (None, move_to):
        return (
            f"The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently "
            f"attached to version {holder}, so you must explicitly reference that version in "
            "RemoveFromVersionId."
        )
    if move_to is None and label == CURRENT:
        return (
            f"You can only move staging label {CURRENT} to a different secret version. "
            "It can't be completely removed."
        )
    return None
