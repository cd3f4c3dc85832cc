"""The decisions of a rotation, table by table."""

from itertools import chain, combinations, product

import pytest

from shared.errors import (
    ForeignPending,
    NotRotatable,
    RotationError,
    UnknownVersion,
    ValueNotReadable,
    VersionNotPending,
)
from shared.lifecycle import (
    ACTIONS,
    LABEL_OF_SOURCE,
    SEARCH,
    SEARCH_BEFORE_ADMINISTRATOR,
    SURE_OF_A_LABEL,
    Action,
    Meaning,
    Source,
    Standing,
    pinned_strategy,
    standing,
)
from shared.model import Label, Stage, Step
from shared.rotator import REASONS
from shared.settings import StrategyName

PINNED = "rotation:single-user"
LABELS = [Stage.CURRENT, Stage.PENDING, Stage.PREVIOUS, PINNED, Label.APPLYING, "somebody's own"]
ALL_SETS = [
    frozenset(found)
    for found in chain.from_iterable(combinations(LABELS, size) for size in range(len(LABELS) + 1))
]


def test_every_step_has_an_answer_for_every_standing() -> None:
    """The table has each pair of step and standing, and nothing else."""
    assert set(ACTIONS) == set(product(Step, Standing))
    for decided in ACTIONS.values():
        assert isinstance(decided, Action) or issubclass(decided, RotationError)


def test_every_refusal_has_its_reason() -> None:
    """What is refused can be said in words."""
    for (_, where), decided in ACTIONS.items():
        assert isinstance(decided, Action) or REASONS[where]


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize(
    ("where", "refusal"),
    [
        (Standing.ABANDONED, VersionNotPending),
        (Standing.UNKNOWN, UnknownVersion),
        (Standing.FOREIGN, ForeignPending),
    ],
)
def test_versions_that_are_never_worked_on(
    step: Step, where: Standing, refusal: type[NotRotatable]
) -> None:
    """Abandoned, unknown and foreign versions are refused; a test of those only probes."""
    decided = ACTIONS[step, where]
    if step is Step.TEST and where is Standing.FOREIGN:
        assert decided is Action.PROBE
    else:
        assert decided is refusal


@pytest.mark.parametrize("step", Step)
def test_promoted_versions_are_never_changed(step: Step) -> None:
    """Once the version is current, every step finds its work done, or only looks."""
    assert ACTIONS[step, Standing.CURRENT] in {Action.DONE, Action.VERIFY}


def test_each_step_does_its_own_work_only() -> None:
    """Values are stored by createSecret alone, changes made by setSecret, and so on."""
    steps_of = {
        action: {step for (step, _), decided in ACTIONS.items() if decided is action}
        for action in Action
    }
    assert steps_of[Action.STORE] == {Step.CREATE}
    assert steps_of[Action.APPLY] == {Step.SET}
    assert steps_of[Action.PROMOTE] == {Step.FINISH}
    assert steps_of[Action.VERIFY] == steps_of[Action.PROBE] == {Step.TEST}


def test_values_are_stored_over_nothing() -> None:
    """A value is stored only where there is none; it is never rewritten."""
    assert [key for key, decided in ACTIONS.items() if decided is Action.STORE] == [
        (Step.CREATE, Standing.EMPTY)
    ]


def test_test_of_the_configuration_never_promotes() -> None:
    """On the version of RotateImmediately=false, empty or a copy, testSecret only logs in."""
    assert ACTIONS[Step.TEST, Standing.EMPTY] is Action.PROBE
    assert ACTIONS[Step.TEST, Standing.FOREIGN] is Action.PROBE


def test_missing_values_are_worth_a_retry() -> None:
    """Where only the value is missing, the error is one that the service's retry mends."""
    assert ACTIONS[Step.SET, Standing.EMPTY] is ValueNotReadable
    assert ACTIONS[Step.FINISH, Standing.EMPTY] is ValueNotReadable


@pytest.mark.parametrize("has_value", [True, False])
@pytest.mark.parametrize("labels", [None, *ALL_SETS], ids=str)
def test_standing_of_every_set_of_labels(labels: frozenset[str] | None, has_value: bool) -> None:
    """AWSCURRENT comes before AWSPENDING; the pinned strategy tells our own value."""
    found = standing(labels, has_value=has_value)
    if labels is None:
        assert found is Standing.UNKNOWN
    elif Stage.CURRENT in labels:
        assert found is Standing.CURRENT
    elif Stage.PENDING in labels and PINNED in labels:
        assert found is Standing.PENDING
    elif Stage.PENDING in labels:
        assert found is (Standing.FOREIGN if has_value else Standing.EMPTY)
    else:
        assert found is Standing.ABANDONED


@pytest.mark.parametrize("name", StrategyName)
def test_pinned_strategy_is_read_back(name: StrategyName) -> None:
    """Each strategy's label is read as that strategy; other labels of ours are none."""
    assert pinned_strategy(frozenset({Label.of_strategy(name), Label.READERS})) is name
    assert pinned_strategy(frozenset({Label.APPLYING, Label.READERS, "rotation:unknown"})) is None


def test_order_of_the_search() -> None:
    """The current password first, so that nothing is refused in health; then the pending one."""
    assert [source for source, _ in SEARCH] == [
        Source.CURRENT,
        Source.PENDING,
        Source.PREVIOUS,
        Source.APPLYING,
        Source.LOGS_IN,
        Source.UNLABELLED,
    ]


def test_only_the_pending_password_is_promoted() -> None:
    """Whichever other password is found in force, it is changed."""
    assert {source for source, meaning in SEARCH if meaning is Meaning.PROMOTE} == {Source.PENDING}


def test_no_guessing_where_there_is_an_administrator() -> None:
    """With an administrator only the current and the pending password are tried."""
    assert [source for source, _ in SEARCH_BEFORE_ADMINISTRATOR] == [Source.CURRENT, Source.PENDING]


def test_sources_and_their_labels() -> None:
    """Every source but the unlabelled versions is one label's, and AWSCURRENT stays labelled."""
    assert set(LABEL_OF_SOURCE) == set(Source) - {Source.UNLABELLED}
    assert {LABEL_OF_SOURCE[source] for source in SURE_OF_A_LABEL} == {
        Stage.CURRENT,
        Label.LOGS_IN,
    }
