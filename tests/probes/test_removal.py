"""Whatever happens to a run, nothing that it made is left, and nothing else is touched."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.secretsmanager import SecretsManagerService
from local.template import ROOT
from probes import keys, labels, messages, rotations
from probes.__main__ import INTERRUPTED, NOT_BEGUN, Run, main
from probes.account import KINDS, PREFIX, Account
from tests.probes.conftest import PACE, Local

Make = Callable[..., Local]
MAKERS = {(kind.service, kind.operation.replace("_", "").lower()) for kind in KINDS.values()}
BYSTANDER = f"{PREFIX}another"
"""Begins as the names of every run do."""


def there(session: boto3.Session) -> dict[str, list[str]]:
    """Return what there is in the account, by kind."""
    ask = session.client
    kms = ask("kms")
    states = [
        kms.describe_key(KeyId=one["KeyId"])["KeyMetadata"] for one in kms.list_keys()["Keys"]
    ]
    functions = ask("lambda").list_functions()["Functions"]
    secrets = ask("secretsmanager").list_secrets(IncludePlannedDeletion=True)["SecretList"]
    return {
        "secret": [one["Name"] for one in secrets],
        "key": [one["Description"] for one in states if one["KeyState"] != "PendingDeletion"],
        "role": [one["RoleName"] for one in ask("iam").list_roles()["Roles"]],
        "function": [one["FunctionName"] for one in functions],
        "log group": [
            one["logGroupName"] for one in ask("logs").describe_log_groups()["logGroups"]
        ],
        "topic": [one["TopicArn"].rsplit(":", 1)[1] for one in ask("sns").list_topics()["Topics"]],
        "queue": [url.rsplit("/", 1)[1] for url in ask("sqs").list_queues().get("QueueUrls", [])],
        "alarm": [one["AlarmName"] for one in ask("cloudwatch").describe_alarms()["MetricAlarms"]],
        "rule": [one["Name"] for one in ask("events").list_rules()["Rules"]],
    }


def bystanders(session: boto3.Session) -> None:
    """Make one thing of most kinds that is not the run's."""
    session.client("secretsmanager").create_secret(Name=BYSTANDER, SecretString="kept")
    session.client("kms").create_key(
        Description=BYSTANDER, Policy=json.dumps({"Statement": []}), Tags=[]
    )
    session.client("iam").create_role(RoleName=BYSTANDER, AssumeRolePolicyDocument="{}")
    session.client("logs").create_log_group(logGroupName=BYSTANDER)
    session.client("sns").create_topic(Name=BYSTANDER)
    session.client("sqs").create_queue(QueueName=BYSTANDER)
    session.client("events").put_rule(Name=BYSTANDER, ScheduleExpression="rate(1 day)")


def quick(account: Account) -> Iterator[tuple[str, str]]:
    """P3 without its watch."""
    return rotations.probe(account, watch_minutes=0, sleep_seconds=0)


def interrupt(session: boto3.Session, moment: str, number: int) -> list[str]:
    """Press Ctrl-C before or after the call number ``number`` that makes something."""
    made: list[str] = []

    def press(model: Any, **_rest: object) -> None:  # noqa: ANN401 (botocore's)
        service = model.service_model.service_name
        if (service, model.name.lower()) in MAKERS:
            made.append(model.name)
            if len(made) == number:
                raise KeyboardInterrupt

    session.events.register(moment, press)
    return made


@pytest.mark.parametrize(
    ("number", "moment"), [(1, "after-call"), (3, "before-call"), (4, "after-call")]
)
@pytest.mark.parametrize("probe", [labels, messages, quick, keys], ids=["P1", "P2", "P3", "P4"])
def test_nothing_is_left_after_an_interruption(
    local: Make,
    monkeypatch: pytest.MonkeyPatch,
    probe: ModuleType | Callable[..., Any],
    number: int,
    moment: str,
) -> None:
    """Ctrl-C around a call that makes a thing, whose answer is lost: it is removed all the same."""
    monkeypatch.setattr(labels, "ROUNDS", 1)
    made = local()
    bystanders(made.session)
    before = there(made.session)
    calls = interrupt(made.session, moment, number)
    run = Run(made.account)
    run.carry_out("probe", probe.probe if isinstance(probe, ModuleType) else probe)
    made.service.wait()
    assert run.interrupted
    assert len(calls) == number
    assert run.left == []
    assert there(made.session) == before
    assert not made.journal.exists()


def test_a_failure_is_told_and_the_rest_is_kept(local: Make) -> None:
    """A probe that fails in the middle keeps its answers, says why, and removes what it made."""
    made = local()
    made.service.fail_before("ListSecretVersionIds", times=9)
    run = Run(made.account)
    run.carry_out("P1", labels.probe)
    assert "P1.7" in run.answers
    assert "P1.8" not in run.answers
    assert run.notes[0].startswith("P1 stopped: ConnectionClosedError")
    assert there(made.session)["secret"] == []


