"""One AWS account as a probe sees it: calls, things made under one prefix, and their removal.

A thing is written into the journal *before* the call that makes it, so that a run that is cut at
any moment knows what there may be. All names are the run's own; a key has none, and is known by its
tag.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PREFIX: Final = "secret-rotation-probe-"
TAG: Final = "secret-rotation-probe"
KEY_DAYS: Final = 7
"""KMS deletes a key after a week at the earliest; it costs nothing meanwhile."""
PATIENCE: Final = 10
"""Where pauses are short, what is waited for still has this many times as long, to come at all."""
ACCEPTED: Final = "accepted"

Seen = TypeVar("Seen")


def code_of(error: ClientError) -> str:
    """Return an error's code."""
    return str(error.response["Error"]["Code"])


class Account:
    """Calls to AWS, and what they made.

    Args:
        session: With the Region and the credentials to use.
        run: Tells this run's names from another's.
        journal: The file with what may be there; gone once all is removed.
        pace: Multiplies pauses; a test against the local endpoint does not wait.
    """

    def __init__(
        self, session: boto3.Session, run: str, journal: Path, *, pace: float = 1.0
    ) -> None:
        self.prefix = f"{PREFIX}{run}"
        self.region = session.region_name
        self._session = session
        self._journal = journal
        self._pace = pace
        self._clients: dict[tuple[str, int], Any] = {}
        self._things: list[tuple[str, str]] = []
        self._key_ids: dict[str, str] = {}
        if journal.exists():
            self._things = [tuple(json.loads(line)) for line in journal.read_text().splitlines()]

    def ask(self, service: str, operation: str, **parameters: object) -> dict[str, Any]:
        """Make one call, which botocore holds to its model of the service first.

        Raises:
            ClientError: AWS refused.
        """
        client = self._client(service, attempts=5)
        answer: dict[str, Any] = getattr(client, operation)(**parameters)
        return answer

    def outcome(self, service: str, operation: str, **parameters: object) -> str:
        """Make one call and return ``accepted``, or the code with which it was refused.

        It is made once: the SDK would try again what is over a quota.
        """
        try:
            getattr(self._client(service, attempts=1), operation)(**parameters)
        except ClientError as error:
            return code_of(error)
        return ACCEPTED

    def make(self, kind: str, name: str, **parameters: object) -> dict[str, Any]:
        """Make a thing that :meth:`remove` removes.

        Args:
            kind: One of `KINDS`.
            name: Follows the run's prefix.
            parameters: The call's, but for the name.

        Raises:
            ClientError: AWS refused.
        """
        whole = f"{self.prefix}-{name}"
        made = KINDS[kind]
        self._things.append((kind, whole))
        self._write()
        naming = {made.named_by: whole} if made.named_by else {"Tags": tag(whole)}
        answer = self.ask(made.service, made.operation, **naming, **parameters)
        if kind == "key":
            self._key_ids[whole] = answer["KeyMetadata"]["KeyId"]
        return answer

    def wait(self, look: Callable[[], Seen], seconds: float, every: float = 5.0) -> Seen:
        """Look until there is something to be seen, or time is over; return what was seen last."""
        until = time.monotonic() + seconds * min(1, PATIENCE * self._pace)
        while not (seen := look()) and time.monotonic() < until:
            time.sleep(every * self._pace)
        return seen

    def pause(self, seconds: float) -> None:
        """Let AWS settle."""
        time.sleep(seconds * self._pace)

    def remove(self) -> list[str]:
        """Remove all that may be there, newest first; return what could not be, and why."""
        left = []
        for thing in reversed(list(self._things)):
            kind, name = thing
            try:
                KINDS[kind].remove(self, name)
            except ClientError as error:
                if code_of(error) not in GONE:
                    left.append(f"{kind} {name}: {code_of(error)}")
                    continue
            except BotoCoreError as error:
                left.append(f"{kind} {name}: {error}")
                continue
            self._things.remove(thing)
        self._write()
        return left

    def key_id(self, name: str) -> str | None:
        """Return the id of a key of this run, also where its making got no answer."""
        if name not in self._key_ids:
            for key in self._every("kms", "list_keys", "Keys"):
                if self.outcome("kms", "list_resource_tags", KeyId=key["KeyId"]) == ACCEPTED:
                    tags = self.ask("kms", "list_resource_tags", KeyId=key["KeyId"])["Tags"]
                    if tag(name)[0] in tags:
                        self._key_ids[name] = key["KeyId"]
        return self._key_ids.get(name)

    def _client(self, service: str, *, attempts: int) -> Any:  # noqa: ANN401 (any service's)
        known = (service, attempts)
        if known not in self._clients:
            retries = Config(retries={"mode": "standard", "max_attempts": attempts})
            self._clients[known] = self._session.client(service, config=retries)  # type: ignore[call-overload] # by name
        return self._clients[known]

    def _every(self, service: str, operation: str, member: str) -> list[dict[str, Any]]:
        pages = self._client(service, attempts=5).get_paginator(operation).paginate()
        return [one for page in pages for one in page[member]]

    def _write(self) -> None:
        if self._things:
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            self._journal.write_text("".join(json.dumps(thing) + "\n" for thing in self._things))
        else:
            self._journal.unlink(missing_ok=True)


