"""The template, the folders, the handlers, the events and the version agree with one another."""

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from local.engines import ENGINES, FUNCTIONS
from local.interpreter import RUNTIME
from local.template import ROOT, Function, Template, functions, load
from shared.errors import Remedy
from shared.model import Step
from shared.options import Variable
from shared.runtime import METRICS_NAMESPACE, SERVICE
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


@dataclass(frozen=True)
class Named:
    """How the template names what is made for one function.

    Attributes:
        prefix: Of the logical ids, such as ``Postgres``.
        folder: Of the code, and the value of administrators' tag.
        title: Of the engine that was declared first.
    """

    prefix: str
    folder: str
    title: str

    def instead_of(self, other: "Named", text: str) -> str:
        """Return what stands there for ``other`` as it should stand for this function."""
        for theirs, mine in (
            (other.prefix, self.prefix),
            (other.folder, self.folder),
            (other.title, self.title),
        ):
            text = text.replace(theirs, mine)
        return text


NAMED = {
    each.engine.function: Named(
        each.engine.function.removesuffix("Rotator"), each.folder, each.engine.title
    )
    for each in [*ENGINES.values()][::-1]
}
MODEL = NAMED["PostgresRotator"]
"""Whose resources and outputs the others' have to equal, names aside."""
PARTS = sorted(name for name in RESOURCES if name.startswith(MODEL.prefix))
OUTPUTS: dict[str, Any] = TEMPLATE["Outputs"]


def without_description(part: Template) -> Template:
    """Return a part of the template without the text that says which databases it is for."""
    properties = part.get("Properties", part)
    kept = {key: value for key, value in properties.items() if key != "Description"}
    return part | {"Properties": kept} if "Properties" in part else kept


@pytest.mark.parametrize("function", sorted(NAMED))
def test_every_declared_engine_has_its_function(function: str) -> None:
    """What an engine declares is in the template, made of its folder."""
    assert function in ROTATORS, f"template.yaml has no function {function}: copy {MODEL.prefix}*"
    assert ROTATORS[function].folder == f"rotators/{NAMED[function].folder}/"


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("function", sorted(NAMED))
def test_what_one_function_has_every_other_has(function: str, part: str) -> None:
    """All that is made for a function is the same for each, names aside."""
    named = NAMED[function]
    name = named.instead_of(MODEL, part)
    assert name in RESOURCES, f"template.yaml has no {name} for {function}: copy {part}"
    expected = json.loads(named.instead_of(MODEL, json.dumps(RESOURCES[part])))
    mine = RESOURCES[name]
    if mine["Type"] == "AWS::Serverless::Function":
        expected, mine = without_description(expected), without_description(mine)
    assert mine == expected


@pytest.mark.parametrize("output", sorted(each for each in OUTPUTS if MODEL.prefix in each))
@pytest.mark.parametrize("function", sorted(NAMED))
def test_every_function_has_its_outputs(function: str, output: str) -> None:
    """Whoever attaches secrets finds each function's ARN and role among the outputs."""
    named = NAMED[function]
    name = named.instead_of(MODEL, output)
    assert name in OUTPUTS, f"template.yaml has no output {name}: copy {output}"
    expected = json.loads(named.instead_of(MODEL, json.dumps(OUTPUTS[output])))
    assert without_description(OUTPUTS[name]) == without_description(expected)


@pytest.mark.parametrize("function", sorted(NAMED))
def test_every_function_is_watched(function: str) -> None:
    """The hourly check, the dashboard's graph of durations and its list of errors have each."""
    prefix = NAMED[function].prefix
    watch = json.dumps(RESOURCES["Watch"]["Properties"]["Environment"])
    assert function in watch, f"template.yaml: {function} is not in Watch's WATCHED_FUNCTIONS"
    dashboard = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for text in (f"${{{function}}}", f"${{{prefix}Logs}}"):
        assert text in dashboard, f"template.yaml: {text} is not on the dashboard"


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_engine_is_in_the_readme(name: str) -> None:
    """The page that people read first names each engine, and its page."""
    declared = ENGINES[name]
    readme = (ROOT / "README.md").read_text()
    for text in (declared.engine.title, f"rotators/{declared.folder}/README.md"):
        assert text in readme, f"README.md does not name {text}: add it to the table of engines"
    function = declared.engine.function
    for edge in (
        f"secrets -->|four steps| {function}",
        f"{function} -->|TLS| databases",
        f"{function} -->|metrics| LockedOut",
    ):
        assert edge in readme, f"README.md: the diagram of the stack lacks `{edge}`"


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


def test_there_is_an_event_for_every_step_of_every_engine() -> None:
    """`make invoke` and `sam local invoke` find an event whichever step is looked at."""
    names = {re.sub(r"(?<!^)(?=[A-Z])", "-", step).lower() for step in Step} | {"attach"}
    wanted = {f"{engine}-{name}" for engine in FUNCTIONS for name in names}
    found = {path.stem for path in EVENTS}
    assert wanted <= found, f"events/ lacks {sorted(wanted - found)}: copy those of another engine"
    assert found <= wanted, f"events/ has {sorted(found - wanted)}, of no engine"


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_an_event_is_what_secrets_manager_sends(path: Path) -> None:
    """Its step is the one in its name, its secret an ARN, its token a version id."""
    event = json.loads(path.read_text())
    engine, _, step = path.stem.partition("-")
    assert set(event) == {"Step", "SecretId", "ClientRequestToken"}
    # Attaching tests the rotation: testSecret alone, on a version that never got a value.
    name = f"{engine}-attached" if step == "attach" else engine
    assert Step(event["Step"]).lower() == step.replace("-", "").replace("attach", "testsecret")
    assert re.fullmatch(
        rf"arn:aws:secretsmanager:.+:secret:example/{name}-\w{{6}}", event["SecretId"]
    )
    assert 32 <= len(event["ClientRequestToken"]) <= 64


