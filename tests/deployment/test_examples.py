"""The examples make users that can be rotated, and show each strategy."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from local.engines import ENGINES
from local.lambda_runtime import FunctionError, LambdaRuntime
from local.secretsmanager import SecretsManagerService
from local.servers import start
from local.template import ROOT, load

pytestmark = pytest.mark.deploy

STRATEGIES = {
    name: set(declared.engine.strategies)
    for name, declared in ENGINES.items()
    if (ROOT / "examples" / f"{name}.yaml").exists()  # one for each engine that RDS runs by name
}


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A place to answer CloudFormation at: its URL, and what was put there."""
    received: list[dict[str, Any]] = []

    class Bucket(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Bucket) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", STRATEGIES)
def test_the_custom_resource_makes_a_user_once(
    kind: str, answers: tuple[str, list[dict[str, Any]]]
) -> None:
    """The user logs in with the secret's password, may work, and is left alone the second time."""
    url, received = answers
    service = SecretsManagerService()
    with start(kind) as server, service.endpoint() as endpoint:
        literals = {"engine": server.engine, "dbname": server.database}
        login = server.administrator
        administrator = service.create_secret(
            "administrator", literals | {"username": login.username, "password": login.password}
        )
        user = literals | {"username": "shop", "password": "first-Password-1"}
        secret = service.create_secret("shop", user)
        address = {"host": server.host, "port": str(server.port)}
        request = {"ResponseURL": url, "StackId": "stack", "RequestId": "request"}
        about_administrator = request | {
            "LogicalResourceId": "AdministratorAddress",
            "ResourceProperties": {"SecretArn": administrator, "Fields": address},
        }
        about_user = request | {
            "LogicalResourceId": "ShopUser",
            "ResourceProperties": {
                "SecretArn": secret,
                "Fields": address | {"masterarn": administrator},
                "AdministratorSecretArn": administrator,
                "CaFile": str(server.ca_file),
            },
        }
        with LambdaRuntime(
            "examples.users.create.handler", environment=endpoint.environment()
        ) as runtime:
            for event in (about_administrator, about_user):
                runtime.invoke(event | {"RequestType": "Create"})
            assert server.logs_in("shop", "first-Password-1")
            for kind_of_request in ("Create", "Update", "Delete"):
                runtime.invoke(about_user | {"RequestType": kind_of_request})
            assert server.logs_in("shop", "first-Password-1")
            written = [each for each in service.requests if each.operation == "PutSecretValue"]
            assert len(written) == 2, "one for each secret, on its first creation"
            known = {"host": server.host, "port": server.port, "masterarn": administrator}
            assert json.loads(service.value(secret)) == user | known
            broken = about_user["ResourceProperties"] | {"SecretArn": "no-such-secret"}  # type: ignore[operator]
            runtime.invoke(about_user | {"RequestType": "Create", "ResourceProperties": broken})
            assert "first-Password-1" not in runtime.log
            told = runtime.invoke({"LogIn": secret, "CaFile": str(server.ca_file)})
            assert told == {"user": {"postgres": "shop", "mysql": "shop@%"}[kind]}
            service.handle(
                "PutSecretValue",
                {
                    "SecretId": secret,
                    "ClientRequestToken": "0" * 32,
                    "SecretString": service.value(secret).replace("first-", "wrong-"),
                },
            )
            with pytest.raises(FunctionError):
                runtime.invoke({"LogIn": secret, "CaFile": str(server.ca_file)})
    assert [answer["Status"] for answer in received] == ["SUCCESS"] * 5 + ["FAILED"]
    assert [answer["PhysicalResourceId"] for answer in received[:2]] == [administrator, secret]


def test_what_a_secret_has_is_not_written_over(
    answers: tuple[str, list[dict[str, Any]]],
) -> None:
    """A secret that has an address keeps it, whatever the stack says; only what lacks is added."""
    url, _ = answers
    service = SecretsManagerService()
    with service.endpoint() as endpoint:
        secret = service.create_secret("shop", {"host": "moved", "port": 1})
        event = {
            "RequestType": "Create",
            "ResponseURL": url,
            "StackId": "s",
            "RequestId": "r",
            "LogicalResourceId": "Shop",
            "ResourceProperties": {
                "SecretArn": secret,
                "Fields": {"host": "db", "port": "5432", "masterarn": "arn"},
            },
        }
        with LambdaRuntime(
            "examples.users.create.handler", environment=endpoint.environment()
        ) as runtime:
            runtime.invoke(event)
        expected = {"host": "moved", "port": 1, "masterarn": "arn"}
        assert json.loads(service.value(secret)) == expected


