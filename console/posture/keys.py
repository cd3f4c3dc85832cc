"""A secret's KMS key: whose it is, whether it can be used, and what its policy gives to whom."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from console.fleet import Secret
from console.policies import (
    ANYBODY,
    Statement,
    is_root,
    policy_of,
    statements,
    without,
)
from console.posture.subject import Seen, Subject, command
from console.posture.view import View
from shared.examination.finding import Level

OWN_KEY = "<ARN of a key of yours>"
"""What is to be filled in."""
AWS_MANAGED = frozenset({"", "alias/aws/secretsmanager", "aws/secretsmanager"})
"""How a secret names the key that AWS manages for it."""
MISSING = "Missing"
ENABLED = "Enabled"
MENDS: Mapping[str, tuple[str, ...]] = {
    "Disabled": ("enable-key",),
    "PendingDeletion": ("cancel-key-deletion", "enable-key"),
}
"""What makes a key usable again, by its state."""

USE = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo")
ADMINISTER = ("kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:DisableKey")
"""Who has these decides who uses the key, or can take it away."""
GRANT = "kms:CreateGrant"
ADMINISTRATION = (
    *("kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey"),
    *("kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey", "kms:EnableKeyRotation"),
    *("kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListGrants", "kms:ListKeyPolicies"),
    *("kms:ListKeyRotations", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:RevokeGrant"),
    *("kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:TagResource"),
    *("kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription"),
)
"""What an administrator needs: neither cryptography nor grants."""


@dataclass(frozen=True, slots=True)
class Key:
    """A KMS key.

    Attributes:
        arn: Its ARN, or what names it where it is not to be found.
        state: As KMS has it; ``Missing`` where there is no such key.
        is_ours: Whether the customer manages it.
        spec: Such as ``SYMMETRIC_DEFAULT``.
        usage: Such as ``ENCRYPT_DECRYPT``.
        origin: Such as ``AWS_KMS``.
    """

    arn: str
    state: str
    is_ours: bool = True
    spec: str = ""
    usage: str = ""
    origin: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether it encrypts and decrypts."""
        return self.state == ENABLED

    @property
    def may_rotate(self) -> bool:
        """Whether KMS can rotate it every year: not what was imported or is in another store."""
        return self.spec == "SYMMETRIC_DEFAULT" and self.origin in {"AWS_KMS", "EXTERNAL"}


def key_named(view: View, key_id: str) -> Key:
    """Return a key.

    Raises:
        Unseen: KMS does not tell.
    """
    told = view.ask("kms", "describe_key", KeyId=key_id, missing=("NotFoundException",))
    metadata = told.get("KeyMetadata")
    if metadata is None:
        return Key(key_id, MISSING)
    return Key(
        arn=metadata["Arn"],
        state=metadata["KeyState"],
        is_ours=metadata["KeyManager"] == "CUSTOMER",
        spec=metadata.get("KeySpec", ""),
        usage=metadata.get("KeyUsage", ""),
        origin=metadata.get("Origin", ""),
    )


def key_of(view: View, secret: Secret) -> Key | None:
    """Return a secret's key; None for the one that AWS manages.

    Raises:
        Unseen: KMS does not tell.
    """
    if secret.key in AWS_MANAGED:
        return None
    key = key_named(view, secret.key)
    return key if key.is_ours else None


def unusable(key: Key, of_what: str) -> Seen:
    """Say that a key cannot be used."""
    steps = (command("kms", name, key_id=key.arn) for name in MENDS.get(key.state, ()))
    return Seen("KeyUnusable", f"{of_what}: {key.arn} is {key.state}.", " && ".join(steps))


