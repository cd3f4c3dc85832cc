"""What the rotators' declarations tell about the engines; no driver is imported."""

import importlib
from collections.abc import Sequence
from functools import cache

from shared.engine import Engine


@cache
def declared(folder: str) -> Sequence[Engine]:
    """Return the engines that the rotator of a folder declares; none where there is no such."""
    if not folder.isidentifier():
        return ()
    try:
        module = importlib.import_module(f"rotators.{folder}.engine")
    except ModuleNotFoundError:
        return ()
    engines: Sequence[Engine] = module.ENGINES
    return engines


def engines_of(folder: str) -> str:
    """Return the names of the engines that a function of this folder rotates."""
    return "/".join(each.name for each in declared(folder)) or folder
