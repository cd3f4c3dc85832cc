"""Accounts on this machine: Secrets Manager is the local service, the rest is moto's.

moto invokes nothing and delivers no event, and no key of its own refuses. So the probes' function
runs here when the local service invokes it, and its log goes to moto's.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.events import models

from local.secretsmanager import Key, KeyUse, SecretsManagerService
from probes import function
from probes.account import Account

PACE = 0.002


class Local:
    """A service with one account.

    Args:
        service: Secrets Manager.
        folder: Where a run's journal goes.
        monkeypatch: Lets the function's log and EventBridge's deliveries come here.

    Attributes:
        delivers: The topics, by the last part of their names, that EventBridge may publish to.
    """

    def __init__(
        self, service: SecretsManagerService, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.service = service
        self.session = boto3.Session(region_name=service.region)
        self.journal = folder / "run.left"
        self.account = Account(self.session, "run", self.journal, pace=PACE)
        service.invoke = self._invoke
        self.session.events.register("after-call.kms.CreateKey", self._key_made)
        self.session.events.register("before-parameter-build.kms.CreateKey", self._key_asked)
        self.session.events.register("before-parameter-build.kms.DisableKey", self._key_disabled)
        self._policy = ""
        # Rotations run at once, each in a thread of its own.
        self._said = threading.local()
        self._logged = 0
        self._logs = self.session.client("logs")
        self.delivers = set[str]()
        monkeypatch.setattr(models.Rule, "send_to_targets", _method(self._send))
        monkeypatch.setattr(function, "print", self._say, raising=False)

    def answers(self, probe: Callable[[Account], Iterator[tuple[str, str]]]) -> dict[str, str]:
        """Run a probe to its end, and remove what it made."""
        try:
            return dict(probe(self.account))
        finally:
            assert self.account.remove() == []

    def _invoke(self, _function: str, event: dict[str, str]) -> None:
        self._said.text = ""
        try:
            function.handler(event, None)
        finally:
            self._logged += 1
            group, stream = f"{self.account.prefix}-logs", f"{id(event)}-{self._logged}"
            self._logs.create_log_stream(logGroupName=group, logStreamName=stream)
            self._logs.put_log_events(
                logGroupName=group,
                logStreamName=stream,
                logEvents=[{"timestamp": int(time.time() * 1000), "message": self._said.text}],
            )

    def _say(self, text: str, **_options: object) -> None:
        self._said.text = text

    def _send(self, rule: models.Rule, event: dict[str, Any]) -> None:
        """Publish to the topics, which moto's EventBridge cannot."""
        parse: Any = models.EventTemplateParser.parse  # type: ignore[attr-defined] # imported there
        for target in rule.targets:
            if target["Arn"].rsplit("-", 1)[1] in self.delivers:
                transformer = target["InputTransformer"]
                message = parse(transformer["InputTemplate"], transformer["InputPathsMap"], event)
                sns = self.session.client("sns")
                sns.publish(TopicArn=target["Arn"], Message=str(message))

    def _key_asked(self, params: dict[str, Any], **_rest: object) -> None:
        self._policy = params["Policy"]

    def _key_made(self, parsed: dict[str, Any], **_rest: object) -> None:
        statements = json.loads(self._policy)["Statement"]
        uses = [one for one in statements if "kms:Decrypt" in one["Action"]]
        self.service.keys[parsed["KeyMetadata"]["KeyId"]] = Key(
            allows=lambda use: any(_holds(one.get("Condition", {}), use) for one in uses)
        )

    def _key_disabled(self, params: dict[str, Any], **_rest: object) -> None:
        self.service.keys[params["KeyId"]] = Key(enabled=False)


def _method(send: Callable[[models.Rule, dict[str, Any]], None]) -> Callable[..., None]:
    """Return what a class takes for a method of its own, which a bound method is not."""

    def method(rule: models.Rule, event: dict[str, Any]) -> None:
        send(rule, event)

    return method


def _holds(condition: dict[str, dict[str, str]], use: KeyUse) -> bool:
    """Evaluate the conditions that the probes' key policies have."""
    judges: dict[str, Callable[[str, str], bool]] = {
        "StringEquals": lambda here, wanted: here == wanted,
        "StringNotEquals": lambda here, wanted: here != wanted,
        # The pattern is of this run's secrets, whose name is all that a placeholder lacks.
        "StringLike": lambda here, wanted: wanted.split(":")[-1].rstrip("*") in here,
    }
    return all(
        judges[operator](use.context[key.removeprefix("kms:EncryptionContext:")], wanted)
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    )


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Local]]:
    """Make an account with a service of certain switches."""
    monkeypatch.setenv("SLEEP_SECONDS", "0")
    with contextlib.ExitStack() as stack:

        def make(**switches: Any) -> Local:  # noqa: ANN401 (the service's own)
            service = stack.enter_context(SecretsManagerService(**switches))
            return Local(service, tmp_path, monkeypatch)

        yield make
