"""Every way a rotation can end badly, each with what to do next.

::

    RotationError
     ├─ BadEvent                    the invocation itself makes no sense
     ├─ BadSetting                  an environment variable of the function, or a tag of the secret
     ├─ NotRotatable                the secret may not be rotated, or not by this function
     │   ├─ ManagedSecret           another service owns it
     │   ├─ PartnerSecret           it is of a type that Secrets Manager rotates itself
     │   ├─ ReplicaSecret           its primary is in another Region
     │   ├─ AnotherFunction         rotates it
     │   ├─ RotationNotEnabled
     │   ├─ UnknownVersion          the token is no version of the secret
     │   ├─ VersionNotPending       the version was abandoned, or never started
     │   ├─ AttemptOutdated         it is from a former window, and has changed nothing
     │   ├─ ForeignPending          AWSPENDING holds a value that this framework did not write
     │   ├─ WrongEngine             the secret is for another engine's function
     │   └─ BadSecret               the secret's value: not JSON, a field missing or of a wrong kind
     │       └─ RdsProxy            its `host` is a proxy, not the database
     ├─ ServiceFailed               Secrets Manager, RDS or KMS answered with an error
     │   ├─ AccessDenied
     │   ├─ Throttled
     │   ├─ TooManyLabels           twenty is the service's limit
     │   └─ ValueNotReadable        the pending value is not there (yet)
     ├─ OutOfTime                   the function's own time is nearly over
     ├─ DatabaseError
     │   ├─ LoginRefused            the only one that lets a search go on to the next password
     │   ├─ AccountUnusable         the account exists but may not log in
     │   │   ├─ AccountLocked  PasswordExpired  AccountExpired  AccountMissing  PasswordNotAsked
     │   ├─ Unreachable             no server answered
     │   │   └─ NameNotResolved
     │   ├─ TlsFailed
     │   │   ├─ TlsNotOffered  CertificateUntrusted  HostNameMismatch  TlsRequired
     │   ├─ ServerBusy              too many connections, starting up, shutting down
     │   ├─ ServerReadOnly          a reader, or a failover under way
     │   ├─ PermissionDenied
     │   ├─ PasswordRejected        the server's password policy
     │   ├─ LockTimeout             another delivery of this rotation is at work
     │   └─ StatementFailed
     └─ CannotRotate                going on would be unsafe
         ├─ NoLoginWorks            ProofFailed            ReaderBehind   ReplicaBehind
         ├─ RightsDiffer            NotOurUser   CurrentChanged   NameTooLong   IdleUserInUse
         ├─ CapabilityMissing       StrategyNeedsAdministrator
         │   └─ Pooler              answers in place of the database
         └─ AdministratorUnproven   AdministratorIsUser

A message never holds a password: drivers' texts are scrubbed before they are put in (see
:mod:`shared.redaction`).
"""

import hashlib
from enum import StrEnum
from typing import ClassVar, Self


class Remedy(StrEnum):
    """What a failure needs; the dimension by which alarms count, and the chapter of the runbook."""

    LOCKED_OUT = "locked-out"
    """Applications may be unable to log in: somebody acts now."""
    ACCOUNT = "account"
    """The account in the database has to be mended, or the password that a secret has of it."""
    NETWORK = "network"
    """A route, a name, a certificate or a server has to be mended."""
    RIGHTS = "rights"
    """Somebody has to grant something, in the database or in AWS."""
    SETTING = "setting"
    """A tag, a variable of the function or a field of the secret has to be corrected."""
    WAIT = "wait"
    """It passes by itself; only if it stays, something has to be done."""


class RotationError(Exception):
    """A step failed; the message says what is wrong and the hint what to do next.

    A subclass says two things besides: ``remedy``, what the failure needs, and ``retry_cures``,
    whether the same rotation may succeed when it is only repeated.

    Args:
        message: What was found, naming the field, account or host, never a password.
        hint: What the operator does next; the class's own hint when omitted.

    Attributes:
        outcome: What became of the attempt, and how to go on; empty while that is open.
    """

    hint: ClassVar[str] = "Read the message; nothing was changed."
    remedy: ClassVar[Remedy] = Remedy.SETTING
    retry_cures: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.advice = hint if hint is not None else type(self).hint
        self.outcome = ""
        super().__init__(message, self.advice)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.message, self.advice, self.outcome)))


