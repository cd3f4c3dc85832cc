"""`rotation rekey`: puts secrets under another KMS key, and rotates each once.

Secrets Manager alone remembers what was done. The key stands in the secret. The version id of the
one rotation ends with a digest of the secret, the key, and the version that was AWSCURRENT
before: a second run finds it on AWSCURRENT, or on AWSPENDING of a rotation under way, and goes on
from there. So the command may be killed at any moment, and run again.

A new key encrypts AWSCURRENT, AWSPENDING and AWSPREVIOUS anew, and no other version (API reference
of UpdateSecret). Only the rotation makes a password that was never under the former key.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import uuid4

from botocore.exceptions import ClientError

from console.account import Account, asking, code_of
from console.attempts import Begun, begin
from console.fleet import Secret, Wanted, describe, select
from console.functions import Function, Functions
from console.log import Log
from console.outcome import CouldNotLook, Exit, Misused, Stop
from console.outside import CHECKS, NotTold, Outside
from console.policies import SERVICE_KEY, Statement, statements
from console.posture.keys import Key, key_named
from console.posture.view import Unseen, View
from console.rotate import PATIENCE_SECONDS, Follow, require_rotatable, tell_line
from console.screen import STYLES, Screen, counted
from shared.model import Stage
from shared.plan import is_plan
from shared.store import REFUSED_MOVES

MARK_DIGITS = 12
"""The last group of a UUID; the rest of each id is drawn, for an attempt may have used one up."""
NEEDED = ("kms:Decrypt", "kms:GenerateDataKey")
RE_ENCRYPTED = frozenset({Stage.CURRENT, Stage.PENDING, Stage.PREVIOUS})
DEFAULT_KEY = "DefaultEncryptionKey"
"""What ListSecretVersionIds calls the key that AWS manages."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version: its id, its labels, and the keys that it is under."""

    id: str
    labels: frozenset[str]
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Left:
    """What of a secret is still under a former key.

    Attributes:
        labelled: Versions with labels, and which.
        unlabelled: How many versions without one.
        keys: The former keys.
    """

    labelled: tuple[Version, ...]
    unlabelled: int
    keys: frozenset[str]


