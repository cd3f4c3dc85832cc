"""What the core calls before a change, and what that costs where there is nothing to call."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest

from escrow.sealing import seal
from local.secretsmanager import ConnectionLost, SecretsManagerService
from shared.errors import BadSetting, OutOfTime, ServiceFailed
from shared.model import Label
from shared.options import Variable
from shared.runtime import _named, handler_for
from tests.unit.test_holding import Secret, held
from tests.unit.test_rotation import HookedRotator, World

FENCE = "rotation-fence: nobody > T"


@pytest.fixture
def secret(service: SecretsManagerService) -> Iterator[Secret]:
    """A secret with an attempt under way."""
    secret = Secret(service)
    yield secret
    service.on_request = None


class Heard:
    """Hears what is about to be brought into force."""

    def __init__(self, secret: Secret) -> None:
        self.secret = secret
        self.calls: list[tuple[str, str, dict[str, str]]] = []

    def __call__(self, secret_arn: str, version_id: str, text: str) -> None:
        """Note it, and say when it was."""
        self.calls.append((secret_arn, version_id, json.loads(text)))
        self.secret.say("called")()


@pytest.mark.parametrize("done", [False, True])
def test_called_before_the_fence_moves(secret: Secret, done: bool) -> None:
    """First the call, with the whole value; then the fence, then the change, if one is left."""
    attempt, heard = secret.begin(), Heard(secret)
    hold = held(secret, attempt)
    hold.rotation.before_change = heard
    hold.set_and_prove(None if done else secret.say("change"), secret.say("prove"))
    change = [] if done else ["change"]
    assert secret.messages == ["called", FENCE, *change, "prove"]
    pending = json.loads(secret.service.value(secret.arn, attempt.token))
    assert heard.calls == [(secret.arn, attempt.token, pending)]


def test_what_it_raises_stops_the_rotation(secret: Secret) -> None:
    """Neither the fence nor the database is touched."""
    hold = held(secret, secret.begin())
    hold.rotation.before_change = Heard(secret)
    secret.meet("called", BadSetting("no"))
    with pytest.raises(BadSetting):
        hold.set_and_prove(secret.say("change"), secret.say("prove"))
    assert secret.messages == ["called"]
    assert secret.holder(Label.FENCE) is None


def test_the_time_that_it_takes_counts(secret: Secret) -> None:
    """A change for which too little time is left after the call is not begun."""
    hold = held(secret, secret.begin(), seconds=20.0)
    hold.rotation.before_change = lambda *_: secret.sleep(16.0)
    with pytest.raises(OutOfTime):
        hold.set_and_prove(secret.say("change"), secret.say("prove"))
    assert secret.messages == []


def test_called_again_by_a_retry(secret: Secret) -> None:
    """A delivery that begins again, after an answer that was lost, calls once more."""
    attempt, heard = secret.begin(), Heard(secret)
    secret.meet_after(FENCE, ConnectionLost("lost"))
    for _ in range(2):
        hold = held(secret, attempt)
        hold.rotation.before_change = heard
        with suppress(ServiceFailed):
            hold.set_and_prove(secret.say("change"), secret.say("prove"))
    assert [call[1] for call in heard.calls] == [attempt.token] * 2
    assert secret.messages == ["called", FENCE, "change", "prove"]


def test_without_it_a_hold_says_what_it_said(secret: Secret) -> None:
    """Nothing is asked besides, and the value is not even written out."""
    hold = held(secret, secret.begin())
    hold.set_and_prove(secret.say("change"), secret.say("prove"))
    assert secret.messages == [FENCE, "change", "prove"]


@pytest.mark.parametrize("name", ["", " "])
def test_nothing_is_named(name: str) -> None:
    """An empty variable, as CloudFormation gives it, calls nothing."""
    assert _named(name) is None


def test_something_is_named() -> None:
    """The variable names a function as handlers are named, and behind a colon what it takes."""
    found = _named(" escrow.sealing.seal:bucket=b,first=a:b ")
    assert isinstance(found, partial)
    assert (found.func, found.args) == (seal, ("bucket=b,first=a:b",))


calls: list[tuple[str, ...]] = []


def noted(*arguments: str) -> None:
    """Keep what it is called with."""
    calls.append(arguments)


@pytest.mark.usefixtures("no_pauses")
def test_what_is_named_is_called_by_a_rotation(service: SecretsManagerService) -> None:
    """Once, with what the variable says, and with the value that is then in force."""
    calls.clear()
    world = World(service, "single-user")
    environment = {str(Variable.BEFORE_CHANGE): f"{__name__}.noted:its settings"}
    function = service.register("calling", handler_for(HookedRotator, environment))
    service.enable_rotation(world.arn, function)
    token = world.rotate()
    assert calls == [("its settings", world.arn, token, service.value(world.arn))]


@pytest.mark.parametrize(
    "name", ["no_such", "json.no_such", "no_such.seal", "no_such_escrow.sealing.seal"]
)
def test_what_no_layer_has(name: str) -> None:
    """A name that leads nowhere is refused before anything is begun, and the variable is named."""
    with pytest.raises(BadSetting, match=r"ROTATION_BEFORE_CHANGE names '.*no_such"):
        _named(name)


def test_a_function_without_escrow_imports_none_of_it() -> None:
    """A rotation function that is told nothing has neither the escrow nor its cryptography."""
    program = (
        "import sys, rotators.mysql.rotator\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'escrow'])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert told.stdout.decode().strip() == "[]"