def check_key(subject: Subject) -> Iterator[Seen]:
    """Look at the key itself."""
    facts, secret = subject.facts, subject.secret
    key = key_of(subject.view, secret)
    if key is None:
        facts |= {"key": secret.key or "aws/secretsmanager", "key_manager": "AWS"}
        text = "The key is aws/secretsmanager, whose policy AWS writes."
        if secret.owner:
            do = f"{secret.owner} manages the secret: name a key where it is made to do so."
            yield Seen("KeyOfAws", text, do, Level.NOTE)
        else:
            yield Seen("KeyOfAws", text, f"rotation rekey {secret.name} --key {OWN_KEY}")
        return
    facts |= {"key": key.arn, "key_manager": "customer", "key_state": key.state}
    if not key.is_usable:
        yield unusable(key, "The secret's key")
        return
    if not key.may_rotate:
        facts["key_rotates"] = False
        text = f"{key.arn} is of {key.origin or key.spec}, which KMS does not rotate by itself."
        rekey = f"rotation rekey {secret.name} --key <ARN of a new key>"
        yield Seen("KeyNotRotated", text, rekey, Level.NOTE)
        return
    status = subject.view.ask("kms", "get_key_rotation_status", KeyId=key.arn)
    facts["key_rotates"] = bool(status["KeyRotationEnabled"])
    if not status["KeyRotationEnabled"]:
        text = f"Rotation of {key.arn} is off."
        yield Seen("KeyNotRotated", text, command("kms", "enable-key-rotation", key_id=key.arn))


