"""One step's unit of work: what it has read, and the labels that it moves."""

from collections.abc import Iterator

from shared.deadline import Deadline
from shared.errors import BadSecret, CurrentChanged, ForeignPending, ValueNotReadable
from shared.lifecycle import LABEL_OF_SOURCE, Source, Standing, pinned_strategy, standing
from shared.model import Description, Label, Login, RotationEvent, Stage, Version
from shared.options import Tag
from shared.redaction import Redactor
from shared.settings import Settings, StrategyName
from shared.store import SecretStore


class Overtaken(Exception):
    """Another delivery, or another rotation, was at work: what was read may be out of date."""


class Rotation:
    """A rotation as one invocation sees it.

    Values are read when they are first needed and then kept, until :meth:`refresh` or the end of
    the invocation; never longer.

    Args:
        event: The invocation.
        store: Reads and writes the secret.
        settings: The function's configuration.
        deadline: Bounds everything that the step does.
        redactor: Learns every password that is read.
    """

    def __init__(
        self,
        event: RotationEvent,
        store: SecretStore,
        settings: Settings,
        deadline: Deadline,
        redactor: Redactor,
    ) -> None:
        self.event = event
        self.store = store
        self.settings = settings
        self.deadline = deadline
        self.facts: dict[str, str] = {}
        """What the step's log line should tell besides: the strategy, how it logged in."""
        self._redactor = redactor
        self.refresh()

    def forget_current(self) -> None:
        """Read AWSCURRENT anew when it is next needed."""
        self._current: Version | None = None
        self._current_login: Login | None = None

    def refresh(self) -> None:
        """Forget what was read: another delivery may have changed it meanwhile."""
        self.forget_current()
        self._description: Description | None = None
        self._target: Version | None = None
        self._target_login: Login | None = None

    @property
    def secret_id(self) -> str:
        """The secret's ARN."""
        return self.event.secret_id

    @property
    def description(self) -> Description:
        """Labels and tags of the secret."""
        if self._description is None:
            self._description = self.store.describe(self.secret_id)
        return self._description

    def standing_by_labels(self) -> Standing:
        """Say where the token's version stands, by DescribeSecret alone."""
        return standing(self.description.stages.get(self.event.token), has_value=False)

    def standing_by_value(self) -> Standing:
        """Say where the token's version stands, by reading it: one call gives value and labels.

        Raises:
            ValueNotReadable: The labels say that it has a value, but it cannot be read yet.
        """
        self._target = self.store.settled_version(self.secret_id, self.event.token)
        if self._target is not None:
            return standing(self._target.stages, has_value=True)
        found = self.standing_by_labels()
        if found in (Standing.PENDING, Standing.CURRENT):
            msg = f"The value of version {self.event.token} cannot be read yet."
            raise ValueNotReadable(msg)
        return found

    @property
    def target(self) -> Version:
        """The version that the rotation makes, read by :meth:`standing_by_value`."""
        if self._target is None:
            msg = f"Version {self.event.token} has no value."
            raise ValueNotReadable(msg)
        return self._target

    @property
    def pending(self) -> Login:
        """The login that the rotation makes.

        Raises:
            BadSecret: The stored value is not usable.
        """
        if self._target_login is None:
            self._target_login = self._parse(self.target, "AWSPENDING")
        return self._target_login

    @property
    def current_version(self) -> Version:
        """The version with AWSCURRENT."""
        if self._current is None:
            self._current = self.store.current(self.secret_id)
        return self._current

    @property
    def current(self) -> Login:
        """The login that applications use.

        Raises:
            BadSecret: AWSCURRENT is not usable; the message names the field.
        """
        if self._current_login is None:
            self._current_login = self._parse(self.current_version, "AWSCURRENT")
        return self._current_login

    def learn(self, login: Login) -> Login:
        """Keep the login's password out of every log line from now on."""
        self._redactor.learn(login.password)
        return login

    def _parse(self, version: Version, label: str) -> Login:
        return self.learn(version.login(f"{label} of secret {self.secret_id}"))

    # What createSecret pinned beside the value, read back from the labels.

    @property
    def strategy(self) -> StrategyName:
        """The strategy that createSecret chose for this rotation."""
        name = pinned_strategy(self.target.stages)
        if name is None:
            msg = f"Version {self.event.token} carries no strategy."
            raise ForeignPending(msg)
        return name

    @property
    def pair(self) -> tuple[str, str] | None:
        """The (first, second) user that createSecret pinned, None under other strategies."""
        pairs = (Label.read_pair(label) for label in self.target.stages)
        return next((pair for pair in pairs if pair and self.pending.username in pair), None)

    @property
    def rights_are_managed(self) -> bool:
        """False when a DBA keeps the rights of both users."""
        return Label.RIGHTS_UNTOUCHED not in self.target.stages

    @property
    def reader_hosts(self) -> list[str]:
        """Hosts that must accept the new login before it is promoted; read only if pinned."""
        if Label.READERS not in self.target.stages:
            return []
        return self.description.tags.get(Tag.READER_HOSTS, "").split()

    # Rule 3: where passwords that may log in come from.

    def passwords(self, source: Source) -> Iterator[tuple[str, Login]]:
        """Yield (version id, login) of each version that ``source`` stands for.

        The login is the pending one with that version's password: address and options may have been
        edited since. A version that cannot be read, is no JSON or names another user is passed
        over; for AWSCURRENT the error is raised only by :attr:`current`, where it must be usable.
        """
        if source is Source.PENDING:
            yield self.target.id, self.pending
            return
        for version in self._versions(source):
            try:
                login = self._parse(version, source.name)
            except BadSecret:
                continue
            if login.username == self.pending.username:
                yield version.id, self.pending.replacing(password=login.password)

    def _versions(self, source: Source) -> Iterator[Version]:
        if source is Source.CURRENT:
            yield self.current_version
            return
        if source is Source.UNLABELLED:
            ids: list[str | None] = [*self.store.unlabelled(self.secret_id)]
        else:
            ids = [self.description.holder(LABEL_OF_SOURCE[source])]
        for version_id in ids:
            version = version_id and self.store.version(self.secret_id, version_id)
            if version:
                yield version

    # Rules 4 and 5: the labels that it moves.

    def require_same_current(self) -> None:
        """Make sure that the pending value still is AWSCURRENT with another password.

        Raises:
            CurrentChanged: Somebody edited AWSCURRENT since createSecret; promoting the pending
                version would undo that.
        """
        if not self.pending.same_but_credentials(self.current):
            msg = f"AWSCURRENT of {self.secret_id} was edited while its rotation ran."
            raise CurrentChanged(msg)

    def require_not_overtaken(self) -> None:
        """Make sure that no other rotation ended, and none of this one's twins, since it was read.

        To be called under the database's lock with an AWSCURRENT that was read under it: a delivery
        that was abandoned, and woke up late, would otherwise change a password that is in use. It
        costs no call: a rotation that ended leaves AWSPENDING on AWSCURRENT.

        Raises:
            Overtaken: Begin again with fresh reads.
        """
        current = self.current_version
        if current.id == self.target.id or Stage.PENDING in current.stages:
            raise Overtaken

    def require_unmoved_labels(self) -> None:
        """Make sure, by a call, that this still is the secret's rotation, and AWSCURRENT the same.

        Raises:
            Overtaken: Begin again with fresh reads.
        """
        self._description = None
        stages = self.description.stages.get(self.target.id, frozenset())
        if (
            Stage.PENDING not in stages
            or self.description.holder(Stage.CURRENT) != self.current_version.id
        ):
            raise Overtaken

    def label_before_change(self, version_id: str, *, sure_of_a_label: bool) -> None:
        """Make sure that both versions that may be in use after a crash keep a label (rule 5).

        Args:
            version_id: The version that logs in now.
            sure_of_a_label: Whether it keeps a label whatever happens.

        Raises:
            Overtaken: Another rotation was at work since this one has read the secret.
        """
        if not sure_of_a_label:
            self._move(Label.LOGS_IN, version_id, self.description.holder(Label.LOGS_IN))
        self._move(Label.APPLYING, self.target.id, self._holder_of_applying())

    def _move(self, label: str, version_id: str, holder: str | None) -> None:
        """Move a label; where its holder is another one than expected, find out why.

        Every rotation moves APPLYING before it changes anything. So an unexpected holder is the
        sign of a rotation that overtook this one, and the healthy case needs no call to know that
        there was none.
        """
        if self.store.move_label(self.secret_id, label, version_id, holder):
            return
        self.require_unmoved_labels()
        holder = self.description.holder(label)
        if not self.store.move_label(self.secret_id, label, version_id, holder):
            raise Overtaken

    def _holder_of_applying(self) -> str | None:
        """Return who has APPLYING, without a call in the healthy case: the last rotation's version.

        A wrong guess costs two calls and no more.
        """
        if self._description is not None:
            return self._description.holder(Label.APPLYING)
        has_it = Label.APPLYING in self.current_version.stages
        return self.current_version.id if has_it else None

    def promote(self) -> None:
        """Make the pending version AWSCURRENT.

        AWSPENDING stays on it, which the service takes as finished; AWSPREVIOUS moves by itself.

        Raises:
            CurrentChanged: AWSCURRENT was moved meanwhile.
        """
        if Stage.CURRENT not in self.target.stages:
            self.store.promote(self.secret_id, self.target.id, self.current_version.id)
