"""The template as SAM transforms it: clean, free of circles, and what it makes is what was meant.

It is deployed into moto. moto passes over types that it does not know and still reports success, so
these tests look at the resources, never at the stack's status.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.engines import FUNCTIONS
from local.template import ROOT, functions, load
from tests.deployment.plain import BUCKET, transformed
from tests.deployment.stack import ACCOUNT, REGION, Stack

pytestmark = pytest.mark.deploy

EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
ROTATORS = sorted(set(FUNCTIONS.values()))
PARAMETERS = {
    "AlarmEmail": "operations@example.com",
    "Architecture": "x86_64",
    "MemorySize": "768",
    "PasswordLength": "40",
    "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    "Strategy": "single-user",
}


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    """The transformed template."""
    return transformed()


def test_nothing_of_sam_is_left(plain: dict[str, Any]) -> None:
    """CloudFormation itself knows every type."""
    assert not [
        name
        for name, resource in plain["Resources"].items()
        if resource["Type"].startswith("AWS::Serverless")
    ]


def test_cfn_lint_finds_nothing(plain: dict[str, Any], tmp_path: Path) -> None:
    """The linter, which finds circles only after the transformation, has no word to say."""
    path = tmp_path / "transformed.json"
    path.write_text(json.dumps(plain))
    linter = Path(sys.executable).parent / "cfn-lint"
    told = subprocess.run([linter, path], capture_output=True, text=True, check=False)
    assert (told.stdout, told.returncode) == ("", 0)


def test_no_resource_waits_for_itself(plain: dict[str, Any]) -> None:
    """References, attributes, substitutions and DependsOn make no circle."""
    resources = plain["Resources"]

    def needs(value: object) -> Iterator[str]:
        text = json.dumps(value)
        for name in resources:
            quoted = (f'"Ref": "{name}"', f'"Fn::GetAtt": ["{name}"', f"${{{name}}}", f"${{{name}.")
            if any(one in text for one in quoted):
                yield name

    graph = {
        name: {*needs(resource["Properties"]), *_depends(resource)}
        for name, resource in resources.items()
    }
    while free := {name for name, wanted in graph.items() if not wanted & graph.keys()}:
        for name in free:
            del graph[name]
    assert not graph


def _depends(resource: dict[str, Any]) -> list[str]:
    depends = resource.get("DependsOn", [])
    return [depends] if isinstance(depends, str) else depends


UNKNOWN_TO_MOTO = {
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
}
"""These are looked at in the template itself, by other tests."""
NO_VALUE = {"Ref": "AWS::NoValue"}


def _settled(value: Any, stack: Stack) -> Any:  # noqa: ANN401 (what a template holds)
    """Return a value without `Fn::If`: in lists, moto puts null for AWS::NoValue."""
    if isinstance(value, list):
        settled = [_settled(one, stack) for one in value]
        return [one for one in settled if one != NO_VALUE]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        condition, yes, no = value["Fn::If"]
        return _settled(yes if stack.resolve({"Condition": condition}) else no, stack)
    members = {key: _settled(one, stack) for key, one in value.items()}
    return {key: one for key, one in members.items() if one != NO_VALUE}


@pytest.fixture(scope="module")
def deployed(plain: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Deploy the stack into moto; physical ids by logical id."""
    stack = Stack(None, "rotation", **PARAMETERS)
    with mock_aws(config={"lambda": {"use_docker": False}}):
        s3 = boto3.client("s3", region_name=REGION)
        s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        for name in [*functions(load()), "Shared"]:
            s3.put_object(Bucket=BUCKET, Key=f"{name}.zip", Body=EMPTY_ZIP)
        cloudformation = boto3.client("cloudformation", region_name=REGION)
        cloudformation.create_stack(
            StackName="rotation",
            TemplateBody=json.dumps(
                plain
                | {
                    "Resources": {
                        name: _settled(resource, stack)
                        for name, resource in plain["Resources"].items()
                        if resource["Type"] not in UNKNOWN_TO_MOTO
                    }
                }
            ),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()
            ],
        )
        yield {
            summary["LogicalResourceId"]: summary.get("PhysicalResourceId", "")
            for page in cloudformation.get_paginator("list_stack_resources").paginate(
                StackName="rotation"
            )
            for summary in page["StackResourceSummaries"]
        }


@pytest.mark.parametrize("name", [*ROTATORS, "Watch"])
def test_a_function_is_made_as_meant(deployed: dict[str, str], name: str) -> None:
    """Runtime, handler, processor, memory and variables arrive at the function."""
    expected = functions(load())[name]
    made = boto3.client("lambda", region_name=REGION).get_function(FunctionName=deployed[name])[
        "Configuration"
    ]
    assert made["Handler"] == expected.handler
    assert made["Runtime"] == "python3.13"
    assert made["Architectures"] == ["x86_64"]
    if name != "Watch":
        assert made["MemorySize"] == 768
        variables = made["Environment"]["Variables"]
        assert variables["PASSWORD_LENGTH"] == "40"
        assert variables["ROTATION_STRATEGY"] == "single-user"
        assert set(variables) == set(expected.environment)


