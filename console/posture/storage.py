"""What secrets rest on besides: EBS of the account and Region, the buckets of a stack."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from console.functions import Function
from console.policies import ANYBODY, Statement, policy_of, statements
from console.posture.subject import Seen, command
from console.posture.view import View
from shared.options import Variable

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
NO_POLICY = ("NoSuchBucketPolicy",)
NO_BLOCK = ("NoSuchPublicAccessBlockConfiguration",)
NO_LOCK = ("ObjectLockConfigurationNotFoundError",)
NO_ENCRYPTION = ("ServerSideEncryptionConfigurationNotFoundError",)
ESCROW_BUCKET = re.compile(r"[:,]bucket=([^,]+)")
"""In what a function calls before a change, the bucket of its escrow."""

Facts = dict[str, object]


def check_ebs(view: View, facts: Facts) -> Iterator[Seen]:
    """Look at whether new EBS volumes are encrypted, and under which key.

    Raises:
        Unseen: EC2 does not tell.
    """
    is_on = bool(view.ask("ec2", "get_ebs_encryption_by_default")["EbsEncryptionByDefault"])
    facts["ebs_encrypted_by_default"] = is_on
    if not is_on:
        text = f"New EBS volumes of {view.account.region} are in clear unless somebody asks."
        yield Seen("EbsInClear", text, command("ec2", "enable-ebs-encryption-by-default"))
        return
    key = str(view.ask("ec2", "get_ebs_default_kms_key_id")["KmsKeyId"])
    facts["ebs_key"] = key
    if key.endswith("alias/aws/ebs"):
        do = command("ec2", "modify-ebs-default-kms-key-id", kms_key_id="<ARN of a key of yours>")
        yield Seen("EbsUnderAwsKey", f"New EBS volumes are under {key}.", do)


def buckets_of(view: View, function: Function) -> list[str]:
    """Return the buckets of the stack that a function is of, and that of its escrow.

    Raises:
        Unseen: CloudFormation or Lambda does not tell.
    """
    told = view.ask(
        "cloudformation",
        "describe_stack_resources",
        PhysicalResourceId=function.name,
        missing=("ValidationError",),
    )
    found = {
        each["PhysicalResourceId"]
        for each in told.get("StackResources", [])
        if each["ResourceType"] == "AWS::S3::Bucket" and each.get("PhysicalResourceId")
    }
    configuration = view.ask("lambda", "get_function_configuration", FunctionName=function.arn)
    variables = configuration.get("Environment", {}).get("Variables", {})
    found.update(ESCROW_BUCKET.findall(variables.get(Variable.BEFORE_CHANGE, "")))
    return sorted(found)


BucketCheck = Callable[[View, str, Facts], Iterator[Seen]]
"""Gets the bucket's name.

Raises:
    Unseen: S3 does not tell.
