"""The decisions of a rotation, table by table."""

from itertools import chain, combinations, product

import pytest

from shared.attempts import REASONS
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
    SEARCH,
    SEARCH_WITHOUT_GUESSING,
    VERDICTS,
    Action,
    Source,
    Standing,
    Verdict,
    standing,
)
from shared.model import Label, Stage, Step

LABELS = [Stage.CURRENT, Stage.PENDING, Stage.PREVIOUS, Label.FENCE, "somebody's own"]
ALL_SETS = [
    frozenset(found)
    for found in chain.from_iterable(combinations(LABELS, size) for size in range(len(LABELS) + 1))
]


def written(labels: frozenset[str] | None) -> str:
    """Name a set in a test's id, in an order of its own: that of a set differs from run to run."""
    return "unknown" if labels is None else "+".join(sorted(labels)) or "none"


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
    """Once the version is current, every step finds its work done, and a test looks once more."""
    found = Action.VERIFY if step is Step.TEST else Action.DONE
    assert ACTIONS[step, Standing.CURRENT] is found


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


def test_own_versions_are_worked_on() -> None:
    """A version that createSecret has stored is brought into force, tested and promoted."""
    assert [ACTIONS[step, Standing.PENDING] for step in Step] == [
        Action.DONE,
        Action.APPLY,
        Action.VERIFY,
        Action.PROMOTE,
    ]


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
    for step in (Step.SET, Step.FINISH):
        assert ACTIONS[step, Standing.EMPTY] is ValueNotReadable
    assert ValueNotReadable.retry_cures


@pytest.mark.parametrize(("has_plan", "has_value"), list(product([True, False], repeat=2)))
@pytest.mark.parametrize("labels", [None, *ALL_SETS], ids=written)
def test_standing_of_every_set_of_labels(
    labels: frozenset[str] | None, has_plan: bool, has_value: bool
) -> None:
    """AWSCURRENT comes before AWSPENDING; the plan tells our own value."""
    found = standing(labels, has_plan=has_plan, has_value=has_value)
    if labels is None:
        assert found is Standing.UNKNOWN
    elif Stage.CURRENT in labels:
        assert found is Standing.CURRENT
    elif Stage.PENDING not in labels:
        assert found is Standing.ABANDONED
    elif has_plan:
        assert found is Standing.PENDING
    else:
        assert found is (Standing.FOREIGN if has_value else Standing.EMPTY)


def test_standing_where_only_labels_were_read() -> None:
    """Where no value is read, AWSPENDING without a plan is what RotateSecret makes."""
    assert standing(frozenset({Stage.PENDING}), has_plan=False) is Standing.EMPTY


# Verdicts


def test_every_reading_that_can_be_has_its_verdict() -> None:
    """All combinations but one: no version is AWSCURRENT and made from itself."""
    possible = {
        (pending, promoted, same)
        for pending, promoted, same in product([True, False], repeat=3)
        if not (promoted and same)
    }
    assert set(VERDICTS) == possible


def test_promoted_is_promoted() -> None:
    """Whether AWSPENDING has stayed says nothing: the service may take it off, or leave it."""
    assert {VERDICTS[pending, True, False] for pending in (True, False)} == {Verdict.PROMOTED}


def test_only_one_reading_lets_an_attempt_go_on() -> None:
    """AWSPENDING is its own, and AWSCURRENT is where it was when the plan was made."""
    assert [key for key, found in VERDICTS.items() if found is Verdict.SAME] == [
        (True, False, True)
    ]


@pytest.mark.parametrize("same", [True, False])
def test_attempt_without_awspending_is_over(same: bool) -> None:
    """Whatever AWSCURRENT is: somebody has ended it."""
    assert VERDICTS[False, False, same] is Verdict.OVERTAKEN


def test_current_that_was_edited() -> None:
    """The attempt still has AWSPENDING, but was made from another AWSCURRENT."""
    assert VERDICTS[True, False, False] is Verdict.EDITED


# The search


def test_order_of_the_search() -> None:
    """The current password first, so that nothing is refused in health; then the last change's."""
    assert SEARCH == (Source.CURRENT, Source.FENCE, Source.PREVIOUS, Source.REST)
    assert set(SEARCH) == set(Source)


@pytest.mark.parametrize("sources", [SEARCH_WITHOUT_GUESSING])
def test_searches_without_guessing(sources: tuple[Source, ...]) -> None:
    """Where guesses cost too much, only the two passwords are tried that may well be in force."""
    assert sources == (Source.CURRENT, Source.FENCE)
