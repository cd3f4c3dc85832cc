"""What can be seen of a secret's rotation from outside, with the credentials of whoever asks.

Each check is a function that yields findings; it knows the codes of
:mod:`shared.examination.outside`. Where AWS refuses to tell, the check was not looked at.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from console import policies
from console.account import DENIED, NOT_FOUND, Account, asking, code_of
from console.condition import OVERDUE_AFTER, told_age
from console.fleet import Secret
from console.functions import Function, Maker, is_qualified
from console.policies import Answer
from shared.examination.finding import Finding, Level
from shared.examination.registry import CODES

SECRET_ACTIONS = tuple(
    f"secretsmanager:{name}"
    for name in (
        *("DescribeSecret", "GetSecretValue", "PutSecretValue"),
        *("ListSecretVersionIds", "UpdateSecretVersionStage"),
    )
)
"""What a rotation asks of its own secret."""
KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")
ROTATED_BY = "secretsmanager:resource/AllowRotationLambdaArn"
"""The condition by which the function's role may use a secret that is attached to it."""
SHORT_WINDOWS = frozenset({"1h"})
NOT_TOLD = "AccessDenied"
"""The code of what stands in the way where AWS refuses to tell."""


class NotTold(Exception):
    """AWS refuses to tell; the text names the operation."""


@dataclass
class Outside:
    """The checks over the secrets of one account; what many secrets share is asked for once.

    Attributes:
        account: The account.
        now: The time.
    """

    account: Account
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    _answers: dict[tuple[str, ...], object] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def examine(self, secret: Secret, function: Function) -> tuple[list[str], list[Finding]]:
        """Return the names of the checks, and what they found.

        Args:
            secret: The secret.
            function: What rotates it; where nothing does, what would.
        """
        found: list[Finding] = []
        for name, check in CHECKS.items():
            try:
                found += check(self, secret, function)
            except NotTold as told:
                seen = f"{told} was refused"
                found.append(Finding(name, NOT_TOLD, Level.NOT_LOOKED_AT, seen))
        return [*CHECKS], found

    # -- what AWS tells --------------------------------------------------------------------------

    def _asked(self, key: tuple[str, ...], ask: Callable[[], object]) -> object:
        """Ask once, and remember refusals, too."""
        with self._lock:
            known = key in self._answers
        if not known:
            answer: object
            try:
                with asking():
                    answer = self._answer(ask)
            except NotTold as told:
                answer = told
            with self._lock:
                self._answers[key] = answer
        found = self._answers[key]
        if isinstance(found, NotTold):
            raise NotTold(str(found))
        return found

    @staticmethod
    def _answer(ask: Callable[[], object]) -> object:
        try:
            return ask()
        except ClientError as error:
            if code_of(error) in DENIED:
                raise NotTold(error.operation_name) from None
            if code_of(error) in NOT_FOUND:
                return None
            raise

    def function_policy(self, function: Function) -> str | None:
        """Return the policy that says who may invoke a function; None where there is none."""
        ask = self.account.functions.get_policy
        found = self._asked(
            ("GetPolicy", function.arn), lambda: ask(FunctionName=function.arn)["Policy"]
        )
        return None if found is None else str(found)

    def secret_policy(self, secret: Secret) -> str | None:
        """Return a secret's own policy; None where there is none."""
        ask = self.account.secrets.get_resource_policy
        found = self._asked(
            ("GetResourcePolicy", secret.arn),
            lambda: ask(SecretId=secret.arn).get("ResourcePolicy"),
        )
        return None if found is None else str(found)

    def key_policy(self, key: str) -> str | None:
        """Return a key's policy."""
        ask = self.account.keys.get_key_policy
        found = self._asked(
            ("GetKeyPolicy", key), lambda: ask(KeyId=key, PolicyName="default")["Policy"]
        )
        return None if found is None else str(found)

    def refused_by_role(
        self, function: Function, actions: Sequence[str], resource: str
    ) -> list[str]:
        """Return which of the actions a function's role does not allow, by IAM's simulator."""
        ask = self.account.roles.simulate_principal_policy
        found = self._asked(
            ("SimulatePrincipalPolicy", function.arn, resource),
            lambda: ask(
                PolicySourceArn=function.role,
                ActionNames=[*actions],
                ResourceArns=[resource],
                ContextEntries=[
                    {
                        "ContextKeyName": ROTATED_BY,
                        "ContextKeyValues": [function.arn],
                        "ContextKeyType": "string",
                    }
                ],
            )["EvaluationResults"],
        )
        results: list[Mapping[str, str]] = found if isinstance(found, list) else []
        return [each["EvalActionName"] for each in results if each["EvalDecision"] != "allowed"]


# -- the checks ------------------------------------------------------------------------------------


def _found(check: str, code: str, seen: str, secret: Secret, level: Level | None = None) -> Finding:
    """Return a finding, with the registry's advice about this secret."""
    known = CODES[code]
    do = known.do.replace("<ARN>", secret.arn)
    for blank in ("<function's ARN>",):
        do = do.replace(blank, secret.function or blank)
    account = secret.arn.split(":")[4] if secret.arn.count(":") > 4 else "<account>"  # noqa: PLR2004
    return Finding(check, code, level or known.level, seen, do.replace("<account>", account))


