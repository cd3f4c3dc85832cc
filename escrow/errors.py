"""How sealing fails, in a function, and how opening fails, in the hands of people.

::

    RotationError
     └─ NotSealed                   nothing was changed: the credential is not in escrow
         ├─ SealingRefused          a key's or the bucket's policy, or a right that the role lacks
         ├─ EscrowUnreachable       KMS or S3 gave no answer, or one that passes
         └─ BadEscrowSettings       ROTATION_BEFORE_CHANGE of the function

    NotOpened
     ├─ NoRecord                    there is none of this secret
     ├─ BucketRefused               S3 does not let this principal, or gave no answer
     ├─ RecordReplayed              it is not the one that is asked for: an older one, or another's
     ├─ RecordTruncated             it is not whole
     ├─ FormatUnknown               written by a later version
     ├─ ContextSwapped              it says another secret, version or time than was sealed
     ├─ CiphertextTampered          the sealed credential was changed
     ├─ WrongKey                    the key is none of the record's two, or did not wrap it
     └─ KeyUnavailable              disabled, being deleted, or not this principal's to use

No message holds a credential, or a part of one.
"""

from typing import ClassVar

from shared.errors import Remedy, RotationError


class NotSealed(RotationError):
    """The credential could not be put into escrow, so the database was not changed."""


class SealingRefused(NotSealed):
    """The escrow's key or its bucket refuses the function."""

    remedy = Remedy.RIGHTS
    hint = (
        "Name the function's role in the escrow stack's parameter RotationRoles, and look whether "
        "what is named above is there and enabled."
    )


class EscrowUnreachable(NotSealed):
    """KMS or S3 did not answer, or had too much to do."""

    remedy = Remedy.NETWORK
    retry_cures = True
    hint = (
        "A function in a VPC needs an interface endpoint for KMS and a gateway endpoint for S3; "
        "Secrets Manager repeats the rotation by itself."
    )


class BadEscrowSettings(NotSealed):
    """What stands behind the colon in ROTATION_BEFORE_CHANGE cannot be used."""

    remedy = Remedy.SETTING
    hint = (
        "Set the rotation stack's parameter BeforeChange to the output of that name of the escrow "
        "stack, as it is."
    )


class NotOpened(Exception):
    """A record is not opened; nothing of it is shown.

    Args:
        message: What was found.

    Attributes:
        hint: What to do next.
    """

    hint: ClassVar[str]

    def __str__(self) -> str:
        return f"{self.args[0]} {self.hint}"


class NoRecord(NotOpened):
    """The bucket has no record of the secret."""

    hint = "Compare the ARN, and the Region of the bucket; the first one is made by a rotation."


class BucketRefused(NotOpened):
    """The bucket does not open to this principal, or is not there."""

    hint = "Use a principal with the escrow stack's FetchPolicyArn, or a copy that was fetched."


class RecordReplayed(NotOpened):
    """The record is genuine, perhaps, and not the one that is asked for."""

    hint = "Fetch again and compare: somebody has put an older record, or another secret's, here."


class RecordTruncated(NotOpened):
    """The record is not whole: it was cut off, or is none."""

    hint = "Fetch it again; `rotation escrow fetch --before TIME` fetches the one before it."


class FormatUnknown(NotOpened):
    """The record is of a format that this version does not read."""

    hint = "Use the version of this project that has written it, or a later one."


class ContextSwapped(NotOpened):
    """What the record says about itself is not what was sealed."""

    hint = "Do not use it: secret, version, time or a wrapped key was changed. Fetch it again."


class CiphertextTampered(NotOpened):
    """The sealed credential was changed."""

    hint = "Do not use it; `rotation escrow fetch --before TIME` fetches the one before it."


class WrongKey(NotOpened):
    """The key did not wrap this record's data key."""

    hint = "Name one of the two keys that the record names under `first` and `second`."


class KeyUnavailable(NotOpened):
    """The key cannot be used: it is disabled, is being deleted, or refuses this principal."""

    hint = "Open the record by its other key: that is what it is for."
