"""The ways into the database: as the user, as the administrator, and just to be let in."""

from collections.abc import Callable, Iterable

from shared.administrators import Administrators
from shared.deadline import Deadline
from shared.errors import (
    DatabaseError,
    LoginRefused,
    NameNotResolved,
    ServerBusy,
    Unreachable,
)
from shared.model import Login
from shared.rotation import Rotation
from shared.session import Pair, Session

ADMINISTRATOR_HINT = (
    "Correct the administrator's secret (`masterarn`), or wait for its own rotation to end."
)


PROOF_SECONDS = 10.0
"""Longest wait for a login that only shows whether it works: applications may be shut out until it
is over. What opens a session before anything has changed may wait for a server that wakes up."""


PATIENCE_PAUSE_SECONDS = 1.0
PATIENCE_ENDS_SECONDS = 15.0
"""Nobody waits for a server any more when so little is left: enough to log in, change and prove."""


class Databases:
    """The ways into the database that a strategy has.

    Args:
        connect: Opens a session; raises :class:`~shared.errors.DatabaseError`.
        administrators: Find who may set the passwords of a secret's users.
        default_port: The engine's.
        users_lock: Whether every user's session can take the lock; else an administrator's alone.
    """

    def __init__(
        self,
        connect: Callable[[Login, Deadline], Session],
        administrators: Administrators,
        default_port: int,
        *,
        users_lock: bool,
    ) -> None:
        self._connect = connect
        self._administrators = administrators
        self._default_port = default_port
        self.users_lock = users_lock

    def connect(
        self, rotation: Rotation, login: Login, deadline: Deadline | None = None
    ) -> Session:
        """Log in once, in the time that the step has unless ``deadline`` is an earlier one."""
        if not login.tls:
            rotation.facts.plaintext = login.host
        return self._connect(login, deadline or rotation.deadline)

    def open(self, rotation: Rotation, login: Login) -> Session:
        """Log in before anything has changed, with patience for a server that is not there yet.

        A failover, a restart or a database that was put to sleep so costs no failed rotation.
        """
        while True:
            try:
                return self.connect(rotation, login)
            except (Unreachable, ServerBusy) as error:
                passing = not isinstance(error, NameNotResolved) and not error.proves_password
                if not passing or rotation.deadline.remaining() < PATIENCE_ENDS_SECONDS:
                    raise
                rotation.deadline.pause(PATIENCE_PAUSE_SECONDS)

    def administrator(self, rotation: Rotation, login: Login, rotated: Iterable[str]) -> Login:
        """Return the login of the administrator that ``login`` names, without logging in.

        Raises:
            RotationError: As :meth:`shared.administrators.Administrators.login_for` says.
        """
        return rotation.learn(self._administrators.login_for(login, rotation.secret_id, rotated))

    def connect_administrator(
        self, rotation: Rotation, login: Login, rotated: Iterable[str] | None = None
    ) -> Session:
        """Log in as the administrator that ``login`` names.

        Args:
            rotation: The unit of work.
            login: The rotated secret's login.
            rotated: The users that the secret rotates; the login's own when omitted.

        Raises:
            LoginRefused: With a hint that says whose login it was.
        """
        users = (login.username,) if rotated is None else rotated
        found = self.administrator(rotation, login, users)
        try:
            return self.open(rotation, found)
        except LoginRefused as refused:
            msg = f"The administrator {found.username} was refused: {refused.message}"
            raise LoginRefused(msg, hint=ADMINISTRATOR_HINT) from None

    def require_adoption_allowed(self, rotation: Rotation, login: Login, pair: Pair) -> None:
        """Make sure that the administrator's secret lets this one adopt a second user.

        Raises:
            AdministratorUnproven: It does not.
        """
        rotation.learn(
            self._administrators.login_for(login, rotation.secret_id, pair, adopting=True)
        )

    def require_login(
        self, rotation: Rotation, login: Login, *, asks_who: bool = False
    ) -> str | None:
        """Make sure, by a fresh login, that the database accepts the password.

        A limit that only the right password leads to is proof as well. An account that may not be
        used is not, however right the password: nobody could log in with what is promoted then.

        Returns:
            Whom the session acts as, if ``asks_who``; None where that could not be asked.

        Raises:
            LoginRefused: It does not.
        """
        try:
            deadline = rotation.deadline.within(PROOF_SECONDS)
            with self.connect(rotation, login, deadline) as session:
                return session.acts_as() if asks_who else None
        except DatabaseError as error:
            if error.proves_password and isinstance(error, ServerBusy):
                return None
            raise

    def accepts(self, rotation: Rotation, login: Login) -> bool:
        """Say whether the database accepts the password, by a fresh login."""
        try:
            self.require_login(rotation, login)
        except LoginRefused:
            return False
        return True

    def belongs(self, login: Login, there: Login) -> bool:
        """Say whether the password of ``login`` may be sent to where ``there`` leads.

        A password goes only where its own version says that it belongs: who may write a secret, but
        not read it, would have it sent to a host of his own otherwise, or in clear.
        """
        return self._address(login) == self._address(there) and there.tls >= login.tls

    def _address(self, login: Login) -> tuple[str, int]:
        return login.host.lower().rstrip("."), login.port or self._default_port