def test_the_environment_file_of_sam_names_functions_and_their_variables() -> None:
    """`sam local invoke --env-vars` ignores what the template does not have."""
    given = json.loads((ROOT / "events" / "environment.json").read_text())
    assert set(given) == set(functions(TEMPLATE))
    for name, variables in given.items():
        declared = RESOURCES[name]["Properties"]["Environment"]["Variables"]
        assert set(variables) <= set(declared)


def test_names_fit_whatever_the_stack_is_called() -> None:
    """A stack's name has up to 128 characters; what is made of it stays within each API's limit."""
    made = Stack(None, "s" * 128, TrailLogsManagementEvents="no").resources
    limits = {
        ("AWS::SNS::Topic", "DisplayName"): 100,
        ("AWS::KMS::Alias", "AliasName"): 256,
        ("AWS::Logs::LogGroup", "LogGroupName"): 512,
        ("AWS::Serverless::LayerVersion", "LayerName"): 140,
        ("AWS::CloudWatch::Dashboard", "DashboardName"): 255,
        ("AWS::CloudTrail::Trail", "TrailName"): 128,
        ("AWS::IAM::Role", "Description"): 1000,
        ("AWS::IAM::ManagedPolicy", "Description"): 1000,
        ("AWS::CloudWatch::Alarm", "AlarmDescription"): 1024,
    }
    for (kind, name), limit in limits.items():
        texts = [each["Properties"][name] for each in made.values() if each["Type"] == kind]
        assert texts
        assert max(map(len, texts)) <= limit, (kind, name)


class TestAlarms:
    """Alarms look at metrics that exist, and say what to do."""

    ALARMS: ClassVar[dict[str, Any]] = {
        name: resource["Properties"]
        for name, resource in STACK.resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }

    @pytest.mark.parametrize("name", ALARMS)
    def test_an_alarm_is_heard_and_says_what_to_do(self, name: str) -> None:
        """Every alarm goes to the topic, and its text, within the API's limit, names the place."""
        alarm = self.ALARMS[name]
        topic = STACK.resolve({"Ref": "Topic"})
        assert alarm["AlarmActions"] == [topic]
        # That no secret was rotated in plaintext lately is no good news, nor bad.
        assert alarm.get("OKActions") == (None if name == "Plaintext" else [topic])
        assert re.search(r"\b([Rr]ead|raise|[Ff]ind|[Cc]heck|names)\b", alarm["AlarmDescription"])
        assert len(alarm["AlarmDescription"]) <= 1024

    def test_every_remedy_that_needs_a_person_alarms(self) -> None:
        """There is one alarm for each remedy of the errors, but for the one that is to wait."""
        needed = [
            {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
            for alarm in self.ALARMS.values()
            if alarm.get("MetricName") == "StepFailedByRemedy"
        ]
        expected = [
            {"service": SERVICE, "remedy": remedy.value} for remedy in Remedy if remedy != "wait"
        ]
        assert sorted(needed, key=str) == sorted(expected, key=str)

    def test_the_functions_metrics_are_those_they_write(self) -> None:
        """An alarm about a metric of the functions names one that the code counts."""
        code = (ROOT / "shared" / "runtime.py").read_text()
        written = set(re.findall(r'_count\("(\w+)"', code))
        watched = {
            alarm["MetricName"]
            for alarm in self.ALARMS.values()
            if {"Name": "service", "Value": SERVICE} in alarm.get("Dimensions", ())
        }
        assert watched == {"StepFailedByRemedy", "Plaintext"} <= written

    def test_the_checks_metrics_are_those_it_writes(self) -> None:
        """There is an alarm for each finding, which tells too when the check does not run.

        An alarm begins without data, so a fresh deployment sends nothing; missing data later does.
        """
        watched = {
            alarm["MetricName"]: (alarm["TreatMissingData"], alarm.get("InsufficientDataActions"))
            for alarm in self.ALARMS.values()
            if {"Name": "stack", "Value": STACK.name} in alarm.get("Dimensions", ())
        }
        told = ("missing", [STACK.resolve({"Ref": "Topic"})])
        assert watched == dict.fromkeys((finding.value for finding in Finding), told)

    def test_metrics_have_one_namespace(self) -> None:
        """Functions and check write where the alarms and the dashboard look."""
        own = {alarm["Namespace"] for alarm in self.ALARMS.values()} - {"AWS/Lambda", "AWS/Events"}
        assert own == {NAMESPACE} == {METRICS_NAMESPACE}

    def test_the_dashboard_is_json(self) -> None:
        """CloudWatch takes the body, and every alarm is on it."""
        body = json.loads(STACK.resources["Dashboard"]["Properties"]["DashboardBody"])
        (shown,) = (
            widget["properties"]["alarms"]
            for widget in body["widgets"]
            if widget["type"] == "alarm"
        )
        assert sorted(shown) == sorted(STACK.arn(name) for name in self.ALARMS)


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
    assert used == [key] * (len(functions(TEMPLATE)) + 1)  # each function's log group, the topic
