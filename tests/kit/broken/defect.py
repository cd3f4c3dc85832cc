"""What a defect is, and the list of them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.deadline import Deadline
from shared.model import Login
from shared.rotator import Rotator
from shared.session import Session
from tests.kit.contract.world import World
from tests.kit.worlds.valkey import ValkeyWorld

Kind = TypeVar("Kind", bound=type)


@dataclass(frozen=True)
class Defect:
    """A broken rotator.

    Attributes:
        name: Of its class.
        wrong: What is wrong with it.
        test: The test that must find it out, with its parameter.
        promise: What it breaks: a class or method, in whose docstring the promise is.
        world: The good one's, with the broken rotator in it.
        alone: Whether it needs a server of its own, because it leaves a lock behind.
    """

    name: str
    wrong: str
    test: str
    promise: Any
    world: type[World]
    alone: bool


DEFECTS: list[Defect] = []


def breaks(
    promise: object, test: str, *, good: type[World] = ValkeyWorld, alone: bool = False
) -> Callable[[Kind], Kind]:
    """Put a broken rotator, or session, on the list.

    Args:
        promise: What it breaks.
        test: The test that must find it out.
        good: The world of the good one.
        alone: Whether it needs a server of its own.
    """

    def on_the_list(broken: Kind) -> Kind:
        is_session = issubclass(broken, Session)
        rotator = _with_sessions(good.rotator, broken) if is_session else broken
        world = type(
            f"{broken.__name__}World",
            (good,),
            {"rotator": rotator, "handler": f"tests.kit.broken.handlers.{broken.__name__}"},
        )
        wrong = (broken.__doc__ or "").strip()
        DEFECTS.append(Defect(broken.__name__, wrong, test, promise, world, alone))
        return broken

    return on_the_list


def _with_sessions(good: type[Rotator], broken: type[Session]) -> type[Rotator]:
    """Return the good rotator, all of whose sessions are of the broken class."""

    def connect(self: Rotator, login: Login, deadline: Deadline) -> Session:
        session = good.connect(self, login, deadline)
        session.__class__ = broken
        return session

    name = f"{broken.__name__}Rotator"
    found = type(name, (good,), {"connect": connect, "__module__": broken.__module__})
    # A process that is started for it finds it by its name.
    setattr(sys.modules[broken.__module__], name, found)
    return found