def test_the_layer_is_made_for_all_rotators(
    plain: dict[str, Any], deployed: dict[str, str]
) -> None:
    """There is one layer; moto forgets its name and who has it: that is in the template."""
    (layer,) = boto3.client("lambda", region_name=REGION).list_layers()["Layers"]
    assert layer["LatestMatchingVersion"]["CompatibleRuntimes"] == ["python3.13"]
    (shared,) = (name for name in deployed if name.startswith("Shared"))
    for name in ROTATORS:
        assert plain["Resources"][name]["Properties"]["Layers"][0] == {"Ref": shared}


@pytest.mark.parametrize("name", ROTATORS)
def test_only_secrets_manager_may_invoke(deployed: dict[str, str], name: str) -> None:
    """The function's resource policy has one statement, for this account."""
    client = boto3.client("lambda", region_name=REGION)
    policy = json.loads(client.get_policy(FunctionName=deployed[name])["Policy"])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": "secretsmanager.amazonaws.com"}
    assert statement["Condition"]["StringEquals"]["AWS:SourceAccount"] == ACCOUNT


@pytest.mark.parametrize("name", ROTATORS)
def test_a_role_has_its_policies_and_boundary(deployed: dict[str, str], name: str) -> None:
    """The policy that names the function is attached to the function's role."""
    iam = boto3.client("iam", region_name=REGION)
    role_name = name.replace("Rotator", "Role")
    role = iam.get_role(RoleName=deployed[role_name])["Role"]
    boundary = role["PermissionsBoundary"]["PermissionsBoundaryArn"]
    assert boundary == PARAMETERS["PermissionsBoundary"]
    (attached,) = iam.list_attached_role_policies(RoleName=deployed[role_name])["AttachedPolicies"]
    version = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId="v1")
    document: Any = version["PolicyVersion"]["Document"]
    (named,) = (
        statement["Condition"]["StringEquals"]["secretsmanager:resource/AllowRotationLambdaArn"]
        for statement in document["Statement"]
        if statement["Sid"] == "RotateSecretsThatNameThisFunction"
    )
    assert named.endswith(f":function:{deployed[name]}")


def test_the_key_rotates_and_has_its_policy(deployed: dict[str, str]) -> None:
    """The key's material is renewed, and its policy is the template's."""
    kms = boto3.client("kms", region_name=REGION)
    assert kms.get_key_rotation_status(KeyId=deployed["Key"])["KeyRotationEnabled"]
    # moto gives the document that CloudFormation had, not its text.
    policy: Any = kms.get_key_policy(KeyId=deployed["Key"], PolicyName="default")["Policy"]
    assert policy == Stack(None, "rotation", **PARAMETERS).policy("Key")
    aliases = kms.list_aliases(KeyId=deployed["Key"])["Aliases"]
    assert [alias["AliasName"] for alias in aliases] == ["alias/rotation"]


def test_log_groups_forget(deployed: dict[str, str]) -> None:
    """Each function has a log group with a retention; the key is looked at in the template."""
    groups = boto3.client("logs", region_name=REGION).describe_log_groups()["logGroups"]
    assert {group["logGroupName"] for group in groups} == {
        f"/aws/lambda/rotation/{name}" for name in functions(load())
    }
    assert {group["retentionInDays"] for group in groups} == {90}


def test_failed_rotations_reach_the_topic(deployed: dict[str, str]) -> None:
    """The rule matches the service's three events, and hands them to the encrypted topic."""
    events = boto3.client("events", region_name=REGION)
    rule = events.describe_rule(Name=deployed["FailedRotations"])
    pattern = json.loads(rule["EventPattern"])
    assert set(pattern["detail"]["eventName"]) == {
        "RotationAbandoned",
        "RotationFailed",
        "TestRotationFailed",
    }
    (target,) = events.list_targets_by_rule(Rule=deployed["FailedRotations"])["Targets"]
    assert target["Arn"] == deployed["Topic"]
    sns = boto3.client("sns", region_name=REGION)
    attributes = sns.get_topic_attributes(TopicArn=deployed["Topic"])["Attributes"]
    assert attributes["KmsMasterKeyId"].endswith(f":key/{deployed['Key']}")


def test_the_check_is_scheduled(deployed: dict[str, str]) -> None:
    """Every hour, as the alarms for its missing metrics suppose."""
    rule = boto3.client("events", region_name=REGION).describe_rule(Name=deployed["WatchHourly"])
    assert rule["ScheduleExpression"] == "rate(1 hour)"


def test_no_folder_of_the_repository_is_left_out() -> None:
    """What stands in the repository to be deployed is what the template deploys."""
    folders = {function.folder.strip("/").split("/")[0] for function in functions(load()).values()}
    assert folders | {"shared"} == {
        path.parent.name if path.parent.parent == ROOT else path.parent.parent.name
        for pattern in ("shared/__init__.py", "watch/__init__.py", "rotators/*/__init__.py")
        for path in ROOT.glob(pattern)
    }
