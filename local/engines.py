"""The engines that there are: every declaration in ``rotators/*/engine.py``, by the engine's name.

Whatever works through the engines, tests and tools, reads this; no other list of them stands
anywhere.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from local.template import ROOT
from shared.engine import Engine
from shared.rotator import Rotator


@dataclass(frozen=True, slots=True)
class Declared:
    """An engine, and where it was declared.

    Attributes:
        engine: The declaration.
        folder: The name of the rotator's folder below ``rotators/``.
    """

    engine: Engine
    folder: str

    @property
    def handler(self) -> str:
        """The function's handler."""
        return f"rotators.{self.folder}.rotator.handler"

    def rotator(self) -> type[Rotator]:
        """Import the rotator's class."""
        module = importlib.import_module(f"rotators.{self.folder}.rotator")
        (found,) = (
            each
            for each in vars(module).values()
            if isinstance(each, type) and issubclass(each, Rotator) and each is not Rotator
        )
        return found


def _declared() -> Iterator[Declared]:
    for path in sorted(ROOT.glob("rotators/*/engine.py")):
        folder = path.parent.name
        module = importlib.import_module(f"rotators.{folder}.engine")
        for engine in module.ENGINES:
            yield Declared(engine, folder)


ENGINES: Mapping[str, Declared] = {each.engine.name: each for each in _declared()}
"""By name."""

FUNCTIONS: Mapping[str, str] = {name: each.engine.function for name, each in ENGINES.items()}
"""Engine to the function of the template that rotates its secrets."""