class BadEvent(RotationError):
    """The event is not one that Secrets Manager sends."""

    hint = (
        "Invoke the function through RotateSecret, or with an event that has Step, SecretId and "
        "ClientRequestToken (see events/)."
    )


class BadSetting(RotationError):
    """An environment variable of the function or a tag of the secret has an impossible value."""

    hint = "Correct the value named above; nothing was changed."


class NotRotatable(RotationError):
    """The secret, or this version of it, is not one to rotate."""


class ManagedSecret(NotRotatable):
    """Another AWS service owns the secret and rotates it itself."""

    hint = "Leave its rotation to the owning service; it can still be read as an administrator."


class PartnerSecret(NotRotatable):
    """The secret is of a partner's type, which Secrets Manager rotates itself."""

    hint = "Leave its rotation to Secrets Manager: no function is needed."


class ReplicaSecret(NotRotatable):
    """The secret is a replica: Secrets Manager copies its primary of another Region to it."""

    hint = "Rotate the primary, in the Region named above."


class AnotherFunction(NotRotatable):
    """The secret is attached to another rotation function."""

    hint = (
        "Attach this one: `aws secretsmanager rotate-secret --secret-id <ARN> "
        "--rotation-lambda-arn <function's ARN> --no-rotate-immediately`."
    )


class RotationNotEnabled(NotRotatable):
    """The secret has no rotation configured."""

    hint = (
        "Enable it: `aws secretsmanager rotate-secret --secret-id <ARN> --rotation-lambda-arn "
        "<function's ARN> --no-rotate-immediately`."
    )


class UnknownVersion(NotRotatable):
    """The token is not a version of the secret."""

    # It may be no more than an old answer.
    retry_cures = True
    hint = "Start a rotation with RotateSecret: it makes the version that the token names."


class VersionNotPending(NotRotatable):
    """The version carries neither AWSPENDING nor AWSCURRENT."""

    # It may be no more than an old answer.
    retry_cures = True
    hint = "The attempt was abandoned; start a new rotation with RotateSecret."


class AttemptOutdated(NotRotatable):
    """The attempt is older than the schedule's window, and has changed nothing."""

    remedy = Remedy.WAIT
    hint = "Rotate again, or leave it to the schedule: what failed then may be mended today."


class ForeignPending(NotRotatable):
    """AWSPENDING holds a value that was stored by something else."""

    hint = "Let nobody but this function store values for a rotation."


class WrongEngine(NotRotatable):
    """The secret's `engine` is not one that this function rotates."""

    hint = "Attach the rotation function of that engine, or correct `engine` in the secret."


class BadSecret(NotRotatable):
    """The secret's value cannot be used: not JSON, or a field is missing or of a wrong kind."""

    hint = (
        "Correct that field with `aws secretsmanager put-secret-value --secret-id <ARN> "
        "--secret-string file://value.json`."
    )


class RdsProxy(BadSecret):
    """The secret's `host` is an RDS Proxy, which logs clients in by passwords of its own."""

    hint = (
        "Store the own endpoint of the instance or cluster as `host`: `aws secretsmanager "
        "put-secret-value --secret-id <ARN> --secret-string file://value.json`; let applications "
        "take the proxy's name from elsewhere."
    )


class ServiceFailed(RotationError):
    """An AWS API answered with an error that this framework has no special answer to."""

    remedy = Remedy.WAIT
    retry_cures = True
    hint = "Secrets Manager repeats the rotation by itself; look the error code up if it stays."


class AccessDenied(ServiceFailed):
    """The function's role, the secret's policy or the KMS key's policy refuses the call."""

    remedy = Remedy.RIGHTS
    retry_cures = False
    hint = (
        "Compare the function's role with template.yaml; for a customer-managed key the role also "
        "needs kms:Decrypt and kms:GenerateDataKey through Secrets Manager."
    )


class Throttled(ServiceFailed):
    """The API's quota was used up, also after the SDK's own retries."""

    hint = "Secrets Manager repeats the rotation by itself; stagger schedules if it stays."


class TooManyLabels(ServiceFailed):
    """The secret has as many staging labels as the service allows: twenty, over all versions."""

    remedy = Remedy.SETTING
    retry_cures = False
    hint = (
        "Take labels of your own off: `aws secretsmanager describe-secret --secret-id <ARN> "
        "--query VersionIdsToStages` lists all."
    )


class ValueNotReadable(ServiceFailed):
    """The pending version has no value, or none that can be read yet."""

    hint = "Secrets Manager repeats the rotation from createSecret; the value is stored there."


