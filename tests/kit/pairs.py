"""Which engine is proven with which strategy."""

from collections.abc import Iterator
from dataclasses import dataclass

from local.engines import ENGINES
from local.servers import KINDS
from shared.engine import By, Engine

FURTHER_VERSIONS = ("postgres-18", "mariadb-11.8", "valkey-redis")
"""Servers besides the one of each engine that is easiest to have."""


@dataclass(frozen=True, order=True)
class Subject:
    """A strategy on a server.

    Attributes:
        kind: The server, as :func:`local.servers.start` knows it.
        strategy: The strategy, as the secret's tag names it.
        administrator: Whether the secret names an administrator.
    """

    kind: str
    strategy: str
    administrator: bool

    @property
    def engine(self) -> str:
        """The engine: the kind without a version."""
        return self.kind.partition("-")[0]

    @property
    def name(self) -> str:
        """A name for people."""
        by = ""
        if self.strategy == "dual-password":
            by = " by the administrator" if self.administrator else " by the user"
        return f"{self.kind} {self.strategy}{by}"

    @property
    def interrupts(self) -> bool:
        """Whether the strategy shuts applications out for a moment, from change to promotion."""
        return self.strategy.startswith("single-user")

    @property
    def alternates(self) -> bool:
        """Whether two users take turns."""
        return self.strategy == "alternating-users"


def subjects_of(kind: str, engine: Engine) -> Iterator[Subject]:
    """Yield every strategy that an engine is declared to have, by whomever, on one server."""
    for strategy, by_whom in engine.strategies.items():
        for by in sorted(by_whom, reverse=True):
            yield Subject(kind, strategy.value, by is By.ADMINISTRATOR)


SUBJECTS = tuple(
    subject
    for kind in KINDS
    if kind in ENGINES or kind in FURTHER_VERSIONS
    for subject in subjects_of(kind, ENGINES[kind.partition("-")[0]].engine)
)
"""The same of every server, in their order."""
