"""A session with a server: an administrator's, who changes users; or a user's, who only logs in."""

import hashlib
import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import ClassVar

from valkey.exceptions import ResponseError

from rotators.valkey.connection import Answer, Connection, error_of
from rotators.valkey.engine import VALKEY
from shared.engine import Engine
from shared.errors import (
    AccountLocked,
    AccountMissing,
    CapabilityMissing,
    DatabaseError,
    LockTimeout,
    PasswordNotAsked,
    PermissionDenied,
    ServerReadOnly,
)
from shared.session import Lock, Session

KEY_PREFIX = "secret-rotation:"
"""Of the key that says which session has a secret's lock."""
LOCK_PAUSE_SECONDS = 0.1
"""Between two looks at a lock that another session has."""

SAVE_ACL = ("ACL", "SAVE")
SAVE_CONFIGURATION = ("CONFIG", "REWRITE")
NO_ACL_FILE = "not configured to use an ACL file"
"""In the server's answer to ACL SAVE; where there is such a file, CONFIG REWRITE saves no user."""

SAVE_HINT = "Start the server with `aclfile`, or with a configuration file that it may write to."
OPEN_HINT = (
    "Take `nopass` off, once applications send their password: `ACL SETUSER {user} resetpass` and "
    "a password."
)

_log = logging.getLogger(__name__)


class ValkeySession(Session):
    """A session with Valkey 7.2 and later, or Redis 7 and later.

    Args:
        connection: Logged in.
    """

    engine: ClassVar[Engine] = VALKEY
    users_lock: ClassVar[bool] = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._saving: tuple[str, ...] | None = None
        self._lock_key = ""
        self._lock_name = ""

    def close(self) -> None:
        """End the session, and so its lock; see :meth:`shared.session.Session.close`."""
        self._connection.close()

    def lock(self, name: str, seconds: float) -> Lock:
        """Take the secret's lock; see :meth:`shared.session.Session.lock`.

        The server has no locks. A key names the session that has this one, and the lock is its own
        for as long as the server lists a client of that name: killed, its connection is closed. The
        key itself ends with the session's time, for a session that the network has swallowed.
        Every change looks at the key once more, in the transaction that makes it.

        What an earlier delivery has changed is saved now, if it was not; and a server that cannot
        save is found out before anything changes.
        """
        key = KEY_PREFIX + hashlib.sha256(name.encode()).hexdigest()
        mine = KEY_PREFIX + secrets.token_hex(16)
        waiting = self._connection.deadline.within(seconds)
        lock = Lock.AT_ONCE
        self._connection.run(("CLIENT", "SETNAME", mine))
        while not self._acquire(key, mine):
            lock = Lock.AFTER_WAITING
            if waiting.remaining() <= 0:
                raise LockTimeout(f"Another delivery of the rotation of {name} has the lock.")
            waiting.pause(LOCK_PAUSE_SECONDS)
        self._lock_key, self._lock_name = key, mine
        self._saving = self._save()
        return lock

    def _acquire(self, key: str, mine: str) -> bool:
        run = self._connection.run
        _, holder = run(("WATCH", key), ("GET", key))
        if holder and f" name={holder} " in run(("CLIENT", "LIST"))[0]:
            return False
        milliseconds = int(self._connection.deadline.seconds(86400, "take the lock") * 1000) + 1
        return self._transact(("SET", key, mine, "PX", str(milliseconds))) is not None

    def change_password(self, username: str, password: str) -> None:
        """Make it the only password; see :meth:`shared.session.Session.change_password`."""
        self._change(username, [password])

    def set_both(self, username: str, new: str, old: str) -> None:
        """Make these two the passwords; see :class:`shared.session.TwoPasswords`.

        One command: at no moment is the old one missing.
        """
        self._change(username, [new, old])

    def account_problem(self, username: str) -> DatabaseError | None:
        """Look at the user; see :meth:`shared.session.Session.account_problem`."""
        try:
            (user,) = self._connection.run(("ACL", "GETUSER", username))
        except PermissionDenied:
            return None
        return problem_of(username, user)

    def _change(self, username: str, passwords: Sequence[str]) -> None:
        """Make these the user's passwords, and have the server save them.

        Both happen in one transaction, so nobody sees or keeps the one without the other. If the
        users cannot be saved, the passwords of before are put back.
        """
        if self._saving is None:
            self._saving = self._save()
        role, user, _, holder = self._connection.run(
            ("ROLE",),
            ("ACL", "GETUSER", username),
            ("WATCH", self._lock_key or KEY_PREFIX),
            ("GET", self._lock_key or KEY_PREFIX),
        )
        require_primary(role)
        problem = problem_of(username, user)
        if problem is not None:
            raise problem
        if (holder or "") != self._lock_name:
            raise self._overtaken(username)
        before = [f"#{each}" for each in fields_of(user)["passwords"]]
        # A user has a password only once, however often it is named.
        hashes = [f"#{hashlib.sha256(each.encode()).hexdigest()}" for each in passwords]
        change = ("ACL", "SETUSER", username, "resetpass")
        done = self._transact((*change, *hashes), self._saving)
        if done is None:
            raise self._overtaken(username)
        failed = next((each for each in done if isinstance(each, ResponseError)), None)
        if failed is not None:
            self._connection.run((*change, *before))
            raise error_of(failed, " ".join(self._saving), self._connection.username)

    def _transact(self, *commands: tuple[str, ...]) -> Answer:
        """Run commands as one; None, and nothing was done, where a watched key has changed."""
        return self._connection.run(("MULTI",), *commands, ("EXEC",))[-1]

    @staticmethod
    def _overtaken(username: str) -> LockTimeout:
        return LockTimeout(f"The lock was lost before the password of {username} was changed.")

    def _save(self) -> tuple[str, ...]:
        """Have the server save its users, and return the command that does it.

        Raises:
            CapabilityMissing: The next start of the server would bring the old passwords back.
        """
        (answer,) = self._connection.ask(SAVE_ACL)
        if not isinstance(answer, ResponseError):
            return SAVE_ACL
        if NO_ACL_FILE not in str(answer):
            raise error_of(answer, "ACL SAVE", self._connection.username)
        (answer,) = self._connection.ask(SAVE_CONFIGURATION)
        if not isinstance(answer, ResponseError):
            return SAVE_CONFIGURATION
        error = error_of(answer, "CONFIG REWRITE", self._connection.username)
        if isinstance(error, PermissionDenied):
            raise error
        raise CapabilityMissing(
            f"The server cannot save its users. {error.message}", hint=SAVE_HINT
        )


