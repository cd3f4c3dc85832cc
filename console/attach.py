"""Attaches one secret to its function, once it finds nothing in the way.

The function may read a secret only while it is attached. So a secret is attached first, with
``RotateImmediately=false``, which has the function test it in its own network; then the function
is asked for its findings; and where one is a failure, the secret is detached again. No password
changes.

Nothing is remembered outside the service: whoever runs the command again goes on where it ended.
A secret that has just been attached, and was not examined when the command was killed, is known by
its schedule, which is the secret's own, and by never having been rotated.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from console.account import Account, asking, code_of
from console.attempts import UNFINISHED
from console.changes import Change, Planned, own_rules
from console.examine import Unanswered, examine
from console.fleet import Secret, describe
from console.functions import Function, unqualified
from console.log import LOOK_BACK, Line, Log
from console.outcome import Stop
from console.rotate import CLOCKS_APART
from shared.examination.finding import Finding
from shared.model import Stage, Step

CAME_FROM = "rotated-before-by"
"""Tag on a secret that another function rotated: its ARN, the way back."""
TEST_SECONDS = 120.0
"""How long the service's test is waited for."""
POLL_SECONDS = 0.3
NOTHING_TO_CANCEL = "InvalidRequestException"


@dataclass(frozen=True, slots=True)
class Done:
    """How it ended for one secret.

    Attributes:
        planned: What was to happen.
        code: Of what stood in the way; empty where nothing did.
        seen: What was found.
        do: What to do about it.
        findings: All that the function found.
        is_attached: Whether it is attached now.
        is_examined: Whether the function, or its log, has told.
    """

    planned: Planned
    code: str = ""
    seen: str = ""
    do: str = ""
    findings: tuple[Finding, ...] = ()
    is_attached: bool = True
    is_examined: bool = True


def attach(
    account: Account, planned: Planned, log: Log, sleep: Callable[[float], None] = time.sleep
) -> Done:
    """Attach one secret, have it examined, and take it back where something stands in the way."""
    function = planned.function
    if function is None:
        raise ValueError(planned.change)
    token, began = str(uuid4()), datetime.now(UTC) - CLOCKS_APART
    if planned.change is not Change.SAME:
        if planned.change is Change.MOVE:
            _remember(account, planned.secret)
        try:
            _rotate_later(account, planned.secret, function.arn, planned.rules, token)
        except Stop as stop:
            return Done(planned, "Refused", stop.message, is_attached=planned.secret.is_attached)
        _wait_for_test(account, planned.secret.arn, token, sleep)
    done = _examined(account, planned, function)
    if not done.is_examined:
        if planned.change is Change.SAME:
            began, token = began - LOOK_BACK, ""  # the test of an earlier run
        lines = log.of(function, planned.secret.arn, began, token)
        done = _tested(planned, done, [line for line in lines if line.step == Step.TEST])
    takes_back = planned.change in {Change.ATTACH, Change.MOVE} or planned.was_just_attached
    if not done.code or not takes_back:
        return done
    _take_back(account, planned, token, sleep)
    return replace(done, is_attached=planned.change is Change.MOVE)


def _rotate_later(
    account: Account, secret: Secret, function: str, rules: Mapping[str, Any], token: str
) -> None:
    """Attach a secret, which has the function test it, and rotates nothing.

    Raises:
        Stop: Refused.
    """
    request: dict[str, Any] = {
        "SecretId": secret.arn,
        "ClientRequestToken": token,
        "RotationLambdaARN": function,
        "RotateImmediately": False,
    }
    if rules:
        request["RotationRules"] = dict(rules)
    with asking():
        try:
            account.secrets.rotate_secret(**request)
        except ClientError as error:
            if UNFINISHED in str(error):
                advice = f"`rotation recover {secret.name}`"
                raise Stop(f"A rotation has begun meanwhile: {advice}") from None
            if "cannot invoke" in str(error):
                advice = (
                    f"`aws lambda add-permission --function-name {function} --statement-id "
                    "SecretsManager --action lambda:InvokeFunction "
                    "--principal secretsmanager.amazonaws.com`"
                )
                raise Stop(f"Secrets Manager may not invoke the function: {advice}") from None
            raise Stop(f"{code_of(error)}: {error.response['Error'].get('Message', '')}") from None


def _wait_for_test(account: Account, arn: str, token: str, sleep: Callable[[float], None]) -> bool:
    """Wait until the service has taken the version of its test away again."""
    ends = time.monotonic() + TEST_SECONDS
    while time.monotonic() < ends:
        if Stage.PENDING not in describe(account, arn).labels.get(token, frozenset()):
            return True
        sleep(POLL_SECONDS)
    return False


def _examined(account: Account, planned: Planned, function: Function) -> Done:
    """Ask the function for its findings."""
    arn = planned.secret.arn
    try:
        examination = examine(account, function, arn)
    except Unanswered as unanswered:
        return Done(planned, seen=str(unanswered), is_examined=False)
    if not describe(account, arn).is_attached:
        seen = "Secrets Manager has detached it after its test"
        return Done(planned, seen=seen, is_attached=False, is_examined=False)
    if not examination.failures:
        return Done(planned, findings=examination.findings)
    first = examination.failures[0]
    return Done(planned, first.code, first.seen, first.do, examination.findings)


def _tested(planned: Planned, done: Done, lines: Sequence[Line]) -> Done:
    """Say what the function's log has of the service's test, where it did not answer itself."""
    if not lines:
        return replace(done, seen=f"{done.seen}; the log tells nothing")
    last = lines[-1]
    seen = last.message if last.failed else ""
    return Done(planned, last.cause, seen, is_attached=done.is_attached)


def _remember(account: Account, secret: Secret) -> None:
    """Write on the secret which function rotates it now: the way back."""
    with asking():
        account.secrets.tag_resource(
            SecretId=secret.arn,
            Tags=[{"Key": CAME_FROM, "Value": unqualified(secret.function)}],
        )


def _take_back(
    account: Account, planned: Planned, token: str, sleep: Callable[[float], None]
) -> None:
    """Let the secret be as it was before."""
    secret = planned.secret
    if planned.change is Change.MOVE:
        give_back(account, secret, secret.function, own_rules(secret.rules), sleep)
        return
    detach(account, secret)
    left = describe(account, secret.arn)
    if left.holder(Stage.PENDING) == token:
        # The service's test was cut short: its version is this command's own.
        with asking():
            account.secrets.update_secret_version_stage(
                SecretId=secret.arn, VersionStage=Stage.PENDING, RemoveFromVersionId=token
            )


def give_back(
    account: Account,
    secret: Secret,
    function: str,
    rules: Mapping[str, Any],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Attach a secret to the function that rotated it before.

    Raises:
        Stop: Refused.
    """
    token = str(uuid4())
    _rotate_later(account, secret, function, rules, token)
    with asking():
        account.secrets.untag_resource(SecretId=secret.arn, TagKeys=[CAME_FROM])
    _wait_for_test(account, secret.arn, token, sleep)


def detach(account: Account, secret: Secret) -> None:
    """Switch the rotation of a secret off; that it is off already is as good.

    Raises:
        Stop: Refused.
    """
    with asking():
        try:
            account.secrets.cancel_rotate_secret(SecretId=secret.arn)
        except ClientError as error:
            if code_of(error) != NOTHING_TO_CANCEL or describe(account, secret.arn).is_attached:
                raise
