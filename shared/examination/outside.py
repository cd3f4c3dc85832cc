"""The codes that are found from outside, with the credentials of whoever asks.

They stand here, and not beside the checks, so that the registry is one mapping: the checks are the
console's.
"""

from functools import partial

from shared.examination.code import Code, Examiner
from shared.examination.finding import Level
from shared.examination.posture import POSTURE

_Code = partial(Code, examiner=Examiner.OUTSIDE)

OUTSIDE: tuple[Code, ...] = (
    _Code(
        "FunctionMissing",
        Level.FAILURE,
        "The rotation function that the secret names does not exist",
        "Secrets Manager calls nobody: no rotation happens.",
        "Attach a function that exists: `aws secretsmanager rotate-secret --secret-id <ARN> "
        "--rotation-lambda-arn <function's ARN> --no-rotate-immediately`.",
    ),
    _Code(
        "InvokeDenied",
        Level.FAILURE,
        "The function's policy does not let Secrets Manager call it",
        "RotateSecret is refused, or the rotation never begins.",
        "`aws lambda add-permission --function-name <function's ARN> --statement-id "
        "SecretsManager --action lambda:InvokeFunction --principal secretsmanager.amazonaws.com "
        "--source-account <account>`",
    ),
    _Code(
        "SecretPolicyDenies",
        Level.FAILURE,
        "The secret's resource policy refuses the function's role",
        "The function cannot read or write the secret.",
        "`aws secretsmanager get-resource-policy --secret-id <ARN>` shows the statement.",
    ),
    _Code(
        "KeyDenied",
        Level.FAILURE,
        "The KMS key's policy does not let the function's role use it",
        "The function can neither decrypt nor store a value.",
        "Allow kms:Decrypt and kms:GenerateDataKey through Secrets Manager in the key's policy.",
    ),
    _Code(
        "RoleLacksRights",
        Level.FAILURE,
        "The function's role lacks a right that a rotation needs",
        "The call is answered with AccessDenied.",
        "Compare the function's role with template.yaml.",
    ),
    _Code(
        "NotScheduled",
        Level.WARNING,
        "The secret has no schedule",
        "It rotates only when somebody says so.",
        "`aws secretsmanager rotate-secret --secret-id <ARN> --rotation-rules "
        "AutomaticallyAfterDays=30 --no-rotate-immediately`",
    ),
    _Code(
        "Overdue",
        Level.WARNING,
        "The last rotation is longer ago than the schedule says",
        "The password is older than it should be.",
        "`aws secretsmanager rotate-secret --secret-id <ARN>`, where no attempt hangs.",
    ),
    _Code(
        "WindowTooShort",
        Level.WARNING,
        "The schedule's window leaves little time for the service's retries",
        "What fails once may not be repeated before the next window.",
        "`aws secretsmanager rotate-secret --secret-id <ARN> --rotation-rules "
        '\'{"ScheduleExpression": "<schedule>", "Duration": "4h"}\' --no-rotate-immediately`',
    ),
    *POSTURE,
)
"""In the order in which a report shows them."""
