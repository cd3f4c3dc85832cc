"""The service over HTTP: for SDKs, the AWS CLI and functions in other processes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from local.secretsmanager import SecretsManagerService
from local.secretsmanager.__main__ import _one_at_a_time
from local.secretsmanager.endpoint import Endpoint
from local.secretsmanager.sample import handler as sample

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

ROOT = Path(__file__).parents[2]


@pytest.fixture
def service() -> SecretsManagerService:
    """A service that is reached over HTTP only."""
    return SecretsManagerService()


@pytest.fixture
def endpoint(service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Its endpoint, to which this process's environment points."""
    with service.endpoint() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        yield running


@pytest.fixture
def client(endpoint: Endpoint) -> "SecretsManagerClient":
    """A client that finds the endpoint by its environment, and does not retry."""
    return boto3.client("secretsmanager", config=Config(retries={"total_max_attempts": 1}))


def test_a_client_finds_it_by_the_environment(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """Values, times, bytes and errors arrive over HTTP as in process."""
    arn = service.create_secret("app", "ключ\N{EURO SIGN}")
    assert client.get_secret_value(SecretId=arn)["SecretString"] == "ключ\N{EURO SIGN}"
    created = client.describe_secret(SecretId=arn)["CreatedDate"]
    assert abs(service.now() - created).total_seconds() < 60
    client.put_secret_value(SecretId=arn, SecretBinary=b"\0\xff")
    assert client.get_secret_value(SecretId=arn)["SecretBinary"] == b"\0\xff"
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.get_secret_value(SecretId="nowhere")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["ResponseMetadata"]["RequestId"]


def test_rotate_secret_really_calls_the_function(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """A rotation over HTTP runs the local handler, and its calls are counted as its own."""
    arn = service.create_secret("app", "first")
    client.rotate_secret(SecretId=arn, RotationLambdaARN=service.register("function", sample))
    service.wait()
    assert client.get_secret_value(SecretId=arn)["SecretString"].startswith("made in a rotation")
    (outcome,) = service.outcomes
    assert len(outcome.calls) == len(service.requests) - 2
    assert {each.invocation for each in outcome.calls} != {None}


def test_lost_answers_end_the_connection(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """A client sees a connection that was closed, before or after the effect."""
    arn = service.create_secret("app", "first")
    service.fail_before("PutSecretValue", 1)
    service.fail_after("PutSecretValue", 2)
    for expected in ("first", "second"):
        with pytest.raises(ConnectionClosedError):
            client.put_secret_value(SecretId=arn, SecretString="second")
        assert service.value(arn) == expected


def test_a_function_in_another_process_can_be_killed_at_a_boundary(
    service: SecretsManagerService, endpoint: Endpoint
) -> None:
    """The call-back may end the process that waits for the answer; the effect is there."""
    arn = service.create_secret("app", "first")
    program = "import boto3, sys; boto3.client('secretsmanager').put_secret_value(SecretId="
    arguments = [sys.executable, "-c", f"{program}sys.argv[1], SecretString='second')", arn]
    with subprocess.Popen(
        arguments, env={**os.environ, **endpoint.environment()}, stderr=subprocess.DEVNULL
    ) as process:
        service.on_request = lambda _operation, phase, _index: (
            process.kill() if phase == "after" else None
        )
        assert process.wait(60) == -signal.SIGKILL
    assert service.value(arn) == "second"


def test_other_services_are_motos(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """STS, KMS and RDS answer at the same address."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.url)
    assert boto3.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert boto3.client("kms").create_key()["KeyMetadata"]["Enabled"]
    assert boto3.client("rds").describe_db_instances()["DBInstances"] == []


@pytest.mark.parametrize(
    ("body", "target", "status", "code"),
    [
        (b"no JSON", "secretsmanager.ListSecrets", 400, b"SerializationException"),
        (b"[]", "secretsmanager.ListSecrets", 400, b"SerializationException"),
        (b"{}", "secretsmanager.Nonsense", 400, b"UnknownOperationException"),
        (b"{}", "", 403, b"MissingAuthenticationToken"),
    ],
)
def test_requests_that_no_sdk_makes_are_answered(
    endpoint: Endpoint, body: bytes, target: str, status: int, code: bytes
) -> None:
    """Nonsense on the wire is refused, and does not end the endpoint."""
    request = Request(  # noqa: S310 - the endpoint's own URL
        endpoint.url, body, {"X-Amz-Target": target}, method="POST"
    )
    try:
        with urlopen(request) as response:  # noqa: S310 - likewise
            answered, text = response.status, response.read()
    except OSError as error:
        answered, text = getattr(error, "code", None), getattr(error, "read", bytes)()
        getattr(error, "close", bool)()
    assert (answered, code in text) == (status, True)


def test_answers_do_not_wait_for_anything(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """A request on an open connection takes a few milliseconds: no 40 ms of delayed packets.

    The quickest one tells, whatever else the machine does; the first ones are never delayed.
    """
    arn = service.create_secret("app", "first")
    seconds = []
    for _ in range(60):
        started = time.perf_counter()
        client.get_secret_value(SecretId=arn)
        seconds.append(time.perf_counter() - started)
    assert min(seconds[20:]) < 0.02


def test_many_clients_at_once(service: SecretsManagerService, endpoint: Endpoint) -> None:
    """Requests from several threads and connections are all carried out."""
    service.create_secret("app", "first")
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            own = boto3.session.Session().client("secretsmanager")
            for _ in range(10):
                own.put_secret_value(SecretId="app", SecretString=str(uuid4()))
            own.close()
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(service.versions("app")) == 81


def test_nothing_is_left_when_it_stops(service: SecretsManagerService) -> None:
    """Kept connections, threads and the port are gone, with a client still holding on."""
    before = set(threading.enumerate())
    with service.endpoint() as endpoint:
        client: Any = boto3.client("secretsmanager", endpoint_url=endpoint.url)
        client.list_secrets()
        port = endpoint.port
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    client.close()


@pytest.fixture
def foreground(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """The endpoint as its own program, with the sample function."""
    arguments = [sys.executable, "-W", "error", "-m", "local.secretsmanager"]
    function = ["--function", "sample=local.secretsmanager.sample.handler"]
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(
            [*arguments, *function], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        yield process
        process.terminate()
        assert process.wait(30) == 0
    assert (tmp_path / "errors").read_text() == ""


def test_the_program_rotates_and_says_so(
    foreground: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first lines are what a shell needs; a rotation that ended is told in one line."""
    assert foreground.stdout is not None
    function = ""
    for line in foreground.stdout:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            monkeypatch.setenv(name, value)
        elif line.startswith("# arn:"):
            function = line.removeprefix("# ").strip()
        else:
            break
    client = boto3.session.Session().client("secretsmanager")
    arn = client.create_secret(Name="app", SecretString="first")["ARN"]
    client.rotate_secret(SecretId=arn, RotationLambdaARN=function)
    told = foreground.stdout.readline()
    assert told.startswith(f"# {arn}: finishSecret was the last step of attempt 1")
    assert told.endswith("succeeded\n")
    assert client.get_secret_value(SecretId=arn)["SecretString"] != "first"
    client.close()


def test_a_function_of_the_program_serves_one_event_at_a_time() -> None:
    """Events that come at once are served in turn, so that their log lines are not mixed up."""
    inside: list[int] = []

    def handler(event: dict[str, Any], _context: object) -> int:
        inside.append(event["number"])
        time.sleep(0.005)
        assert inside.pop() == event["number"], "another event came between"
        return int(event["number"])

    serve = _one_at_a_time(handler)
    with ThreadPoolExecutor(8) as threads:
        served = list(threads.map(lambda number: serve({"number": number}, None), range(16)))
    assert served == list(range(16))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("x=local.nowhere.handler", "No module named 'local.nowhere'"),
        ("x=local.secretsmanager.sample.nothing", "no attribute 'nothing'"),
        ("x=local.secretsmanager.sample.__doc__", "cannot be called"),
        ("nonsense", "is not NAME=MODULE.ATTRIBUTE"),
    ],
)
def test_a_function_that_cannot_be_had_is_said_at_the_start(function: str, message: str) -> None:
    """The program does not start with a function that would fail in every rotation."""
    ended = subprocess.run(
        [sys.executable, "-m", "local.secretsmanager", "--function", function],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert message in ended.stderr
