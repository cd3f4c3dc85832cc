"""The search itself: fixed parts of it, what it rests on, and that it finds what it looks for."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.secretsmanager import SecretsManagerService
from local.secretsmanager.operations import Secret
from shared.session import Lock
from tests.conformance.simulated import ADMINISTRATOR, SimulatedSession
from tests.histories import record
from tests.histories.__main__ import REQUIRE_FRESH, main
from tests.histories.record import (
    CLEANS_UP,
    FIRST_EVER,
    SERVICES,
    USUAL,
    Part,
    Record,
    note_on_stale_record,
    parts,
    setups,
    shortest,
)
from tests.histories.scheduler import Turns, token
from tests.histories.search import FIRST, NO_LOCK, ON_ITS_WAY, Faulty, Held, Search
from tests.histories.world import STEPS, Fault, Service, Setup, World, version_id
from tests.kit.digest import ROOT

ALONE = Setup("single-user", administrator=False)
ALTERNATING = Setup("alternating-users", administrator=True, promote_in="finishSecret")
DUAL = Setup("dual-password", administrator=False, promote_in="finishSecret")
QUICK = (ALONE, ALTERNATING, DUAL)


def told(search: Search) -> list[str]:
    """Return what went wrong, each with its trace."""
    return ["\n".join([str(f), *search.traced(f.history)]) for f in shortest(search.found)[:3]]


def named(setup: Setup) -> str:
    """Return a test's name for a secret."""
    return setup.name


# -- the promise -------------------------------------------------------------------------------


@pytest.mark.parametrize("setup", QUICK, ids=named)
def test_a_held_delivery(setup: Setup) -> None:
    """Whatever a delivery that was held comes upon when it is let go, nothing is lost."""
    search = Part("held", setup).search()
    assert told(search) == []
    assert search.histories > 1000


@pytest.mark.matrix
@pytest.mark.parametrize("service", SERVICES, ids=lambda each: ", ".join(each.names) or "usual")
def test_a_held_delivery_of_every_strategy(service: Service) -> None:
    """The same, of every strategy, whatever the service does where its documents do not say."""
    for setup in setups(service):
        assert told(Part("held", setup).search()) == []


@pytest.mark.matrix
@pytest.mark.parametrize("beginning", [FIRST_EVER, "an abandoned change"])
@pytest.mark.parametrize("setup", setups(CLEANS_UP), ids=named)
def test_a_held_delivery_elsewhere(setup: Setup, beginning: str) -> None:
    """A held delivery loses nothing in a first rotation, nor after an abandoned one."""
    assert told(Part("held", setup, beginning).search()) == []


@pytest.mark.parametrize("setup", QUICK, ids=named)
def test_some_pairs_of_faults(setup: Setup) -> None:
    """Two faults lose nothing: every sixtieth one with each other."""
    search = Part("pairs", setup, every=60).search()
    assert told(search) == []
    assert search.histories > 500


@pytest.mark.matrix
@pytest.mark.parametrize("setup", setups(CLEANS_UP), ids=named)
def test_pairs_of_faults(setup: Setup) -> None:
    """Two faults, anywhere in a rotation and its retry, lose nothing: every tenth."""
    assert told(Part("pairs", setup, every=10).search()) == []


@pytest.mark.matrix
def test_a_request_on_its_way_when_its_function_dies() -> None:
    """What arrives late loses no password, and what it may cost is counted."""
    search = Part("held_on_its_way", ALTERNATING).search()
    assert told(search) == []
    assert search.tolerated[ON_ITS_WAY] > 0


@pytest.mark.matrix
@pytest.mark.parametrize("setup", setups(lock_holds=False)[::4], ids=named)
def test_without_a_lock_it_is_found_out(setup: Setup) -> None:
    """Where the lock keeps nobody out the search finds what that costs, and no password is lost."""
    search = Part("held", setup).search()
    assert search.tolerated[NO_LOCK] > 0
    assert told(search) == []


# -- the record --------------------------------------------------------------------------------


def test_the_record_is_of_a_search_that_lost_nothing() -> None:
    """The committed record has a row for every part, and nothing was lost in any."""
    rows = Record.read().rows
    assert set(rows) == {part.row for part in parts()}
    assert all(row.histories > 0 and row.lost == 0 for row in rows.values())


def test_the_page_has_the_number_of_the_record() -> None:
    """The page on failure modes says how many histories the committed record counts."""
    histories = sum(row.histories for row in Record.read().rows.values())
    page = (ROOT / "docs" / "failure-modes.md").read_text()
    assert f"**{histories:,} histories, 0 lost**" in page


