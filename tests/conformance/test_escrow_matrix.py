"""A function killed around sealing and changing leaves in escrow what logs in."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from shared.model import Label, Stage
from tests.conformance.escrow_lane import EscrowLane, ForgetfulLane
from tests.kit.contract.world import World
from tests.kit.function import FunctionFailed
from tests.kit.lane import Lane
from tests.kit.matrix import boundaries_of, chains_of, run_all
from tests.kit.pairs import Subject
from tests.kit.worlds.postgres import PostgresWorld

WorldOf = Callable[[type[World]], World]

SUBJECT = Subject("postgres", "single-user", administrator=False)
"""Applications are shut out from change to promotion: a loss would show here first."""

CALLS_OF_SEALING = 2
EVERY = 9
"""Odd, so that requests and answers take turns."""


@pytest.mark.timeout(300)
def test_what_is_in_escrow_logs_in(world_of: WorldOf, tmp_path: Path) -> None:
    """At every boundary from the change on, whatever kills the function and whoever recovers."""
    place = world_of(PostgresWorld).place
    with Lane(place, SUBJECT, tmp_path) as lane:
        without = boundaries_of(lane)
    with EscrowLane(place, SUBJECT, tmp_path) as lane:
        boundaries = boundaries_of(lane)
    # Sealing is a request and an answer of KMS, and of S3, in each rotation; and nothing else.
    assert len(boundaries.later) == len(without.later) + 2 * CALLS_OF_SEALING
    chains = [*chains_of(boundaries, EVERY)]
    report = run_all(place, SUBJECT, chains, tmp_path, kind=EscrowLane)
    assert report.wrong == []
    assert report.kills >= 2 * (len(boundaries.later) // EVERY)


def test_what_cannot_be_sealed_changes_nothing(world_of: WorldOf, tmp_path: Path) -> None:
    """With a first key that is disabled the old password stays, and the attempt ends itself."""
    place = world_of(PostgresWorld).place
    with EscrowLane(place, SUBJECT, tmp_path) as lane:
        trial, key = lane.new_trial(), lane.vault.kms[lane.vault.first]
        (old,) = trial.stored()
        key.state = "Disabled"
        outcome, _ = trial.attempt(str(uuid4()))
        assert isinstance(outcome.error, FunctionFailed)
        assert outcome.error.kind == "SealingRefused"
        assert key.arn in str(outcome.error)
        assert lane.oracle.logs_in(old.username, old.password)
        assert not {Stage.PENDING, Label.FENCE} & lane.service.labels(trial.arn).keys()
        key.state = "Enabled"
        assert trial.rotate() == []
        assert len(lane.vault.opened(trial.arn)) == 1


def test_an_escrow_that_seals_nothing_is_found_out(world_of: WorldOf, tmp_path: Path) -> None:
    """The matrix fails for a function that does not seal what it brings into force."""
    place = world_of(PostgresWorld).place
    with (
        ForgetfulLane(place, SUBJECT, tmp_path) as lane,
        pytest.raises(AssertionError, match="is not in escrow"),
    ):
        boundaries_of(lane)
