"""What a client notices of a rotation that reads AWSCURRENT and logs in without pause."""

from collections.abc import Callable
from pathlib import Path

from local.servers import Server
from tests.conformance.subjects import with_subjects
from tests.kit.lane import Lane
from tests.kit.oracles import Place
from tests.kit.pairs import Subject
from tests.kit.window import ROTATIONS, Attempt, longest_interruption, measure


@with_subjects()
def test_window(
    prepared_server_of: Callable[[str], Server], tmp_path: Path, subject: Subject
) -> None:
    """No login is refused; where one must be, for no longer than one login and one request."""
    server = prepared_server_of(subject.kind)
    with Lane(Place.of(server), subject, tmp_path) as lane:
        window = measure(lane)
    assert window.rotations == ROTATIONS
    assert window.logins > 2 * ROTATIONS
    if subject.interrupts:
        assert (window.requests, window.connections) == (1, 1)
    else:
        assert (window.refused, window.requests, window.connections) == (0, 0, 0)


def test_longest_interruption() -> None:
    """An interruption lasts from the first refused login to the end of the next accepted one."""
    attempts = [
        Attempt(0, 1, accepted=True),
        Attempt(1, 2, accepted=False),
        Attempt(2, 3, accepted=False),
        Attempt(3, 4, accepted=True),
        Attempt(4, 6, accepted=False),
    ]
    assert longest_interruption(attempts) == 3
    assert longest_interruption(attempts[:1]) == 0
