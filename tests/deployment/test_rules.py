"""Facts about AWS that no linter and no simulator knows, as rules over every transformed template.

Each rule is a function from a template's resources to what breaks it, and has a sample that it must
object to. Where the facts come from is in docs/aws-facts.md.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.deployment.plain import TEMPLATES, resources

Resources = Mapping[str, Any]
Rule = Callable[[Resources], Iterator[str]]


def of_type(made: Resources, *kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and resource of each that is of one of these types."""
    for name, resource in made.items():
        if resource["Type"] in kinds:
            yield name, resource


def settled(value: Any) -> Iterator[Any]:  # noqa: ANN401 (what a template holds)
    """Yield what a list may hold: both branches of each `Fn::If`, but not AWS::NoValue."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and "Fn::If" in one:
            yield from settled(one["Fn::If"][1:])
        elif one != {"Ref": "AWS::NoValue"}:
            yield one


def statements(made: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every statement of every policy, with the name of the resource that has it."""
    for name, resource in made.items():
        properties = resource.get("Properties", {})
        documents = [properties.get("PolicyDocument"), properties.get("KeyPolicy")]
        documents += [one["PolicyDocument"] for one in settled(properties.get("Policies", []))]
        for document in filter(None, documents):
            for statement in settled(document["Statement"]):
                yield name, statement


def as_list(value: object) -> list[Any]:
    """Return what may stand alone or in a list, as a list."""
    return value if isinstance(value, list) else [value]


def queries(made: Resources) -> Iterator[str]:
    """CloudWatch's queries know no OR, and an alarm takes no SEARCH: alarms look at metrics."""
    for name, alarm in of_type(made, "AWS::CloudWatch::Alarm"):
        if re.search(r"\b(SELECT|SEARCH)\b", json.dumps(alarm["Properties"].get("Metrics", []))):
            yield name


INTERFACES = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:DeleteNetworkInterface",
    "ec2:UnassignPrivateIpAddresses",
}
ANY_INTERFACE = {
    "*",
    "arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:*/*",
}
"""What passes Lambda's check of the role, which it makes before there is an interface.

Source: Lambda developer guide, "Giving Lambda functions access to resources in an Amazon VPC": for
DeleteNetworkInterface a unique resource id or all of them, with this ARN as the example. With
network-interface/* a function is refused: "The provided execution role does not have permissions to
call DeleteNetworkInterface on EC2" (hashicorp/terraform-provider-aws, issue 20698).
"""


def interfaces(made: Resources) -> Iterator[str]:
    """Lambda checks that a role may delete and assign whichever interface, before there is one."""
    for name, statement in statements(made):
        if statement["Effect"] != "Allow" or not INTERFACES & set(as_list(statement["Action"])):
            continue
        for resource in as_list(statement["Resource"]):
            text = resource["Fn::Sub"] if isinstance(resource, dict) else resource
            if text not in ANY_INTERFACE:
                yield name
                break


def retention(made: Resources) -> Iterator[str]:
    """Secrets and keys outlive their stack, but not a stack that never came up.

    A creation that is rolled back would otherwise leave them, and their price, at every try.
    Source: CloudFormation user guide, "DeletionPolicy attribute"; UpdateReplacePolicy has no such
    value.
    """
    for name, resource in of_type(made, "AWS::SecretsManager::Secret", "AWS::KMS::Key"):
        kept = resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")
        if kept != ("RetainExceptOnCreate", "Retain"):
            yield name


def generated(made: Resources) -> Iterator[str]:
    """Nothing but literals makes a password: any change there makes another one, which is live.

    Source: CloudFormation's reference of AWS::SecretsManager::Secret, GenerateSecretString.
    """
    for name, secret in of_type(made, "AWS::SecretsManager::Secret"):
        properties = secret["Properties"].get("GenerateSecretString", {})
        if not all(isinstance(value, str | int | bool) for value in properties.values()):
            yield name


def attachments(made: Resources) -> Iterator[str]:
    """Deleting a SecretTargetAttachment takes host and port out of the secret, by PutSecretValue.

    So deleting a stack would damage each secret that it keeps.
    """
    yield from (name for name, _ in of_type(made, "AWS::SecretsManager::SecretTargetAttachment"))


def custom_resources(made: Resources) -> Iterator[str]:
    """A custom resource that does not answer holds its stack for an hour, unless a time is given.

    Source: CloudFormation's reference of AWS::CloudFormation::CustomResource, ServiceTimeout.
    """
    for name, resource in made.items():
        custom = resource["Type"].startswith(("Custom::", "AWS::CloudFormation::CustomResource"))
        if custom and int(resource["Properties"].get("ServiceTimeout", 3600)) > 300:
            yield name