def test_what_cannot_be_removed_is_told_and_tried_again(local: Make) -> None:
    """The journal keeps what could not be removed; the next attempt removes it."""
    made = local()
    made.account.make("secret", "stays", SecretString="value")
    made.service.fail_before("DeleteSecret", times=9)
    (left,) = made.account.remove()
    assert left.startswith(f"secret {PREFIX}run-stays: ")
    again = Account(made.session, "run", made.journal, pace=PACE)
    while again.remove():
        pass
    assert there(made.session)["secret"] == []
    assert not made.journal.exists()


def test_what_aws_refuses_to_remove_is_told(local: Make) -> None:
    """A refusal is no proof that the thing is gone."""
    made = local()

    def refuse(**_rest: object) -> None:
        raise ClientError({"Error": {"Code": "AuthorizationError"}}, "DeleteTopic")

    made.session.events.register("before-call.sns.DeleteTopic", refuse)
    made.account.make("topic", "stays")
    assert made.account.remove() == [f"topic {PREFIX}run-stays: AuthorizationError"]
    assert made.journal.exists()


def test_another_runs_key_is_not_taken_for_its_own(local: Make) -> None:
    """A key whose making got no answer is found by its own tag, or not at all."""
    made = local()
    bystanders(made.session)
    other = Account(made.session, "other", made.journal.with_name("other.left"), pace=PACE)
    other.make("key", "key", Policy=json.dumps({"Statement": []}))
    assert made.account.key_id(f"{PREFIX}run-key") is None
    own = made.account.make("key", "key", Policy=json.dumps({"Statement": []}))
    again = Account(made.session, "run", made.journal, pace=PACE)
    assert again.key_id(f"{PREFIX}run-key") == own["KeyMetadata"]["KeyId"]


def test_it_asks_first(local: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a yes nothing is made, and what would be made and its cost were said before."""
    made = local()
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "n"

    monkeypatch.setattr("builtins.input", answer)
    assert main(["--folder", str(tmp_path)]) == NOT_BEGUN
    assert asked == ["Go on? [y/N] "]
    assert made.service.requests == []
    assert list(tmp_path.iterdir()) == []


class TestOwnProcess:
    """`python -m probes` against the endpoint, as a person runs it."""

    @staticmethod
    def start(url: str, environment: dict[str, str], folder: Path) -> "subprocess.Popen[str]":
        """Start P1."""
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "probes", "--yes", "--probe", "P1"),
                *("--pace", str(PACE), "--folder", folder),
            ],
            cwd=ROOT,
            env=os.environ | environment | {"AWS_ENDPOINT_URL": url},
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, service: SecretsManagerService, folder: Path, sends: dict[int, signal.Signals]
    ) -> tuple[int, str]:
        """Run to the end, with signals at certain requests; return status and output."""
        count = 0
        with service, service.endpoint() as endpoint:
            process = self.start(endpoint.url, endpoint.environment(), folder)

            def press(_operation: str, moment: str, _number: int) -> None:
                nonlocal count
                count += moment == "after"
                if moment == "after" and count in sends:
                    process.send_signal(sends[count])

            service.on_request = press
            output, _ = process.communicate(timeout=60)
            if signal.SIGKILL not in sends.values():
                assert there(boto3.Session(region_name=service.region))["secret"] == []
            else:
                self.clean_up(service, folder)
        return process.returncode, output

    @staticmethod
    def clean_up(service: SecretsManagerService, folder: Path) -> None:
        """Remove by the journal what a killed run has left."""
        service.on_request = None
        session = boto3.Session(region_name=service.region)
        assert there(session)["secret"] != []
        (journal,) = folder.glob("*.left")
        assert main(["--remove", str(journal)]) == 0
        assert there(session)["secret"] == []

    def test_a_whole_run_writes_its_report(self, tmp_path: Path) -> None:
        """Every question has a row with its answer and what relies on it."""
        status, output = self.run(SecretsManagerService(), tmp_path, {})
        assert status == 0
        assert "Account 123456789012" in output
        (report,) = tmp_path.glob("*.md")
        text = report.read_text()
        rows = [line for line in text.splitlines() if line.startswith("| P1.")]
        assert len(rows) == len(labels.QUESTIONS)
        assert not [row for row in rows if row.endswith("|  |") or "not answered" in row]
        assert "shared/store.py" in text

    def test_ctrl_c_twice(self, tmp_path: Path) -> None:
        """Ctrl-C in the middle, and again while it removes: removed, told, exit status 130."""
        status, output = self.run(
            SecretsManagerService(), tmp_path, {30: signal.SIGINT, 32: signal.SIGINT}
        )
        assert status == INTERRUPTED
        assert "P1 was interrupted." in output
        (report,) = tmp_path.glob("*.md")
        assert "P1 was interrupted." in report.read_text()

    def test_what_a_killed_run_left_is_removed_by_its_journal(self, tmp_path: Path) -> None:
        """After kill -9 the journal names what there is, and `--remove` removes it."""
        status, _ = self.run(SecretsManagerService(), tmp_path, {30: signal.SIGKILL})
        assert status == -signal.SIGKILL
