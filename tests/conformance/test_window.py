"""How long an interruption is that a client notices."""

from tests.kit.window import Attempt, longest_interruption


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
