"""The runbook's chapters, made of the error classes."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping

from escrow import errors as escrow_errors
from escrow.errors import BadEscrowSettings, EscrowUnreachable, NotSealed, SealingRefused
from local.template import Template, load
from shared import errors
from shared.errors import (
    AccessDenied,
    AdministratorIsUser,
    AdministratorUnproven,
    AnotherFunction,
    BadSecret,
    BadSetting,
    CannotRotate,
    CapabilityMissing,
    CertificateUntrusted,
    DatabaseError,
    HostNameMismatch,
    IdleUserInUse,
    ManagedSecret,
    NameTooLong,
    NoLoginWorks,
    NotOurUser,
    NotRotatable,
    PasswordRejected,
    RdsProxy,
    Remedy,
    ReplicaBehind,
    ReplicaSecret,
    RotationError,
    RotationNotEnabled,
    StrategyNeedsAdministrator,
    TlsFailed,
    TooManyLabels,
    Unreachable,
    WrongEngine,
)

GROUPS = {RotationError, NotRotatable, DatabaseError, CannotRotate, NotSealed}
"""Never raised themselves."""

READ_VALUE = (
    "aws secretsmanager get-secret-value --secret-id <ARN> --query SecretString --output text "
    "> value.json"
)
EDIT = (
    "umask 077",
    READ_VALUE,
    '"${EDITOR:-vi}" value.json',
    "aws secretsmanager put-secret-value --secret-id <ARN> --secret-string file://value.json",
    "rm value.json",
)
ATTACH = (
    "aws secretsmanager rotate-secret --secret-id <ARN> --rotation-lambda-arn <function's ARN> "
    "--no-rotate-immediately"
)
REPLICATE = (
    "aws secretsmanager replicate-secret-to-regions --secret-id <ARN> "
    "--add-replica-regions Region=<Region> --force-overwrite-replica-secret"
)
TAKE_LABEL_OFF = (
    "aws secretsmanager update-secret-version-stage --secret-id <ARN> "
    "--version-stage <label of your own> --remove-from-version-id <version id>"
)
CERTIFICATE = (
    "openssl s_client -connect <host>:<port> -starttls <postgres or mysql> -showcerts",
    "openssl s_client -connect <host>:<port> -showcerts  # where TLS comes first",
)
NETWORK = "aws lambda get-function-configuration --function-name <function's ARN> --query VpcConfig"


def tag(name: str, value: str) -> str:
    """Return the command that sets a tag of the secret."""
    return f"aws secretsmanager tag-resource --secret-id <ARN> --tags Key={name},Value={value}"


def question(query: str) -> str:
    """Return the command that asks for a part of the secret's description."""
    return f"aws secretsmanager describe-secret --secret-id <ARN> --query {query}"


COMMANDS: Mapping[type[RotationError], tuple[str, ...]] = {
    AccessDenied: (question("'[RotationLambdaARN, KmsKeyId]'"),),
    AdministratorIsUser: EDIT,
    AdministratorUnproven: EDIT,
    BadEscrowSettings: (
        "aws cloudformation describe-stacks --stack-name <escrow> --query 'Stacks[0].Outputs'",
    ),
    BadSecret: EDIT,
    BadSetting: (
        tag("rotation:strategy", "<strategy>"),
        "aws secretsmanager untag-resource --secret-id <ARN> --tag-keys <tag>",
    ),
    CapabilityMissing: (tag("rotation:strategy", "<strategy>"),),
    CertificateUntrusted: CERTIFICATE,
    EscrowUnreachable: (NETWORK,),
    HostNameMismatch: CERTIFICATE,
    IdleUserInUse: (tag("rotation:in-use", "warn"),),
    AnotherFunction: (question("RotationLambdaARN"), ATTACH),
    ManagedSecret: (question("OwningService"),),
    NameTooLong: (tag("rotation:second-user", "<name>"),),
    NoLoginWorks: EDIT,
    NotOurUser: (tag("rotation:second-user", "<name>"),),
    PasswordRejected: (tag("rotation:password-length", "<length>"),),
    RdsProxy: EDIT,
    ReplicaSecret: (question("PrimaryRegion"),),
    ReplicaBehind: (
        question("ReplicationStatus"),
        REPLICATE,
    ),
    RotationNotEnabled: (ATTACH,),
    SealingRefused: ("aws kms describe-key --key-id <ARN of the key>",),
    StrategyNeedsAdministrator: EDIT,
    TlsFailed: CERTIFICATE,
    TooManyLabels: (
        question("VersionIdsToStages"),
        TAKE_LABEL_OFF,
    ),
    Unreachable: (NETWORK,),
    WrongEngine: (ATTACH,),
}
"""Where looking or mending takes a command, besides the one that rotates again."""

REPEATED = (
    "Secrets Manager repeats the rotation by itself; if it stays, [rotate again](#rotate-again)."
)
IN_VAIN = "No retry cures it: when it is mended, [rotate again](#rotate-again)."


def kinds() -> list[type[RotationError]]:
    """Return the error classes that are raised, in the order of their modules."""
    return [
        found
        for module in (errors, escrow_errors)
        for found in vars(module).values()
        if inspect.isclass(found) and issubclass(found, RotationError) and found not in GROUPS
    ]


def chapters(template: Template | None = None) -> str:
    """Return a chapter for each remedy."""
    alarms = alarms_by_remedy(load() if template is None else template)
    return "\n\n".join(
        part
        for remedy in Remedy
        for part in (
            f"## {remedy.replace('-', ' ').capitalize()}",
            lines(remedies()[remedy], _told_by(alarms.get(remedy))),
            *(_section(kind) for kind in kinds() if kind.remedy is remedy),
        )
    )


def _told_by(alarm: str | None) -> str:
    if alarm is None:
        return "It has no alarm of its own: the alarms `…Errors` tell at once, `Stuck` if it stays."
    return f"The alarm is `{alarm}`."


def _section(kind: type[RotationError]) -> str:
    commands = COMMANDS.get(kind, ())
    text = lines(meaning(kind), kind.hint, REPEATED if kind.retry_cures else IN_VAIN)
    block = "\n".join(["```console", *(f"$ {command}" for command in commands), "```"])
    return "\n\n".join([f"### {kind.__name__}", text, *([block] if commands else [])])


def meaning(kind: type[RotationError]) -> str:
    """Return what a class's docstring says before its attributes."""
    told = inspect.getdoc(kind) or ""
    return " ".join(re.split(r"\n\n(?:Args|Attributes):", told)[0].split())


def remedies() -> dict[Remedy, str]:
    """Return what :class:`Remedy` says under each of its members."""
    (tree,) = ast.parse(inspect.getsource(Remedy)).body
    assert isinstance(tree, ast.ClassDef)
    told = {}
    for member, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(after, ast.Expr):
            told[Remedy(ast.literal_eval(member.value))] = str(ast.literal_eval(after.value))
    return told


def alarms_by_remedy(template: Template) -> dict[str, str]:
    """Return the name of the alarm for each remedy that has one."""
    return {
        dimension["Value"]: name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
        for dimension in resource["Properties"].get("Dimensions", [])
        if dimension["Name"] == "remedy"
    }


def lines(*texts: str) -> str:
    """Return the texts with one sentence a line."""
    return "\n".join(line for text in texts for line in _sentences(text))


def _sentences(text: str) -> Iterator[str]:
    yield from re.split(r"(?<=\.) (?=[A-Z])", text)