@dataclass
class Rekeying:
    """One run of the command.

    Attributes:
        key: The new key.
        patience: Seconds without news before a rotation is left to itself.
        sleep: Waits.
        keys: Every former key that was seen.
    """

    account: Account
    screen: Screen
    key: Key
    patience: float = PATIENCE_SECONDS
    sleep: Callable[[float], None] = time.sleep
    keys: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.view = View(self.account)
        self.functions = Functions(self.account)
        self.outside = Outside(self.account)
        self.log = Log(self.account)

    # -- beforehand ------------------------------------------------------------------------------

    def require_possible(self, secrets: Sequence[Secret]) -> None:
        """Make sure that every secret can be put under the key and rotated, as far as can be seen.

        Raises:
            Stop: One cannot.
        """
        for secret in secrets:
            function = require_rotatable(secret, self.functions)
            region = secret.arn.split(":")[3]
            if secret.is_replica(self.account.region):
                raise Stop(
                    f"{secret.name} is a replica: its primary is in {secret.primary_region}."
                )
            if self.key.arn.split(":")[3] != region:
                raise Stop(f"{self.key.arn} is not of {region}, where {secret.name} is.")
            if secret.pending is not None and not self._is_own(secret, secret.pending):
                raise Stop(
                    f"A rotation of {secret.name} has not ended: `rotation recover {secret.name}`."
                )
            self._require_policy(secret, function)

    def _require_policy(self, secret: Secret, function: Function) -> None:
        try:
            told = self.view.ask("kms", "get_key_policy", KeyId=self.key.arn, PolicyName="default")[
                "Policy"
            ]
            found = statements(told)
            endpoint = f"secretsmanager.{self.account.region}."
            lacking = [each for each in NEEDED if not _serves(found, each, endpoint)]
            if lacking:
                raise Stop(
                    f"The policy of {self.key.arn} lets nobody use it through Secrets Manager: "
                    f"{', '.join(lacking)}."
                )
            wanted = replace(secret, key=self.key.arn)
            for finding in CHECKS["key"](self.outside, wanted, function):
                raise Stop(f"{finding.code}: {finding.seen}. {finding.do}")
        except (Unseen, NotTold) as unseen:
            text = f"Whether {function.name} may use {self.key.arn} could not be seen: {unseen}."
            self.screen.say(text, STYLES[Exit.BLIND])

    # -- one secret ------------------------------------------------------------------------------

    def rekey(self, secret: Secret) -> Left:
        """Put one secret under the key, rotate it, and return what is left under former keys.

        Raises:
            Stop: It did not end well; what is done already stays.
        """
        if not self._is_under_key(secret):
            self.keys.add(secret.key or DEFAULT_KEY)
            with asking():
                self.account.secrets.update_secret(SecretId=secret.arn, KmsKeyId=self.key.arn)
            self.screen.say(f"{secret.name}: under {self.key.arn}.")
        if not self._was_rotated(secret):
            self._rotate(secret)
        left = self.left(secret)
        if left.labelled:
            self._take_former_plans_off(describe(self.account, secret.arn), left)
            left = self.left(secret)
        self.keys |= left.keys
        return left

    def _is_under_key(self, secret: Secret) -> bool:
        if secret.key == self.key.arn or not secret.key:
            return bool(secret.key)
        try:
            return key_named(self.view, secret.key).arn == self.key.arn
        except Unseen:
            # An id or an alias that KMS does not tell of: to say the key once more does no harm.
            return False

    def _mark(self, secret: Secret, made_from: str | None) -> str:
        """Return what the version ids end with that this command makes from a version."""
        name = " ".join((secret.arn, self.key.arn, made_from or ""))
        return hashlib.sha256(name.encode()).hexdigest()[:MARK_DIGITS]

    def _is_own(self, secret: Secret, version: str) -> bool:
        """Say whether a version is of a rotation by this command, from what is AWSCURRENT now."""
        return version.endswith(self._mark(secret, secret.current))

    def _was_rotated(self, secret: Secret) -> bool:
        """Say whether AWSCURRENT is of the rotation that this command began in an earlier run."""
        before = secret.holder(Stage.PREVIOUS)
        return (secret.current or "").endswith(self._mark(secret, before))

    def _rotate(self, secret: Secret) -> None:
        function = require_rotatable(secret, self.functions)
        began = datetime.now(UTC)
        if secret.pending is not None:
            begun = Begun(secret.arn, secret.pending)
            self.screen.say(f"{secret.name}: the rotation that was begun goes on.")
        else:
            token = str(uuid4())[:-MARK_DIGITS] + self._mark(secret, secret.current)
            begun = begin(self.account, secret, token)
            self.screen.say(f"{secret.name}: rotating, version {begun.token}.")
        follow = Follow(self.account, function, begun, self.log, secret, began=began)
        for line in follow.to_its_end(self.patience, self.sleep):
            tell_line(self.screen, line)
        if follow.is_promoted:
            return
        cause = f", {follow.last.cause}" if follow.last and follow.last.failed else ""
        raise Stop(
            f"{secret.name}: under the new key, not rotated{cause}. AWSCURRENT is as it was. "
            f"`rotation recover {secret.name}`, then this command again."
        )

    # -- afterwards ------------------------------------------------------------------------------

    def _versions(self, secret: Secret) -> Iterator[Version]:
        request = {"SecretId": secret.arn, "IncludeDeprecated": True}
        with asking():
            while True:
                answer = self.account.client("secretsmanager").list_secret_version_ids(**request)
                for each in answer["Versions"]:
                    labels = frozenset(each.get("VersionStages", []))
                    keys = frozenset(each.get("KmsKeyIds", []))
                    yield Version(each["VersionId"], labels, keys)
                if "NextToken" not in answer:
                    return
                request["NextToken"] = answer["NextToken"]

    def left(self, secret: Secret) -> Left:
        """Return what of a secret is under another key, as ListSecretVersionIds tells."""
        former = [each for each in self._versions(secret) if self._former(each)]
        return Left(
            labelled=tuple(each for each in former if each.labels),
            unlabelled=sum(not each.labels for each in former),
            keys=frozenset(key for each in former for key in self._former(each)),
        )

    def _former(self, version: Version) -> frozenset[str]:
        """Return the keys of a version but the new one, whose id may stand for its ARN."""
        return version.keys - {self.key.arn, self.key.arn.rpartition("/")[2]}

    def _take_former_plans_off(self, secret: Secret, left: Left) -> None:
        """Take the labels of former attempts off: those that the next rotations would take off."""
        for version in left.labelled:
            if not all(map(is_plan, version.labels)) or version.id == secret.current:
                continue
            for label in sorted(version.labels):
                with asking():
                    try:
                        self.account.secrets.update_secret_version_stage(
                            SecretId=secret.arn,
                            VersionStage=label,
                            RemoveFromVersionId=version.id,
                        )
                    except ClientError as error:
                        if code_of(error) not in REFUSED_MOVES:
                            raise


def _serves(found: Sequence[Statement], action: str, endpoint: str) -> bool:
    """Say whether a policy allows an action to whoever comes through Secrets Manager."""
    return any(
        statement.allows
        and statement.covers(action)
        and all(
            any(value.startswith((endpoint, "*")) for value in values)
            for _, key, values in statement.conditions
            if key == SERVICE_KEY
        )
        for statement in found
    )


