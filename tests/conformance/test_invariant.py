"""The promise under any history: kills, retries, abandoned attempts, edits, at random."""

import json
from collections.abc import Callable
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
def handler() -> Callable[..., None]:
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
        self.service = SecretsManagerService(retries=0, edit_abandons_rotation=False)
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
        self.left: int | None = None
        self.seen_wrong: list[str] = []
        self.service.on_request = lambda *_: self._boundary()
        self.database.boundary = self._boundary

    def teardown(self) -> None:
        """However it went, a rotation under a new token ends well."""
        try:
            self.left = None
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
        self.left = kill
        self._rotate(kill)

    @rule(step=st.sampled_from(STEPS), kill=st.none() | st.integers(0, 20))
    @precondition(lambda self: self.token is not None)
    def deliver_again(self, step: str, kill: int | None) -> None:
        """Deliver one step of the rotation under way, out of order, and perhaps kill it."""
        self.left = kill
        try:
            self.service.invoke_step(self.arn, str(self.token), step)
        except (Killed, Exception):  # noqa: BLE001 - the promise is what counts
            self.left = None

    @rule()
    @precondition(lambda self: self.token is not None)
    def abandon(self) -> None:
        """Take AWSPENDING off, as an operator does."""
        self._abandon()

    @rule(note=st.integers(1, 9))
    def edit(self, note: int) -> None:
        """Store an AWSCURRENT that differs in a key, as an operator does."""
        self._store(self._current() | {"note": note})

    @rule()
    @precondition(lambda self: self.strategy == "single-user" or self.administrator)
    def change_by_hand(self) -> None:
        """Give the current user another password, and store it, past any rotation."""
        password = f"By-hand-{uuid4()}"
        current = self._current() | {"password": password}
        self.database.accounts[current["username"]].passwords = [password]
        self._store(current)

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

    # How

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

    def _boundary(self) -> None:
        """Be told of a boundary: look around, and kill the function if it is the one."""
        if (wrong := self._look()) is not None:
            self.seen_wrong.append(wrong)
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise Killed

    def _rotate(self, kill: int | None) -> None:
        self.token = self.token or str(uuid4())
        outcome = self.service.rotate(self.arn, self.token)
        if outcome.succeeded:
            self.token = None
        elif kill is None:
            # Only an edit may stand in the way of a rotation that nobody kills.
            assert "CurrentChanged" in repr(outcome.error), outcome.error
            self._abandon()

    def _abandon(self) -> None:
        if self.token and self.service.labels(self.arn).get("AWSPENDING") == self.token:
            self.service.abandon(self.arn, self.token)
        self.token = None

    def _current(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.service.value(self.arn))
        return document

    def _store(self, document: dict[str, Any]) -> None:
        request = {"SecretId": self.arn, "ClientRequestToken": str(uuid4())}
        self.service._operations.put_secret_value(request | {"SecretString": json.dumps(document)})


@pytest.mark.parametrize(
    "examples", [15, pytest.param(150, marks=pytest.mark.matrix)], ids=["few", "many"]
)
@pytest.mark.parametrize(("strategy", "administrator"), STRATEGIES)
@pytest.mark.timeout(900)
def test_promise_under_any_history(strategy: str, administrator: bool, examples: int) -> None:
    """After any history some stored version logs in, and the next rotation ends well."""

    class Chosen(History):
        pass

    Chosen.strategy, Chosen.administrator = strategy, administrator
    run_state_machine_as_test(
        Chosen,
        settings=settings(
            max_examples=examples,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