def _published(condition: dict[str, str] | None) -> dict[str, Any]:
    """Return the policy of a topic that takes events under a condition."""
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"Service": [EVENTS]}}
    if condition:
        statement["Condition"] = condition
    return {"PolicyDocument": {"Statement": [statement]}}


def _policy(interfaces: str) -> dict[str, Any]:
    """Return a role's policy that lets it delete these interfaces."""
    arn = f"arn:${{AWS::Partition}}:ec2:${{AWS::Region}}:${{AWS::AccountId}}:{interfaces}"
    statement = {"Effect": "Allow", "Action": "ec2:DeleteNetworkInterface"}
    return {"PolicyDocument": {"Statement": [statement | {"Resource": {"Fn::Sub": arn}}]}}


EVENTS = "events.amazonaws.com"


def events(made: Resources) -> Iterator[str]:
    """EventBridge gives topics and their keys none of the keys that a Condition asks for.

    So wherever something is published to a topic, a statement without Condition lets it, in the
    topic's policy and in its key's. Sources: EventBridge user guide, "Using resource-based
    policies"; SNS developer guide, "Managing encryption keys": aws:SourceAccount, aws:SourceArn and
    aws:SourceOrgID are "not supported for EventBridge-to-encrypted topics".
    """
    policies = ("AWS::SNS::TopicPolicy", "AWS::KMS::Key")
    targets = [
        target["Arn"]["Ref"]
        for _, rule in of_type(made, "AWS::Events::Rule")
        for target in rule["Properties"]["Targets"]
        if "Ref" in target["Arn"]
    ]
    if not any(made[target]["Type"] == "AWS::SNS::Topic" for target in targets):
        return
    for name, resource in of_type(made, *policies):
        let = [
            statement
            for _, statement in statements({name: resource})
            if statement["Effect"] == "Allow"
            and EVENTS in as_list(_principals(statement).get("Service"))
        ]
        if not let or any("Condition" in statement for statement in let):
            yield name


def _principals(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return the principals of a statement by kind."""
    named = statement["Principal"]
    return named if isinstance(named, dict) else {}


RULES: dict[str, tuple[Rule, Resources]] = {
    "alarms ask no query": (
        queries,
        {
            "Alarm": {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {
                    "Metrics": [{"Expression": "SELECT SUM(a) WHERE b = 'c' OR b = 'd'"}]
                },
            }
        },
    ),
    "rights to interfaces are not narrowed": (
        interfaces,
        {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {"Policies": [_policy("network-interface/*")]},
            },
            "GoodRole": {
                "Type": "AWS::IAM::Role",
                "Properties": {"Policies": [_policy("*/*")]},
            },
        },
    ),
    "EventBridge publishes without condition": (
        events,
        {
            "TopicPolicy": {"Type": "AWS::SNS::TopicPolicy", "Properties": _published({"a": "b"})},
            "GoodTopicPolicy": {"Type": "AWS::SNS::TopicPolicy", "Properties": _published(None)},
            "GoodRule": {
                "Type": "AWS::Events::Rule",
                "Properties": {"Targets": [{"Arn": {"Ref": "GoodTopic"}}]},
            },
            "GoodTopic": {"Type": "AWS::SNS::Topic"},
        },
    ),
    "secrets and keys are kept": (
        retention,
        {
            "Secret": {
                "Type": "AWS::SecretsManager::Secret",
                "DeletionPolicy": "RetainExceptOnCreate",
            },
            "Key": {
                "Type": "AWS::KMS::Key",
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
            },
            "GoodKey": {
                "Type": "AWS::KMS::Key",
                "DeletionPolicy": "RetainExceptOnCreate",
                "UpdateReplacePolicy": "Retain",
            },
        },
    ),
    "passwords are made of literals": (
        generated,
        {
            "Secret": {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {"GenerateSecretString": {"SecretStringTemplate": {"Fn::Sub": "a"}}},
            },
            "GoodSecret": {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {"GenerateSecretString": {"PasswordLength": 32}},
            },
        },
    ),
    "secrets are not attached": (
        attachments,
        {"Attachment": {"Type": "AWS::SecretsManager::SecretTargetAttachment"}},
    ),
    "custom resources have a time limit": (
        custom_resources,
        {
            "User": {"Type": "Custom::DatabaseUser", "Properties": {}},
            "GoodUser": {"Type": "Custom::DatabaseUser", "Properties": {"ServiceTimeout": 180}},
        },
    ),
}
"""Each rule with a template that breaks it; only what begins with Good does not."""


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_keeps_the_rule(template: str, rule: str) -> None:
    """Nothing in the template, as CloudFormation gets it, breaks the rule."""
    broken, _ = RULES[rule]
    assert list(broken(resources(template))) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_objects(rule: str) -> None:
    """What is wrong is found, and only what is wrong."""
    broken, sample = RULES[rule]
    assert list(broken(sample)) == [name for name in sample if not name.startswith("Good")]