def test_a_stale_record_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of other code is a note; only the command that requires a fresh one ends with 1."""
    fresh = Record.read().code
    monkeypatch.setattr(record, "code", lambda: fresh)
    assert note_on_stale_record() is None
    assert main([REQUIRE_FRESH]) == 0
    monkeypatch.setattr(record, "code", lambda: "0ther")
    note = note_on_stale_record()
    assert note is not None
    assert "`make histories`" in note
    assert main([REQUIRE_FRESH]) == 1


# -- what the search rests on ------------------------------------------------------------------


@pytest.fixture
def service() -> Iterator[SecretsManagerService]:
    """Return the local service, which boto3 reaches."""
    with SecretsManagerService() as running:
        yield running


def answers(client: object, secret: Secret) -> list[object]:
    """Ask a client everything that the core asks, errors too."""
    new = version_id("new")
    where = {"SecretId": secret.arn}
    value = {**where, "SecretString": "{}", "ClientRequestToken": new}
    move = {**where, "VersionStage": "rotation:any"}
    listing = {**where, "IncludeDeprecated": True, "MaxResults": 100}
    questions: list[tuple[str, dict[str, Any]]] = [
        ("describe_secret", where),
        ("get_secret_value", {**where, "VersionStage": "AWSCURRENT"}),
        ("get_secret_value", {**where, "VersionId": new}),
        ("put_secret_value", {**value, "VersionStages": ["AWSPENDING"]}),
        ("put_secret_value", {**value, "SecretString": "[]", "VersionStages": ["AWSPENDING"]}),
        ("get_secret_value", {**where, "VersionId": new}),
        ("update_secret_version_stage", {**move, "MoveToVersionId": new}),
        ("update_secret_version_stage", {**move, "RemoveFromVersionId": version_id("no")}),
        ("update_secret_version_stage", {**move, "MoveToVersionId": version_id("no")}),
        ("list_secret_version_ids", listing),
        ("describe_secret", {"SecretId": "none"}),
        ("describe_secret", where),
    ]
    found: list[object] = []
    for operation, parameters in questions:
        try:
            answer = getattr(client, operation)(**parameters)
        except ClientError as error:
            found.append((error.response["Error"], error.operation_name))
        else:
            found.append(comparable(answer))
    return found


def comparable(answer: object) -> object:
    """Leave out of an answer what two services never have in common: the transport, the time."""
    if isinstance(answer, dict):
        return {
            key: comparable(value)
            for key, value in answer.items()
            if key != "ResponseMetadata" and not key.endswith("Date")
        }
    return [comparable(each) for each in answer] if isinstance(answer, list) else answer


def test_the_stand_in_answers_as_boto3_does(service: SecretsManagerService) -> None:
    """The client without a wire gives the answers and errors that boto3's client gives."""
    worlds = [World(ALONE), World(ALONE)]
    for world in worlds:
        world.secret.arn = worlds[0].secret.arn
        world.begin_history()
    service._operations.secrets = worlds[0].operations.secrets
    service._operations.clock = worlds[0].operations.clock
    assert answers(service.client(), worlds[0].secret) == answers(
        worlds[1]._client, worlds[1].secret
    )


def test_a_history_can_be_repeated() -> None:
    """The same history gives the same messages in the same order, in another world as well."""
    history = Held(USUAL, "delivered twice", "setSecret", (4,), (6,))
    traces = [Search(ALTERNATING).traced(history) for _ in range(2)]
    assert traces[0] == traces[1]
    assert any("goes on" in line for line in traces[0])


def test_what_is_remembered_is_what_would_have_happened() -> None:
    """The rest of a rotation, remembered from an equal state, ends as if it had been run."""
    search = Search(ALONE)
    search.prepared(USUAL, STEPS[0])
    for number in range(12):
        history = Faulty(USUAL, STEPS[0], ((number, Fault("kill")),))
        ends = []
        for remembers in (False, True, True):
            search.run(history, remembers=remembers)
            ends.append((search.left.key, search.world.wrong))
        assert ends[0] == ends[1] == ends[2]


def test_the_lock_keeps_the_held_one_out() -> None:
    """Who waits for the lock gets it when its holder closes, and is told that it has waited."""
    world = Turns(ALTERNATING)
    world.restore(world.snapshot())
    world.begin_history()
    world.start(FIRST)
    got: list[Lock] = []

    class Watched(type(world.database)):  # type: ignore[misc] # the world's own
        def take_lock(self, name: str, session: SimulatedSession) -> Lock:
            got.append(super().take_lock(name, session))
            return got[-1]

    world.database.__class__ = Watched
    world.deliver(STEPS[0], FIRST)
    holder = SimulatedSession(world.database, ADMINISTRATOR)
    world.begin_history()
    holder.lock(world.secret.arn, 1.0)
    assert world.hold(STEPS[1], FIRST, (NEVER_HELD,), ())
    assert got == [Lock.AT_ONCE]
    holder.close()
    assert got[:2] == [Lock.AT_ONCE, Lock.AFTER_WAITING]
    world.let_go()


NEVER_HELD = 999


def test_the_token_of_a_world_is_long_enough() -> None:
    """The tokens of the histories have a length that the API takes."""
    assert len(token("T1")) == 36