def tag(name: str) -> list[dict[str, str]]:
    """Return the tag by which a key is known."""
    return [{"TagKey": TAG, "TagValue": name}]


def _remove_secret(account: Account, name: str) -> None:
    account.ask("secretsmanager", "delete_secret", SecretId=name, ForceDeleteWithoutRecovery=True)


def _remove_key(account: Account, name: str) -> None:
    key = account.key_id(name)
    if key is not None:
        account.ask("kms", "schedule_key_deletion", KeyId=key, PendingWindowInDays=KEY_DAYS)


def _remove_role(account: Account, name: str) -> None:
    for policy in account.ask("iam", "list_role_policies", RoleName=name)["PolicyNames"]:
        account.ask("iam", "delete_role_policy", RoleName=name, PolicyName=policy)
    account.ask("iam", "delete_role", RoleName=name)


def _remove_function(account: Account, name: str) -> None:
    account.ask("lambda", "delete_function", FunctionName=name)


def _remove_log_group(account: Account, name: str) -> None:
    account.ask("logs", "delete_log_group", logGroupName=name)


def _remove_topic(account: Account, name: str) -> None:
    # Its name is the last part of the ARN, and its making is idempotent: no list is needed.
    topic = account.ask("sns", "create_topic", Name=name)["TopicArn"]
    for subscription in account.ask("sns", "list_subscriptions_by_topic", TopicArn=topic)[
        "Subscriptions"
    ]:
        account.ask("sns", "unsubscribe", SubscriptionArn=subscription["SubscriptionArn"])
    account.ask("sns", "delete_topic", TopicArn=topic)


def _remove_queue(account: Account, name: str) -> None:
    url = account.ask("sqs", "get_queue_url", QueueName=name)["QueueUrl"]
    account.ask("sqs", "delete_queue", QueueUrl=url)


def _remove_alarm(account: Account, name: str) -> None:
    account.ask("cloudwatch", "delete_alarms", AlarmNames=[name])


def _remove_rule(account: Account, name: str) -> None:
    targets = [
        one["Id"] for one in account.ask("events", "list_targets_by_rule", Rule=name)["Targets"]
    ]
    if targets:
        account.ask("events", "remove_targets", Rule=name, Ids=targets)
    account.ask("events", "delete_rule", Name=name)


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of thing is made and removed.

    Attributes:
        service: As boto3 calls it.
        operation: The call that makes it.
        named_by: The call's parameter that is the name; empty where it has none, but tags.
        remove: Removes it, or raises a `ClientError` of `GONE` where it is not there.
    """

    service: str
    operation: str
    named_by: str
    remove: Callable[[Account, str], None]


KINDS: Final[Mapping[str, Kind]] = {
    "secret": Kind("secretsmanager", "create_secret", "Name", _remove_secret),
    "key": Kind("kms", "create_key", "", _remove_key),
    "role": Kind("iam", "create_role", "RoleName", _remove_role),
    "function": Kind("lambda", "create_function", "FunctionName", _remove_function),
    "log group": Kind("logs", "create_log_group", "logGroupName", _remove_log_group),
    "topic": Kind("sns", "create_topic", "Name", _remove_topic),
    "queue": Kind("sqs", "create_queue", "QueueName", _remove_queue),
    "alarm": Kind("cloudwatch", "put_metric_alarm", "AlarmName", _remove_alarm),
    "rule": Kind("events", "put_rule", "Name", _remove_rule),
}

GONE: Final = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "KMSInvalidStateException",  # its deletion is scheduled already
        "NoSuchEntity",
        "NotFound",
        "NotFoundException",
        "QueueDoesNotExist",
        "ResourceNotFound",
        "ResourceNotFoundException",
    }
)
"""Codes with which services say that a thing is not there."""
