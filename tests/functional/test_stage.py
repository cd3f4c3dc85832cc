"""`make stage` is a playground: it rotates, tells what happens, breaks, and can be set up again."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

from local.engines import FUNCTIONS
from local.stage import FAULTS, give_to_built_functions
from local.template import ROOT
from shared.model import Step

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

PATIENCE_SECONDS = 60

STAGE = """
import dataclasses, sys
from local import stage
declared = stage.functions
stage.functions = lambda template: {
    name: dataclasses.replace(each, timeout_seconds=17) for name, each in declared(template).items()
}
sys.exit(stage.main())
"""
"""The stage, with functions of so little time that they do not wait for a server that is down."""

pytestmark = pytest.mark.xdist_group("stage")  # two stages would write the same file


class Running:
    """A stage in a process of its own, and what it says."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", STAGE, "--port", "0"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.said = self.until("# Ready")
        self.variables = dict(
            line.removeprefix("export ").split("=", 1)
            for line in self.said
            if line.startswith("export ")
        )

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def until(self, text: str) -> list[str]:
        """Return the next lines, up to one with this text."""
        lines: list[str] = []
        ends = time.monotonic() + PATIENCE_SECONDS
        while not lines or text not in lines[-1]:
            lines.append(self._lines.get(timeout=max(0.0, ends - time.monotonic())))
        return lines

    def press_enter(self) -> None:
        """Press Enter."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def stop(self) -> int:
        """Stop it as Ctrl-C does; return its exit status."""
        self.process.terminate()
        status = self.process.wait(PATIENCE_SECONDS)
        self._reader.join()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return status


@pytest.fixture(scope="module")
def stage() -> Iterator[Running]:
    """A stage, for all tests of this file."""
    running = Running()
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(stage: Running) -> Iterator["SecretsManagerClient"]:
    """What the AWS CLI would be with the lines that the stage prints."""
    made = boto3.client(
        "secretsmanager",
        endpoint_url=stage.variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"],
        region_name=stage.variables["AWS_REGION"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    yield made
    made.close()


def test_it_says_what_is_there_and_what_to_type(stage: Running) -> None:
    """Each server's administrator and function, and a command that rotates at once."""
    text = "\n".join(stage.said)
    for kind in FUNCTIONS:
        assert f":function:{kind}" in text
    assert text.count("its administrator: ") == len(FUNCTIONS)
    assert "aws secretsmanager rotate-secret --secret-id app/postgres" in text
    assert "AWS_ENDPOINT_URL_SECRETS_MANAGER" in stage.variables


def test_rotations_at_once_are_told_with_their_logs(
    stage: Running, client: "SecretsManagerClient"
) -> None:
    """All engines at the same time, the first request of each: they succeed, and are told so."""
    for kind in FUNCTIONS:
        client.rotate_secret(SecretId=f"app/{kind}")
    ended: list[str] = []
    for _ in FUNCTIONS:
        ended += stage.until("was the last step of attempt")
    outcomes = [line for line in ended if "was the last step" in line]
    assert all("attempt 1" in line and line.endswith("succeeded") for line in outcomes)
    logged = [json.loads(line) for line in ended if line.startswith("{")]
    done = [line for line in logged if line["message"] == "step succeeded"]
    assert len(done) == len(FUNCTIONS) * len(Step)
    assert not any("_aws" in line for line in logged), "metrics are for CloudWatch"


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"hangs"}))
def test_a_broken_secret_fails_and_its_log_says_why(
    stage: Running, client: "SecretsManagerClient", fault: str
) -> None:
    """The function's own error is printed, with its cause, and the outcome after it."""
    client.rotate_secret(SecretId=f"broken/{fault}")
    ended = stage.until(f"broken/{fault}")
    while "was the last step" not in ended[-1]:
        ended += stage.until(f"broken/{fault}")
    assert "failed: FunctionError(" in ended[-1]
    causes = {json.loads(line).get("cause") for line in ended if line.startswith("{")}
    assert causes - {None}


def test_a_rotation_that_hangs_is_restarted_by_the_command(
    stage: Running, client: "SecretsManagerClient"
) -> None:
    """RotateSecret alone is refused; after AWSPENDING is taken off it rotates."""
    with pytest.raises(ClientError, match="A previous rotation isn't complete"):
        client.rotate_secret(SecretId="broken/hangs")
    labels = client.describe_secret(SecretId="broken/hangs")["VersionIdsToStages"]
    (waiting,) = (version for version, on in labels.items() if on == ["AWSPENDING"])
    client.update_secret_version_stage(
        SecretId="broken/hangs", VersionStage="AWSPENDING", RemoveFromVersionId=waiting
    )
    client.rotate_secret(SecretId="broken/hangs")
    assert stage.until("was the last step")[-1].endswith("succeeded")


def test_the_events_can_be_replayed(stage: Running) -> None:
    """The test of attaching and the four steps run, and after Enter the first step once more."""

    def invoke(event: str) -> None:
        command = [sys.executable, "-m", "local.lambda_runtime", "PostgresRotator"]
        invoked = subprocess.run(
            [*command, "--event", f"events/postgres-{event}.json"],
            cwd=ROOT,
            env=os.environ | stage.variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert invoked.returncode == 0, invoked.stdout + invoked.stderr

    for event in ("attach", "create-secret", "set-secret", "test-secret", "finish-secret"):
        invoke(event)
    stage.press_enter()
    stage.until("as in the beginning")
    invoke("create-secret")


def test_a_second_stage_says_so_and_touches_nothing(stage: Running) -> None:
    """Where another one listens, one line is all, and the first goes on as it was."""
    ca_file = Path(stage.variables["DATABASE_CA_FILE"])
    before = ca_file.stat().st_mtime_ns
    port = stage.variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"].rpartition(":")[2]
    second = subprocess.run(
        [sys.executable, "-m", "local.stage", "--port", port],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr == f"Port {port}: Address already in use. Stop what listens there.\n"
    assert ca_file.stat().st_mtime_ns == before


def test_built_functions_get_the_authorities_after_each_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is put back where a build has removed it, or where it is of an earlier stage."""
    monkeypatch.setattr("local.stage.ROOT", tmp_path)
    ca_file = tmp_path / "local-ca.pem"
    ca_file.write_text("new")
    give_to_built_functions(ca_file)  # nothing was built yet
    folders = [tmp_path / ".aws-sam" / "build" / name for name in set(FUNCTIONS.values())]
    for folder in folders:
        folder.mkdir(parents=True)
    (folders[0] / "local-ca.pem").write_text("old")
    give_to_built_functions(ca_file)
    assert [(folder / "local-ca.pem").read_text() for folder in folders] == ["new"] * len(folders)
