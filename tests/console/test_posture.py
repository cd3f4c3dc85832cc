"""`rotation posture`: every finding in a world that is broken, and gone in the one that is mended.

What mends a world is the command that the finding prints, wherever the services in memory can carry
it out.
"""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.posture.controls import CONTROLS
from console.posture.handshake import Handshake
from console.posture.look import CHECKS, HANDSHAKE
from console.posture.storage import BUCKET_CHECKS, EBS
from local.secretsmanager.operations import Rotation
from local.secretsmanager.schedule import Window
from shared.examination.finding import Finding, Level
from shared.examination.posture import POSTURE
from tests.console.estate import (
    ADMINISTRATOR,
    BUCKET,
    INSTANCE,
    READER,
    SECRET,
    STRANGER,
    Estate,
    bucket_statements,
    put_bucket_policy,
    put_encryption,
)
from tests.deployment.stack import ACCOUNT, REGION
from tests.test_pages import lacks

VIA = {"StringEquals": {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}}
BLANKS = ("<ARN of a key of yours>",)


@dataclass(frozen=True)
class World:
    """A broken world.

    Attributes:
        code: What is found in it, and nothing else.
        breaks: Breaks a well one.
        mends: Mends it; the printed command where it is None.
        level: Of the finding.
    """

    code: str
    breaks: Callable[[Estate], object]
    mends: Callable[[Estate], object] | None = None
    level: Level = Level.WARNING


def forget(*questions: tuple[str, str]) -> Callable[[Estate], None]:
    """Return what takes back a change of answers."""

    def mend(made: Estate) -> None:
        for each in questions:
            del made.right[each]

    return mend


def answers(
    service: str, operation: str, change: Callable[[Any], object]
) -> Callable[[Estate], None]:
    """Return what lets a service answer something else."""

    def alter(made: Estate) -> None:
        def changed(answer: Any) -> Any:  # noqa: ANN401 (JSON)
            change(answer)
            return answer

        made.right[service, operation] = changed

    return alter


def statement(principal: str, action: object, **rest: object) -> dict[str, Any]:
    """Return a statement of a key's policy."""
    who = "*" if principal == "*" else {"AWS": principal}
    return {"Effect": "Allow", "Principal": who, "Action": action, "Resource": "*", **rest}


def key_statement(principal: str, action: object, **rest: object) -> Callable[[Estate], None]:
    """Return what puts a statement into the key's policy."""
    return lambda made: made.put_policy(statement(principal, action, **rest))


def secret_policy(principal: str) -> Callable[[Estate], object]:
    """Return what lets somebody in by the secret's policy."""
    action = "secretsmanager:GetSecretValue"
    policy = {"Version": "2012-10-17", "Statement": [statement(principal, action)]}
    return lambda made: made.client("secretsmanager").put_resource_policy(
        SecretId=SECRET, ResourcePolicy=json.dumps(policy)
    )


def key_of_secret(key: str | None) -> Callable[[Estate], object]:
    """Return what puts the secret under a key; under the estate's where it is None."""
    return lambda made: made.client("secretsmanager").update_secret(
        SecretId=SECRET, KmsKeyId=key or made.key
    )


def attach(made: Estate, function: str = "", **rules: object) -> None:
    """Attach the secret, keeping when it was last rotated."""
    last = rotation_of(made).last_rotated
    made.service.enable_rotation(SECRET, function or made.function, rules)
    rotation_of(made).last_rotated = last


def rotation_of(made: Estate) -> Rotation:
    """Return the secret's rotation."""
    rotation = made.service._operations.find(SECRET).rotation
    assert rotation is not None
    return rotation


def fail(made: Estate) -> None:
    """Let the last step have failed."""
    arn = made.service._operations.find(SECRET).arn
    line = {
        "level": "ERROR",
        "secret": arn,
        "token": "t",
        "step": "setSecret",
        "cause": "Unreachable",
        "message": "No server. Do.",
    }
    made.lambdas.write(made.function, json.dumps(line))


def forget_failures(made: Estate) -> None:
    """Let the log be empty."""
    made.lambdas._functions[made.function].log.clear()


def unscheduled(made: Estate) -> None:
    """Let the secret rotate by hand only."""
    rotation_of(made).schedule, rotation_of(made).rules = None, {}


def hang(made: Estate) -> None:
    """Let an attempt have begun seven hours ago."""
    made.service.prepare_rotation(SECRET, "11111111-1111-4111-8111-111111111111")
    made.service._operations.find(SECRET).changed -= timedelta(hours=7)