@pytest.mark.parametrize("kind", STRATEGIES)
def test_an_example_shows_every_strategy_of_its_engine(kind: str) -> None:
    """Each strategy has one secret, attached, with a user, a schedule and a window."""
    resources = load(ROOT / "examples" / f"{kind}.yaml")["Resources"]
    shown = {
        name: resource["Properties"]["Tags"][0]["Value"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::SecretsManager::Secret" and name != "Administrator"
    }
    assert sorted(shown.values()) == sorted(STRATEGIES[kind])
    for name, strategy in shown.items():
        text = resources[name]["Properties"]["GenerateSecretString"]["SecretStringTemplate"]
        assert json.loads(text).keys() == {"engine", "dbname", "username"}
        fields = resources[f"{name}User"]["Properties"]["Fields"]
        assert fields.keys() >= {"host", "port"}
        assert ("masterarn" in fields) is (strategy != "single-user")
        schedule = resources[f"{name}Schedule"]
        assert schedule["DependsOn"] == f"{name}User"
        assert schedule["Properties"]["SecretId"] == {"Ref": name}
        assert schedule["Properties"]["RotationRules"]["Duration"] == "3h"
        assert schedule["Properties"]["RotateImmediatelyOnUpdate"] == {"Ref": "RotateOnDeploy"}


@pytest.mark.parametrize("kind", STRATEGIES)
def test_an_example_forces_encryption(kind: str) -> None:
    """The database takes no connection without TLS, is encrypted, and is not public."""
    template = load(ROOT / "examples" / f"{kind}.yaml")
    database = template["Resources"]["Database"]["Properties"]
    assert database["StorageEncrypted"] is True
    assert database["PubliclyAccessible"] is False
    assert database["DBParameterGroupName"] == {"Ref": "TlsOnly"}
    forced = template["Resources"]["TlsOnly"]["Properties"]["Parameters"]
    assert forced == {{"postgres": "rds.force_ssl", "mysql": "require_secure_transport"}[kind]: "1"}
    assert template["Parameters"]["RotateOnDeploy"]["Default"] == "false"


@pytest.mark.parametrize("kind", STRATEGIES)
def test_what_makes_users_logs_like_the_rotation(kind: str) -> None:
    """Its log group ends, is encrypted, and is one of those that the key's policy lets logs use.

    The policy names the groups of the rotation's own stack, whose name stands in its stack id.
    """
    resources = load(ROOT / "examples" / f"{kind}.yaml")["Resources"]
    group = resources["MakeUsersLogs"]["Properties"]
    assert group["KmsKeyId"] == {"Fn::GetAtt": ["Rotation", "Outputs.KeyArn"]}
    assert group["RetentionInDays"] == 90
    stack_name = {"Fn::Select": [1, {"Fn::Split": ["/", {"Ref": "Rotation"}]}]}
    name = {"Fn::Sub": ["/aws/lambda/${Stack}/MakeUsers", {"Stack": stack_name}]}
    assert group["LogGroupName"] == name
    makes = resources["MakeUsers"]["Properties"]
    assert makes["LoggingConfig"] == {"LogGroup": {"Ref": "MakeUsersLogs"}}
    statement = next(
        one
        for one in load()["Resources"]["Key"]["Properties"]["KeyPolicy"]["Statement"]
        if one.get("Sid") == "EncryptLogs"
    )
    allowed = statement["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]["Fn::Sub"]
    assert allowed.endswith(":log-group:/aws/lambda/${AWS::StackName}/*")


@pytest.mark.parametrize("kind", STRATEGIES)
def test_a_first_deployment_can_be_rolled_back(kind: str) -> None:
    """RDS refuses to delete a protected database, and the stack would hang in ROLLBACK_FAILED."""
    database = load(ROOT / "examples" / f"{kind}.yaml")["Resources"]["Database"]
    assert database["Properties"]["DeletionProtection"] is False
    assert database["DeletionPolicy"] == "Snapshot"


def test_nested_stacks_get_parameters_that_there_are() -> None:
    """What an example hands to the rotation stack are parameters of its template."""
    known = set(load()["Parameters"])
    for kind in STRATEGIES:
        nested = load(ROOT / "examples" / f"{kind}.yaml")["Resources"]["Rotation"]["Properties"]
        assert set(nested["Parameters"]) <= known
        used = json.dumps(load(ROOT / "examples" / f"{kind}.yaml")["Resources"])
        for output in load()["Outputs"]:
            used = used.replace(f'"Rotation", "Outputs.{output}"', "")
        assert '"Rotation", "Outputs.' not in used
