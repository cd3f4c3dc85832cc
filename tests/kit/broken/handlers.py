"""The functions of broken rotators: ``tests.kit.broken.handlers.NAME``."""

from collections.abc import Callable

from shared.runtime import handler_for
from tests.kit.broken.classes import DEFECTS


def __getattr__(name: str) -> Callable[..., object]:
    for defect in DEFECTS:
        if defect.name == name:
            return handler_for(defect.world.rotator)
    raise AttributeError(name)