def require_primary(role: Sequence[Answer]) -> None:
    """Make sure that the server is a primary, by its answer to ROLE.

    A replica would take the change, and keep it to itself: users are not replicated.

    Raises:
        ServerReadOnly: It is not.
    """
    if role[0] != "master":
        raise ServerReadOnly(f"The server is no primary: ROLE is {role[0]}.")
    if role[2]:
        _log.warning(
            "%d replicas are connected. The server does not pass users on to them: change the "
            "password there by other means, before one of them takes over.",
            len(role[2]),
        )


def fields_of(user: Sequence[Answer]) -> Mapping[str, list[str]]:
    """Return what ACL GETUSER answers as a mapping."""
    return dict(zip(user[::2], user[1::2], strict=True))


def problem_of(username: str, user: Sequence[Answer] | None) -> DatabaseError | None:
    """Say what keeps a user out, or lets everybody in, by the answer to ACL GETUSER."""
    if user is None:
        return AccountMissing(f"The server has no user {username}.")
    flags = fields_of(user)["flags"]
    if "nopass" in flags:
        hint = OPEN_HINT.format(user=username)
        return PasswordNotAsked(f"User {username} logs in with any password.", hint=hint)
    if "on" not in flags:
        hint = f"Switch it on: `ACL SETUSER {username} on`; or stop rotating its secret."
        return AccountLocked(f"User {username} is off.", hint=hint)
    return None
