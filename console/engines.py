"""What the rotators' declarations tell about the engines; no driver is imported."""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache

import rotators
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


def folders() -> list[str]:
    """Return the folders of all rotators that are installed."""
    return [each.name for each in pkgutil.iter_modules(rotators.__path__) if declared(each.name)]


def engines_of(folder: str) -> str:
    """Return the names of the engines that a function of this folder rotates."""
    return "/".join(each.name for each in declared(folder)) or folder
