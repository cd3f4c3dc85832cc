"""The four-step state machine of a rotation.

Secrets Manager calls a rotation function four times: createSecret, setSecret, testSecret,
finishSecret; and from the beginning again, with the same token, when one of them fails. What a
step does is decided by :data:`shared.lifecycle.ACTIONS`; how, by a
:class:`~shared.strategies.Strategy`. An engine only says how to connect.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from shared.administrators import Administrators
from shared.attempts import (
    REASONS,
    conclude,
    require_fresh,
    store_value,
    take_superseded_labels_off,
)
from shared.databases import Databases
from shared.deadline import Deadline
from shared.engine import Engine
from shared.errors import (
    LockTimeout,
    NameTooLong,
    RotationError,
    ServiceFailed,
    ValueNotReadable,
    WrongEngine,
)
from shared.lifecycle import ACTIONS, Action, Standing, standing
from shared.model import (
    Login,
    Step,
    Version,
    replicas_behind,
    require_replicas_in_sync,
    require_rotatable,
)
from shared.passwords import Profile
from shared.plan import Plan
from shared.reading import Reading
from shared.rotation import AlreadyPromoted, Attempt, BeginAgain, Rotation
from shared.session import Session
from shared.settings import SecretSettings, Settings, StrategyName
from shared.store import SecretStore
from shared.strategies import STRATEGIES, Strategy
from shared.tls import Trust

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

ROUNDS = 3
"""How often a step begins again because another delivery was faster; one is the normal number."""


class Rotator(ABC):
    """Rotates the secrets of one engine family. Subclass it to add an engine.

    A subclass gives the three class attributes and :meth:`connect`, and its module ends with
    ``handler = handler_for(ThatRotator)``.

    Args:
        store: Reads and writes secrets.
        settings: The function's configuration.
        trust: The CAs that may vouch for a database.
        rds: Makes an RDS client where an administrator's address has to be looked up.
    """

    engines: ClassVar[tuple[Engine, ...]]
    """The declarations of the folder's ``engine.py``."""
    profile: ClassVar[Profile]
    """What the engine can take as a password."""
    longest_name: ClassVar[int]
    """Length limit of user names, as :meth:`name_length` counts."""

    def __init__(
        self,
        store: SecretStore,
        settings: Settings,
        trust: Trust,
        rds: "Callable[[], RDSClient]",
    ) -> None:
        self.store = store
        self.settings = settings
        self.trust = trust
        administrators = Administrators(store, rds, self.default_port())
        self.databases = Databases(
            self.connect,
            administrators,
            self.default_port(),
            users_lock=all(each.users_rotate for each in self.engines),
        )

    @abstractmethod
    def connect(self, login: Login, deadline: Deadline) -> Session:
        """Log in over verified TLS.

        Called with right and with wrong passwords: once for each that the search tries, once for
        the session that changes something, and once more to prove each login. Nothing is remembered
        from one call to the next.

        Args:
            login: Where and as whom; ``login.tls`` is False only where the secret asks for
                plaintext.
            deadline: Bounds the login and everything that the session does.

        Raises:
            LoginRefused: The server refuses this password: and only then.
            DatabaseError: Any other subclass for anything else.
        """

    @classmethod
    def default_port(cls) -> int:
        """Return the port for secrets that name none."""
        return cls.engines[0].default_port

    @classmethod
    def name_length(cls, username: str) -> int:
        """Return the length of a user name in the engine's unit; characters unless overridden."""
        return len(username)

    @classmethod
    def require_name(cls, username: str) -> None:
        """Raise NameTooLong when the engine does not allow so long a user name."""
        length = cls.name_length(username)
        if length > cls.longest_name:
            raise NameTooLong.of(username, length, cls.longest_name)

    def run(self, rotation: Rotation) -> Action:
        """Carry out one step.

        Returns:
            What was done; ``DONE`` when nothing was left to do.

        Raises:
            RotationError: The step failed, nothing was promoted that does not log in, and the
                service may simply repeat the rotation, unless the attempt has ended itself.
        """
        try:
            return self._run(rotation)
        except RotationError as error:
            conclude(error, rotation, self.databases)
            raise

    def _run(self, rotation: Rotation) -> Action:
        for _ in range(ROUNDS):
            try:
                creating = rotation.event.step is Step.CREATE
                return self._create(rotation) if creating else self._go_on(rotation)
            except BeginAgain:
                continue
            except AlreadyPromoted:
                return Action.DONE
        msg = f"Other deliveries of the rotation of {rotation.secret_id} were always faster."
        raise LockTimeout(msg)

    def _create(self, rotation: Rotation) -> Action:
        """Carry out createSecret, which reads labels only: a value may not be there yet."""
        reading = rotation.read()
        labels = reading.labels
        plan = Plan.read(labels or ())
        action = _decided(rotation, standing(labels, has_plan=plan is not None))
        if action is Action.STORE:
            self._store(rotation, reading)
        elif reading.is_pending and not reading.carries_fence:
            require_fresh(rotation, reading)
        return action

    def _store(self, rotation: Rotation, reading: Reading) -> None:
        """Choose strategy and password, and store the new value ahead of any change."""
        require_rotatable(reading.description)
        current = rotation.current_version()
        if current.id != reading.current:
            msg = f"AWSCURRENT of {rotation.secret_id} is read as two versions; one answer is old."
            raise ServiceFailed(msg)
        login = rotation.login_of(current, "AWSCURRENT")
        wanted = SecretSettings.of(reading.description, self.settings)
        plan = self._plan(rotation, reading, current, login)
        password = wanted.password_policy.generate()
        user = plan.next_user(login.username)
        pending = rotation.learn(login.replacing(password=password, username=user))
        take_superseded_labels_off(rotation, reading)
        store_value(rotation, pending.to_json(), plan)

    def _plan(self, rotation: Rotation, reading: Reading, current: Version, login: Login) -> Plan:
        """Decide, and make sure of what can be known without the database."""
        engines = self.engines_of(login, rotation)
        login.require_own_address(f"AWSCURRENT of secret {rotation.secret_id}")
        description = reading.description
        wanted = SecretSettings.of(description, self.settings)
        wanted.require_related_readers(login.host)
        plan = Plan.choose(engines, current, login, description, wanted)
        rotation.facts.replicas_behind = ", ".join(replicas_behind(description)) or None
        if plan.users is not None:
            self.require_name(plan.users[1])
            # Where a Region still hands out the idle user, its password must not change.
            require_replicas_in_sync(description)
        return plan

    def _go_on(self, rotation: Rotation) -> Action:
        """Carry out one of the later steps: one call gives the version's value and its labels."""
        version = rotation.store.settled_version(rotation.secret_id, rotation.token)
        labels = rotation.read().labels if version is None else version.stages
        plan = Plan.read(labels or ())
        where = standing(labels, has_plan=plan is not None, has_value=version is not None)
        action = _decided(rotation, where)
        if action is Action.DONE:
            return action
        if action is Action.PROBE or (action is Action.VERIFY and plan is None):
            # Promoted, and the plan's label taken off since: a late delivery.
            self._probe(rotation)
            return action
        if version is None or plan is None:
            msg = f"The value of version {rotation.token} cannot be read yet."
            raise ValueNotReadable(msg)
        attempt = self._attempt(rotation, version, plan)
        self.engines_of(attempt.pending, rotation)
        strategy = self._strategy(rotation, plan.strategy)
        acts: Mapping[Action, Callable[[Rotation, Attempt], None]] = {
            Action.APPLY: strategy.apply,
            Action.VERIFY: strategy.verify,
            Action.PROMOTE: strategy.finish,
        }
        acts[action](rotation, attempt)
        return action

    def _attempt(self, rotation: Rotation, version: Version, plan: Plan) -> Attempt:
        pending = rotation.login_of(version, "AWSPENDING")
        if plan.lacks_names:
            current = rotation.login_of(rotation.current_version(), "AWSCURRENT")
            plan = plan.with_names(pending.username, current.username)
        return Attempt(version.id, plan, pending, plan.pair(rotation.secret_id))

    def _probe(self, rotation: Rotation) -> None:
        """Make sure, without any change, that a rotation would find what it needs."""
        # Not at the top: a rotation itself neither loads it nor needs it.
        from shared.examination import probe  # noqa: PLC0415

        probe(self, rotation)

    def _strategy(self, rotation: Rotation, name: StrategyName) -> Strategy:
        rotation.facts.strategy = name
        return STRATEGIES[name](self.databases)

    def engines_of(self, login: Login, rotation: Rotation) -> list[Engine]:
        """Return the engine that a secret names; all of the function's where it names none.

        Raises:
            WrongEngine: It names another.
        """
        found = [each for each in self.engines if login.engine in ("", None, *each.names)]
        if not found:
            names = ", ".join(sorted(name for each in self.engines for name in each.names))
            msg = (
                f"Field `engine` of {rotation.secret_id} is {str(login.engine)[:40]!r}; this "
                f"function rotates {names}."
            )
            raise WrongEngine(msg)
        return found


def _decided(rotation: Rotation, where: Standing) -> Action:
    """Look the step and the version's standing up in the table."""
    event = rotation.event
    decided = ACTIONS[event.step, where]
    if isinstance(decided, Action):
        return decided
    msg = f"{event.step} of version {event.token} of {event.secret_id}: {REASONS[where]}."
    raise decided(msg)
