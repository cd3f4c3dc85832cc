"""What every oracle answers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from local.servers import Account, Server

Rights = Mapping[str, str]
"""What was tried or read, to what came of it; user names are replaced, so that two users of equal
rights have equal mappings."""


@dataclass(frozen=True)
class Place:
    """Where a server is, and its two accounts; unlike a server it can be sent to a process.

    Attributes:
        handler: Of the function, as Lambda is told; the engine's own when empty.
        oracle: Makes the oracle; the engine's own when None.
    """

    kind: str
    host: str
    port: int
    ca_file: Path
    database: str
    administrator: Account
    superuser: Account
    handler: str = ""
    oracle: "Callable[[Place], Oracle] | None" = None

    @classmethod
    def of(
        cls,
        server: Server,
        *,
        handler: str = "",
        oracle: "Callable[[Place], Oracle] | None" = None,
    ) -> "Place":
        """Return where ``server`` is."""
        return cls(
            server.kind,
            server.host,
            server.port,
            server.ca_file,
            server.database,
            server.administrator,
            server.superuser,
            handler,
            oracle,
        )


class Oracle(ABC):
    """Looks at one server, past the proxy; ``with`` opens and closes its own connection.

    Args:
        place: The server.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._accepted: dict[tuple[str, str, Hashable], bool] = {}

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Open the superuser's connection; again, where the server was restarted."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""

    @abstractmethod
    def prepare_server(self) -> None:
        """Make what all users share, once for each server."""

    @abstractmethod
    def make_user(self, name: str, password: str, *, own_two_passwords: bool) -> None:
        """Make an application's user with rights, limits, settings and objects of every kind.

        Args:
            name: The user.
            password: Its password.
            own_two_passwords: Whether it may give itself a second password.
        """

    @abstractmethod
    def set_password(self, name: str, password: str) -> None:
        """Give a user another password, behind the rotation's back."""

    @abstractmethod
    def change_rights(self, name: str) -> None:
        """Take a right from the user that :meth:`make_user` gave, and grant another."""

    @abstractmethod
    def state_of(self, username: str) -> Hashable:
        """Read all that decides about the user's logins but the password that is offered."""

    @abstractmethod
    def logs_in(self, username: str, password: str) -> bool:
        """Log in afresh over verified TLS; False when the password is refused."""

    @abstractmethod
    def sessions(self, username: str) -> int:
        """Count the user's open sessions."""

    @abstractmethod
    def rights(self, first: str, username: str, password: str, *, taking_over: bool) -> Rights:
        """Act as the user, and read in its own session what it may do.

        Args:
            first: The first user of the pair; the user itself, where there is no pair.
            username: Who acts.
            password: Its password.
            taking_over: Whether it also uses, alters and drops what was left the last time, by the
                other user perhaps, and leaves the same anew: slow where nothing of that can be
                rolled back.
        """

    def accepts(self, username: str, password: str) -> bool:
        """Say whether a login would be accepted now; quick enough to be asked at each boundary.

        The answer to a login depends on the account's state and the password alone, so one login
        for each combination of the two is enough.
        """
        key = (username, password, self.state_of(username))
        if key not in self._accepted:
            self._accepted[key] = self.logs_in(username, password)
        return self._accepted[key]
