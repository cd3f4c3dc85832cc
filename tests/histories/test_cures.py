"""The search finds what each cure of the core is for, as soon as a test takes the cure out.

Were the search blind, it would find nothing wrong with a core that is.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pytest

from shared import attempts, rotator
from shared.errors import RotationError
from shared.holding import Hold
from shared.lifecycle import Source, Verdict
from shared.model import Description, Label, RotationEvent, Stage
from shared.reading import Reading
from shared.rotation import Attempt, Rotation
from shared.store import SecretStore
from shared.strategies import dual_password, search, single_user
from shared.strategies.single_user import SingleUser
from shared.strategies.strategy import Strategy
from tests.histories.record import CLEANS_UP_AND_DROPS, USUAL
from tests.histories.scheduler import OldReading, Turns
from tests.histories.search import SCENARIOS, Faulty, History, Search
from tests.histories.test_histories import ALONE, ALTERNATING, DUAL, told
from tests.histories.world import STEPS, Fault, Setup

ABANDONED = "an abandoned change"


MOST = 20_000


def nothing(*_args: object, **_options: object) -> None:
    """Do nothing, whatever is asked."""


# -- the core without ... ----------------------------------------------------------------------


def own_labels_only(patch: pytest.MonkeyPatch) -> None:
    """PutSecretValue names AWSPENDING."""
    put = SecretStore.put_value

    def put_value(
        store: SecretStore, event: RotationEvent, text: str, *labels: str
    ) -> frozenset[str] | None:
        return put(store, event, text, *{*labels, Stage.PENDING})

    patch.setattr(SecretStore, "put_value", put_value)


def fence(patch: pytest.MonkeyPatch) -> None:
    """The fence is never moved, and nobody asks for it."""
    patch.setattr(Hold, "fence", nothing)
    patch.setattr(Hold, "require_fence", nothing)


def fence_by_comparison(patch: pytest.MonkeyPatch) -> None:
    """The fence is taken from whoever has it."""

    def take(hold: Hold) -> None:
        store, secret = hold.rotation.store, hold.rotation.secret_id
        holder = store.describe(secret).holder(Label.FENCE)
        store.move_label(secret, Label.FENCE, hold.attempt.token, holder)

    patch.setattr(Hold, "fence", take)


def verdict_under_the_lock(patch: pytest.MonkeyPatch) -> None:
    """Whatever the labels say under the lock, the attempt goes on."""
    patch.setattr(Reading, "verdict", lambda _reading, _plan: Verdict.SAME)


def promotion_from_the_planned_version(patch: pytest.MonkeyPatch) -> None:
    """AWSCURRENT is taken from whoever has it."""
    move = SecretStore.move_label

    def move_label(
        store: SecretStore, secret_id: str, label: str, to: str, holder: str | None
    ) -> bool:
        if label == Stage.CURRENT:
            holder = store.describe(secret_id).holder(label)
        return move(store, secret_id, label, to, holder)

    patch.setattr(SecretStore, "move_label", move_label)


def lock_in_finish(patch: pytest.MonkeyPatch) -> None:
    """FinishSecret proves and promotes without the lock."""

    def finish(strategy: Strategy, rotation: Rotation, attempt: Attempt) -> None:
        with strategy.databases.open(rotation, attempt.pending) as session:
            hold = Hold(session, rotation, attempt, rotation.read(), None)
            strategy.require_login(rotation, attempt.pending)
            hold.promote()

    patch.setattr(Strategy, "finish", finish)


def put_back_of_own_changes_only(patch: pytest.MonkeyPatch) -> None:
    """A failed proof puts AWSCURRENT's password back, whoever has changed it."""
    bring = SingleUser._bring_into_force

    def bring_into_force(strategy: SingleUser, hold: Hold, known: Any, *, done: bool) -> None:  # noqa: ANN401
        try:
            bring(strategy, hold, known, done=done)
        except RotationError:
            former = hold.current()
            with suppress(RotationError):
                hold.session.change_password(former.username, former.password)
            raise

    patch.setattr(SingleUser, "_bring_into_force", bring_into_force)


def end_of_what_cannot_succeed(patch: pytest.MonkeyPatch) -> None:
    """An attempt that cannot succeed keeps AWSPENDING."""
    patch.setattr(rotator, "conclude", nothing)


def patience_after_a_refused_promotion(patch: pytest.MonkeyPatch) -> None:
    """A promotion that is refused believes one reading, and puts the former password back."""

    def settled(
        store: SecretStore, secret_id: str, label: str, *, besides: str | None
    ) -> Description:
        del label, besides
        return store.describe(secret_id)

    def promote(hold: Hold, put_back: Callable[[], None] | None = None) -> None:
        store, secret, planned = hold.rotation.store, hold.rotation.secret_id, hold.reading.current
        error: RotationError = RotationError("refused")
        with suppress(RotationError):
            if store.move_label(secret, Stage.CURRENT, hold.attempt.token, planned):
                return
        if store.describe(secret).holder(Stage.CURRENT) != hold.attempt.token:
            hold.put_back(put_back, error)
            raise error

    patch.setattr(SecretStore, "settled", settled)
    patch.setattr(Hold, "promote", promote)


def search_of_the_fence(patch: pytest.MonkeyPatch) -> None:
    """The password of an abandoned change is not looked for where the fence is."""
    for name in ("SEARCH", "SEARCH_WITHOUT_GUESSING"):
        patch.setattr(search, name, (Source.CURRENT, Source.PREVIOUS))


