"""The template, the folders, the handlers, the events and the version agree with one another."""

import importlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any, ClassVar

import pytest

from local.interpreter import RUNTIME
from local.lambda_runtime.scratch import FUNCTIONS
from local.template import ROOT, Function, Template, functions, load
from shared import errors
from shared.model import Step
from shared.options import Variable
from shared.settings import StrategyName
from tests.deployment.stack import Stack
from watch.check import NAMESPACE, Finding

TEMPLATE = load()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
ROTATORS = {
    name: function
    for name, function in functions(TEMPLATE).items()
    if function.folder.startswith("rotators/")
}
EVENTS = sorted((ROOT / "events").glob("*-*.json"))
STACK = Stack()
GIVEN_KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-4111-8111-111111111111"


def folders_of_rotators() -> list[str]:
    """Return the folders that hold a rotator."""
    return sorted(f"rotators/{path.parent.name}/" for path in ROOT.glob("rotators/*/rotator.py"))


def test_every_rotator_is_a_function_and_every_function_a_rotator() -> None:
    """The folders below rotators/ and the template's rotation functions are the same."""
    assert sorted(function.folder for function in ROTATORS.values()) == folders_of_rotators()


@pytest.mark.parametrize("function", ROTATORS.values(), ids=ROTATORS)
def test_a_rotators_handler_is_importable_from_the_repository(function: Function) -> None:
    """The handler's name in the template is its name here, and something that can be called."""
    module, _, name = function.handler.rpartition(".")
    assert module.replace(".", "/") + ".py" == f"{function.folder}rotator.py"
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("name", [*functions(TEMPLATE), "Shared"])
def test_import_names_survive_the_build(name: str) -> None:
    """SAM is told the package that a folder is, so that code imports alike here and in Lambda."""
    resource = RESOURCES[name]
    folder = resource["Properties"].get("CodeUri") or resource["Properties"]["ContentUri"]
    assert resource["Metadata"]["BuildProperties"] == {
        "ParentPackageMode": "explicit",
        "ParentPackages": folder.strip("/").replace("/", "."),
    }


def test_rotators_is_a_namespace() -> None:
    """A package file in rotators/ would be in no artefact, so code could rely on it only here."""
    assert not (ROOT / "rotators" / "__init__.py").exists()


@pytest.mark.parametrize("function", ROTATORS.values(), ids=ROTATORS)
def test_a_rotator_brings_its_requirements(function: Function) -> None:
    """Without the file SAM would build a function without its driver."""
    requirements = (ROOT / function.folder / "requirements.txt").read_text()
    assert "--hash=sha256:" in requirements


def test_the_rotators_have_the_same_settings() -> None:
    """What an operator sets holds for every engine."""
    first, *others = (
        RESOURCES[name]["Properties"]["Environment"]["Variables"] for name in ROTATORS
    )
    assert all(other == first for other in others)


def test_every_setting_that_the_code_reads_is_a_parameter() -> None:
    """A function's variables in the template are those that the code reads."""
    set_here = set(next(iter(ROTATORS.values())).environment)
    assert {name for name in set_here if not name.startswith("POWERTOOLS_")} == {*Variable}


def test_the_strategies_offered_are_those_there_are() -> None:
    """No strategy is missing in the parameter, and none is made up."""
    assert TEMPLATE["Parameters"]["Strategy"]["AllowedValues"] == ["", *StrategyName]


def test_the_runtime_is_the_one_that_artefacts_are_proven_with() -> None:
    """Functions, layer and the interpreter that tests start them with are of one version."""
    runtime = f"python{RUNTIME}"
    layer = RESOURCES["Shared"]
    assert TEMPLATE["Globals"]["Function"]["Runtime"] == runtime
    assert layer["Metadata"]["BuildMethod"] == runtime
    assert layer["Properties"]["CompatibleRuntimes"] == [runtime]