class OutOfTime(RotationError):
    """Too little of the function's time is left to begin or to go on."""

    remedy = Remedy.WAIT
    retry_cures = True
    hint = (
        "Secrets Manager repeats the rotation and carries on; raise the function's Timeout if it "
        "stays, or look for what makes the database slow."
    )


class DatabaseError(RotationError):
    """The database, or the way to it, answered with an error.

    Attributes:
        proves_password: True when only the right password can lead to this error.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, proves_password: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.proves_password = proves_password


class LoginRefused(DatabaseError):
    """User name and password do not belong together (or the engine will not say otherwise)."""

    remedy = Remedy.ACCOUNT
    retry_cures = True
    hint = "Compare the secret with the account in the database."


class AccountUnusable(DatabaseError):
    """The account is there but cannot be used; another password would not help."""

    remedy = Remedy.ACCOUNT


class AccountLocked(AccountUnusable):
    """The account is locked or may not log in."""

    hint = "Unlock the account in the database, or stop rotating the secret of a locked one."


class PasswordExpired(AccountUnusable):
    """The server wants a new password before it does anything else."""

    hint = (
        "Name an administrator in the secret's `masterarn`: the new password that he sets ends the "
        "expiry."
    )


class AccountExpired(AccountUnusable):
    """The account's time is over."""

    hint = "Set a later date for the account's end, or none: its password is rotated."


class AccountMissing(AccountUnusable):
    """The user that the secret names does not exist in the database."""

    hint = "Create the user with its grants, or correct `username` in the secret."


class PasswordNotAsked(AccountUnusable):
    """The server does not ask for the password in a way that proves it and keeps it secret."""

    hint = "Let the server ask for this account's password, by a method that does not reveal it."


class Unreachable(DatabaseError):
    """No server answered at that address in time."""

    remedy = Remedy.NETWORK
    retry_cures = True
    hint = (
        "Check host and port in the secret, the function's subnets and security groups, and that "
        "the database is running."
    )


class NameNotResolved(Unreachable):
    """DNS does not know the host."""

    hint = "Check `host` in the secret and the VPC's DNS."


class TlsFailed(DatabaseError):
    """A verified TLS connection could not be made; plaintext is never tried instead."""

    remedy = Remedy.NETWORK
    retry_cures = True
    hint = "Check the server's TLS configuration."


class TlsNotOffered(TlsFailed):
    """The server does not speak TLS."""

    retry_cures = False
    hint = 'Enable TLS on the server; or accept plaintext for this secret alone with "ssl": false.'


class CertificateUntrusted(TlsFailed):
    """The certificate is not signed by a CA that the function trusts, or is out of date."""

    retry_cures = False
    hint = (
        "For a server outside RDS, or in a Region that shared/certs/README.md does not list, set "
        "DATABASE_CA_FILE to its CA in PEM; otherwise update the function, its CA bundle may be "
        "older than the server's certificate."
    )


class HostNameMismatch(TlsFailed):
    """The certificate belongs to another host name."""

    retry_cures = False
    hint = "Use the name in the certificate as `host` (the RDS endpoint, not a CNAME of your own)."


class TlsRequired(TlsFailed):
    """The server refuses plaintext, but the secret says `"ssl": false`."""

    retry_cures = False
    hint = 'Remove "ssl": false from the secret.'


class ServerBusy(DatabaseError):
    """The server has no connection to spare, or is starting up or shutting down."""

    remedy = Remedy.WAIT
    retry_cures = True
    hint = "Secrets Manager repeats the rotation by itself; raise the connection limit if it stays."


class ServerReadOnly(DatabaseError):
    """The server does not take changes: a reader, or a failover under way."""

    remedy = Remedy.WAIT
    retry_cures = True
    hint = (
        "Use the writer's endpoint as `host`. During a failover the name may lead to a reader for "
        "a while: Secrets Manager repeats the rotation by itself."
    )


class PermissionDenied(DatabaseError):
    """The account lacks a right that the rotation needs."""

    remedy = Remedy.RIGHTS
    hint = "Grant it; the rotator's README lists the grants that each strategy needs."


class PasswordRejected(DatabaseError):
    """The server's password policy does not accept the new password.

    The stored value is never rewritten under the same token, so a retry cannot help.
    """

    hint = (
        "Make the generated password fit (PASSWORD_LENGTH, EXCLUDE_*, REQUIRE_EACH_INCLUDED_TYPE "
        "on the function)."
    )