def second_look_under_the_lock(patch: pytest.MonkeyPatch) -> None:
    """What logged in before the lock is believed under it."""
    for module in (single_user, dual_password):
        patch.setattr(module, "confirm", nothing)


def settled_reading(patch: pytest.MonkeyPatch) -> None:
    """One reading decides over the remains of another attempt."""
    patch.setattr(Hold, "require_settled", nothing)


def look_after_attaching(patch: pytest.MonkeyPatch) -> None:
    """CreateSecret attaches AWSPENDING without a second look."""

    def attach(rotation: Rotation, plan: Any) -> None:  # noqa: ANN401
        reading = rotation.read()
        if reading.description.holder(Stage.PENDING) is None and plan.is_made_from(reading.current):
            rotation.store.move_label(rotation.secret_id, Stage.PENDING, rotation.token, None)

    patch.setattr(attempts, "_attach", attach)


# -- where the search finds it -----------------------------------------------------------------

Histories = Callable[[Search], Iterator[History]]
PROMOTION = "UpdateSecretVersionStage AWSCURRENT"


def held(scenario: str, step: str, beginning: str = USUAL) -> Histories:
    """Hold a delivery of a step."""
    return lambda search: search.held(beginning, scenario, step)


def held_with_a_fault(scenario: str, step: str) -> Histories:
    """Do the same, with a fault."""
    return lambda search: search.held_with_a_fault(USUAL, scenario, step)


def pairs(search: Search) -> Iterator[History]:
    """Have two faults."""
    return search.pairs(USUAL)


def lost_promotion(search: Search) -> Iterator[History]:
    """Lose the answer to the promotion, and have one fault more."""
    search.run(Faulty(USUAL, STEPS[0], ()), remembers=False)
    messages = search.world.said.items()
    number = next(number for number, message in messages if message == PROMOTION)
    return search.faulty(USUAL, ((number, Fault("lost")),))


@dataclass(frozen=True)
class Cure:
    """What is taken out, and where that shows.

    Attributes:
        without: Takes it out.
        setup: The secret.
        histories: Among them is one that goes wrong.
        world: The kind of world.
    """

    without: Callable[[pytest.MonkeyPatch], None]
    setup: Setup
    histories: Histories
    world: type[Turns] = Turns

    @property
    def name(self) -> str:
        """What the test is called."""
        return f"{self.without.__name__}-{self.setup.strategy}"

    def search(self) -> Search:
        """Search until something goes wrong."""
        search = Search(self.setup, self.world(self.setup))
        for _ in islice(self.histories(search), MOST):
            if search.found:
                break
        return search


CREATE, SET, _, FINISH = STEPS
UNKIND = replace(ALONE, service=CLEANS_UP_AND_DROPS)

CURES = (
    Cure(own_labels_only, ALONE, held("abandoned", CREATE)),
    Cure(own_labels_only, ALTERNATING, held("abandoned by an edit", CREATE)),
    Cure(look_after_attaching, UNKIND, held("abandoned", CREATE)),
    Cure(verdict_under_the_lock, ALONE, held("finished", SET)),
    Cure(verdict_under_the_lock, ALTERNATING, held("abandoned", FINISH)),
    Cure(verdict_under_the_lock, DUAL, held("abandoned", SET)),
    Cure(fence, ALONE, held("abandoned", SET), OldReading),
    Cure(fence, ALTERNATING, held("abandoned", SET), OldReading),
    Cure(fence_by_comparison, ALTERNATING, held("abandoned", SET), OldReading),
    Cure(promotion_from_the_planned_version, ALONE, held("abandoned by an edit", SET)),
    Cure(promotion_from_the_planned_version, DUAL, held("abandoned by an edit", FINISH)),
    Cure(lock_in_finish, ALTERNATING, held("finished", FINISH)),
    Cure(lock_in_finish, DUAL, held("finished", FINISH)),
    Cure(put_back_of_own_changes_only, ALONE, lost_promotion),
    Cure(patience_after_a_refused_promotion, ALONE, lost_promotion),
    Cure(end_of_what_cannot_succeed, ALONE, held("abandoned", SET)),
    Cure(search_of_the_fence, ALONE, held("abandoned", CREATE, ABANDONED)),
    Cure(second_look_under_the_lock, DUAL, pairs),
)


@pytest.mark.parametrize("cure", CURES, ids=lambda cure: cure.name)
def test_what_a_cure_is_for(cure: Cure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the cure some history goes wrong, and with it the same one does not."""
    cure.without(monkeypatch)
    found = cure.search().found
    assert found != []
    monkeypatch.undo()
    search = Search(cure.setup, cure.world(cure.setup))
    assert search.run(found[0].history)[1] is None


@pytest.mark.matrix
def test_what_a_settled_reading_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another attempt was left unfinished, one old reading would cost AWSCURRENT."""
    settled_reading(monkeypatch)
    cure = Cure(settled_reading, ALTERNATING, held_with_a_fault("abandoned", FINISH))
    assert cure.search().found != []


@pytest.mark.parametrize("setup", [ALONE, ALTERNATING, DUAL], ids=lambda setup: setup.name)
def test_old_reading_under_the_lock(setup: Setup) -> None:
    """With every cure a held delivery that reads something old under its lock loses nothing."""
    search = Search(setup, OldReading(setup))
    for scenario in SCENARIOS:
        for _ in search.held(USUAL, scenario, SET):
            pass
    assert told(search) == []
