"""A delivery that is held while the world moves on changes nothing when it wakes up too late."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from uuid import uuid4

import pytest

from tests.kit.boundaries import Boundary, Channel
from tests.kit.contract.world import World
from tests.kit.matrix import Boundaries, Report, boundaries_of
from tests.kit.pairs import SUBJECTS, Subject
from tests.kit.pauses import Pause, PauseChain, Way, pauses_of
from tests.kit.twins import TwinLane
from tests.kit.worlds.postgres import PostgresWorld

WorldOf = Callable[[type[World]], World]


def boundaries(first: int, later: int) -> Boundaries:
    """Return so many boundaries."""
    counts = (first, later)
    return Boundaries(*(tuple(Boundary(Channel.REQUEST, n) for n in range(c)) for c in counts))


def pauses(chains: list[PauseChain]) -> set[tuple[Boundary, Way, bool]]:
    """Return which pauses there are in either rotation, and whether let go in the middle."""
    both = [pause for chain in chains for pause in (chain.in_first, chain.in_later)]
    return {(each.held_at, each.way, each.let_go_at is not None) for each in both if each}


def test_whole_matrix_holds_everywhere_in_every_way() -> None:
    """Each boundary is held in each way and let go at both times, once in each rotation."""
    both = boundaries(8, 8)
    chains = list(pauses_of(both))
    assert len(chains) == 8 * len(Way)
    assert pauses(chains) == set(product(both.first, Way, (False, True)))
    for chain in chains:
        assert chain.in_first is not None
        assert chain.in_later is not None
        assert (chain.in_first.let_go_at is None) != (chain.in_later.let_go_at is None)


def test_rotation_without_the_boundary_is_not_held() -> None:
    """Where one of the two rotations has fewer boundaries, only the other one is held."""
    chains = list(pauses_of(boundaries(5, 3)))
    assert len(chains) == 5 * len(Way)
    assert sum(chain.in_later is None for chain in chains) == 2 * len(Way)
    assert all(chain.in_first is not None for chain in chains)


def test_sample_takes_all_ways_in_turn() -> None:
    """A sample of six chains has every way and both times of letting go, in either rotation."""
    chains = list(pauses_of(boundaries(60, 60), every=10, offset=4))
    assert len(chains) == 6
    expected = set(product(Way, (False, True)))
    for number in (0, 1):
        found = [(chain.in_first, chain.in_later)[number] for chain in chains]
        assert {(each.way, each.let_go_at is not None) for each in found if each} == expected
    assert chains[0].in_first is not None
    assert chains[0].in_first.held_at.index == 4


@pytest.fixture
def lane(world_of: WorldOf, tmp_path: Path) -> TwinLane:
    """Return a lane with two environments, not started yet."""
    subject = SUBJECTS[0]
    return TwinLane(world_of(PostgresWorld).place, subject, tmp_path)


def test_two_environments_have_boundaries_of_their_own(lane: TwinLane) -> None:
    """While one environment is held, the other passes all of its boundaries, and only its own."""
    with lane:
        healthy = boundaries_of(lane).first
        for channel in Channel:
            report = Report()
            # The first one of its kind, before the lock: the other one is not kept waiting.
            pause = Pause(Boundary(channel, 0), Way.ABANDONED, None)
            PauseChain(pause, None).run(lane.new_trial(), report)
            assert report.holds == 1
            assert tuple(sorted(lane.twin_tripwire.passed)) == healthy


def test_held_in_the_middle_of_the_other(lane: TwinLane) -> None:
    """The one that is held is let go at the boundary of the other that the pause names."""
    with lane:
        report = Report()
        middle = Boundary(Channel.TO_DATABASE, 3)
        pause = Pause(Boundary(Channel.REQUEST, 0), Way.RETRIED, middle)
        PauseChain(pause, None).run(lane.new_trial(), report)
        assert (report.holds, report.in_the_middle) == (1, 1)
        assert report.wrong == []


def test_missing_boundary_is_found_out(lane: TwinLane) -> None:
    """A boundary that the rotation does not have is an error, not a pause that ended well."""
    with lane:
        report = Report()
        pause = Pause(Boundary(Channel.REQUEST, 999), Way.RETRIED, None)
        PauseChain(pause, None).run(lane.new_trial(), report)
        assert report.holds == 0
        assert len(report.wrong) == 1
        assert "no such boundary" in report.wrong[0]


def test_change_after_the_end_is_found_out(lane: TwinLane) -> None:
    """A user that is changed when its rotation is over is reported with the pause."""
    with lane:
        trial = lane.new_trial()
        report = Report()
        invoke = lane.function
        changed: list[str] = []

        def careless(event: dict[str, str]) -> None:
            try:
                invoke(event)
            finally:
                if not changed:
                    changed.append(str(uuid4()))
                    lane.oracle.set_password(trial.first, f"Another-{changed[0]}")

        lane.function = careless  # type: ignore[assignment]
        pause = Pause(Boundary(Channel.REQUEST, 0), Way.OVERTAKEN, None)
        PauseChain(pause, None).run(trial, report)
        assert len(report.wrong) == 1
        assert f"over, it has changed: user {trial.first}" in report.wrong[0]
        assert "AWSCURRENT does not log in" in report.wrong[0] or "no stored" in report.wrong[0]


def test_a_heedless_rotator_is_found_out(world_of: WorldOf, tmp_path: Path) -> None:
    """The matrix fails for a function that does not look again under the lock."""
    place = world_of(PostgresWorld).place
    subject = Subject("postgres", "alternating-users", administrator=True)
    with TwinLane(place, subject, tmp_path, "tests.conformance.heedless.handler") as lane:
        wrong: list[str] = []
        for boundary in boundaries_of(lane).first:  # without a hold nothing is wrong
            if boundary.channel is Channel.REQUEST and not wrong:
                report = Report()
                pause = Pause(boundary, Way.ABANDONED, None)
                PauseChain(pause, None).run(lane.new_trial(), report)
                wrong += report.wrong
    assert "over, it has changed: user" in wrong[0]
    assert "AWSCURRENT does not log in" in wrong[0]
