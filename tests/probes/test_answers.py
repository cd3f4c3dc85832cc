"""What the probes answer of the local service, under either of its switches."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from probes import keys, labels, messages, rotations
from probes.account import Account
from tests.probes.conftest import Local

Make = Callable[..., Local]


def quick(account: Account) -> Iterator[tuple[str, str]]:
    """P3 without its watch."""
    return rotations.probe(account, watch_minutes=0, sleep_seconds=0)


def test_labels_and_versions(local: Make) -> None:
    """P1 answers everything, as the local service is said to behave."""
    answers = local().answers(labels.probe)
    assert answers.keys() == labels.QUESTIONS.keys()
    assert answers["P1.1"].endswith("refused: none")
    assert answers["P1.2"] == "20 with AWSCURRENT; the next is refused with LimitExceededException"
    assert answers["P1.3"] == answers["P1.2"]
    assert answers["P1.5"] == "InvalidParameterException"
    assert answers["P1.7"] == "ResourceNotFoundException"
    assert answers["P1.8"] == "read by its id: accepted; listed with IncludeDeprecated: yes"
    assert answers["P1.10"].startswith("0 stale answers")


@pytest.mark.parametrize("code", ["InvalidParameterException", "InvalidRequestException"])
def test_the_code_of_a_wrong_holder_is_reported(local: Make, code: str) -> None:
    """P1.4 is the code that the service gives."""
    assert local(wrong_holder=code).answers(labels.probe)["P1.4"] == code


def test_stale_reads_are_counted(local: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """P1.10 tells every answer that did not show the move yet."""
    monkeypatch.setattr(labels, "ROUNDS", 5)
    made = local()
    monkeypatch.setattr(labels, "_characters", lambda _account: "")
    asked = iter(labels.probe(made.account))
    answers = {}
    for question, answer in asked:
        answers[question] = answer
        if question == "P1.9":
            made.service.stale_reads = 2
    assert answers["P1.10"].startswith("10 stale answers")
    made.account.remove()


@pytest.mark.parametrize(("cleans", "answer"), [(True, "goes"), (False, "stays")])
def test_what_becomes_of_awspending_is_reported(local: Make, cleans: bool, answer: str) -> None:
    """P3.7 tells whether AWSPENDING stays on the promoted version."""
    answers = local(cleans_up_pending=cleans).answers(quick)
    assert answers["P3.7"] == answer
    assert answers.keys() == rotations.QUESTIONS.keys()


def test_the_function_is_seen_to_act(local: Make) -> None:
    """P3 tells each mode of its function apart."""
    answers = local().answers(quick)
    assert answers["P3.2"] == "ClientRequestToken, SecretId, Step"
    assert answers["P3.3"].startswith("steps: testSecret; RotationEnabled True")
    assert "success: yes" in answers["P3.8"]
    assert answers["P3.8"].startswith("steps: createSecret, setSecret, testSecret, finishSecret")
    assert answers["P3.11"].startswith("4 of createSecret")
    assert answers["P3.12"].startswith("without: InvalidRequestException")
    assert answers["P3.14"] == "ListSecrets: yes; ListSecretVersionIds: no"
    assert answers["P3.15"] == "yes"
    assert answers["P3.18"] == "2 of 2 steps after the promotion saw it"


@pytest.mark.parametrize(
    ("version", "value"), [("copy", "['AWSPENDING']"), ("valueless", "Resource")]
)
def test_the_temporary_version_is_seen(local: Make, version: str, value: str) -> None:
    """P3.3 tells whether the version that is tested alone has a value."""
    assert f"value: {value}" in local(test_version=version).answers(quick)["P3.3"]


@pytest.mark.parametrize(
    ("trial", "own", "placeholder"),
    [
        ("arn", "yes", "no: AccessDeniedException"),
        ("placeholder", "no: AccessDeniedException", "yes"),
    ],
)
def test_the_trial_of_a_key_is_reported(
    local: Make, trial: str, own: str, placeholder: str
) -> None:
    """P4.3 and P4.4 tell which context the trial has."""
    answers = local(key_trial=trial).answers(keys.probe)
    assert (answers["P4.3"], answers["P4.4"]) == (own, placeholder)
    assert answers["P4.1"] == (
        "a custom label: the old key; AWSPREVIOUS: the new key; AWSCURRENT: the new key"
    )
    assert answers["P4.2"] == "AccessDeniedException"


def test_deliveries_are_told_apart(local: Make) -> None:
    """P2: each topic answers its own question; an alarm's message is no delivery."""
    made = local()
    made.delivers = {"plain", "denying"}
    answers = made.answers(messages.probe)
    assert answers.keys() == messages.QUESTIONS.keys()
    arrived = [answers[question] for question in messages.COMBINATIONS.values()]
    assert arrived == ["delivered", "not delivered", "not delivered", "delivered"]
    assert "probe: app waits" in answers["P2.6"]
    assert answers["P2.1"] == "accepted"


def test_a_refused_query_is_told(local: Make) -> None:
    """P2.1 is the code with which the alarm is refused."""
    made = local()

    def refuse(params: dict[str, Any], **_rest: object) -> None:
        if "Metrics" in params:
            raise ClientError({"Error": {"Code": "ValidationError"}}, "PutMetricAlarm")

    made.session.events.register("before-parameter-build.cloudwatch.PutMetricAlarm", refuse)
    assert made.answers(messages.probe)["P2.1"] == "refused: ValidationError"