def overdue(made: Estate) -> None:
    """Let a window have closed two days ago without a rotation."""
    closed = datetime.now(UTC) - timedelta(days=2)
    rotation_of(made).missed = Window(closed - timedelta(hours=3), closed)


def on_time(made: Estate) -> None:
    """Take that back."""
    rotation_of(made).missed = None


def second_key(made: Estate, **metadata: object) -> str:
    """Put the storage under another key; return its ARN."""
    key = made.client("kms").create_key()["KeyMetadata"]["Arn"]
    made.instance(KmsKeyId=key)

    def change(answer: Any) -> Any:  # noqa: ANN401 (JSON)
        if answer["KeyMetadata"]["Arn"] == key:
            answer["KeyMetadata"] |= metadata
        return answer

    made.right["kms", "describe_key"] = change
    return str(key)


def group(made: Estate, value: str) -> None:
    """Set the parameter that forces TLS."""
    made.client("rds").modify_db_parameter_group(
        DBParameterGroupName="tls",
        Parameters=[
            {
                "ParameterName": "rds.force_ssl",
                "ParameterValue": value,
                "ApplyMethod": "immediate",
            }
        ],
    )


def share(value: str) -> Callable[[Estate], object]:
    """Return what lets somebody restore a snapshot."""
    return lambda made: made.client("rds").modify_db_snapshot_attribute(
        DBSnapshotIdentifier="before-release", AttributeName="restore", ValuesToAdd=[value]
    )


def shows(**handshake: object) -> Callable[[Estate], None]:
    """Return what lets the database show something else."""

    def change(made: Estate) -> None:
        made.shakes = Handshake(**handshake)  # type: ignore[arg-type]

    return change


def iam_login(made: Estate) -> None:
    """Switch logins by IAM off."""
    made.client("rds").modify_db_instance(
        DBInstanceIdentifier=INSTANCE, EnableIAMDatabaseAuthentication=False
    )


def unlocked(made: Estate) -> None:
    """Let the bucket have no default retention."""
    made.client("s3").put_object_lock_configuration(
        Bucket=BUCKET, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
    )


WELL_SHAKE = shows(version="TLSv1.3", takes_clear=False)
INSTANCES = ("rds", "describe_db_instances")


def instance_as_it_was(made: Estate) -> None:
    """Let RDS tell of the instance what it told before."""
    made.instance(StorageEncrypted=True, KmsKeyId=made.key, PubliclyAccessible=False, **IN_SYNC)
    made.right.pop(("kms", "describe_key"), None)


GROUP = {"DBParameterGroupName": "tls", "ParameterApplyStatus": "in-sync"}
IN_SYNC = {"DBParameterGroups": [GROUP]}

