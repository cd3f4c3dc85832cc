"""One class of contract tests for each broken rotator; of its tests only one is run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.kit.broken import abilities, connects, locks, sessions
from tests.kit.broken.defect import DEFECTS, Defect
from tests.kit.contract import Contract, World

__all__ = ["DEFECTS", "abilities", "connects", "locks", "sessions"]


@pytest.fixture(scope="session")
def world_of() -> Iterator[Callable[[type[World]], World]]:
    """Return a world on the server that all broken rotators of one kind share, if they may."""
    alone = {defect.world for defect in DEFECTS if defect.alone}
    with ExitStack() as stack:
        worlds: dict[type[World], World] = {}

        def running(kind: type[World]) -> World:
            if kind not in worlds:
                worlds[kind] = stack.enter_context(kind())
            return worlds[kind]

        def world(kind: type[World]) -> World:
            if kind in alone:
                return running(kind)
            broken = kind()
            broken.share(running(kind.__bases__[0]))
            return broken

        yield world


def _class_of(defect: Defect) -> type:
    """Return a class of contract tests with this one alone, and what it needs besides."""
    test = defect.test.partition("[")[0]
    members = {
        name: member
        for base in reversed(Contract.__mro__)
        for name, member in vars(base).items()
        if name == test or not name.startswith(("test_", "__"))
    }
    return type(f"Test{defect.name}", (), members | {"world": defect.world})


for each in DEFECTS:
    globals()[f"Test{each.name}"] = _class_of(each)
