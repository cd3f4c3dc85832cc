"""Parameters that are wrong, or wrong together, are refused before anything is made.

CloudFormation evaluates patterns and rules when it is given the parameters; here `Stack` does.
"""

from datetime import timedelta

import pytest

from local.template import load
from tests.deployment.plain import TEMPLATES, resources
from tests.deployment.stack import Stack

SUBNET, GROUP = "subnet-0123456789abcdef0", "sg-0123456789abcdef0"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-4111-8111-111111111111"
LAYER = "arn:aws:lambda:eu-central-1:123456789012:layer:database-ca:1"
SEAL = f"escrow.sealing.seal:bucket=b,bucket-key={KEY},first={KEY},second={KEY},public-key=MI+/ab=="

WHOLE = [
    {"BeforeChange": SEAL, "BeforeChangeLayer": LAYER},
    {},
    {"SubnetIds": SUBNET, "SecurityGroupIds": GROUP},
    {"SubnetIds": f"{SUBNET}, {SUBNET}", "SecurityGroupIds": f"{GROUP},{GROUP}"},
    {"SecretsManagerEndpoint": "https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com"},
    {"KeyArn": KEY},
    {"KeyArn": KEY.replace("key/11111111-1111-4111-8111-111111111111", f"key/mrk-{'1' * 32}")},
    {"KeyAdministratorArns": "arn:aws:iam::123456789012:role/team/Keys", "KeyInEveryRegion": "yes"},
    {"SecretKeyArns": f"{KEY},{KEY}"},
    {"AlarmEmail": "operations@example.com"},
    {"Strategy": "alternating-users", "PromoteIn": "finishSecret", "RefusedLogins": "1"},
    {"PasswordLength": "8", "ExcludeCharacters": "", "ExcludePunctuation": "true"},
    {"DatabaseCaFile": "/opt/database-ca.pem", "DatabaseCaLayer": LAYER},
    {"PermissionsBoundary": "arn:aws:iam::123456789012:policy/boundary"},
]

WRONG = [
    ("subnets without security group", {"SubnetIds": SUBNET}),
    ("security group without subnets", {"SecurityGroupIds": GROUP}),
    ("no subnet id", {"SubnetIds": "vpc-0123456789abcdef0", "SecurityGroupIds": GROUP}),
    ("an empty element", {"SubnetIds": f"{SUBNET},", "SecurityGroupIds": GROUP}),
    ("an endpoint without TLS", {"SecretsManagerEndpoint": "http://vpce-1.example.com"}),
    ("a key's alias", {"KeyArn": "arn:aws:kms:eu-central-1:123456789012:alias/mine"}),
    (
        "administrators of a given key",
        {"KeyArn": KEY, "KeyAdministratorArns": "arn:aws:iam::123456789012:role/a"},
    ),
    ("Regions of a given key", {"KeyArn": KEY, "KeyInEveryRegion": "yes"}),
    ("the account as administrator", {"KeyAdministratorArns": "arn:aws:iam::123456789012:root"}),
    ("no e-mail address", {"AlarmEmail": "operations"}),
    ("a strategy that does not exist", {"Strategy": "single"}),
    ("no step to promote in", {"PromoteIn": "testSecret"}),
    ("no refused login at all", {"RefusedLogins": "0"}),
    ("a short password", {"PasswordLength": "7"}),
    ("a password of no number", {"PasswordLength": "32 "}),
    (
        "no character left",
        dict.fromkeys(
            ("ExcludeNumbers", "ExcludePunctuation", "ExcludeUppercase", "ExcludeLowercase"), "true"
        ),
    ),
    ("a CA file without layer", {"DatabaseCaFile": "/opt/database-ca.pem"}),
    ("a layer without CA file", {"DatabaseCaLayer": LAYER}),
    ("a CA file elsewhere", {"DatabaseCaFile": "/var/ca.pem", "DatabaseCaLayer": LAYER}),
    ("something to call, and no layer that has it", {"BeforeChange": SEAL}),
    ("a layer, and nothing to call in it", {"BeforeChangeLayer": LAYER}),
    ("no function of Python", {"BeforeChange": "escrow/sealing", "BeforeChangeLayer": LAYER}),
    ("a processor that there is not", {"Architecture": "armv7"}),
    ("little memory", {"MemorySize": "128"}),
    ("a long timeout", {"Timeout": "901"}),
    ("a retention that CloudWatch has not", {"LogRetentionInDays": "42"}),
    ("no policy", {"PermissionsBoundary": "boundary"}),
    ("characters that SAM does not save", {"ExcludeCharacters": "/\\"}),
]


@pytest.mark.parametrize("parameters", WHOLE, ids=lambda given: " ".join(given) or "defaults")
def test_what_fits_is_taken(parameters: dict[str, str]) -> None:
    """Parameters that make sense pass every pattern and rule."""
    assert Stack(None, "rotation", **parameters).violations() == []


@pytest.mark.parametrize(("what", "parameters"), WRONG, ids=[what for what, _ in WRONG])
def test_what_does_not_fit_is_refused(what: str, parameters: dict[str, str]) -> None:
    """Each of these is refused by a pattern or a rule."""
    assert Stack(None, "rotation", **parameters).violations(), what


def test_every_parameter_is_described_and_grouped() -> None:
    """Whoever deploys finds each parameter in a group, with words of its own."""
    template = load()
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])
    for name, declared in template["Parameters"].items():
        assert declared["Description"].endswith("."), name
        if "AllowedPattern" in declared:
            assert declared["ConstraintDescription"], name


def test_every_default_stands() -> None:
    """Nobody has to answer a question in order to deploy."""
    assert all("Default" in declared for declared in load()["Parameters"].values())


def test_there_are_few_parameters() -> None:
    """Whoever deploys for the first time finds the six to think about in the first group."""
    template = load()
    first, *_ = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert len(first["Parameters"]) == 6
    assert list(template["Parameters"])[:6] == first["Parameters"], "`sam deploy --guided` asks so"
    assert len(template["Parameters"]) <= 30


SCHEDULES = [
    pytest.param(schedule["Properties"]["RotationRules"], id=f"{template} {name}")
    for template in TEMPLATES
    for name, schedule in resources(template).items()
    if schedule["Type"] == "AWS::SecretsManager::RotationSchedule"
]


@pytest.mark.parametrize("rules", SCHEDULES)
def test_a_window_fits_its_schedule(rules: dict[str, str]) -> None:
    """A window ends at the latest when its UTC day does.

    Source: the user guide's page on rotation schedules.
    """
    duration = timedelta(hours=int(rules["Duration"].removesuffix("h")))
    minute, hour, *_ = rules["ScheduleExpression"].removeprefix("cron(").split()
    assert minute == "0"
    assert timedelta(hours=int(hour)) + duration <= timedelta(days=1)
