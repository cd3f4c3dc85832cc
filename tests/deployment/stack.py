"""Evaluates the template as CloudFormation does: parameters, rules, conditions, functions.

moto ignores rules and patterns, and the policies' tests want documents without intrinsic functions.
"""

import re
from collections.abc import Mapping
from typing import Any

from local.template import Template, load

ACCOUNT = "123456789012"
REGION = "eu-central-1"
NO_VALUE = object()
_ATTRIBUTES = {
    "AWS::IAM::Role": {"Arn": "arn:aws:iam::{account}:role/{name}"},
    "AWS::KMS::Key": {"Arn": "arn:aws:kms:{region}:{account}:key/{uuid}"},
    "AWS::Lambda::Function": {"Arn": "arn:aws:lambda:{region}:{account}:function:{name}"},
    "AWS::Serverless::Function": {"Arn": "arn:aws:lambda:{region}:{account}:function:{name}"},
    "AWS::CloudWatch::Alarm": {"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
    "AWS::Logs::LogGroup": {"Arn": "arn:aws:logs:{region}:{account}:log-group:{name}:*"},
    "AWS::RDS::DBInstance": {"DbiResourceId": "db-RESOURCE"},
    "AWS::S3::Bucket": {"Arn": "arn:aws:s3:::{name}"},
    "AWS::Events::Rule": {"Arn": "arn:aws:events:{region}:{account}:rule/{name}"},
}
_REFERENCES = {
    "AWS::SNS::Topic": "arn:aws:sns:{region}:{account}:{name}",
    "AWS::KMS::Key": "{uuid}",
}


class Stack:
    """The template with certain parameters.

    Args:
        template: As `local.template.load` gives it.
        name: The stack's.
        parameters: Those that are not left at their default, as texts.

    Attributes:
        resources: What would be made: logical id to type and properties, all resolved.
    """

    def __init__(
        self, template: Template | None = None, name: str = "rotation", **parameters: str
    ) -> None:
        self.template = load() if template is None else template
        self.name = name
        self.given = {
            key: str(parameters.get(key, declared.get("Default", "")))
            for key, declared in self.template["Parameters"].items()
        }
        assert set(parameters) <= set(self.given), "no such parameter"
        self.resources: dict[str, Any] = {
            logical: self._resource(resource)
            for logical, resource in self.template["Resources"].items()
            if self._holds(resource.get("Condition"))
        }

    def violations(self) -> list[str]:
        """Return why CloudFormation would refuse the parameters, before it makes anything."""
        found = []
        for key, declared in self.template["Parameters"].items():
            values = self._value_of(key)
            found += [
                f"{key}: {value!r}"
                for value in (values if isinstance(values, list) else [values])
                if not _allowed(declared, value)
            ]
        for rule in self.template.get("Rules", {}).values():
            if "RuleCondition" in rule and not self.resolve(rule["RuleCondition"]):
                continue
            found += [
                assertion["AssertDescription"]
                for assertion in rule["Assertions"]
                if not self.resolve(assertion["Assert"])
            ]
        return found

    def policy(self, logical: str) -> dict[str, Any]:
        """Return the policy document of a resource that has one."""
        properties = self.resources[logical]["Properties"]
        document: dict[str, Any] = properties.get("PolicyDocument") or properties["KeyPolicy"]
        return document

    def identity_policies(self, role: str) -> list[dict[str, Any]]:
        """Return all policy documents of a role, its own and those attached to it."""
        own = [each["PolicyDocument"] for each in self.resources[role]["Properties"]["Policies"]]
        attached = [
            resource["Properties"]["PolicyDocument"]
            for resource in self.resources.values()
            if resource["Type"] == "AWS::IAM::ManagedPolicy"
            and self.resolve({"Ref": role}) in resource["Properties"].get("Roles", ())
        ]
        return own + attached

    def arn(self, logical: str) -> str:
        """Return the ARN of a resource."""
        return str(self.resolve({"Fn::GetAtt": [logical, "Arn"]}))

    def resolve(self, value: Any) -> Any:  # noqa: ANN401 (what a template holds)
        """Return a value without intrinsic functions."""
        if isinstance(value, list):
            return [one for each in value if (one := self.resolve(each)) is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                return self._reference(argument)
            if function == "Condition" and isinstance(argument, str):
                return self._holds(argument)
            if function.startswith("Fn::"):
                evaluate = getattr(self, f"_{function.removeprefix('Fn::').lower()}")
                return evaluate(argument)
        resolved = {key: self.resolve(each) for key, each in value.items()}
        return {key: each for key, each in resolved.items() if each is not NO_VALUE}

    def _resource(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "Type": resource["Type"],
            "Properties": self.resolve(resource.get("Properties", {})),
        }

    def _holds(self, condition: str | None) -> bool:
        return condition is None or bool(self.resolve(self.template["Conditions"][condition]))

    def _value_of(self, parameter: str) -> str | list[str]:
        text = self.given[parameter]
        if self.template["Parameters"][parameter]["Type"] == "CommaDelimitedList":
            return [one.strip() for one in text.split(",")]
        return text

    def _reference(self, name: str) -> Any:  # noqa: ANN401 (likewise)
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": self.name,
            "AWS::NoValue": NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.template["Parameters"]:
            return self._value_of(name)
        return self._named(
            _REFERENCES.get(self.template["Resources"][name]["Type"], "{name}"), name
        )

    def _named(self, pattern: str, logical: str) -> str:
        number = list(self.template["Resources"]).index(logical)
        return pattern.format(
            account=ACCOUNT,
            region=REGION,
            name=f"{self.name}-{logical}",
            uuid=f"00000000-0000-4000-8000-{number:012d}",
        )

    def _getatt(self, argument: list[str]) -> str:
        logical, attribute = argument
        kind = self.template["Resources"][logical]["Type"]
        return self._named(_ATTRIBUTES[kind][attribute], logical)

    def _sub(self, text: str) -> str:
        def put(found: re.Match[str]) -> str:
            logical, _, attribute = found[1].partition(".")
            return str(
                self._getatt([logical, attribute]) if attribute else self._reference(found[1])
            )

        return re.sub(r"\$\{([^!}]+)\}", put, text)

    def _if(self, argument: list[Any]) -> Any:  # noqa: ANN401 (likewise)
        condition, yes, no = argument
        return self.resolve(yes if self._holds(condition) else no)

    def _findinmap(self, argument: list[Any]) -> Any:  # noqa: ANN401 (likewise)
        name, first, second = self.resolve(argument)
        return self.template["Mappings"][name][first][second]

    def _join(self, argument: list[Any]) -> str:
        separator, parts = argument
        return str(separator).join(self.resolve(parts))

    def _equals(self, argument: list[Any]) -> bool:
        left, right = self.resolve(argument)
        return str(left) == str(right)

    def _not(self, argument: list[Any]) -> bool:
        return not self.resolve(argument[0])

    def _and(self, argument: list[Any]) -> bool:
        return all(self.resolve(argument))

    def _or(self, argument: list[Any]) -> bool:
        return any(self.resolve(argument))

    def _contains(self, argument: list[Any]) -> bool:
        values, value = self.resolve(argument)
        return value in values


def _allowed(declared: Mapping[str, Any], value: str) -> bool:
    """Tell whether one value of a parameter fits its declaration."""
    if declared["Type"] == "Number":
        if not re.fullmatch(r"-?[0-9]+", value):
            return False
        low, high = declared.get("MinValue", float("-inf")), declared.get("MaxValue", float("inf"))
        if not low <= int(value) <= high:
            return False
    if "AllowedValues" in declared and value not in [str(one) for one in declared["AllowedValues"]]:
        return False
    # CloudFormation's pattern has to match the whole value.
    return re.fullmatch(declared.get("AllowedPattern", ".*"), value, re.DOTALL) is not None
