"""The crash matrix: whole, of one strategy; and it finds out what is careless."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.boundaries import Channel
from tests.kit.contract.world import World
from tests.kit.failure_modes import passwords_in, prove
from tests.kit.lane import Lane
from tests.kit.matrix import Chain, Recovery, boundaries_of, run
from tests.kit.pairs import SUBJECTS
from tests.kit.worlds.postgres import PostgresWorld

WorldOf = Callable[[type[World]], World]

ALWAYS_WHOLE, *_ = SUBJECTS
"""The one of which `make test-sample` kills at every boundary."""


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_every_boundary_of_one_strategy(world_of: WorldOf, tmp_path: Path) -> None:
    """A user that changes its own password on PostgreSQL survives a kill at every boundary."""
    server = world_of(PostgresWorld).server
    proof = prove(server, ALWAYS_WHOLE, tmp_path, storms=2)
    assert proof.report.wrong == []
    # Twice each boundary: in the first rotation and in a later one, retried and abandoned.
    assert proof.report.kills >= 2 * (len(proof.boundaries.first) + len(proof.boundaries.later))


def test_a_careless_rotator_is_found_out(world_of: WorldOf, tmp_path: Path) -> None:
    """The matrix fails for a function that cannot find the password it has just set."""
    place = world_of(PostgresWorld).place
    with Lane(place, ALWAYS_WHOLE, tmp_path, "tests.conformance.careless.handler") as lane:
        boundaries = boundaries_of(lane)  # without a kill nothing is wrong
        kills = [each for each in boundaries.first if each.channel is Channel.REQUEST]
        reports = [run(lane, Chain(kill, None, Recovery.RETRY)) for kill in kills]
    wrong = [each for report in reports for each in report.wrong]
    assert any("NoLoginWorks" in each for each in wrong)
    assert any("AWSCURRENT does not log in" in each for each in wrong)


def test_passwords_in_a_log_are_found() -> None:
    """Every line of a log that holds a password is counted, whatever characters are in it."""
    log = "ALTER ROLE a PASSWORD 'x.*y$1'\nharmless\nonce more x.*y$1 here\nxaay$1\n"
    assert passwords_in(log, ["not there", "x.*y$1"]) == 2
    assert passwords_in(log, ["not there"]) == 0
