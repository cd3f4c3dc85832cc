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
from shared.deadline import Deadline
from shared.errors import (
    LockTimeout,
    ManagedSecret,
    NameTooLong,
    RotationNotEnabled,
    StrategyNeedsAdministrator,
    ValueNotReadable,
    WrongEngine,
)
from shared.lifecycle import ACTIONS, Action, Standing, pinned_strategy
from shared.model import Description, Label, Login, Step
from shared.options import Tag
from shared.passwords import Profile
from shared.rotation import Overtaken, Rotation
from shared.session import Session
from shared.settings import Settings, StrategyName
from shared.store import SecretStore
from shared.strategies import (
    NEEDS_ADMINISTRATOR,
    STRATEGIES,
    Databases,
    Strategy,
    choose_strategy,
)
from shared.tls import Trust

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

OVERTAKEN_ROUNDS = 3
"""How often a step begins again because a twin delivery was faster; one is the normal number."""


class Rotator(ABC):
    """Rotates the secrets of one engine family. Subclass it to add an engine.

    A subclass gives the four class attributes and :meth:`connect`, and its module ends with
    ``handler = handler_for(ThatRotator)``.

    Args:
        store: Reads and writes secrets.
        settings: The function's configuration.
        trust: The CAs that may vouch for a database.
        rds: Makes an RDS client where an administrator's address has to be looked up.
    """

    engine_names: ClassVar[frozenset[str]]
    """Accepted values of the secret's ``engine``, in lower case."""
    default_port: ClassVar[int]
    """For secrets without ``port``."""
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
        administrators = Administrators(store, rds, self.default_port)
        self._databases = Databases(self.connect, administrators.login_for, self.require_name)
        self._acts: Mapping[Action, Callable[[Rotation], None]] = {
            Action.STORE: self._store_pending,
            Action.APPLY: self._apply,
            Action.VERIFY: self._verify,
            Action.PROBE: self._probe,
            Action.PROMOTE: self._promote,
        }

    @abstractmethod
    def connect(self, login: Login, deadline: Deadline) -> Session:
        """Log in over verified TLS.

        Args:
            login: Where and as whom; ``login.tls`` is False only where the secret asks for
                plaintext.
            deadline: Bounds the login and everything that the session does.

        Raises:
            LoginRefused: The server refuses this password: and only then.
            DatabaseError: Any other subclass for anything else.
        """

    @classmethod
    def name_length(cls, username: str) -> int:
        """Return the length of a user name in the engine's unit; characters unless overridden."""
        return len(username)

    @classmethod
    def require_name(cls, username: str) -> None:
        """Raise NameTooLong when the engine does not allow so long a user name."""
        length = cls.name_length(username)
        if length > cls.longest_name:
            msg = (
                f"The name {username} of the second user has a length of {length}; the engine "
                f"allows {cls.longest_name}."
            )
            raise NameTooLong(msg)

    def run(self, rotation: Rotation) -> Action:
        """Carry out one step.

        Returns:
            What was done; ``DONE`` when nothing was left to do.

        Raises:
            RotationError: The step failed, nothing was promoted that does not log in, and the
                service may simply repeat the rotation.
        """
        action = self._action(rotation)
        if action is not Action.DONE:
            self._acts[action](rotation)
        return action

    def _action(self, rotation: Rotation) -> Action:
        """Look the step and the version's standing up in the table.

        createSecret reads labels only: a value may not be there yet. The other steps read the
        version itself, which gives its labels in the same call.
        """
        event = rotation.event
        creating = event.step is Step.CREATE
        standing = rotation.standing_by_labels() if creating else rotation.standing_by_value()
        return self._decided(rotation, standing)

    @staticmethod
    def _decided(rotation: Rotation, standing: Standing) -> Action:
        event = rotation.event
        decided = ACTIONS[event.step, standing]
        if isinstance(decided, Action):
            return decided
        msg = f"{event.step} of version {event.token} of {event.secret_id}: {REASONS[standing]}."
        raise decided(msg)

    # One method for each action.

    def _store_pending(self, rotation: Rotation) -> None:
        """Choose strategy and password, and write them ahead of any change."""
        description = rotation.description
        require_rotatable(description)
        current = rotation.current
        self._require_engine(current, rotation)
        name = choose_strategy(current, description.tags, self.settings.strategy)
        if name in NEEDS_ADMINISTRATOR and current.administrator_arn is None:
            msg = f"Strategy {name} of {rotation.secret_id} needs an administrator."
            raise StrategyNeedsAdministrator(msg)
        password = self.settings.password_policy.generate()
        pending, labels = self._strategy(name, rotation).next_login(current, password, description)
        rotation.learn(pending)
        if description.tags.get(Tag.READER_HOSTS, "").strip():
            labels.append(Label.READERS)
        pinned = [Label.of_strategy(name), *labels]
        if not self.store.put_pending(rotation.event, pending.to_json(), pinned):
            self._require_twin(rotation)

    def _require_twin(self, rotation: Rotation) -> None:
        """The token had a value already: fine if a twin delivery of this step stored it."""
        if self._decided(rotation, rotation.standing_by_value()) is Action.STORE:
            msg = f"Version {rotation.event.token} has a value that cannot be read yet."
            raise ValueNotReadable(msg)

    def _apply(self, rotation: Rotation) -> None:
        for _ in range(OVERTAKEN_ROUNDS):
            self._require_engine(rotation.pending, rotation)
            try:
                self._strategy(rotation.strategy, rotation).apply(rotation)
            except Overtaken:
                rotation.refresh()
                if self._action(rotation) is Action.DONE:
                    return
            else:
                return
        msg = f"Other deliveries of the rotation of {rotation.secret_id} were always faster."
        raise LockTimeout(msg)

    def _verify(self, rotation: Rotation) -> None:
        if pinned_strategy(rotation.target.stages) is None:
            # Promoted, and the next rotation has taken the labels along: a late delivery.
            self._probe(rotation)
            return
        self._require_engine(rotation.pending, rotation)
        self._strategy(rotation.strategy, rotation).verify(rotation)

    def _probe(self, rotation: Rotation) -> None:
        description = rotation.description
        require_rotatable(description)
        current = rotation.current
        self._require_engine(current, rotation)
        name = choose_strategy(current, description.tags, self.settings.strategy)
        self._strategy(name, rotation).probe(rotation)

    def _promote(self, rotation: Rotation) -> None:
        """Promote what has just logged in (rule 4)."""
        self._require_engine(rotation.pending, rotation)
        strategy = self._strategy(rotation.strategy, rotation)
        strategy.require_login(rotation, rotation.pending)
        rotation.require_same_current()
        rotation.promote()

    def _strategy(self, name: StrategyName, rotation: Rotation) -> Strategy:
        rotation.facts["strategy"] = name
        return STRATEGIES[name](self._databases)

    def _require_engine(self, login: Login, rotation: Rotation) -> None:
        if login.engine and login.engine not in self.engine_names:
            names = ", ".join(sorted(self.engine_names))
            msg = (
                f"Field `engine` of {rotation.secret_id} is {login.engine[:40]!r}; this function "
                f"rotates {names}."
            )
            raise WrongEngine(msg)


REASONS: Mapping[Standing, str] = {
    Standing.FOREIGN: "AWSPENDING holds a value that this function did not store",
    Standing.EMPTY: "AWSPENDING has no value",
    Standing.ABANDONED: "the version has neither AWSPENDING nor AWSCURRENT",
    Standing.UNKNOWN: "the secret has no such version",
}


def require_rotatable(description: Description) -> None:
    """Refuse secrets that another service owns, or that nobody asked to rotate.

    Raises:
        ManagedSecret, RotationNotEnabled: As their names say.
    """
    if description.owning_service:
        msg = f"Secret {description.arn} is managed by {description.owning_service}."
        raise ManagedSecret(msg)
    if not description.rotation_enabled:
        msg = f"Rotation is not enabled for secret {description.arn}."
        raise RotationNotEnabled(msg)