"""


def check_bucket_encryption(view: View, bucket: str, facts: Facts) -> Iterator[Seen]:
    """Look at how a bucket encrypts what is put into it."""
    told = view.ask("s3", "get_bucket_encryption", Bucket=bucket, missing=NO_ENCRYPTION)
    rules = told.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    rule: Mapping[str, Any] = rules[0] if rules else {}
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    key = str(default.get("KMSMasterKeyID", ""))
    facts |= {"encryption": default.get("SSEAlgorithm", "none"), "key": key or None}
    if not key or key.endswith("alias/aws/s3"):
        text = f"Bucket {bucket} encrypts with {key or default.get('SSEAlgorithm', 'nothing')}."
        yield Seen("BucketUnderAwsKey", text, _encrypt(bucket, "<ARN of a key of yours>"))
    elif not rule.get("BucketKeyEnabled"):
        text = f"Bucket {bucket} asks KMS for each object."
        yield Seen("BucketKeyOff", text, _encrypt(bucket, key))


def _encrypt(bucket: str, key: str) -> str:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    return command(
        "s3api",
        "put-bucket-encryption",
        bucket=bucket,
        server_side_encryption_configuration=json.dumps({"Rules": [rule]}),
    )


def check_bucket_access(view: View, bucket: str, facts: Facts) -> Iterator[Seen]:
    """Look at whether public access is blocked, all of it."""
    told = view.ask("s3", "get_public_access_block", Bucket=bucket, missing=NO_BLOCK)
    blocks = told.get("PublicAccessBlockConfiguration", {})
    open_ = [name for name in BLOCKS if not blocks.get(name)]
    facts["public_access_blocked"] = not open_
    if open_:
        do = command(
            "s3api",
            "put-public-access-block",
            bucket=bucket,
            public_access_block_configuration=",".join(f"{name}=true" for name in BLOCKS),
        )
        yield Seen("BucketMayBePublic", f"Bucket {bucket} lacks {', '.join(open_)}.", do)


def check_bucket_versions(view: View, bucket: str, facts: Facts) -> Iterator[Seen]:
    """Look at whether what is overwritten or deleted stays, and for whom it is locked."""
    versioning = view.ask("s3", "get_bucket_versioning", Bucket=bucket).get("Status", "Never")
    facts["versioning"] = versioning
    if versioning != "Enabled":
        do = command(
            "s3api",
            "put-bucket-versioning",
            bucket=bucket,
            versioning_configuration="Status=Enabled",
        )
        yield Seen("BucketUnversioned", f"Versioning of bucket {bucket}: {versioning}.", do)
        return
    told = view.ask("s3", "get_object_lock_configuration", Bucket=bucket, missing=NO_LOCK)
    lock = told.get("ObjectLockConfiguration", {})
    facts["object_lock"] = lock.get("ObjectLockEnabled") == "Enabled"
    if not lock.get("Rule"):
        retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 90}}
        configuration = {"ObjectLockEnabled": "Enabled", "Rule": retention}
        do = command(
            "s3api",
            "put-object-lock-configuration",
            bucket=bucket,
            object_lock_configuration=json.dumps(configuration),
        )
        yield Seen("BucketUnlocked", f"Bucket {bucket} locks no version by default.", do)


def check_bucket_policy(view: View, bucket: str, facts: Facts) -> Iterator[Seen]:
    """Look at whether a bucket refuses requests without TLS, and objects that are not encrypted."""
    told = view.ask("s3", "get_bucket_policy", Bucket=bucket, missing=NO_POLICY)
    found = statements(told.get("Policy"))
    arn = f"arn:{view.partition}:s3:::{bucket}"
    facts |= {"denies_clear": any(map(_denies_clear, found))}
    if not facts["denies_clear"]:
        deny = _deny("TlsOnly", [arn, f"{arn}/*"], "s3:*", {"Bool": {TLS: "false"}})
        text = f"The policy of bucket {bucket} does not refuse requests without TLS."
        yield Seen("BucketTakesClear", text, _put_policy(bucket, found, deny))
    told = view.ask("s3", "get_bucket_encryption", Bucket=bucket, missing=NO_ENCRYPTION)
    rules = told.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    default = rules[0].get("ApplyServerSideEncryptionByDefault", {}) if rules else {}
    key = str(default.get("KMSMasterKeyID", ""))
    facts["denies_other_keys"] = all(_denies_other(found, name) for name in (ALGORITHM, KEY))
    if key.startswith("arn:") and not facts["denies_other_keys"]:
        # IfExists: a request that names neither gets the bucket's own.
        denies = [
            _deny(name, f"{arn}/*", "s3:PutObject", {"StringNotEqualsIfExists": {header: value}})
            for name, header, value in (("KmsOnly", ALGORITHM, "aws:kms"), ("OneKeyOnly", KEY, key))
        ]
        text = f"The policy of bucket {bucket} lets objects in under any key, or none of yours."
        yield Seen("BucketTakesOtherKeys", text, _put_policy(bucket, found, *denies))


TLS = "aws:SecureTransport"
ALGORITHM = "s3:x-amz-server-side-encryption"
KEY = f"{ALGORITHM}-aws-kms-key-id"


def _denies_clear(statement: Statement) -> bool:
    refuses = statement.refuses(("bool", "boolifexists"), TLS.lower(), "false")
    return refuses and len(statement.covers("s3:GetObject", "s3:PutObject")) == len(("Get", "Put"))


def _denies_other(found: Iterable[Statement], header: str) -> bool:
    negative = (
        "stringnotequals",
        "stringnotequalsifexists",
        "arnnotequals",
        "arnnotequalsifexists",
    )
    return any(each.covers("s3:PutObject") and each.refuses(negative, header) for each in found)


def _deny(
    name: str, resource: object, action: str, condition: Mapping[str, object]
) -> Mapping[str, object]:
    return {
        "Sid": name,
        "Effect": "Deny",
        "Principal": ANYBODY,
        "Action": action,
        "Resource": resource,
        "Condition": condition,
    }


def _put_policy(bucket: str, kept: list[Statement], *denies: Mapping[str, object]) -> str:
    policy = policy_of([*kept, *denies])
    return command("s3api", "put-bucket-policy", bucket=bucket, policy=policy)


EBS = "ebs"
BUCKET_CHECKS: Mapping[str, BucketCheck] = {
    "bucket-encryption": check_bucket_encryption,
    "bucket-access": check_bucket_access,
    "bucket-versions": check_bucket_versions,
    "bucket-policy": check_bucket_policy,
}