def test_the_version_is_the_projects() -> None:
    """What the Serverless Application Repository shows is the version in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    published = TEMPLATE["Metadata"]["AWS::ServerlessRepo::Application"]
    assert published["SemanticVersion"] == project["version"]
    assert published["Name"] == project["name"]
    for file in ("LicenseUrl", "ReadmeUrl"):
        assert (ROOT / published[file]).is_file()


def test_there_is_an_event_for_every_step_of_every_engine() -> None:
    """`make invoke` and `sam local invoke` find an event whichever step is looked at."""
    names = {re.sub(r"(?<!^)(?=[A-Z])", "-", step).lower() for step in Step}
    assert {path.stem for path in EVENTS} == {
        f"{engine}-{name}" for engine in FUNCTIONS for name in names
    }


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_an_event_is_what_secrets_manager_sends(path: Path) -> None:
    """Its step is the one in its name, its secret an ARN, its token a version id."""
    event = json.loads(path.read_text())
    engine, _, step = path.stem.partition("-")
    assert set(event) == {"Step", "SecretId", "ClientRequestToken"}
    assert Step(event["Step"]).lower() == step.replace("-", "")
    assert re.fullmatch(
        rf"arn:aws:secretsmanager:.+:secret:example/{engine}-\w{{6}}", event["SecretId"]
    )
    assert 32 <= len(event["ClientRequestToken"]) <= 64


def test_the_environment_file_of_sam_names_functions_and_their_variables() -> None:
    """`sam local invoke --env-vars` ignores what the template does not have."""
    given = json.loads((ROOT / "events" / "environment.json").read_text())
    assert set(given) == set(ROTATORS)
    for name, variables in given.items():
        known = {*ROTATORS[name].environment, "AWS_ENDPOINT_URL_SECRETS_MANAGER"}
        assert set(variables) <= known


class TestAlarms:
    """Alarms look at metrics that exist, and say what to do."""

    ALARMS: ClassVar[dict[str, Any]] = {
        name: resource["Properties"]
        for name, resource in STACK.resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }

    @pytest.mark.parametrize("name", ALARMS)
    def test_an_alarm_is_heard_and_says_what_to_do(self, name: str) -> None:
        """Every alarm goes to the topic, and its text names the place to look at."""
        alarm = self.ALARMS[name]
        topic = STACK.resolve({"Ref": "Topic"})
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic]
        assert re.search(r"\b(read|raise|Find|Check|find|names|check)\b", alarm["AlarmDescription"])

    def test_causes_are_errors_that_there_are(self) -> None:
        """The alarms by cause name classes of the error tree, each in one alarm only."""
        causes = [
            cause
            for alarm in self.ALARMS.values()
            for metric in alarm.get("Metrics", ())
            for cause in re.findall(r"cause = '(\w+)'", metric["Expression"])
        ]
        assert len(causes) == len(set(causes)) > 0
        for cause in causes:
            assert issubclass(getattr(errors, cause), errors.RotationError)

    def test_the_checks_metrics_are_those_it_writes(self) -> None:
        """There is an alarm for each finding, and it goes off too when the check does not run."""
        watched = {
            alarm["MetricName"]: alarm["TreatMissingData"]
            for alarm in self.ALARMS.values()
            if alarm.get("Namespace") == NAMESPACE
        }
        assert watched == dict.fromkeys((finding.value for finding in Finding), "breaching")

    def test_the_dashboard_is_json(self) -> None:
        """CloudWatch takes the body, and every alarm is on it."""
        body = json.loads(STACK.resources["Dashboard"]["Properties"]["DashboardBody"])
        (shown,) = (
            widget["properties"]["alarms"]
            for widget in body["widgets"]
            if widget["type"] == "alarm"
        )
        assert sorted(shown) == sorted(STACK.arn(name) for name in self.ALARMS)


class TestSecrets:
    """The secrets that the stack makes."""

    STACK = Stack(
        PostgresHost="db.example",
        PostgresUsername="app",
        PostgresAdministratorSecretArn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:a",
        MysqlHost="db.example",
        MysqlUsername="app",
        MysqlAdministratorSecretArn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:a",
    )

    @pytest.mark.parametrize("engine", ["Postgres", "Mysql"])
    def test_a_secret_is_json_that_its_rotator_takes(self, engine: str) -> None:
        """All fields are there, the port is a number, and names are quoted."""
        properties = self.STACK.resources[f"{engine}Secret"]["Properties"]
        generated = properties["GenerateSecretString"]
        value = json.loads(generated["SecretStringTemplate"])
        assert set(value) == {"engine", "host", "port", "dbname", "username", "masterarn"}
        assert isinstance(value["port"], int)
        assert generated["GenerateStringKey"] == "password"

    @pytest.mark.parametrize("engine", ["Postgres", "Mysql"])
    def test_a_schedule_waits_for_all_that_it_sets_off(self, engine: str) -> None:
        """Rotation is tested at once, so permission and policy have to stand before."""
        schedule = self.STACK.resources[f"{engine}Schedule"]
        assert set(schedule["DependsOn"]) == {f"{engine}Permission", f"{engine}Policy"}
        assert schedule["Properties"]["RotateImmediatelyOnUpdate"] is False

    def test_nothing_that_holds_credentials_goes_with_the_stack(self) -> None:
        """Secrets and the key that opens them stay when the stack is deleted or changed."""
        for name in ("PostgresSecret", "MysqlSecret", "Key"):
            assert RESOURCES[name]["DeletionPolicy"] == "Retain"
            assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


def _statements(document: Template) -> list[Template]:
    """Return the statements of a policy document, looked into Fn::If."""
    return [one["Fn::If"][1] if "Fn::If" in one else one for one in document["Statement"]]


# Actions that know no resource; the reason stands beside each statement in the template.
WITHOUT_RESOURCE = {"DescribeKnowsNoResource", "ListKnowsNoResource"}


def test_no_statement_opens_everything() -> None:
    """Outside key policies, Resource "*" is only for actions without resource, or for denials."""
    for name, resource in RESOURCES.items():
        if resource["Type"] == "AWS::IAM::Role":
            policies = resource["Properties"]["Policies"]
            documents = [(one.get("Fn::If") or [0, one])[1]["PolicyDocument"] for one in policies]
        elif resource["Type"] == "AWS::IAM::ManagedPolicy":
            documents = [resource["Properties"]["PolicyDocument"]]
        else:
            continue
        for statement in (one for document in documents for one in _statements(document)):
            actions = statement["Action"]
            assert "*" not in "".join(actions), (name, actions)
            if statement["Resource"] == "*" and statement["Effect"] == "Allow":
                assert statement["Sid"] in WITHOUT_RESOURCE, (name, statement)


def test_every_role_can_be_bounded() -> None:
    """A permissions boundary, where given, is on every role."""
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    roles = [
        resource["Properties"]
        for resource in Stack(PermissionsBoundary=boundary).resources.values()
        if resource["Type"] == "AWS::IAM::Role"
    ]
    assert [role["PermissionsBoundary"] for role in roles] == [boundary] * len(roles)
    assert len(roles) == len(functions(TEMPLATE))


@pytest.mark.parametrize("stack", [Stack(), Stack(KeyArn=GIVEN_KEY)], ids=["own", "given"])
def test_everything_at_rest_has_the_key(stack: Stack) -> None:
    """Log groups, topic and secrets are encrypted with the stack's key, or the one given."""
    key = stack.resolve({"Fn::If": ["MakeKey", {"Fn::GetAtt": ["Key", "Arn"]}, {"Ref": "KeyArn"}]})
    kinds = {"AWS::Logs::LogGroup": "KmsKeyId", "AWS::SNS::Topic": "KmsMasterKeyId"}
    used = [
        resource["Properties"][kinds[resource["Type"]]]
        for resource in stack.resources.values()
        if resource["Type"] in kinds
    ]
    assert used == [key] * 4
