"""The driver: carries out one rotation as the service does.

It invokes the rotation function once for each of the four steps, in order. If one fails, it starts
again from createSecret, with the same token, several times. What the function has left behind
decides about the end: the rotation has succeeded if AWSPENDING is on AWSCURRENT's version, or on
none.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, NamedTuple, Self
from uuid import uuid4

from local.secretsmanager.errors import Killed, RotationFailed
from local.secretsmanager.log import Request

Event = dict[str, str]
Invoke = Callable[[str, Event], None]
Handler = Callable[[dict[str, Any], Any], object]

CREATE: Final = "createSecret"
SET: Final = "setSecret"
TEST: Final = "testSecret"
FINISH: Final = "finishSecret"
STEPS: Final = (CREATE, SET, TEST, FINISH)

# The invocation that this thread carries out: requests made by it are the function's.
INVOCATION: ContextVar[str | None] = ContextVar("invocation", default=None)


class Step(NamedTuple):
    """One invocation: which step, how long it took, and the error it ended with."""

    step: str
    seconds: float
    error: BaseException | None


@dataclass(frozen=True)
class Outcome:
    """How a rotation went.

    Args:
        arn: The secret's.
        token: The rotation's, which is the id of the version it makes.
        steps: Every invocation, those of failed attempts too.
        attempts: How often the rotation was started from createSecret.
        succeeded: Whether it ended as it must.
        error: The last invocation's error, or a RotationFailed for what was left behind.
        calls: The requests that the function made to Secrets Manager.
    """

    arn: str
    token: str
    steps: list[Step]
    attempts: int
    succeeded: bool
    error: BaseException | None = None
    calls: list[Request] = field(default_factory=list)

    def __str__(self) -> str:
        end = "succeeded" if self.succeeded else f"failed: {self.error!r}"
        return (
            f"{self.arn}: {self.steps[-1].step} was the last step of attempt {self.attempts}, "
            f"{len(self.calls)} calls, {end}"
        )

    def check(self) -> Self:
        """Give the outcome back if the rotation succeeded.

        Raises:
            RotationFailed: It did not; caused by the last error.
        """
        if not self.succeeded:
            step = self.steps[-1].step if self.steps else "the start"
            raise RotationFailed(f"{self.arn}: {step}: {self.error}") from self.error
        return self


@dataclass
class Context:
    """What a handler gets besides the event: the part of Lambda's context that Python code reads.

    Args:
        function_name: The function's name.
        invoked_function_arn: Its ARN.
        timeout_seconds: How long it may run.
        memory_limit_in_mb: Its memory.
    """

    function_name: str
    invoked_function_arn: str
    timeout_seconds: float
    memory_limit_in_mb: int = 256
    function_version: str = "$LATEST"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    started: float = field(default_factory=monotonic)

    @property
    def log_group_name(self) -> str:
        """Give the name of the function's log group."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """Give a name for a log stream."""
        return f"{self.function_version}/{self.aws_request_id}"

    def get_remaining_time_in_millis(self) -> int:
        """Give the milliseconds until the function would be stopped, counting down."""
        return max(0, int((self.started + self.timeout_seconds - monotonic()) * 1000))


def event_for(step: str, arn: str, token: str, rotation_token: str | None = None) -> Event:
    """Make the event of one invocation."""
    event = {"Step": step, "SecretId": arn, "ClientRequestToken": token}
    return event if rotation_token is None else {**event, "RotationToken": rotation_token}


def invoke_timed(invoke: Callable[[str], None], step: str) -> Step:
    """Carry out one invocation; a function that raises, exits or is killed has failed."""
    started = monotonic()
    error: BaseException | None = None
    try:
        invoke(step)
    except (Exception, Killed, SystemExit) as raised:  # noqa: BLE001 - whatever the function raises
        error = raised
    return Step(step, monotonic() - started, error)


def run_steps(invoke: Callable[[str], None]) -> list[Step]:
    """Carry out the four steps in their order, up to the first that fails."""
    steps: list[Step] = []
    for step in STEPS:
        steps.append(invoke_timed(invoke, step))
        if steps[-1].error is not None:
            break
    return steps


def event_bridge(name: str, arn: str, *, account: str, region: str, time: str) -> dict[str, Any]:
    """Shape an event as EventBridge delivers it where a CloudTrail trail is logging."""
    detail: Mapping[str, Any] = {
        "eventVersion": "1.08",
        "userIdentity": {"accountId": account, "invokedBy": "secretsmanager.amazonaws.com"},
        "eventTime": time,
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": name,
        "awsRegion": region,
        "additionalEventData": {"SecretId": arn},
        "eventType": "AwsServiceEvent",
        "recipientAccountId": account,
    }
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "AWS Service Event via CloudTrail",
        "source": "aws.secretsmanager",
        "account": account,
        "time": time,
        "region": region,
        "resources": [],
        "detail": detail,
    }