def check_key_policy(subject: Subject) -> Iterator[Seen]:
    """Look at what the key's policy gives to whom."""
    key = key_of(subject.view, subject.secret)
    if key is None or key.state == MISSING:
        return
    document = subject.view.ask("kms", "get_key_policy", KeyId=key.arn, PolicyName="default")
    policy = KeyPolicy(key.arn, statements(document["Policy"]), subject)
    found = [
        *policy.open_to_anybody(),
        *policy.all_to_account(),
        *policy.mixed_duties(),
        *policy.used_directly(),
        *policy.free_grants(),
    ]
    subject.facts["key_policy"] = "open" if found else "separate duties, through services only"
    yield from found


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """The policy of one key, and what is wrong with it."""

    key: str
    all: list[Statement]
    subject: Subject

    @property
    def account(self) -> str:
        """The number of the account."""
        return self.subject.account

    @property
    def services(self) -> list[str]:
        """Through which services the key is used, as far as this row tells."""
        names = ["secretsmanager"]
        if self.subject.facts.get("storage_key") == self.key:
            names.append("rds")
        suffix = self.subject.view.suffix
        return [f"{name}.{self.subject.region}.{suffix}" for name in names]

    @property
    def root(self) -> dict[str, str]:
        """The account as a whole, as a principal."""
        return {"AWS": f"arn:{self.subject.view.partition}:iam::{self.account}:root"}

    def put(self, *kept: Statement | Mapping[str, object]) -> str:
        """Return the command that makes these the policy."""
        text = policy_of(kept)
        return command("kms", "put-key-policy", key_id=self.key, policy_name="default", policy=text)

    def replaced(self, *old: Statement, by: Mapping[str, object] | None = None) -> str:
        """Return the command that takes statements out, and puts one in their place."""
        kept: list[Statement | Mapping[str, object]] = [s for s in self.all if s not in old]
        return self.put(*kept, *([by] if by else []))

    def is_whole(self, statement: Statement) -> bool:
        """Say whether a statement gives the account use and administration at once."""
        return (
            statement.allows
            and any(is_root(each, self.account) for each in statement.principals)
            and bool(statement.covers(*ADMINISTER))
            and bool(statement.covers(*USE))
            and not statement.is_for_services
        )

    def open_to_anybody(self) -> Iterator[Seen]:
        """Find what is open to everybody on earth."""
        for statement in self.all:
            given = statement.covers(*USE, *ADMINISTER, GRANT)
            # Whoever comes through a service, for the account that calls, is not anybody.
            if not statement.is_open or not given:
                continue
            closed = {
                **without(statement.raw, "NotPrincipal"),
                "Principal": self.root,
            }
            text = f"Statement {statement.name} of {self.key} gives anybody {', '.join(given)}."
            yield Seen("KeyPolicyPublic", text, self.replaced(statement, by=closed))

    def all_to_account(self) -> Iterator[Seen]:
        """Find what leaves everything to the account's IAM policies."""
        for statement in self.all:
            if not self.is_whole(statement):
                continue
            through = {"StringEquals": {"kms:ViaService": self.services}}
            grants = {**through, "Bool": {"kms:GrantIsForAWSResource": "true"}}
            divided = [
                self._for_account("Administer", ADMINISTRATION),
                self._for_account("UseThroughServices", (*USE, "kms:DescribeKey"), through),
                self._for_account("GrantForResourcesOfAws", (GRANT, "kms:ListGrants"), grants),
            ]
            kept = [each for each in self.all if each is not statement]
            text = (
                f"Statement {statement.name} of {self.key} gives the whole account use and "
                "administration: an IAM policy alone opens the key."
            )
            yield Seen("KeyPolicyWhole", text, self.put(*kept, *divided))

    def _for_account(
        self, name: str, actions: Sequence[str], condition: Mapping[str, object] | None = None
    ) -> Mapping[str, object]:
        """Return a statement that allows the account something."""
        return {
            "Sid": name,
            "Effect": "Allow",
            "Principal": self.root,
            "Action": list(actions),
            "Resource": "*",
            **({"Condition": condition} if condition else {}),
        }

    def mixed_duties(self) -> Iterator[Seen]:
        """Find who may administer the key and use it."""
        administer = self._who(ADMINISTER)
        for principal in sorted(administer & self._who(USE)):
            if principal == ANYBODY or is_root(principal, self.account):
                continue
            text = f"{principal} may administer {self.key} and use it."
            kept = [each for old in self.all for each in _separated(old, principal)]
            yield Seen("KeyDutiesMixed", text, self.put(*kept))

    def _who(self, actions: tuple[str, ...]) -> set[str]:
        return {
            principal
            for statement in self.all
            if statement.allows and statement.covers(*actions)
            for principal in statement.principals
        }

    def used_directly(self) -> Iterator[Seen]:
        """Find who may use the key past Secrets Manager."""
        not_equal = ("stringnotequals", "stringnotequalsifexists", "stringnotlike")
        if any(
            set(each.covers(*USE)) == set(USE) and each.refuses(not_equal, "kms:viaservice")
            for each in self.all
        ):
            return
        mixed = self._who(ADMINISTER) & self._who(USE)
        for statement in self.all:
            given = statement.covers(*USE)
            named = statement.principals - mixed - {ANYBODY}
            known = self.is_whole(statement) or statement.is_for_services
            if not (statement.allows and given and named) or known:
                continue
            condition = dict(statement.raw.get("Condition", {}))
            equals = {**condition.get("StringEquals", {}), "kms:ViaService": self.services}
            through = {**statement.raw, "Condition": {**condition, "StringEquals": equals}}
            text = (
                f"Statement {statement.name} of {self.key} lets {', '.join(sorted(named))} use the "
                "key without a service between."
            )
            yield Seen("KeyUsedDirectly", text, self.replaced(statement, by=through))

    def free_grants(self) -> Iterator[Seen]:
        """Find who may hand the key on to anybody."""
        refusal = ("bool", "boolifexists")
        if any(
            each.covers(GRANT) and each.refuses(refusal, "kms:grantisforawsresource", "false")
            for each in self.all
        ):
            return
        for statement in self.all:
            named = statement.principals - {ANYBODY}
            known = self.is_whole(statement) or statement.is_for_aws_resources
            if not (statement.allows and named and statement.covers(GRANT)) or known:
                continue
            deny = {
                "Sid": "GrantsForResourcesOfAwsOnly",
                "Effect": "Deny",
                "Principal": {"AWS": "*"},
                "Action": GRANT,
                "Resource": "*",
                "Condition": {"Bool": {"kms:GrantIsForAWSResource": "false"}},
            }
            text = f"Statement {statement.name} of {self.key} allows grants to anybody."
            yield Seen("KeyGrantsFree", text, self.put(*self.all, deny))


def _separated(statement: Statement, principal: str) -> Iterator[Mapping[str, object]]:
    """Yield a statement in which a principal has no use of the key."""
    if not statement.allows or principal not in statement.principals or not statement.covers(*USE):
        yield statement.raw
        return
    if others := sorted(statement.principals - {principal}):
        yield {**statement.raw, "Principal": {"AWS": others}}
    if statement.covers(*ADMINISTER):
        yield {
            **without(statement.raw, "NotAction"),
            "Principal": {"AWS": principal},
            "Action": list(ADMINISTRATION),
        }
