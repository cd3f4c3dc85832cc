"""P2: alarms, and events on their way through an encrypted topic."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from probes.account import ACCEPTED, Account, code_of

QUESTIONS: Final[Mapping[str, str]] = {
    "P2.1": "Is an alarm refused whose Metrics Insights query has OR?",
    "P2.2": "Does an event reach an encrypted topic, no policy having conditions?",
    "P2.3": "And with a condition in the topic's policy?",
    "P2.4": "And with a condition in the key's?",
    "P2.5": "And where the topic's policy denies unencrypted connections?",
    "P2.6": "What does an InputTemplate make of angle brackets?",
    "P2.7": "Does an alarm send anything that begins without data?",
}
COSTS: Final = (
    "two keys, four topics, a queue, a rule, two alarms: below 0.10 USD, five minutes; "
    "the keys are deleted after seven days, for nothing"
)

QUERY: Final = "SELECT SUM(StepFailed) FROM SecretRotation WHERE cause = 'one' OR cause = 'two'"
SENDERS: Final = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
DELIVERY_SECONDS: Final = 90
COMBINATIONS: Final[Mapping[str, str]] = {
    "plain": "P2.2",
    "guarded": "P2.3",
    "guardedkey": "P2.4",
    "denying": "P2.5",
}
"""Topics and the question that each answers."""


def probe(account: Account) -> Iterator[tuple[str, str]]:
    """Answer the questions, each as soon as it is known."""
    yield "P2.1", _query_with_or(account)
    number = account.ask("sts", "get_caller_identity")
    partition = number["Arn"].split(":")[1]
    owner = number["Account"]
    keys = {
        name: _key(account, f"arn:{partition}:iam::{owner}:root", name, condition)
        for name, condition in {"open": {}, "guarded": _condition(owner)}.items()
    }
    queue = _queue(account, partition, owner)
    topics = {
        name: _topic(account, name, keys["guarded" if name == "guardedkey" else "open"], owner)
        for name in COMBINATIONS
    }
    for topic in topics.values():
        account.ask("sns", "subscribe", TopicArn=topic, Protocol="sqs", Endpoint=queue["arn"])
    alarm = {"AlarmActions": [topics["plain"]], "InsufficientDataActions": [topics["plain"]]}
    _alarm(account, "silent", **alarm)
    _send(account, topics)
    messages = _messages(account, queue["url"], len(topics))
    arrived = {one["TopicArn"]: one["Message"] for one in messages if "probe:" in one["Message"]}
    for name, question in COMBINATIONS.items():
        yield question, "delivered" if topics[name] in arrived else "not delivered"
    yield "P2.6", arrived.get(topics["plain"], "nothing arrived")
    told = [one["Message"] for one in messages if "probe:" not in one["Message"]]
    # Whether it would be heard at all, shows an alarm that is set off.
    alarm_name = f"{account.prefix}-silent"
    state = {"StateValue": "ALARM", "StateReason": "probe"}
    account.ask("cloudwatch", "set_alarm_state", AlarmName=alarm_name, **state)
    after = _messages(account, queue["url"], 0)
    yield "P2.7", f"{len(told)} messages; {len(after)} once it was set off"


def _query_with_or(account: Account) -> str:
    queries = [{"Id": "query", "Expression": QUERY, "Period": 60}]
    try:
        account.make(
            "alarm",
            "query",
            Metrics=queries,
            EvaluationPeriods=1,
            Threshold=0.0,
            ComparisonOperator="GreaterThanThreshold",
        )
    except ClientError as error:
        return f"refused: {code_of(error)}"
    return ACCEPTED


def _alarm(account: Account, name: str, **actions: object) -> None:
    account.make(
        "alarm",
        name,
        Namespace="SecretRotationProbe",
        MetricName="Nothing",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.0,
        ComparisonOperator="GreaterThanThreshold",
        **actions,
    )


def _condition(owner: str) -> dict[str, object]:
    return {"Condition": {"StringEquals": {"aws:SourceAccount": owner}}}


def _key(account: Account, root: str, name: str, condition: Mapping[str, object]) -> str:
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"},
        {
            "Effect": "Allow",
            "Principal": {"Service": SENDERS},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": "*",
            **condition,
        },
    ]
    made = account.make("key", name, Policy=_policy(statements))
    return str(made["KeyMetadata"]["KeyId"])


def _queue(account: Account, partition: str, owner: str) -> dict[str, str]:
    arn = f"arn:{partition}:sqs:{account.region}:{owner}:{account.prefix}-queue"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {
            "ArnLike": {
                "aws:SourceArn": f"arn:{partition}:sns:{account.region}:{owner}:{account.prefix}-*"
            }
        },
    }
    made = account.make("queue", "queue", Attributes={"Policy": _policy([statement])})
    return {"arn": arn, "url": made["QueueUrl"]}


def _topic(account: Account, name: str, key: str, owner: str) -> str:
    arn = str(account.make("topic", name, Attributes={"KmsMasterKeyId": key})["TopicArn"])
    publish = {"Action": "sns:Publish", "Resource": arn}
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Principal": {"Service": SENDERS},
            **publish,
            **(_condition(owner) if name == "guarded" else {}),
        }
    ]
    if name == "denying":
        unencrypted = {"Bool": {"aws:SecureTransport": "false"}}
        statements.append({"Effect": "Deny", "Principal": "*", **publish, "Condition": unencrypted})
    account.ask(
        "sns",
        "set_topic_attributes",
        TopicArn=arn,
        AttributeName="Policy",
        AttributeValue=_policy(statements),
    )
    return arn


def _send(account: Account, topics: Mapping[str, str]) -> None:
    """Send one event, by one rule, to all topics."""
    rule = f"{account.prefix}-rule"
    account.make("rule", "rule", EventPattern=json.dumps({"source": [account.prefix]}))
    transformer = {
        "InputPathsMap": {"secret": "$.detail.secret"},
        "InputTemplate": '"probe: <secret> waits"',
    }
    targets = [
        {"Id": name, "Arn": arn, "InputTransformer": transformer} for name, arn in topics.items()
    ]
    account.ask("events", "put_targets", Rule=rule, Targets=targets)
    account.pause(30)
    event = {"Source": account.prefix, "DetailType": "probe", "Detail": '{"secret": "app"}'}
    account.ask("events", "put_events", Entries=[event])


def _messages(account: Account, url: str, number: int) -> list[dict[str, Any]]:
    """Read the queue until as many came as were sent, or time is over."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        answer = account.ask(
            "sqs", "receive_message", QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        for message in answer.get("Messages", []):
            found.append(json.loads(message["Body"]))
            handle = message["ReceiptHandle"]
            account.ask("sqs", "delete_message", QueueUrl=url, ReceiptHandle=handle)
        return len(found) > number

    account.wait(look, DELIVERY_SECONDS)
    return found


def _policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
