"""Who may reach a secret: its own policy, and the role of the function that rotates it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from console.functions import Maker, unqualified
from console.policies import (
    Statement,
    account_of,
    policy_of,
    statements,
)
from console.posture.subject import Seen, Subject, command
from console.posture.view import View

READ_SECRETS = (
    "secretsmanager:GetSecretValue",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
)
OPEN_SECRETS = ("secretsmanager:GetSecretValue", "secretsmanager:PutResourcePolicy")
USE_KEYS = ("kms:Decrypt", "kms:ReEncryptFrom")
"""What KMS.1 and KMS.2 look for."""
NARROWS_SECRETS = (
    "secretsmanager:resource/allowrotationlambdaarn",
    "secretsmanager:secretid",
    "secretsmanager:name",
)
TAGS = ("aws:resourcetag/", "secretsmanager:resourcetag/")


def check_secret_policy(subject: Subject) -> Iterator[Seen]:
    """Look at whom the secret's own policy lets in."""
    arn = subject.secret.arn
    told = subject.view.ask("secretsmanager", "get_resource_policy", SecretId=arn)
    found = statements(told.get("ResourcePolicy"))
    subject.facts["secret_policy"] = "none" if not found else f"{len(found)} statements"
    for statement in found:
        kept = [each for each in found if each is not statement]
        if statement.is_open:
            text = f"Statement {statement.name} lets anybody in: {_told(statement)}."
            yield Seen("SecretPolicyPublic", text, _put_policy(arn, kept))
            continue
        accounts = {account_of(each) for each in statement.principals} - {subject.account, ""}
        if statement.allows and accounts and statement.covers(*OPEN_SECRETS):
            text = f"Statement {statement.name} lets account {', '.join(sorted(accounts))} in."
            yield Seen("SecretPolicyForeign", text, _put_policy(arn, kept))


def _told(statement: Statement) -> str:
    return ", ".join(statement.actions) or "all but a few actions"


def _put_policy(arn: str, kept: list[Statement]) -> str:
    if not kept:
        return command("secretsmanager", "delete-resource-policy", secret_id=arn)
    return command(
        "secretsmanager",
        "put-resource-policy",
        secret_id=arn,
        resource_policy=policy_of(kept),
        block_public_policy=True,
    )


@dataclass(frozen=True, slots=True)
class RolePolicy:
    """A policy of a role.

    Attributes:
        name: Its name, or its ARN where it stands by itself.
        all: Its statements.
    """

    name: str
    all: list[Statement]

    @property
    def is_attached(self) -> bool:
        """Whether it stands by itself, and may have other users."""
        return self.name.startswith("arn:")

    @property
    def is_of_aws(self) -> bool:
        """Whether AWS wrote it."""
        return self.name.split(":")[4:5] == ["aws"]

    def replaced(self, role: str, old: Statement, by: Mapping[str, object]) -> str:
        """Return the command that puts a statement in another's place."""
        text = policy_of(by if each is old else each for each in self.all)
        if self.is_of_aws:
            return command("iam", "detach-role-policy", role_name=role, policy_arn=self.name)
        if self.is_attached:
            return command(
                "iam",
                "create-policy-version",
                policy_arn=self.name,
                policy_document=text,
                set_as_default=True,
            )
        return command(
            "iam", "put-role-policy", role_name=role, policy_name=self.name, policy_document=text
        )


def check_role(subject: Subject) -> Iterator[Seen]:
    """Look at what the function's role reaches."""
    function = subject.function
    if function.maker is Maker.MISSING or not function.role:
        return
    role = function.role.rpartition("/")[2]
    subject.facts["role"] = role
    for policy in policies_of(subject.view, role):
        for statement in policy.all:
            where = f"Statement {statement.name} of {policy.name} gives {role}"
            if _reaches_every_secret(statement):
                own = unqualified(subject.secret.function)
                named = {"secretsmanager:resource/AllowRotationLambdaArn": own}
                narrow = _with_condition(statement, named)
                text = f"{where} {', '.join(statement.covers(*READ_SECRETS))} on every secret."
                yield Seen("RoleReachesAllSecrets", text, policy.replaced(role, statement, narrow))
            if _uses_every_key(statement):
                keys = sorted(subject.keys) or ["<ARN of the secrets' key>"]
                narrow = {**statement.raw, "Resource": keys}
                text = f"{where} {', '.join(statement.covers(*USE_KEYS))} on every key."
                yield Seen("RoleUsesAllKeys", text, policy.replaced(role, statement, narrow))


def policies_of(view: View, role: str) -> Iterator[RolePolicy]:
    """Yield the policies of a role, its own and those attached to it.

    Raises:
        Unseen: IAM does not tell.
    """
    names = view.ask("iam", "list_role_policies", RoleName=role, pages="PolicyNames")
    for name in names["PolicyNames"]:
        told = view.ask("iam", "get_role_policy", RoleName=role, PolicyName=name)
        yield RolePolicy(name, statements(told["PolicyDocument"]))
    attached = view.ask("iam", "list_attached_role_policies", RoleName=role, pages=ATTACHED)
    for each in attached[ATTACHED]:
        arn = each["PolicyArn"]
        version = view.ask("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
        told = view.ask("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
        yield RolePolicy(arn, statements(told["PolicyVersion"]["Document"]))


ATTACHED = "AttachedPolicies"


def _with_condition(statement: Statement, equals: Mapping[str, str]) -> dict[str, object]:
    condition = dict(statement.raw.get("Condition", {}))
    condition["StringEquals"] = {**condition.get("StringEquals", {}), **equals}
    return {**json.loads(json.dumps(statement.raw)), "Condition": condition}


def _reaches_every_secret(statement: Statement) -> bool:
    tagged = any(key.startswith(TAGS) for _, key, _ in statement.conditions)
    return (
        statement.allows
        and bool(statement.covers(*READ_SECRETS))
        and any(_is_every(each, "secret:") for each in statement.resources)
        and not statement.demands(NARROWS_SECRETS)
        and not tagged
    )


def _uses_every_key(statement: Statement) -> bool:
    # As KMS.1 and KMS.2 do, conditions are left out of account.
    every = any(_is_every(each, "key/") for each in statement.resources)
    return statement.allows and bool(statement.covers(*USE_KEYS)) and every


def _is_every(resource: str, kind: str) -> bool:
    """Say whether a resource of a policy stands for all of a kind."""
    if set(resource) == {"*"}:
        return True
    name = resource.split(":", 5)[-1]
    return set(name.removeprefix(kind)) <= {"*"} and "*" in name
