"""Which engine is proven with which strategy."""

from dataclasses import dataclass

HANDLERS = {
    "postgres": "rotators.postgres.rotator.handler",
    "mysql": "rotators.mysql.rotator.handler",
    "mariadb": "rotators.mysql.rotator.handler",
    "valkey": "rotators.valkey.rotator.handler",
    "redis": "rotators.valkey.rotator.handler",
}
"""Engine to the handler of its function."""


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


def _subjects() -> tuple[Subject, ...]:
    everywhere = (
        ("single-user", False),
        ("single-user-by-administrator", True),
        ("alternating-users", True),
    )
    two_passwords = {
        "mysql": (("dual-password", False), ("dual-password", True)),
        "mariadb": (("dual-password", True),),
    }
    kinds = ("postgres", "postgres-18", "mysql", "mariadb", "mariadb-11.8")
    by_administrator = tuple(
        Subject(kind, strategy, administrator=True)
        for kind in ("valkey", "redis")
        for strategy in ("single-user-by-administrator", "dual-password")
    )
    return (
        tuple(
            Subject(kind, strategy, administrator)
            for kind in kinds
            for strategy, administrator in (
                *everywhere,
                *two_passwords.get(kind.partition("-")[0], ()),
            )
        )
        + by_administrator
    )


SUBJECTS = _subjects()
