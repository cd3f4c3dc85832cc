"""Rotates passwords of PostgreSQL and Aurora PostgreSQL."""

from typing import ClassVar

from rotators.postgres.connection import DEFAULT_PORT, log_in
from rotators.postgres.session import PostgresSession
from shared.deadline import Deadline
from shared.model import Login
from shared.passwords import Profile
from shared.rotator import Rotator
from shared.runtime import handler_for


class PostgresRotator(Rotator):
    """PostgreSQL 12 and later, by libpq."""

    engine_names: ClassVar[frozenset[str]] = frozenset(
        {"postgres", "postgresql", "aurora-postgresql"}
    )
    default_port: ClassVar[int] = DEFAULT_PORT
    profile: ClassVar[Profile] = Profile(longest=99)
    """psql reads at most 99 characters at its password prompt, before version 14."""
    longest_name: ClassVar[int] = 63
    """NAMEDATALEN - 1, in bytes; PostgreSQL would cut longer names off without an error."""

    @classmethod
    def name_length(cls, username: str) -> int:
        """Return the length in bytes of UTF-8."""
        return len(username.encode())

    def connect(self, login: Login, deadline: Deadline) -> PostgresSession:
        """Log in; see :meth:`shared.rotator.Rotator.connect`."""
        return PostgresSession(log_in(login, self.trust, deadline), login.username, deadline)


handler = handler_for(PostgresRotator)
