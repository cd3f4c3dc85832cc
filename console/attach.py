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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from console.account import Account
from console.attempts import detach, end_attempt, rotate_later, wait_for_test
from console.changes import Change, Planned
from console.examine import Unanswered, examine
from console.fleet import describe
from console.functions import Function
from console.log import LOOK_BACK, Line, Log
from console.moving import forget, give_back, remember
from console.outcome import Stop
from console.rotate import CLOCKS_APART
from shared.examination.finding import Finding
from shared.model import Stage, Step


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
    token, began = "", datetime.now(UTC) - CLOCKS_APART
    if planned.change is Change.SCHEDULE:
        # Attached already: its function may read it, and nothing has to be taken back.
        before = _examined(account, planned, function)
        if before.code:
            return before
    if planned.change is not Change.SAME:
        try:
            token = _put(account, planned, function)
        except (Stop, Unanswered) as refused:
            attached = planned.secret.is_attached
            return Done(planned, "Refused", str(refused), is_attached=attached)
        wait_for_test(account, planned.secret.arn, token, sleep)
    done = _examined(account, planned, function)
    if not done.is_examined:
        since = began if token else began - LOOK_BACK  # without one, the test of an earlier run
        lines = log.of(function, planned.secret.arn, since, token)
        done = _tested(planned, done, [line for line in lines if line.step == Step.TEST])
    takes_back = planned.change in {Change.ATTACH, Change.MOVE} or planned.was_just_attached
    return _taken_back(account, done, token, sleep) if done.code and takes_back else done


def _put(account: Account, planned: Planned, function: Function) -> str:
    """Attach a secret; return the version of the service's test.

    Raises:
        Stop: Refused.
        Unanswered: Whom to adopt could not be read.
    """
    moves = planned.change is Change.MOVE
    if moves:
        remember(account, planned)
    try:
        return rotate_later(account, planned.secret, function.arn, planned.rules)
    except Stop:
        if moves:
            forget(account, planned.secret)
        raise


def _taken_back(account: Account, done: Done, token: str, sleep: Callable[[float], None]) -> Done:
    """Let the secret be as it was before."""
    planned = done.planned
    if planned.former:
        give_back(account, planned.secret, planned.former, sleep)
        return done
    detach(account, planned.secret)
    left = describe(account, planned.secret.arn)
    if left.holder(Stage.PENDING) == token:
        # The service's test was cut short: its version is this command's own.
        end_attempt(account, left)
    return replace(done, is_attached=False)


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
