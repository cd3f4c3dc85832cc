"""Real servers, started once for all tests that ask for them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from local.servers import Server, start


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[str], Server]]:
    """Return the running server of a kind, started when first asked for."""
    with ExitStack() as servers:
        yield cache(lambda kind: servers.enter_context(start(kind)))
