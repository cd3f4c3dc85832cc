"""The examples make users that can be rotated, and show each strategy."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from local.lambda_runtime import LambdaRuntime
from local.secretsmanager import SecretsManagerService
from local.servers import start
from local.template import ROOT, load
from shared.settings import StrategyName

pytestmark = pytest.mark.deploy

STRATEGIES = {"postgres": set(StrategyName) - {"dual-password"}, "mysql": set(StrategyName)}


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


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_the_custom_resource_makes_a_user_once(
    kind: str, answers: tuple[str, list[dict[str, Any]]]
) -> None:
    """The user logs in with the secret's password, may work, and is left alone the second time."""
    url, received = answers
    service = SecretsManagerService()
    with start(kind) as server, service.endpoint() as endpoint:
        where = {"engine": server.engine, "host": server.host, "port": server.port}
        where["dbname"] = server.database
        administrator = service.create_secret(
            "administrator",
            where
            | {
                "username": server.administrator.username,
                "password": server.administrator.password,
            },
        )
        user = {"username": "shop", "password": "first-Password-1"}
        secret = service.create_secret("shop", where | user)
        event = {
            "RequestType": "Create",
            "ResponseURL": url,
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "ShopUser",
            "ResourceProperties": {
                "SecretArn": secret,
                "AdministratorSecretArn": administrator,
                "CaFile": str(server.ca_file),
            },
        }
        with LambdaRuntime(
            "examples.users.create.handler", environment=endpoint.environment()
        ) as runtime:
            runtime.invoke(event)
            assert server.logs_in("shop", "first-Password-1")
            runtime.invoke(event | {"RequestType": "Update"})
            runtime.invoke(event | {"RequestType": "Delete"})
            assert server.logs_in("shop", "first-Password-1")
            broken = event["ResourceProperties"] | {"SecretArn": "no-such-secret"}  # type: ignore[operator]
            runtime.invoke(event | {"ResourceProperties": broken})
            assert "first-Password-1" not in runtime.log
    assert [answer["Status"] for answer in received] == ["SUCCESS"] * 3 + ["FAILED"]
    assert {answer["PhysicalResourceId"] for answer in received[:3]} == {secret}


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
        value = resources[name]["Properties"]["GenerateSecretString"]["SecretStringTemplate"]
        assert ("masterarn" in str(value)) is (strategy != "single-user")
        schedule = resources[f"{name}Schedule"]
        assert schedule["DependsOn"] == f"{name}User"
        assert schedule["Properties"]["SecretId"] == {"Ref": f"{name}Attachment"}
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