def require_key(account: Account, name: str) -> Key:
    """Return the new key.

    Raises:
        Misused: It is no ARN of a key, or no key that can encrypt secrets.
        CouldNotLook: KMS does not tell.
    """
    if ":key/" not in name:
        raise Misused(f"--key {name}: it must be the ARN of a key, not of an alias.")
    try:
        key = key_named(View(account), name)
    except Unseen as unseen:
        text = f"Whether {name} can be used could not be seen: {unseen}"
        raise CouldNotLook(text) from None
    table = (
        (not key.is_usable, f"it is {key.state}"),
        (not key.is_ours, "AWS manages it"),
        (key.spec != "SYMMETRIC_DEFAULT", f"it is of {key.spec}, not symmetric"),
        (key.usage != "ENCRYPT_DECRYPT", f"it is for {key.usage}"),
    )
    for holds, reason in table:
        if holds:
            raise Misused(f"--key {name}: {reason}.")
    return key


def rekey(
    account: Account,
    screen: Screen,
    secrets: Sequence[Secret],
    key_name: str,
    *,
    yes: bool = False,
    patience: float = PATIENCE_SECONDS,
) -> Exit:
    """Put secrets under another key, and rotate each once; the first that fails ends it.

    Raises:
        Stop: The key cannot be used, or a secret is not ready.
    """
    work = Rekeying(account, screen, require_key(account, key_name), patience)
    work.require_possible(secrets)
    screen.say(f"{counted(len(secrets))} come under {work.key.arn}, and are rotated once each.")
    screen.say("Applications that read them need kms:Decrypt on it, from the first moment on.")
    if not screen.confirmed("Go on?", yes=yes):
        return screen.verdict(Exit.FAILURE, "Left as they were.")
    left: dict[str, Left] = {}
    for number, secret in enumerate(secrets):
        try:
            left[secret.name] = work.rekey(secret)
        except Stop as stop:
            rest = len(secrets) - number - 1
            tail = f" {counted(rest)} not begun." if rest else ""
            screen.tell(rekeyed=[*left], failed=secret.name)
            return screen.verdict(stop.status, f"{stop.message}{tail}")
    return _verdict(work, secrets, left)


def _verdict(work: Rekeying, secrets: Sequence[Secret], left: dict[str, Left]) -> Exit:
    screen = work.screen
    held = [
        f"version {version.id} of {name} ({', '.join(sorted(version.labels))})"
        for name, each in left.items()
        for version in each.labelled
    ]
    others = _others(work, {secret.arn for secret in secrets})
    screen.tell(
        key=work.key.arn,
        rekeyed=[*left],
        former_keys=sorted(work.keys),
        still_under_former_keys=held,
        other_secrets_of_former_keys=others,
    )
    for line in held:
        screen.say(f"Still under a former key: {line}.", STYLES[Exit.WARNINGS])
    if held:
        advice = "rotate once more, or move the label, and run this command again"
        if any(
            RE_ENCRYPTED & version.labels for each in left.values() for version in each.labelled
        ):
            advice = "who changes the key needs kms:Encrypt on it and kms:Decrypt on the former one"
        text = f"{counted(len(left))} rotated; a former key is still needed: {advice}."
        return screen.verdict(Exit.WARNINGS, text)
    for key in sorted(work.keys - {DEFAULT_KEY}):
        _tell_former(work, key, others)
    unlabelled = sum(each.unlabelled for each in left.values())
    if unlabelled:
        screen.say(
            f"{unlabelled} versions without a label stay under former keys: no rotation needs them "
            "as long as a version with a label logs in."
        )
    told = "no version with a label is under another key, as ListSecretVersionIds tells"
    return screen.verdict(Exit.WELL, f"{counted(len(left))} under the new key and rotated: {told}.")


def _others(work: Rekeying, done: set[str]) -> list[str]:
    """Return the names of other secrets of the Region under a former key."""
    return sorted(
        each.name
        for each in select(work.account, Wanted(every=True))
        if each.arn not in done and (each.key or DEFAULT_KEY) in work.keys
    )


def _tell_former(work: Rekeying, key: str, others: Sequence[str]) -> None:
    """Say whether a former key is still needed, and how that was seen."""
    screen = work.screen
    if others:
        screen.say(f"{key} is needed: other secrets are under it: {', '.join(others[:5])}.")
        return
    screen.say(f"{key} is not needed by any secret of the Region, as ListSecrets tells.")
    try:
        usage = work.view.ask("kms", "get_key_last_usage", KeyId=key).get("KeyLastUsage") or {}
    except Unseen as unseen:
        usage = {}
        screen.say(f"  When it was last used could not be seen: {unseen}", STYLES[Exit.BLIND])
    if usage:
        screen.say(f"  It was last used for {usage['Operation']} on {usage['Timestamp']}.")
    screen.say("  Databases, logs or backups may be under it. Disable it before you delete it:")
    screen.say(f"  aws kms disable-key --key-id {key}")
    screen.say("  and look for DisabledException in CloudTrail for a month.")
