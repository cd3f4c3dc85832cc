"""What one answer of DescribeSecret means for an attempt."""

from dataclasses import FrozenInstanceError
from itertools import product

import pytest

from shared.lifecycle import Verdict
from shared.model import Description, Label, Stage
from shared.plan import Plan, digest
from shared.reading import Reading
from shared.settings import StrategyName

TOKEN, PLANNED, OTHER = "token", "planned", "other"
PLAN = Plan(StrategyName.SINGLE_USER, digest(PLANNED))
PLACES = [None, TOKEN, PLANNED, OTHER]
"""Where a label may be: on no version, the attempt's, the one it was made from, or any other."""


def reading(**places: str | None) -> Reading:
    """Return a reading with current, pending, previous and fence at these places."""
    names = {
        "current": Stage.CURRENT,
        "pending": Stage.PENDING,
        "previous": Stage.PREVIOUS,
        "fence": Label.FENCE,
    }
    stages = {
        version: frozenset(names[label] for label, place in places.items() if place == version)
        for version in (TOKEN, PLANNED, OTHER)
    }
    labelled = {version: labels for version, labels in stages.items() if labels}
    return Reading(TOKEN, Description("arn", labelled, {}, True, None))


@pytest.mark.parametrize("place", PLACES)
def test_places_of_labels(place: str | None) -> None:
    """Each label has the place that was read, whatever the others have."""
    rest = {"current": OTHER, "previous": OTHER, "fence": OTHER}
    assert reading(**{**rest, "current": place}).current == place
    assert reading(**{**rest, "previous": place}).previous == place
    assert reading(**{**rest, "fence": place}).fence == place


def test_labels_of_the_attempt_s_own_version() -> None:
    """They are told apart from those of other versions; a version without any is not listed."""
    found = reading(current=OTHER, pending=TOKEN, fence=TOKEN)
    assert found.labels == frozenset({Stage.PENDING, Label.FENCE})
    assert reading(current=OTHER, pending=OTHER).labels is None


@pytest.mark.parametrize("place", PLACES)
def test_labels_that_are_the_attempt_s(place: str | None) -> None:
    """AWSPENDING and the fence are the attempt's only on its own version."""
    found = reading(current=PLANNED, pending=place)
    assert (found.is_pending, found.carries_fence) == (place == TOKEN, False)
    found = reading(current=PLANNED, fence=place)
    assert (found.is_pending, found.carries_fence) == (False, place == TOKEN)


@pytest.mark.parametrize(("current", "fence"), list(product(PLACES, repeat=2)))
def test_what_another_attempt_left_unfinished(current: str | None, fence: str | None) -> None:
    """A fence on a version that is neither in use nor the attempt's own is somebody's remains."""
    recovers = fence is not None and fence not in (TOKEN, current)
    assert reading(current=current, pending=TOKEN, fence=fence).recovers is recovers


@pytest.mark.parametrize(("pending", "current"), list(product(PLACES, repeat=2)))
@pytest.mark.parametrize("fence", PLACES)
def test_verdict_on_every_reading(
    pending: str | None, current: str | None, fence: str | None
) -> None:
    """Promoted, else over without AWSPENDING, else the same or edited; the fence has no say."""
    found = reading(pending=pending, current=current, fence=fence).verdict(PLAN)
    if current == TOKEN:
        assert found is Verdict.PROMOTED
    elif pending != TOKEN:
        assert found is Verdict.OVERTAKEN
    else:
        assert found is (Verdict.SAME if current == PLANNED else Verdict.EDITED)


def test_reading_never_changes() -> None:
    """It is of one moment: a later one is another reading."""
    with pytest.raises(FrozenInstanceError):
        reading().token = "another"  # type: ignore[misc]