def _owner(outside: Outside, secret: Secret, _function: Function) -> Iterator[Finding]:
    if secret.owner:
        yield _found("owner", "ManagedSecret", f"{secret.owner} manages it", secret)
    if secret.kind:
        yield _found("owner", "PartnerSecret", f"its type is {secret.kind}", secret)
    if secret.is_replica(outside.account.region):
        seen = f"its primary is in {secret.primary_region}"
        yield _found("owner", "ReplicaSecret", seen, secret)


def _function(_outside: Outside, secret: Secret, function: Function) -> Iterator[Finding]:
    if not secret.is_attached:
        finding = _found("function", "RotationNotEnabled", "nothing rotates it", secret, Level.NOTE)
        command = f"`rotation enable {secret.name}`"
        yield Finding(finding.check, finding.code, finding.level, finding.seen, command)
        return
    if function.maker is Maker.MISSING:
        yield _found("function", "FunctionMissing", secret.function, secret)
    elif function.maker is Maker.UNKNOWN:
        raise NotTold("GetFunctionConfiguration")
    elif function.maker is not Maker.OURS:
        seen = f"{secret.function} rotates it"
        yield _found("function", "AnotherFunction", seen, secret, Level.NOTE)
    elif is_qualified(secret.function):
        seen = f"the secret names {secret.function}: the role's policy is for the function alone"
        yield _found("function", "RoleLacksRights", seen, secret)


def _invoke(outside: Outside, secret: Secret, function: Function) -> Iterator[Finding]:
    if function.maker is not Maker.OURS:
        return
    if not policies.lets_service_invoke(outside.function_policy(function)):
        seen = f"the policy of {function.name} has no statement for secretsmanager.amazonaws.com"
        finding = _found("invoke", "InvokeDenied", seen, secret)
        do = finding.do.replace("<function's ARN>", function.arn)
        yield Finding(finding.check, finding.code, finding.level, seen, do)


def _role(outside: Outside, secret: Secret, function: Function) -> Iterator[Finding]:
    if function.maker is not Maker.OURS or not function.role:
        return
    refused = outside.refused_by_role(function, SECRET_ACTIONS, secret.arn)
    if refused:
        seen = f"{function.role} may not {', '.join(refused)}"
        yield _found("role", "RoleLacksRights", seen, secret)


def _secret_policy(outside: Outside, secret: Secret, function: Function) -> Iterator[Finding]:
    if function.maker is not Maker.OURS or not function.role:
        return
    text = outside.secret_policy(secret)
    answers = {each: policies.answer(text, function.role, each) for each in SECRET_ACTIONS}
    for wanted, level, word in (
        (Answer.DENIED, Level.FAILURE, "denies"),
        (Answer.PERHAPS_DENIED, Level.NOTE, "denies, under a condition that is not looked at,"),
    ):
        actions = [each for each, found in answers.items() if found is wanted]
        if actions:
            seen = f"the secret's policy {word} {function.role} {', '.join(actions)}"
            yield _found("secret policy", "SecretPolicyDenies", seen, secret, level)


def _key(outside: Outside, secret: Secret, function: Function) -> Iterator[Finding]:
    if function.maker is not Maker.OURS or not function.role or not secret.key:
        return
    text = outside.key_policy(secret.key)
    answers = {each: policies.answer(text, function.role, each) for each in KEY_ACTIONS}
    refused = [each for each, found in answers.items() if found in {Answer.DENIED, Answer.SILENT}]
    handed = [each for each, found in answers.items() if found is Answer.HANDED_OVER]
    if handed and secret.key.startswith("arn:"):
        refused += outside.refused_by_role(function, handed, secret.key)
    if refused:
        seen = f"{function.role} may not {', '.join(refused)} with {secret.key}"
        yield _found("key", "KeyDenied", seen, secret)


def _schedule(outside: Outside, secret: Secret, _function: Function) -> Iterator[Finding]:
    if not secret.is_attached:
        return
    if not secret.schedule:
        yield _found("schedule", "NotScheduled", "it rotates by hand only", secret)
    due = secret.next_rotation
    if due is not None and due + OVERDUE_AFTER < outside.now:
        seen = f"it was due {told_age(outside.now - due)} ago"
        yield _found("schedule", "Overdue", seen, secret)
    if secret.rules.get("Duration") in SHORT_WINDOWS:
        seen = f"the window is open for {secret.rules['Duration']}"
        yield _found("schedule", "WindowTooShort", seen, secret)


def _pending(outside: Outside, secret: Secret, _function: Function) -> Iterator[Finding]:
    if secret.pending is None:
        return
    ago = told_age(outside.now - secret.changed) if secret.changed else "some time"
    seen = f"AWSPENDING is on version {secret.pending}, last changed {ago} ago"
    finding = _found("pending", "AttemptUnfinished", seen, secret)
    do = f"`rotation recover {secret.name}`"
    yield Finding(finding.check, finding.code, finding.level, seen, do)


CHECKS: MutableMapping[str, Callable[[Outside, Secret, Function], Iterator[Finding]]] = {
    "owner": _owner,
    "function": _function,
    "invoke": _invoke,
    "role": _role,
    "secret policy": _secret_policy,
    "key": _key,
    "schedule": _schedule,
    "pending": _pending,
}
"""In the order in which a report shows them."""
