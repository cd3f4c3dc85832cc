"""An administrator's session, which changes users; or a user's, which only logs in."""

import hashlib
import logging
import re
import secrets
from collections.abc import Sequence
from typing import Any, ClassVar

from valkey.exceptions import ResponseError

from rotators.valkey.connection import Connection, error_of
from rotators.valkey.engine import VALKEY
from shared import errors
from shared.session import Lock, Session

PREFIX = "secret-rotation:"
"""Of the key that says which session has a secret's lock, and of that session's name."""
LOCK_PAUSE_SECONDS = 0.1
"""Between two looks at a lock that another session has."""

SAVING = (("ACL", "SAVE"), ("CONFIG", "REWRITE"))
"""How a server saves its users; where it has an ACL file, the second saves none."""
NO_FILE = re.compile("not configured to use an ACL file|without a config file")
"""In its answer where it has no such file."""

_log = logging.getLogger(__name__)


class ValkeySession(Session):
    """A session with Valkey 7.2 and later, or Redis 7 and later.

    Args:
        connection: Logged in.
    """

    engine: ClassVar = VALKEY

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._saving: tuple[str, ...] | None = None
        self._key, self._name = PREFIX, ""

    def close(self) -> None:
        """End the session, and so its lock; see :meth:`shared.session.Session.close`."""
        self._connection.close()

    def lock(self, name: str, seconds: float) -> Lock:
        """Take the secret's lock; see :meth:`shared.session.Session.lock`.

        The server has no locks. A key names the session that has this one, for as long as the
        server lists a client of that name: killed, its connection is closed. The key itself ends
        with the session's time, for a session that the network has swallowed. Every change looks at
        the key once more, in the transaction that makes it.

        What an earlier delivery has changed is saved now, if it was not; and a server that cannot
        save is found out before anything changes.
        """
        key = PREFIX + hashlib.sha256(name.encode()).hexdigest()
        mine = PREFIX + secrets.token_hex(16)
        waiting = self._connection.deadline.within(seconds)
        lock = Lock.AT_ONCE
        self._connection.run(("CLIENT", "SETNAME", mine))
        while not self._acquire(key, mine):
            lock = Lock.AFTER_WAITING
            if waiting.remaining() <= 0:
                raise errors.LockTimeout(f"Another delivery has the lock of {name}.")
            waiting.pause(LOCK_PAUSE_SECONDS)
        self._key, self._name = key, mine
        self._saving = self._save()
        return lock

    def _acquire(self, key: str, mine: str) -> bool:
        _, holder = self._connection.run(("WATCH", key), ("GET", key))
        if holder and f" name={holder} " in self._connection.run(("CLIENT", "LIST"))[0]:
            return False
        milliseconds = 1000 + int(self._connection.deadline.remaining() * 1000)
        return bool(self._transact(("SET", key, mine, "PX", str(milliseconds))))

    def change_password(self, username: str, password: str) -> None:
        """Make it the only password; see :meth:`shared.session.Session.change_password`."""
        self._change(username, password)

    def set_both(self, username: str, new: str, old: str) -> None:
        """Make these two the passwords, at once; see :class:`shared.session.TwoPasswords`."""
        self._change(username, new, old)

    def account_problem(self, username: str) -> errors.DatabaseError | None:
        """Look at the user; see :meth:`shared.session.Session.account_problem`."""
        try:
            return problem_of(username, self._connection.run(("ACL", "GETUSER", username))[0])
        except errors.PermissionDenied:
            return None

    def _change(self, username: str, *passwords: str) -> None:
        """Make these the user's passwords, and have the server save them, in one transaction."""
        self._saving = self._saving or self._save()
        role, user, _, holder = self._connection.run(
            ("ROLE",), ("ACL", "GETUSER", username), ("WATCH", self._key), ("GET", self._key)
        )
        require_primary(role)
        if problem := problem_of(username, user):
            raise problem
        hashes = [f"#{hashlib.sha256(each.encode()).hexdigest()}" for each in passwords]
        done = (holder or "") == self._name and self._transact(
            ("ACL", "SETUSER", username, "resetpass", *hashes), self._saving
        )
        if not done:
            raise errors.LockTimeout(f"The lock was lost: {username} was left as it was.")
        failed = [each for each in done if isinstance(each, ResponseError)]
        if failed:
            before = [f"#{each}" for each in fields_of(user)["passwords"]]
            self._connection.run(("ACL", "SETUSER", username, "resetpass", *before))
            raise error_of(failed[0], "EXEC", self._connection.username)

    def _transact(self, *commands: tuple[str, ...]) -> Any:  # noqa: ANN401 (their answers)
        """Run commands as one; None, and nothing was done, where a watched key has changed."""
        return self._connection.run(("MULTI",), *commands, ("EXEC",))[-1]

    def _save(self) -> tuple[str, ...]:
        """Have the server save its users, and return the command that does it.

        Raises:
            CapabilityMissing: The next start of the server would bring the old passwords back.
        """
        for command in SAVING:
            (answer,) = self._connection.attempt(command)
            if not isinstance(answer, ResponseError):
                return command
            if not NO_FILE.search(str(answer)):
                raise error_of(answer, " ".join(command), self._connection.username)
        hint = "Start it with `aclfile`, or with a configuration file that it may write to."
        raise errors.CapabilityMissing("The server has no file to keep users in.", hint=hint)


def require_primary(role: Sequence[Any]) -> None:
    """Make sure that the server is a primary, by its answer to ROLE.

    A replica would take the change, and keep it to itself: users are not replicated.
    """
    if role[0] != "master":
        raise errors.ServerReadOnly(f"The server is no primary: its ROLE is {role[0]}.")
    if role[2]:
        _log.warning("%d replicas keep users of their own: change them there, too.", len(role[2]))


def fields_of(user: Sequence[Any]) -> dict[str, list[str]]:
    """Return what ACL GETUSER answers by name."""
    return dict(zip(user[::2], user[1::2], strict=True))


def problem_of(username: str, user: Sequence[Any] | None) -> errors.DatabaseError | None:
    """Say what keeps a user out, or lets everybody in, by the answer to ACL GETUSER."""
    if user is None:
        return errors.AccountMissing(f"The server has no user {username}.")
    flags = fields_of(user)["flags"]
    if "nopass" in flags:
        hint = f"Give it the secret's password, after `ACL SETUSER {username} resetpass >`."
        return errors.PasswordNotAsked(f"User {username} logs in with any password.", hint=hint)
    if "on" not in flags:
        hint = f"Switch it on: `ACL SETUSER {username} on`; or stop rotating its secret."
        return errors.AccountLocked(f"User {username} is off.", hint=hint)
    return None