class LockTimeout(DatabaseError):
    """Another delivery of the same rotation holds the lock."""

    remedy = Remedy.WAIT
    retry_cures = True
    hint = "Secrets Manager repeats the rotation by itself; the other delivery may finish it first."


class StatementFailed(DatabaseError):
    """A statement failed for a reason without an error of its own here."""

    retry_cures = True
    hint = "Look the server's error code up; nothing is promoted before a new login has worked."


class CannotRotate(RotationError):
    """Everything could be looked at, and going on would be wrong."""


class NoLoginWorks(CannotRotate):
    """No stored version of the secret logs in."""

    remedy = Remedy.LOCKED_OUT
    hint = (
        "If it is the password: set it by hand and store it as AWSCURRENT, or name an "
        "administrator in the secret's `masterarn`, who resets it at the next rotation."
    )


class ProofFailed(CannotRotate):
    """The new password was set, but a fresh login with it was refused."""

    remedy = Remedy.LOCKED_OUT
    hint = (
        "Look for what changes passwords on their way: a proxy, a plugin, a second account of the "
        "same name for another host."
    )


class ReaderBehind(CannotRotate):
    """A reader that the secret lists did not accept the new login in time; nothing was promoted."""

    remedy = Remedy.WAIT
    retry_cures = True
    hint = (
        "Secrets Manager repeats the rotation by itself; check the reader's replication and the "
        "tag rotation:reader-hosts if it stays."
    )


class ReplicaBehind(CannotRotate):
    """A Region still hands out an older version of the secret; nothing was changed."""

    remedy = Remedy.WAIT
    retry_cures = True
    hint = (
        "Secrets Manager repeats the rotation by itself; if it stays, `aws secretsmanager "
        "describe-secret --secret-id <ARN> --query ReplicationStatus` says why."
    )


class RightsDiffer(CannotRotate):
    """The second user would not have the rights of the first."""

    remedy = Remedy.RIGHTS
    hint = "Run the statements named above as a more powerful user; AWSCURRENT was not touched."


class IdleUserInUse(CannotRotate):
    """The user whose turn it is has open sessions, and the secret's tag says to refuse then."""

    remedy = Remedy.WAIT
    hint = (
        "Have the applications read the secret again and close their sessions; or set the tag "
        "rotation:in-use to warn."
    )


class NotOurUser(CannotRotate):
    """A user of the second user's name exists, and this secret did not make it."""

    remedy = Remedy.ACCOUNT
    hint = "Adopt the user as shown, or choose another name with the tag rotation:second-user."


class CurrentChanged(CannotRotate):
    """AWSCURRENT was edited while the rotation ran and no longer fits it."""

    remedy = Remedy.WAIT
    hint = "Rotate again: a new attempt starts from what AWSCURRENT holds now."


class NameTooLong(CannotRotate):
    """The second user's name is longer than the engine allows."""

    hint = (
        "Choose a shorter name: `aws secretsmanager tag-resource --secret-id <ARN> --tags "
        "Key=rotation:second-user,Value=<name>`."
    )

    @classmethod
    def of(cls, name: str, length: int, longest: int) -> Self:
        """Return the error for a name of ``length`` where ``longest`` is allowed, with another."""
        shorter = f"second_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        return cls(
            f"The name {name} of the second user has a length of {length}; {longest} are allowed.",
            hint=cls.hint.replace("<name>", shorter),
        )


class CapabilityMissing(CannotRotate):
    """The engine or its version cannot do what the strategy needs."""

    hint = "Choose another strategy with the tag rotation:strategy."


class Pooler(CapabilityMissing):
    """A connection pooler answers in place of the database: a lock taken there does not hold."""

    hint = "Let `host` and `port` in the secret name the database itself, not the pooler."


class StrategyNeedsAdministrator(CannotRotate):
    """The strategy works through an administrator, and the secret names none."""

    hint = "Add `masterarn`, the ARN of the administrator's secret, to the secret."


class AdministratorUnproven(CannotRotate):
    """Nothing shows that the administrator belongs to the database, or is meant for the user."""

    hint = (
        "Use the same `host` and `port` in both secrets, or let the administrator's secret name "
        "the `dbInstanceIdentifier` or `dbClusterIdentifier` that owns the host."
    )


class AdministratorIsUser(CannotRotate):
    """The secret would be rotated by itself, or by another secret of the same user."""

    hint = "Name another user's secret in `masterarn`, or remove it and use single-user."
