"""What stands in for Lambda and its logs answers in the services' own shapes."""

import json
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError

from local.lambda_service import LambdaService
from local.secretsmanager import SecretsManagerService


@pytest.fixture(name="lambdas")
def lambdas_of() -> Iterator[tuple[LambdaService, str]]:
    """The service, and where it answers."""
    service = SecretsManagerService()
    with service.endpoint() as endpoint:
        yield LambdaService(service), endpoint.url


def test_functions_are_listed_in_pages(lambdas: tuple[LambdaService, str]) -> None:
    """Fifty a page, each of them once."""
    service, url = lambdas
    names = {service.add(f"f{number}", print, handler="a.b") for number in range(120)}
    pages = boto3.client("lambda", endpoint_url=url).get_paginator("list_functions").paginate()
    listed = [function["FunctionArn"] for page in pages for function in page["Functions"]]
    assert len(listed) == len(names) == 120
    assert set(listed) == names


def test_a_function_is_invoked_and_its_error_told(lambdas: tuple[LambdaService, str]) -> None:
    """The answer is what the function returns; what it raises is an error of the function."""
    service, url = lambdas
    client = boto3.client("lambda", endpoint_url=url)
    service.add("doubles", lambda event: {"twice": event["n"] * 2}, handler="a.b")
    answer = client.invoke(FunctionName="doubles", Payload=json.dumps({"n": 4}))
    assert json.loads(answer["Payload"].read()) == {"twice": 8}
    answer = client.invoke(FunctionName="doubles", Payload=b"{}")
    assert answer["FunctionError"] == "Unhandled"
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.invoke(FunctionName="missing")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", 4),
        ('{ $.level = "ERROR" }', 2),
        ('{ $.level = "ERROR" && $.secret = * }', 1),
        ('{ $.level != "ERROR" }', 1),
        ('{ $.secret = "one" && $.level = "INFO" }', 1),
    ],
)
def test_the_log_is_filtered_by_fields(
    lambdas: tuple[LambdaService, str], pattern: str, found: int
) -> None:
    """Lines of JSON are found by what their fields are, or that there is one."""
    service, url = lambdas
    arn = service.add("f", print, handler="a.b")
    service.write(arn, '{"level": "ERROR", "secret": "one"}\n{"level": "ERROR"}')
    service.write(arn, '{"level": "INFO", "secret": "one"}\nno JSON')
    client = boto3.client("logs", endpoint_url=url)
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName="/aws/lambda/f", filterPattern=pattern, PaginationConfig={"PageSize": 1}
    )
    assert sum(len(page["events"]) for page in pages) == found


def test_a_log_is_read_from_a_moment_on(lambdas: tuple[LambdaService, str]) -> None:
    """What was written before is left out; a group that is none is an error."""
    service, url = lambdas
    arn = service.add("f", print, handler="a.b")
    service.write(arn, "old", ago_seconds=60)
    service.write(arn, "new")
    client = boto3.client("logs", endpoint_url=url)
    since = int((service._service.now().timestamp() - 30) * 1000)
    answer = client.filter_log_events(logGroupName="/aws/lambda/f", startTime=since)
    assert [event["message"] for event in answer["events"]] == ["new"]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.filter_log_events(logGroupName="/aws/lambda/missing")