WORLDS = [
    World("KeyOfAws", key_of_secret("alias/aws/secretsmanager"), key_of_secret(None)),
    World(
        "KeyUnusable",
        lambda made: made.client("kms").disable_key(KeyId=made.key_id),
        level=Level.FAILURE,
    ),
    World(
        "KeyUnusable",
        lambda made: made.client("kms").schedule_key_deletion(KeyId=made.key_id),
        level=Level.FAILURE,
    ),
    World(
        "KeyUnusable",
        lambda made: made.client("kms").disable_key(KeyId=second_key(made).rpartition("/")[2]),
        instance_as_it_was,
        level=Level.FAILURE,
    ),
    World(
        "KeyNotRotated",
        lambda made: made.client("kms").disable_key_rotation(KeyId=made.key_id),
    ),
    World(
        "KeyNotRotated",
        answers(
            "kms", "describe_key", lambda told: told["KeyMetadata"].update(Origin="AWS_CLOUDHSM")
        ),
        forget(("kms", "describe_key")),
        Level.NOTE,
    ),
    World("KeyPolicyPublic", key_statement("*", "kms:Decrypt", Condition=VIA), level=Level.FAILURE),
    World("KeyPolicyWhole", key_statement(f"arn:aws:iam::{ACCOUNT}:root", "kms:*")),
    World("KeyDutiesMixed", key_statement(ADMINISTRATOR, "kms:Decrypt", Condition=VIA)),
    World("KeyUsedDirectly", key_statement(READER, ["kms:Decrypt", "kms:DescribeKey"])),
    World("KeyGrantsFree", key_statement(READER, "kms:CreateGrant")),
    World("SecretPolicyPublic", secret_policy("*"), level=Level.FAILURE),
    World("SecretPolicyForeign", secret_policy(STRANGER), level=Level.NOTE),
    World(
        "RotationOff",
        lambda made: made.client("secretsmanager").cancel_rotate_secret(SecretId=SECRET),
        lambda made: attach(made, AutomaticallyAfterDays=30),
    ),
    World("NotScheduled", unscheduled),
    World("RotationFails", fail, forget_failures),
    World(
        "AttemptUnfinished",
        hang,
        lambda made: made.service.abandon(SECRET, "11111111-1111-4111-8111-111111111111"),
    ),
    World("Overdue", overdue, on_time),
    World(
        "FunctionMissing",
        lambda made: attach(made, f"{made.function}-gone", AutomaticallyAfterDays=30),
        lambda made: attach(made, AutomaticallyAfterDays=30),
        Level.FAILURE,
    ),
    World(
        "NeverRotated",
        lambda made: setattr(rotation_of(made), "last_rotated", None),
        lambda made: made.rotated(timedelta(0)),
    ),
    World(
        "PasswordTooOld",
        lambda made: made.rotated(timedelta(days=91)),
        lambda made: made.rotated(timedelta(days=89)),
    ),
    World(
        "RoleReachesAllSecrets",
        lambda made: made.put_role_policy(["secretsmanager:GetSecretValue"], "*"),
    ),
    World(
        "RoleReachesAllSecrets",
        lambda made: attached_policy(made, "secretsmanager:*"),
    ),
    World(
        "RoleUsesAllKeys",
        lambda made: made.put_role_policy("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/*"),
    ),
    World(
        "StorageUnencrypted",
        lambda made: made.instance(StorageEncrypted=False),
        instance_as_it_was,
    ),
    World(
        "StorageUnderAwsKey",
        lambda made: second_key(made, KeyManager="AWS"),
        instance_as_it_was,
        Level.NOTE,
    ),
    World(
        "SnapshotUnencrypted",
        answers(
            "rds",
            "describe_db_snapshots",
            lambda told: told["DBSnapshots"][1].update(Encrypted=False),
        ),
        forget(("rds", "describe_db_snapshots")),
    ),
    World("SnapshotPublic", share("all"), level=Level.FAILURE),
    World("SnapshotShared", share(STRANGER), level=Level.NOTE),
    World("TlsNotForced", lambda made: group(made, "0")),
    World(
        "TlsNotForced",
        lambda made: made.instance(
            DBParameterGroups=[{**GROUP, "ParameterApplyStatus": "pending-reboot"}]
        ),
        instance_as_it_was,
    ),
    World("PlaintextTaken", shows(version="TLSv1.3", takes_clear=True), WELL_SHAKE),
    World("TlsNotOffered", shows(code="TlsNotOffered"), WELL_SHAKE, Level.FAILURE),
    World("CertificateUntrusted", shows(code="CertificateUntrusted"), WELL_SHAKE, Level.FAILURE),
    World("HostNameMismatch", shows(code="HostNameMismatch"), WELL_SHAKE, Level.FAILURE),
    World("TlsFailed", shows(code="TlsFailed"), WELL_SHAKE, Level.FAILURE),
    World("IamLoginOff", iam_login, level=Level.NOTE),
    World(
        "DatabasePublic",
        lambda made: made.instance(PubliclyAccessible=True),
        instance_as_it_was,
    ),
    World("EbsInClear", lambda made: made.client("ec2").disable_ebs_encryption_by_default()),
    World(
        "EbsUnderAwsKey",
        answers(
            "ec2",
            "get_ebs_default_kms_key_id",
            lambda told: told.update(KmsKeyId="alias/aws/ebs"),
        ),
        lambda made: made.right.update(
            {("ec2", "get_ebs_default_kms_key_id"): lambda _none: {"KmsKeyId": made.key}}
        ),
        Level.NOTE,
    ),
    World("BucketUnderAwsKey", lambda made: put_encryption(made, SSEAlgorithm="AES256")),
    World(
        "BucketKeyOff",
        lambda made: put_encryption(
            made, bucket_key=False, SSEAlgorithm="aws:kms", KMSMasterKeyID=made.key
        ),
        level=Level.NOTE,
    ),
    World(
        "BucketMayBePublic",
        lambda made: made.client("s3").delete_public_access_block(Bucket=BUCKET),
    ),
    World(
        "BucketUnversioned",
        answers("s3", "get_bucket_versioning", lambda told: told.update(Status="Suspended")),
        forget(("s3", "get_bucket_versioning")),
    ),
    World("BucketUnlocked", unlocked, level=Level.NOTE),
    World(
        "BucketTakesClear",
        lambda made: put_bucket_policy(made, *bucket_statements(made.key)[1:]),
    ),
    World(
        "BucketTakesOtherKeys",
        lambda made: put_bucket_policy(made, *bucket_statements(made.key)[:2]),
    ),
]


