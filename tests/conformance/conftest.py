"""Servers for the conformance tests, with what all users of a server share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from local.servers import Server, start
from tests.kit.failure_modes import prepared


@pytest.fixture(scope="session")
def prepared_server_of() -> Iterator[Callable[[str], Server]]:
    """Return the running, prepared server of a kind, started when first asked for."""
    with ExitStack() as servers:
        yield cache(lambda kind: prepared(servers.enter_context(start(kind))))
