"""The policy simulator, once for all tests that ask it."""

from collections.abc import Iterator

import pytest

from tests.deployment.simulator import Simulator


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    """The running simulator."""
    with Simulator() as running:
        yield running
