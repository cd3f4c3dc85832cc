"""Rotates passwords of PostgreSQL and Aurora PostgreSQL."""

from typing import TYPE_CHECKING, ClassVar

from rotators.postgres.engine import ENGINES
from shared.deadline import Deadline
from shared.engine import Engine
from shared.errors import PermissionDenied, StatementFailed
from shared.model import Login
from shared.passwords import Profile
from shared.rotator import Rotator
from shared.runtime import handler_for

if TYPE_CHECKING:
    from rotators.postgres.session import PostgresSession


class PostgresRotator(Rotator):
    """PostgreSQL 12 and later, by libpq."""

    engines: ClassVar[tuple[Engine, ...]] = ENGINES
    profile: ClassVar[Profile] = Profile(longest=99)
    """psql reads at most 99 characters at its password prompt, before version 14."""
    longest_name: ClassVar[int] = 63
    """NAMEDATALEN - 1, in bytes; PostgreSQL would cut longer names off without an error."""

    @classmethod
    def name_length(cls, username: str) -> int:
        """Return the length in bytes of UTF-8."""
        return len(username.encode())

    def connect(self, login: Login, deadline: Deadline) -> "PostgresSession":
        """Log in; see :meth:`shared.rotator.Rotator.connect`.

        An administrator without a database of his own comes to the rotated secret's, as that
        secret's user does: there lies the lock (see :meth:`PostgresSession.lock`). One who may not
        go there works from ``postgres``: roles belong to all databases alike.
        """
        # Here and nowhere later: createSecret needs no driver, and no change comes before a login.
        from rotators.postgres.connection import (  # noqa: PLC0415
            DEFAULT_DATABASE,
            database_of,
            log_in,
        )
        from rotators.postgres.session import PostgresSession  # noqa: PLC0415

        database = database_of(login)
        # A user's own: an administrator's login alone can mean another database than its secret.
        own = str(login.document.get("dbname") or DEFAULT_DATABASE)
        try:
            connection = log_in(login, self.trust, deadline, database)
        except (PermissionDenied, StatementFailed):
            if own == database:
                raise
            connection = log_in(login, self.trust, deadline, own)
        return PostgresSession(connection, login.username, deadline, database)


handler = handler_for(PostgresRotator)
