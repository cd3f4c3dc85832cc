"""P4: secrets under keys of one's own."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from probes.account import Account, code_of
from probes.labels import listed_versions

QUESTIONS: Final[Mapping[str, str]] = {
    "P4.1": "A secret moves to another key: under which is each version afterwards?",
    "P4.2": "With which code is a version refused whose key is disabled?",
    "P4.3": "Does the trial of a key name the secret's own ARN?",
    "P4.4": "Or does it name RequestToValidateKeyAccess as SecretARN?",
}
COSTS: Final = (
    "four keys, three secrets: below 0.10 USD, two minutes; the keys are deleted after seven days, "
    "for nothing"
)

ADMINISTER: Final = [
    "kms:CancelKeyDeletion",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:GetKeyPolicy",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
]
"""No cryptography: a key's policy is all that decides about its use."""
USE: Final = ["kms:Decrypt", "kms:GenerateDataKey"]
PLACEHOLDER: Final = "RequestToValidateKeyAccess"
ARN_CONTEXT: Final = "kms:EncryptionContext:SecretARN"
VERSION_CONTEXT: Final = "kms:EncryptionContext:SecretVersionId"


def probe(account: Account) -> Iterator[tuple[str, str]]:
    """Answer the questions, each as soon as it is known."""
    caller = account.ask("sts", "get_caller_identity")
    root = f"arn:{caller['Arn'].split(':')[1]}:iam::{caller['Account']}:root"
    yield from _moves(account, root)
    secrets = f"arn:*:secretsmanager:*:secret:{account.prefix}-*"
    own = {"StringLike": {ARN_CONTEXT: secrets}}
    yield "P4.3", _trial(account, root, "arn", [own])
    other = {
        "StringLike": {ARN_CONTEXT: secrets},
        "StringNotEquals": {VERSION_CONTEXT: PLACEHOLDER},
    }
    placeholder = {"StringEquals": {ARN_CONTEXT: PLACEHOLDER}}
    yield "P4.4", _trial(account, root, "placeholder", [other, placeholder])


def _moves(account: Account, root: str) -> Iterator[tuple[str, str]]:
    first, second = (_key(account, root, name, [{}]) for name in ("first", "second"))
    secret = account.make("secret", "moved", SecretString="one", KmsKeyId=first)["ARN"]

    def put(value: str, label: str) -> str:
        answer = account.ask(
            "secretsmanager",
            "put_secret_value",
            SecretId=secret,
            SecretString=value,
            VersionStages=[label],
        )
        return str(answer["VersionId"])

    versions = {"a custom label": put("two", "probe")}
    versions["AWSPREVIOUS"] = account.ask("secretsmanager", "get_secret_value", SecretId=secret)[
        "VersionId"
    ]
    versions["AWSCURRENT"] = put("three", "AWSCURRENT")
    account.ask("secretsmanager", "update_secret", SecretId=secret, KmsKeyId=second)
    account.pause(15)
    listed = listed_versions(account, secret)
    names = {first: "the old key", second: "the new key"}

    def under(version: str) -> str:
        there = [name for key, name in names.items() if any(key in one for one in listed[version])]
        return " and ".join(there) or "another key"

    yield "P4.1", "; ".join(f"{what}: {under(version)}" for what, version in versions.items())
    account.ask("kms", "disable_key", KeyId=first)
    account.pause(30)
    refused = account.outcome(
        "secretsmanager", "get_secret_value", SecretId=secret, VersionId=versions["a custom label"]
    )
    yield "P4.2", refused


def _key(account: Account, root: str, name: str, conditions: list[dict[str, Any]]) -> str:
    principal = {"Effect": "Allow", "Principal": {"AWS": root}, "Resource": "*"}
    statements = [
        {**principal, "Action": ADMINISTER},
        *(
            {**principal, "Action": USE, **({"Condition": one} if one else {})}
            for one in conditions
        ),
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return str(account.make("key", name, Policy=policy)["KeyMetadata"]["KeyId"])


def _trial(account: Account, root: str, name: str, conditions: list[dict[str, Any]]) -> str:
    """Make a secret under a key whose policy knows one kind of trial only."""
    key = _key(account, root, f"{name}key", conditions)
    account.pause(15)
    try:
        account.make("secret", name, SecretString="one", KmsKeyId=key)
    except ClientError as error:
        return f"no: {code_of(error)}"
    return "yes"
