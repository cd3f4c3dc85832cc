"""Every code that an examination may find, in one mapping.

A code is never renamed, and never used for something else: one that is not found any more moves to
:data:`RETIRED`. What a rotation itself raises has the name of its error: the cause that a log line
tells and the code of the finding are one word.

Codes of two examiners stand here: those that the function finds, in its own network and role, and
those that are found from outside, with a person's own credentials
(:mod:`shared.examination.outside`).
"""

from collections.abc import Iterable, Iterator, Mapping

from shared.errors import RotationError
from shared.examination.code import Code
from shared.examination.finding import Level
from shared.examination.outside import OUTSIDE

FAILS = "A rotation fails with this error, and its attempt ends itself: AWSPENDING is taken off."
FAILS_AND_IS_REPEATED = (
    "A rotation fails with this error; Secrets Manager repeats it, and it may pass by itself."
)

ERRORS = (
    "BadSetting",
    *("NotRotatable", "ManagedSecret", "PartnerSecret", "ReplicaSecret", "AnotherFunction"),
    *("RotationNotEnabled", "ForeignPending", "WrongEngine", "BadSecret", "RdsProxy"),
    *("ServiceFailed", "AccessDenied", "Throttled", "TooManyLabels", "OutOfTime"),
    *("LoginRefused", "AccountUnusable", "AccountLocked", "PasswordExpired", "AccountExpired"),
    *("AccountMissing", "PasswordNotAsked", "Unreachable", "NameNotResolved"),
    *("TlsFailed", "TlsNotOffered", "CertificateUntrusted", "HostNameMismatch", "TlsRequired"),
    *("ServerBusy", "ServerReadOnly", "PermissionDenied", "PasswordRejected"),
    "StatementFailed",
    *(
        "ReaderBehind",
        "ReplicaBehind",
        "RightsDiffer",
        "IdleUserInUse",
        "NotOurUser",
        "NameTooLong",
    ),
    *("CapabilityMissing", "Pooler", "StrategyNeedsAdministrator"),
    *("AdministratorUnproven", "AdministratorIsUser"),
)
"""The names of the errors that an examination foresees."""


def kinds(of: type[RotationError] = RotationError) -> Iterator[type[RotationError]]:
    """Yield every class of error."""
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def _of_error(kind: type[RotationError]) -> Code:
    title = " ".join((kind.__doc__ or "").partition("\n\n")[0].split()).removesuffix(".")
    meaning = FAILS_AND_IS_REPEATED if kind.retry_cures else FAILS
    return Code(kind.__name__, Level.FAILURE, title, meaning, kind.hint)


START_AFRESH = (
    "Take AWSPENDING off and rotate again: `aws secretsmanager update-secret-version-stage "
    "--secret-id <ARN> --version-stage AWSPENDING --remove-from-version-id <version id> && "
    "aws secretsmanager rotate-secret --secret-id <ARN>`."
)

OWN: tuple[Code, ...] = (
    Code(
        "AttemptUnfinished",
        Level.WARNING,
        "An attempt at a rotation was begun and has not ended",
        "Secrets Manager repeats it; until it has ended, RotateSecret is refused.",
        START_AFRESH,
    ),
    Code(
        "Plaintext",
        Level.WARNING,
        'The secret says "ssl": false',
        "Passwords cross the network in clear, or nearly so.",
        'Remove "ssl": false from the secret as soon as the server speaks TLS.',
    ),
    Code(
        "CertificateEndsSoon",
        Level.WARNING,
        "The server's certificate ends soon",
        "From that day on every login fails: the rotations' and those of applications that verify.",
        "Renew the server's certificate; on RDS: `aws rds modify-db-instance "
        "--db-instance-identifier <instance> --ca-certificate-identifier rds-ca-rsa2048-g1`.",
    ),
    Code(
        "CurrentRefused",
        Level.WARNING,
        "AWSCURRENT does not log in, and an administrator will mend it",
        "Applications are shut out now; the next rotation sets a new password.",
        "`aws secretsmanager rotate-secret --secret-id <ARN>`, where no attempt hangs.",
    ),
    Code(
        "LockHeld",
        Level.WARNING,
        "Another session holds the rotation's lock",
        "A delivery of a rotation is at work; if it stays, something keeps its connection open.",
        "Examine once more in a minute; a rotation's session ends with the function's time.",
    ),
    Code(
        "AccountEndsSoon",
        Level.WARNING,
        "The account's time ends soon",
        "From then on nobody logs in with it, whatever the password.",
        "Set a later date, or none.",
    ),
    Code(
        "IdleUserHasSessions",
        Level.WARNING,
        "The user whose turn it is has open sessions",
        "Its password changes at the next rotation: whoever reconnects with the one before is "
        "refused.",
        "Have the applications read the secret again and close their sessions.",
    ),
    Code(
        "UselessRights",
        Level.NOTE,
        "The second user has rights of its own, of which its sessions make no use",
        "Its sessions act as the first user.",
        "A DBA may take them away by the statements that are shown.",
    ),
    Code(
        "DatabaseSlow",
        Level.WARNING,
        "A login takes long",
        "A rotation makes several; too slow ones use the function's time up.",
        "Look for what makes the database or the way to it slow, or raise the function's Timeout.",
    ),
    Code(
        "SecretsManagerSlow",
        Level.WARNING,
        "Secrets Manager's endpoint takes long",
        "A rotation makes several calls; too slow ones use the function's time up.",
        "Look at the VPC's endpoint for Secrets Manager; or raise the function's Timeout.",
    ),
    Code(
        "CheckFailed",
        Level.WARNING,
        "A check ended in an error that nobody foresaw",
        "A defect of the examination; the rotation itself may be well.",
        "Report it, with the error's kind and place.",
    ),
)
"""What only an examination finds."""

RETIRED: tuple[Code, ...] = ()
"""What is not found any more: kept, so that an old report can be read and no name means two
things."""


def by_name(codes: Iterable[Code]) -> Mapping[str, Code]:
    """Return the codes by their names.

    Raises:
        ValueError: A name stands twice.
    """
    found: dict[str, Code] = {}
    for code in codes:
        if code.name in found:
            msg = f"The code {code.name} stands in the registry twice."
            raise ValueError(msg)
        found[code.name] = code
    return found


_KINDS = {kind.__name__: kind for kind in kinds()}

CODES: Mapping[str, Code] = by_name(
    (*(_of_error(_KINDS[name]) for name in ERRORS), *OWN, *OUTSIDE, *RETIRED)
)
"""Every code by its name: those in use, then the retired ones."""
