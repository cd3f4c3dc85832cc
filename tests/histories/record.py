"""The committed result of the whole search, and the code that it is the result of."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from tests.histories.search import BEGINNINGS, SCENARIOS, STRATEGIES, Found, History, Search
from tests.histories.world import STEPS, Service, Setup
from tests.kit.digest import ROOT, digest

PATH = Path(__file__).with_name("record.json")
USUAL = "rotated once"
"""The beginning of the longest searches: fence, AWSPREVIOUS and second user are there."""
FIRST_EVER = "never rotated"


@dataclass(frozen=True)
class Part:
    """A part of the search that one process does.

    Attributes:
        kind: The search's method: :data:`KINDS`.
        setup: The secret.
        beginning: Where the histories begin.
        every: Of what could be gone on with, only every so many are.
    """

    kind: str
    setup: Setup
    beginning: str = USUAL
    every: int = 1

    @property
    def row(self) -> str:
        """What the record calls it."""
        setup = self.setup
        options = [self.kind.replace("_", " "), self.beginning, *setup.service.names]
        options += [] if setup.lock_holds else ["no lock"]
        options += [] if self.every == 1 else [f"one of {self.every}"]
        return f"{setup.name}: {', '.join(options)}"

    def histories(self, search: Search) -> Iterator[History]:
        """Run its histories, one by one."""
        if self.kind == "pairs":
            yield from search.pairs(self.beginning, self.every)
            return
        for scenario in SCENARIOS:
            for step in STEPS:
                yield from getattr(search, self.kind)(self.beginning, scenario, step, self.every)

    def search(self) -> Search:
        """Run them all."""
        search = Search(self.setup)
        for _ in self.histories(search):
            pass
        return search


KINDS: Mapping[str, str] = {
    "held": "one delivery held at every message, let go at every message of the others",
    "held_on_its_way": "one killed at every message, and what it was about to write comes late",
    "held_twice": "let go, held once more, and let go again",
    "held_with_a_fault": "held, and one fault in each message of the others",
    "pairs": "two faults in each message of a rotation and its retry",
}

CLEANS_UP = Service(cleans_up=True)
DROPS = Service(unnamed="dropped")
CLEANS_UP_AND_DROPS = Service(cleans_up=True, unnamed="dropped")
MUST_BE_NAMED = Service(unnamed="refused")
STRICT = Service(takes_repeated_moves=False, wrong_holder="InvalidRequestException")
SERVICES = (Service(), CLEANS_UP, DROPS, CLEANS_UP_AND_DROPS, MUST_BE_NAMED, STRICT)
"""Each way in which the service may be, where nobody knows how it is."""


def setups(service: Service = SERVICES[0], *, lock_holds: bool = True) -> list[Setup]:
    """Return a secret of each strategy."""
    return [Setup(*strategy, service=service, lock_holds=lock_holds) for strategy in STRATEGIES]


def parts() -> list[Part]:
    """List all parts, those that take longest first."""
    pairs = [
        Part("pairs", setup, beginning, 1 if beginning != FIRST_EVER else PAIRS_EVERY)
        for beginning in (USUAL, "an abandoned change", FIRST_EVER)
        for setup in setups()
    ]
    twice = [
        Part(kind, setup, every=every)
        for kind, every in (("held_twice", TWICE_EVERY), ("held_with_a_fault", FAULT_EVERY))
        for setup in setups(CLEANS_UP)
    ]
    sampled = [
        Part("pairs", setup, every=PAIRS_EVERY)
        for service in SERVICES[1:]
        for setup in setups(service)
    ]
    services = [Part("held", setup) for service in SERVICES[2:] for setup in setups(service)]
    held = [
        Part("held", setup, beginning)
        for beginning in BEGINNINGS
        for service in SERVICES[:2]
        for setup in setups(service)
    ]
    unlocked = [
        Part("held", setup)
        for service in SERVICES[:2]
        for setup in setups(service, lock_holds=False)
    ]
    late = [Part("held_on_its_way", setup) for setup in setups()]
    return [*pairs, *twice, *sampled, *services, *held, *unlocked, *late]


PAIRS_EVERY, TWICE_EVERY, FAULT_EVERY = 10, 40, 40
"""What bounds the whole to some ten minutes on two cores."""


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


def note_on_stale_record() -> str | None:
    """Say that the record was made on other code, or not at all; None when it was made on this."""
    if PATH.exists() and Record.read().code == code():
        return None
    return (
        f"{PATH.relative_to(ROOT)} is missing, or was made on other code; `make histories` makes "
        "it anew."
    )


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
