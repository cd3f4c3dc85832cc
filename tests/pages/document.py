"""The parts of the pages that are made of the code, each between two marks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from local.template import ROOT
from shared.settings import StrategyName
from tests.pages import checks, diagrams, promises, reference, runbook

RUNBOOK = ROOT / "docs" / "when-a-rotation-fails.md"
ROTATION = ROOT / "docs" / "how-a-rotation-works.md"
REFERENCE = ROOT / "docs" / "rotator-reference.md"
CHECKS = ROOT / "docs" / "checks.md"


@dataclass(frozen=True)
class Part:
    """A part of a page.

    Args:
        path: The page.
        mark: Names the two marks.
        make: Returns what stands between them.
    """

    path: Path
    mark: str
    make: Callable[[], str]

    def read(self) -> str:
        """Return what stands on the page."""
        return self._split()[1]

    def write(self) -> None:
        """Put what the code says onto the page."""
        before, _, after = self._split()
        self.path.write_text(before + self.make() + after)

    def _split(self) -> tuple[str, str, str]:
        begin, end = (f"<!-- {self.mark}: {edge} -->" for edge in ("begin", "end"))
        before, found, rest = self.path.read_text().partition(f"{begin}\n")
        inside, also_found, after = rest.partition(f"\n{end}")
        assert found, f"{self.path.name} has no {begin}"
        assert also_found, f"{self.path.name} has no {end}"
        return before + found, inside, also_found + after


def _rotation(strategy: StrategyName, *, administrator: bool) -> Part:
    make = partial(diagrams.rotation, strategy, administrator=administrator)
    return Part(ROTATION, f"rotation, {strategy}", make)


def _promises(strategy: StrategyName, *, administrator: bool) -> Part:
    make = partial(promises.table, strategy, administrator=administrator)
    return Part(ROTATION, f"promises, {strategy}", make)


PARTS = [
    Part(RUNBOOK, "errors", runbook.chapters),
    Part(CHECKS, "checks", checks.checks),
    Part(CHECKS, "codes", checks.codes),
    _rotation(StrategyName.SINGLE_USER, administrator=False),
    _rotation(StrategyName.ALTERNATING_USERS, administrator=True),
    _promises(StrategyName.SINGLE_USER, administrator=False),
    _promises(StrategyName.ALTERNATING_USERS, administrator=True),
    Part(ROTATION, "standings", diagrams.standings),
    Part(ROTATION, "verdicts", diagrams.verdicts),
    Part(ROTATION, "searches", diagrams.searches),
    Part(REFERENCE, "reference", reference.chapters),
]
