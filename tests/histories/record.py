"""The committed result of the whole search, and the code that it is the result of."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from tests.histories.search import BEGINNINGS, SCENARIOS, STRATEGIES, Found, Search
from tests.histories.world import STEPS, Setup
from tests.kit.digest import ROOT, digest

PATH = Path(__file__).with_name("record.json")
USUAL = "rotated once"
"""The beginning of the longest searches: fence, AWSPREVIOUS and second user are there."""


@dataclass(frozen=True)
class Part:
    """A part of the search that one process does.

    Attributes:
        kind: The search's method: :data:`KINDS`.
        setup: The secret.
        beginning: Where the histories begin.
    """

    kind: str
    setup: Setup
    beginning: str

    @property
    def row(self) -> str:
        """What the record calls it."""
        setup = self.setup
        options = [self.kind.replace("_", " "), self.beginning]
        options += ["AWSPENDING cleaned up"] if setup.cleans_up else []
        options += ["PutSecretValue drops AWSPENDING"] if setup.put_drops else []
        options += [] if setup.lock_holds else ["no lock"]
        return f"{setup.name}: {', '.join(options)}"

    def search(self, every: int = 1) -> Search:
        """Search it.

        Args:
            every: Of the first of two faults only every so many.
        """
        search = Search(self.setup)
        if self.kind == "pairs":
            for _ in search.pairs(self.beginning, every):
                pass
            return search
        for scenario in SCENARIOS:
            for step in STEPS:
                for _ in getattr(search, self.kind)(self.beginning, scenario, step):
                    pass
        return search


KINDS: Mapping[str, str] = {
    "held": "one delivery held at every message, let go at every message of the others",
    "held_twice": "let go, held once more, and let go again",
    "held_with_a_fault": "held, and one fault in each message of the others",
    "pairs": "two faults in each message of a rotation and its retry",
}


def setups(
    *, cleans_up: bool = False, put_drops: bool = False, lock_holds: bool = True
) -> list[Setup]:
    """Return a secret of each strategy."""
    return [
        Setup(*strategy, cleans_up=cleans_up, put_drops=put_drops, lock_holds=lock_holds)
        for strategy in STRATEGIES
    ]


def parts() -> list[Part]:
    """List all parts, those that take longest first."""
    longest = [
        Part(kind, setup, USUAL)
        for kind in ("held_with_a_fault", "held_twice")
        for setup in setups()
    ]
    pairs = [Part("pairs", setup, beginning) for beginning in BEGINNINGS for setup in setups()]
    pairs += [
        Part("pairs", setup, USUAL) for setup in (*setups(cleans_up=True), *setups(put_drops=True))
    ]
    held = [
        Part("held", setup, beginning)
        for beginning in BEGINNINGS
        for cleans_up, put_drops, lock_holds in (
            (False, False, True),
            (True, False, True),
            (False, True, True),
            (False, False, False),
            (True, False, False),
        )
        for setup in setups(cleans_up=cleans_up, put_drops=put_drops, lock_holds=lock_holds)
    ]
    return [*longest, *pairs, *held]


def code() -> str:
    """Return the digest of the code that decides."""
    return digest([ROOT / "shared"])


@dataclass
class Row:
    """What a part found.

    Attributes:
        histories: How many there were.
        lost: How many went wrong.
        documented: How many went wrong where that is documented, by what it is.
    """

    histories: int
    lost: int
    documented: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, search: Search) -> Self:
        """Count a search."""
        return cls(search.histories, len(search.found), dict(sorted(search.tolerated.items())))


@dataclass
class Record:
    """The whole result.

    Attributes:
        code: The digest of `shared/` that it is the result of.
        rows: By the parts' names.
    """

    code: str
    rows: dict[str, Row]

    @classmethod
    def read(cls) -> Self:
        """Read the committed one."""
        stored = json.loads(PATH.read_text())
        return cls(stored["code"], {name: Row(**row) for name, row in stored["rows"].items()})

    def write(self) -> None:
        """Write it, to be committed."""
        stored = {
            "code": self.code,
            "histories": sum(row.histories for row in self.rows.values()),
            "lost": sum(row.lost for row in self.rows.values()),
            "rows": {name: asdict(self.rows[name]) for name in sorted(self.rows)},
        }
        PATH.write_text(json.dumps(stored, indent=2) + "\n")


def shortest(found: Iterable[Found]) -> list[Found]:
    """Return one history for each thing that is wrong: the one that was found first."""
    first: dict[str, Found] = {}
    for each in found:
        first.setdefault(each.wrong, each)
    return list(first.values())


TRACES = 3
"""So many histories that went wrong are told in whole, of each part."""


def work(part: Part) -> tuple[Part, Row, float, list[str]]:
    """Search one part, as a process of its own does.

    Returns:
        The part, what was found, the seconds that it took, and traces of what went wrong.
    """
    began = time.perf_counter()
    search = part.search()
    told = []
    for found in shortest(search.found)[:TRACES]:
        told += ["", str(found), *(f"  {line}" for line in search.traced(found.history))]
    return part, Row.of(search), time.perf_counter() - began, told
