"""The scheduled check finds the rotations that did not happen, and no others."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from local.secretsmanager import SecretsManagerService
from watch.check import (
    OVERDUE_AFTER,
    STUCK_AFTER,
    Finding,
    _client,
    advice,
    findings,
    handler,
    rotated_by,
)

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.type_defs import SecretListEntryTypeDef as Secret

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ({}, set()),
        ({"NextRotationDate": NOW + timedelta(days=9)}, set()),
        ({"NextRotationDate": NOW - OVERDUE_AFTER}, set()),
        ({"NextRotationDate": NOW - OVERDUE_AFTER - MOMENT}, {Finding.OVERDUE}),
        ({"SecretVersionsToStages": {"1": ["AWSCURRENT", "AWSPENDING"]}}, set()),
        ({"SecretVersionsToStages": {"1": ["AWSCURRENT"], "2": ["AWSPENDING"]}}, {Finding.STUCK}),
        (
            {
                "SecretVersionsToStages": {"1": ["AWSCURRENT"], "2": ["AWSPENDING"]},
                "LastChangedDate": NOW - STUCK_AFTER,
            },
            set(),
        ),
        (
            {
                "SecretVersionsToStages": {"1": ["AWSCURRENT"], "2": ["AWSPENDING"]},
                "NextRotationDate": NOW - timedelta(days=9),
            },
            {Finding.STUCK, Finding.OVERDUE},
        ),
    ],
)
def test_a_secret_is_judged_by_dates_and_labels(secret: "Secret", expected: set[Finding]) -> None:
    """Overdue after a day, stuck after six hours with AWSPENDING on another version."""
    changed: Secret = {"LastChangedDate": NOW - STUCK_AFTER - MOMENT}
    assert findings({**changed, **secret}, NOW) == expected


@pytest.mark.parametrize("finding", Finding)
def test_the_command_for_a_rotation_that_hangs_works_as_it_stands(finding: Finding) -> None:
    """Typed literally, it takes AWSPENDING off and rotates, for any secret's name."""
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:it's!-AbCdEf"
    told = advice(
        finding,
        {"ARN": secret, "SecretVersionsToStages": {"1": ["AWSCURRENT"], "2": ["AWSPENDING"]}},
    )
    (command,) = re.findall("`(.+)`", told)
    take_off, rotate = (shlex.split(each) for each in command.split(" && "))
    assert take_off == [
        *("aws", "secretsmanager", "update-secret-version-stage", "--secret-id", secret),
        *("--version-stage", "AWSPENDING", "--remove-from-version-id", "2"),
    ]
    assert rotate == ["aws", "secretsmanager", "rotate-secret", "--secret-id", secret]


@pytest.mark.parametrize("labels", [{}, {"1": ["AWSCURRENT", "AWSPENDING"]}])
def test_where_nothing_waits_it_is_only_rotated(labels: dict[str, list[str]]) -> None:
    """There is no label to take off, so the command does not fail at that."""
    told = advice(Finding.OVERDUE, {"ARN": "arn:secret", "SecretVersionsToStages": labels})
    assert told.endswith("run `aws secretsmanager rotate-secret --secret-id arn:secret`.")


@pytest.fixture
def service() -> SecretsManagerService:
    """A Secrets Manager whose clock stands still."""
    return SecretsManagerService(clock=lambda: NOW)


def test_only_secrets_of_the_stacks_functions_are_looked_at(
    service: SecretsManagerService,
) -> None:
    """Secrets of other functions and of none are left out, and all pages are read."""
    with service:
        for number in range(120):
            secret = service.create_secret(f"secret-{number:03}", "{}")
            if number % 3:
                service.enable_rotation(secret, f"arn:function:{number % 3}")
        client = service.client()
        found = [secret["Name"] for secret in rotated_by(client, {"arn:function:1"})]
    assert found == [f"secret-{number:03}" for number in range(120) if number % 3 == 1]


def test_a_secret_that_names_an_alias_is_looked_at_too(service: SecretsManagerService) -> None:
    """The function may not rotate it, which is what the check is there to tell."""
    function = "arn:aws:lambda:eu-central-1:123456789012:function:postgres"
    with service:
        for name, named in (("plain", function), ("alias", f"{function}:live"), ("other", "x")):
            service.enable_rotation(service.create_secret(name, "{}"), named)
        found = [secret["Name"] for secret in rotated_by(service.client(), {function})]
    assert found == ["plain", "alias"]


def test_metrics_and_advice_are_written(
    service: SecretsManagerService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line for the stuck secret, a line that becomes metrics, and no value in either."""
    monkeypatch.setenv("WATCHED_FUNCTIONS", "arn:function:1 arn:function:2")
    monkeypatch.setenv("STACK_NAME", "rotation")
    with service:
        stuck = service.create_secret("stuck", '{"password": "do not tell"}')
        service.enable_rotation(stuck, "arn:function:1")
        service.prepare_rotation(stuck, "00000000-0000-4000-8000-000000000001")
        counted = handler({}, LambdaContext())
    assert counted == {"SecretsWatched": 1, "SecretsStuck": 1, "SecretsOverdue": 0}
    written = capsys.readouterr().out
    assert "do not tell" not in written
    finding, metrics = (json.loads(line) for line in written.splitlines())
    assert finding["secret"] == stuck
    assert finding["finding"] == "SecretsStuck"
    token = "00000000-0000-4000-8000-000000000001"
    assert f"--secret-id {stuck} --version-stage AWSPENDING" in finding["message"]
    assert f"--remove-from-version-id {token} && aws" in finding["message"]
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["stack"]]
    assert {metric["Name"]: metrics[metric["Name"]] for metric in directive["Metrics"]} == counted


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ("", "https://secretsmanager.eu-central-1.amazonaws.com"),
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
    ],
)
def test_the_check_asks_the_endpoint_that_is_named(
    monkeypatch: pytest.MonkeyPatch, named: str, asked: str
) -> None:
    """An empty variable, as the template has it, is the Region's endpoint."""
    monkeypatch.setenv("SECRETS_MANAGER_ENDPOINT", named)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    _client.cache_clear()
    client = _client()
    assert client.meta.endpoint_url == asked
    client.close()
    _client.cache_clear()
