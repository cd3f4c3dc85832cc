"""How many logins a server has seen, read from its own log."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from local.servers import Server

_MYSQL = re.compile(r"\d Connect\t\S+@\S* on ")
"""The general log has this line for every attempt, and another one if it is refused."""

_POSTGRES = re.compile(r"LOG:  connection authorized: ")
"""What `log_connections` writes once the password was accepted."""

_VALKEY = re.compile(r" - Accepted \S+:\d+")
"""At `loglevel verbose` the log has this line for every connection; each makes one attempt."""

LINES: Mapping[str, tuple[re.Pattern[str], bool]] = {
    "postgres": (_POSTGRES, False),
    "mysql": (_MYSQL, True),
    "mariadb": (_MYSQL, True),
    "valkey": (_VALKEY, True),
}
"""By engine: the line to count, and whether a refused login has it, too."""


@dataclass(frozen=True, slots=True)
class Logins:
    """Logins at one server.

    Attributes:
        accepted: Those that succeeded.
        refused: Those with a wrong password.
    """

    accepted: int
    refused: int

    @classmethod
    def at(cls, server: Server) -> Self:
        """Count all logins that the server has seen so far."""
        line, refused_too = LINES[server.engine]
        refused = server.failed_logins()
        found = len(line.findall(server.log_text()))
        return cls(found - refused if refused_too else found, refused)

    def __sub__(self, others: "Logins") -> "Logins":
        return Logins(self.accepted - others.accepted, self.refused - others.refused)

    @property
    def all(self) -> int:
        """Those that succeeded and those that did not."""
        return self.accepted + self.refused