def attached_policy(made: Estate, action: str) -> None:
    """Attach a policy that stands by itself to the function's role."""
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    arn = made.client("iam").create_policy(PolicyName="wide", PolicyDocument=document)["Policy"]
    made.client("iam").attach_role_policy(RoleName="postgres", PolicyArn=arn["Arn"])


def test_where_all_is_well_nothing_is_found(well: Estate) -> None:
    """This project's own key, role and policies, with a database that is well, have no finding."""
    assert well.findings() == []
    well.is_well = True


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.code)
def test_a_finding_comes_with_its_defect_and_goes_with_its_command(
    well: Estate, world: World
) -> None:
    """In the broken world just this is found; in the mended one nothing is."""
    world.breaks(well)
    found = well.findings()
    assert {each.code for each in found} == {world.code}, found
    assert {each.level for each in found} == {world.level}
    for each in found:
        assert each.seen
        require_command(each)
    if world.mends is not None:
        world.mends(well)
    else:
        for line in {each.do for each in found}:
            well.run(line.replace(BLANKS[0], well.key))
    assert well.findings() == []
    well.is_well = True


def require_command(finding: Finding) -> None:
    """Make sure that a command of the AWS CLI is one that the service knows."""
    assert finding.do
    for command in finding.do.split(" && "):
        if command.startswith("aws ") and not command.startswith("aws rds wait "):
            filled = re.sub(r"<[^<>]+>", "BLANK", command)
            assert lacks(shlex.split(filled)) == []


def test_what_rds_manages_is_told_in_other_words(well: Estate) -> None:
    """Such a secret's key is a note, and Secrets Manager alone is asked to rotate it."""
    secret = well.service._operations.find(SECRET)
    secret.owning_service = "rds"
    key_of_secret("alias/aws/secretsmanager")(well)
    well.rotated(timedelta(days=91))
    by_code = {each.code: each for each in well.findings()}
    assert {code: each.level for code, each in by_code.items()} == {
        "KeyOfAws": Level.NOTE,
        "PasswordTooOld": Level.WARNING,
    }
    assert by_code["PasswordTooOld"].do == (
        f"aws secretsmanager rotate-secret --secret-id {secret.arn}"
    )


def test_every_code_has_a_broken_world() -> None:
    """No code of posture's is without a world in which it is found, and each has its controls."""
    found = {world.code for world in WORLDS}
    assert {code.name for code in POSTURE} <= found
    assert found == set(CONTROLS)


@pytest.mark.parametrize("check", [*CHECKS, HANDSHAKE, EBS, *BUCKET_CHECKS])
def test_what_may_not_be_seen_is_said(well: Estate, check: str) -> None:
    """A check whose request is refused was not looked at, and says which request it was."""
    service, operation = REFUSED[check]
    well.denied = {(service, operation)}
    well.lambdas.denied = {"FilterLogEvents"} if check == "rotation" else set()
    unseen = [each for each in well.findings() if each.level is Level.NOT_LOOKED_AT]
    assert check in {each.check for each in unseen}
    wanted = "".join(word.capitalize() for word in operation.split("_"))
    for each in unseen:
        assert each.code == "AccessDenied"
        assert wanted.lower() in each.seen.replace("_", "").lower()
    assert well.look().secrets[0].facts
    well.lambdas.denied = set()
    well.is_well = True


REFUSED = {
    "rotation": ("logs", "filter_log_events"),
    "key": ("kms", "describe_key"),
    "key-policy": ("kms", "get_key_policy"),
    "storage": ("rds", "describe_db_instances"),
    "secret-policy": ("secretsmanager", "get_resource_policy"),
    "role": ("iam", "get_role_policy"),
    "snapshots": ("rds", "describe_db_snapshots"),
    "tls-parameter": ("rds", "describe_db_parameters"),
    "iam-login": ("rds", "describe_db_instances"),
    "reach": ("rds", "describe_db_instances"),
    HANDSHAKE: ("secretsmanager", "get_secret_value"),
    EBS: ("ec2", "get_ebs_encryption_by_default"),
    "bucket-encryption": ("s3", "get_bucket_encryption"),
    "bucket-access": ("s3", "get_public_access_block"),
    "bucket-versions": ("s3", "get_bucket_versioning"),
    "bucket-policy": ("s3", "get_bucket_policy"),
}
