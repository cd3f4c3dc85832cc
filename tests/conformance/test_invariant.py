"""The promise under any history: kills, retries, abandoned attempts, edits, at random."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from local.secretsmanager import Killed, SecretsManagerService
from local.secretsmanager.rotation import STEPS
from shared import holding
from shared.runtime import handler_for
from tests.conformance.simulated import (
    ADMINISTRATOR,
    ADMINISTRATOR_PASSWORD,
    Account,
    Database,
    SimulatedRotator,
)

FIRST = "app"
FIRST_PASSWORD = "First-Password-of-1-app"
STRATEGIES = (
    ("single-user", False),
    ("single-user", True),
    ("single-user-by-administrator", True),
    ("alternating-users", True),
    ("dual-password", False),
    ("dual-password", True),
)


@cache
def handler() -> Callable[..., object]:
    """Return the function, one for all histories: its client finds the service in use."""
    return handler_for(SimulatedRotator, environment={})


class History(RuleBasedStateMachine):
    """One secret and what happens to it."""

    strategy: ClassVar[str]
    administrator: ClassVar[bool]

    def __init__(self) -> None:
        super().__init__()
        self.database = SimulatedRotator.database = Database()
        self.database.accounts = {
            ADMINISTRATOR: Account([ADMINISTRATOR_PASSWORD]),
            FIRST: Account([FIRST_PASSWORD], rights=frozenset({"read", "write"})),
        }
        self.service = SecretsManagerService(retries=0)
        self.service.__enter__()
        function = self.service.register("rotator", handler())
        document = {
            "engine": "simulated",
            "host": "db",
            "username": FIRST,
            "password": FIRST_PASSWORD,
            "note": 0,
        }
        if self.administrator:
            who = {"username": ADMINISTRATOR, "password": ADMINISTRATOR_PASSWORD}
            document["masterarn"] = self.service.create_secret("administrator", document | who)
        self.arn = self.service.create_secret(
            "app", document, tags={"rotation:strategy": self.strategy}
        )
        self.service.enable_rotation(self.arn, function)
        self.token: str | None = None
        self.seen_wrong: list[str] = []
        self._arm()
        self.note = 0
        self.passwords = self._passwords()
        self.service.on_request = self._on_request
        self.database.boundary = self._boundary

    def teardown(self) -> None:
        """However it went, a rotation under a new token ends well."""
        try:
            self._arm()
            self._abandon()
            self._rotate(None)
            self._require_promise()
            current = self._current()
            assert self.database.accepts(current["username"], current["password"])
            if self.strategy == "alternating-users":
                users = (self.database.accounts[name] for name in (FIRST, f"{FIRST}_clone"))
                assert len({user.rights for user in users}) == 1
        finally:
            self.service.__exit__(None, None, None)

    # What happens

    @rule(kill=st.none() | st.integers(0, 70))
    def rotate(self, kill: int | None) -> None:
        """Begin a rotation, or go on with it, and perhaps be killed after so many boundaries."""
        self._arm(kill)
        self._rotate(kill)

    @rule(number=st.integers(1, 7), when=st.sampled_from(["stored", "changed"]))
    def abandoned_attempts(self, number: int, when: str) -> None:
        """Kill several attempts, each as soon as it has stored or changed a password; give up."""
        for _ in range(number):
            self._abandon()
            self._arm(when=when)
            self.passwords = self._passwords()
            self._rotate(0)
            self._abandon()

    @rule(step=st.sampled_from(STEPS), kill=st.none() | st.integers(0, 20))
    @precondition(lambda self: self.token is not None)
    def deliver_again(self, step: str, kill: int | None) -> None:
        """Deliver one step of the rotation under way, out of order, and perhaps kill it."""
        self._arm(kill)
        with suppress(Killed, Exception):  # the promise is what counts
            self.service.invoke_step(self.arn, str(self.token), step)

    @rule()
    @precondition(lambda self: self.token is not None)
    def abandon(self) -> None:
        """Take AWSPENDING off, as an operator does."""
        self._abandon()

    @rule(note=st.integers(1, 9), abandons=st.booleans())
    def edit(self, note: int, abandons: bool) -> None:
        """Store an AWSCURRENT that differs in a key, as an operator does."""
        self.note = note
        self._store(self._current() | {"note": note}, abandons=abandons)

    @rule(abandons=st.booleans())
    def change_by_hand(self, abandons: bool) -> None:
        """Give the current user another password, and store it, past any rotation."""
        password = f"By-hand-{uuid4()}"
        current = self._current() | {"password": password}
        self.database.accounts[current["username"]].passwords = [password]
        self._store(current, abandons=abandons)

    @rule(right=st.sampled_from(["read", "write", "drop"]), granted=st.booleans())
    def change_rights(self, right: str, granted: bool) -> None:
        """Grant a right to the first user, or take it away."""
        account = self.database.accounts[FIRST]
        account.rights = account.rights | {right} if granted else account.rights - {right}

    @invariant()
    def promise(self) -> None:
        """Some stored version logs in; where applications are never shut out, AWSCURRENT does."""
        self._require_promise()
        assert self.seen_wrong == []

    @invariant()
    def no_edit_is_undone(self) -> None:
        """What an operator stored in AWSCURRENT stays there."""
        assert self._current()["note"] == self.note

    # How

    def _arm(self, kill: int | None = None, *, when: str = "") -> None:
        """Say where the next delivery is killed; whatever was said before is over."""
        self.left, self.kill_when = kill, when

    def _require_promise(self) -> None:
        assert self._look() is None

    def _look(self) -> str | None:
        documents = [self._current()]
        if self.strategy.startswith("single-user"):
            values = [version.value for version in self.service.versions(self.arn)]
            documents += [json.loads(value.string) for value in values if value and value.string]
        if any(self.database.accepts(each["username"], each["password"]) for each in documents):
            return None
        return "no version that must log in does"

    def _passwords(self) -> str:
        return repr(self.database.accounts)

    def _on_request(self, operation: str, phase: str, number: int) -> None:
        del number
        self._boundary(stored=(operation, phase) == ("PutSecretValue", "after"))

    def _boundary(self, *, stored: bool = False) -> None:
        """Be told of a boundary: look around, and kill the function if it is the one."""
        if (wrong := self._look()) is not None:
            self.seen_wrong.append(wrong)
        if (self.kill_when == "stored" and stored) or (
            self.kill_when == "changed" and self._passwords() != self.passwords
        ):
            self.kill_when = ""
            raise Killed
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise Killed

    def _rotate(self, kill: int | None) -> None:
        # An AWSPENDING that an edit has left behind is a rotation to the service: it repeats that.
        self.token = self._pending() or str(uuid4())
        self.service.reset_requests()
        outcome = self.service.rotate(self.arn, self.token)
        if outcome.succeeded:
            self.token = None
        elif kill is None:
            # Only an edit may stand in the way of a rotation that nobody kills.
            assert "CurrentChanged" in repr(outcome.error), outcome.error
            self._abandon()

    def _abandon(self) -> None:
        if (pending := self._pending()) is not None:
            self.service.abandon(self.arn, pending)
        self.token = None

    def _pending(self) -> str | None:
        """Return the version with AWSPENDING, unless it is AWSCURRENT's."""
        labels = self.service.labels(self.arn)
        pending = labels.get("AWSPENDING")
        return None if pending == labels["AWSCURRENT"] else pending

    def _current(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.service.value(self.arn))
        return document

    def _store(self, document: dict[str, Any], *, abandons: bool) -> None:
        # Both are to be borne: AWS does not say whether the service takes AWSPENDING off then.
        self.service._operations.edit_abandons_rotation = abandons
        request = {"SecretId": self.arn, "ClientRequestToken": str(uuid4())}
        self.service._operations.put_secret_value(request | {"SecretString": json.dumps(document)})


@pytest.mark.parametrize(
    "examples",
    [10, pytest.param(150, marks=pytest.mark.matrix)],
    ids=["few", "many"],
)
@pytest.mark.parametrize(("strategy", "administrator"), STRATEGIES)
@pytest.mark.timeout(900)
def test_promise_under_any_history(
    strategy: str, administrator: bool, examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any history some stored version logs in, and the next rotation ends well."""
    monkeypatch.setattr(holding, "SETTLING_SECONDS", 0)

    class Chosen(History):
        pass

    Chosen.strategy, Chosen.administrator = strategy, administrator
    run_state_machine_as_test(
        Chosen,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
