"""One invocation's unit of work: what it may use, and what it has to say at its end."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from shared.deadline import Deadline
from shared.errors import BadSecret
from shared.model import Login, RotationEvent, Version
from shared.plan import Plan
from shared.reading import Reading
from shared.redaction import Redactor
from shared.session import Pair
from shared.settings import Settings, StrategyName
from shared.store import SecretStore

BeforeChange = Callable[[str, str, str], None]
"""Gets a secret's ARN, a version's id and its value, which is about to be brought into force; what
it raises ends the step before anything is changed. Each further delivery calls it once more."""


class BeginAgain(Exception):
    """What was read is out of date: the step begins again, with fresh reads."""


class AlreadyPromoted(Exception):
    """Another delivery of this rotation has ended it: nothing is left to do."""


@dataclass(slots=True)
class Facts:
    """What a step's log line tells besides its outcome.

    Attributes:
        strategy: Of the attempt.
        logged_in_with: Which stored password was accepted; a name of
            :class:`~shared.lifecycle.Source`, or ADMINISTRATOR.
        plaintext: The host to which a login went without TLS, because the secret says so.
        put_back: Whether the former password could be brought back after a failed proof.
        lock: How the lock was come by; None for at once.
        idle_sessions: How many sessions the idle user still had when its password was to change.
        remarks: What a DBA may want to know, and stops nothing.
        replicas_behind: Regions that may still hand out an older version.
        ended: Whether the attempt, which could not succeed, has taken AWSPENDING off.
    """

    strategy: StrategyName | None = None
    logged_in_with: str | None = None
    plaintext: str | None = None
    put_back: str | None = None
    lock: str | None = None
    idle_sessions: int | None = None
    remarks: list[str] | None = None
    replicas_behind: str | None = None
    ended: bool | None = None

    def told(self) -> dict[str, object]:
        """Return what there is to tell."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Attempt:
    """What createSecret has stored under a token: it is never rewritten.

    Attributes:
        token: The version's id.
        plan: What was decided.
        pending: The login to bring into force.
        pair: The two users that take turns; None where one user is rotated.
    """

    token: str
    plan: Plan
    pending: Login
    pair: Pair | None


class Rotation:
    """What a step works with: the event, the store, settings, time, and a memory of values.

    A value is never rewritten under its version's id, so what was read of a version is kept for the
    length of the invocation. Labels are never kept: see :class:`~shared.reading.Reading`.

    Args:
        event: The invocation.
        store: Reads and writes the secret.
        settings: The function's configuration.
        deadline: Bounds everything that the step does.
        redactor: Learns every password that is read.
        before_change: Called under the lock, before the fence is moved.
    """

    def __init__(
        self,
        event: RotationEvent,
        store: SecretStore,
        settings: Settings,
        deadline: Deadline,
        redactor: Redactor,
        *,
        before_change: BeforeChange | None = None,
    ) -> None:
        self.event = event
        self.store = store
        self.settings = settings
        self.deadline = deadline
        self.before_change = before_change
        self.facts = Facts()
        self._redactor = redactor
        self._versions: dict[str, Version] = {}

    @property
    def secret_id(self) -> str:
        """The secret's ARN."""
        return self.event.secret_id

    @property
    def token(self) -> str:
        """The id of the version that the rotation makes."""
        return self.event.token

    def read(self) -> Reading:
        """Read the secret's labels and tags, now."""
        return Reading(self.token, self.store.describe(self.secret_id))

    def current_version(self) -> Version:
        """Read the version that has AWSCURRENT, now."""
        return self._keep(self.store.current(self.secret_id))

    def version(self, version_id: str) -> Version | None:
        """Return one version, None when it has no value that can be read."""
        if version_id not in self._versions:
            found = self.store.version(self.secret_id, version_id)
            return None if found is None else self._keep(found)
        return self._versions[version_id]

    def login_of(self, version: Version, label: str) -> Login:
        """Parse a version's value, and keep its password out of every log line from now on.

        Raises:
            BadSecret: It is not usable; the message names ``label`` and the field.
        """
        return self.learn(version.login(f"{label} of secret {self.secret_id}"))

    def current_login(self, reading: Reading) -> Login:
        """Return the login of the version that is AWSCURRENT in ``reading``.

        Raises:
            BadSecret: It is not usable.
        """
        version = self.version(reading.current or "")
        if version is None:
            msg = f"AWSCURRENT of secret {self.secret_id} has no value."
            raise BadSecret(msg)
        return self.login_of(version, "AWSCURRENT")

    def learn(self, login: Login) -> Login:
        """Keep the login's password out of every log line from now on."""
        self._redactor.learn(login.password)
        return login

    def _keep(self, version: Version) -> Version:
        self._versions[version.id] = version
        return version
