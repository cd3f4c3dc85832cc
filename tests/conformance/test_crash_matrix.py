"""A function killed at every boundary loses nothing, on any engine, with any strategy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local.servers import Server
from tests.conformance.subjects import every, with_subjects
from tests.kit.boundaries import Channel
from tests.kit.failure_modes import MATRIX, Proof, code_of, passwords_in, prove
from tests.kit.lane import Lane
from tests.kit.matrix import Chain, Recovery, boundaries_of, run
from tests.kit.oracles import Place
from tests.kit.pairs import SUBJECTS, Subject

ServerOf = Callable[[str], Server]

ALWAYS_WHOLE, *_ = SUBJECTS
"""The one of which `make test-sample` kills at every boundary."""


def require_nothing_lost(proof: Proof) -> None:
    """Assert that every kill was recovered from, and that kills there were."""
    assert proof.report.wrong == []
    assert proof.report.kills > 0


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_every_boundary_of_one_strategy(prepared_server_of: ServerOf, tmp_path: Path) -> None:
    """A user that changes its own password on PostgreSQL survives a kill at every boundary."""
    server = prepared_server_of(ALWAYS_WHOLE.kind)
    proof = prove(server, ALWAYS_WHOLE, tmp_path, storms=2)
    require_nothing_lost(proof)
    # Twice each boundary: in the first rotation and in a later one, retried and abandoned.
    assert proof.report.kills >= 2 * (len(proof.boundaries.first) + len(proof.boundaries.later))


@pytest.mark.timeout(900)
@with_subjects()
def test_sample_of_boundaries(
    prepared_server_of: ServerOf, tmp_path: Path, subject: Subject
) -> None:
    """Every engine and strategy survives kills at a sample of boundaries, and a storm of kills."""
    server = prepared_server_of(subject.kind)
    proof = prove(server, subject, tmp_path, every=every(subject), storms=1)
    require_nothing_lost(proof)
    row = MATRIX.read().get(subject.name)
    if row is not None and row.code == code_of(subject):
        assert row.first == pytest.approx(proof.crash_row.first, rel=0.05)
        assert row.later == pytest.approx(proof.crash_row.later, rel=0.05)


def test_a_careless_rotator_is_found_out(prepared_server_of: ServerOf, tmp_path: Path) -> None:
    """The matrix fails for a function that cannot find the password it has just set."""
    place = Place.of(prepared_server_of("postgres"))
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
