"""The events in `events/` run: each is what its function takes, and in order they rotate."""

import json
from typing import Any

import pytest

from local.engines import FUNCTIONS
from local.lambda_runtime.functions import from_repository
from local.lambda_runtime.scratch import scratch
from local.template import ROOT, functions, load
from shared.model import Step


def event(kind: str, step: str) -> dict[str, Any]:
    """Return the event of a file."""
    name = step.replace("Secret", "-secret")
    loaded: dict[str, Any] = json.loads((ROOT / "events" / f"{kind}-{name}.json").read_text())
    return loaded


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_the_events_of_an_engine_rotate_its_secret(kind: str) -> None:
    """The four events, delivered in order to the template's function, end with a new password."""
    function = functions(load())[FUNCTIONS[kind]]
    with scratch(kind, lambda more: from_repository(function, more)) as scene:
        before = json.loads(scene.service.value(scene.secret))
        token = event(kind, Step.CREATE)["ClientRequestToken"]
        scene.service.prepare_rotation(scene.secret, token)
        for step in Step:
            # Only the six characters at the end of the ARN are not known beforehand.
            given = event(kind, step)
            assert given["SecretId"][:-6] == scene.secret[:-6]
            assert scene.runtime.invoke(given | {"SecretId": scene.secret}) is None
        after = json.loads(scene.service.value(scene.secret))
        assert scene.service.labels(scene.secret)["AWSCURRENT"] == token
        assert scene.server.logs_in("app", after["password"])
        stays = scene.server.logs_in("app", before["password"])
        assert stays is scene.keeps_former_password
        assert {**after, "password": None} == {**before, "password": None}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_the_event_of_attaching_tests_and_changes_nothing(kind: str) -> None:
    """Alone, as RotateImmediately=false has it, testSecret succeeds and leaves all as it was."""
    function = functions(load())[FUNCTIONS[kind]]
    with scratch(kind, lambda more: from_repository(function, more)) as scene:
        before, labels = scene.service.value(scene.secret), scene.service.labels(scene.secret)
        given = event(kind, "attach")
        scene.service.prepare_rotation(scene.secret, given["ClientRequestToken"])
        assert scene.runtime.invoke(given | {"SecretId": scene.secret}) is None
        assert scene.service.value(scene.secret) == before
        assert scene.service.labels(scene.secret)["AWSCURRENT"] == labels["AWSCURRENT"]
        assert scene.server.logs_in("app", json.loads(before)["password"])
