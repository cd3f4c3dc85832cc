"""One secret, one database, the service's rotations, and what must hold at every moment.

What must hold
==============

====  ==========================================================================================
H1    Some stored version logs in, at every moment.
H2    AWSCURRENT logs in at every moment, but for a user who changes its own only password: there
      from a change until its rotation has ended. What is promoted logs in when it is promoted.
H3    AWSCURRENT never goes back: neither to an older rotation's version, nor past an edit.
H4    However it went, the next undisturbed rotation ends with AWSCURRENT logging in.
H5    AWSPENDING is never left on a version whose reattempt can never succeed.
H6    Over is over: a delivery whose rotation was over when it last looked, or when it took the
      lock, changes no password and moves no label but its own.
H7    Where nobody was killed and nothing was lost, AWSCURRENT logs in when every delivery is over.
====  ==========================================================================================
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, cast

from botocore.exceptions import ClientError, ReadTimeoutError

from local.secretsmanager import Killed, ServiceError
from local.secretsmanager.operations import OPERATIONS, Operations, Secret
from local.secretsmanager.operations import Rotation as RotationSettings
from local.secretsmanager.versions import CURRENT, PENDING, HolderCode, Versions
from shared.deadline import Deadline
from shared.errors import RotationError, Unreachable
from shared.model import RotationEvent, Step
from shared.passwords import PasswordPolicy
from shared.redaction import Redactor
from shared.rotation import Rotation
from shared.session import Lock
from shared.settings import Settings
from shared.store import SecretStore
from shared.tls import Trust
from tests.conformance.simulated import (
    ADMINISTRATOR,
    ADMINISTRATOR_PASSWORD,
    Account,
    Database,
    SimulatedRotator,
    SimulatedSession,
)

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

USER = "app"
FIRST_PASSWORD = "First-Password-of-1-app"
STEPS = tuple(step.value for step in Step)
OPERATION_OF = {
    "describe_secret": "DescribeSecret",
    "get_secret_value": "GetSecretValue",
    "list_secret_version_ids": "ListSecretVersionIds",
    "put_secret_value": "PutSecretValue",
    "update_secret_version_stage": "UpdateSecretVersionStage",
}
READS = frozenset({"DescribeSecret", "GetSecretValue", "ListSecretVersionIds"})
WRITES = frozenset({"PutSecretValue", "UpdateSecretVersionStage"})
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:rotator"
SECONDS_OF_A_STEP = 60.0
SETTLING_SECONDS = 1.0
"""After so long a read sees every write: what may be stale is stale for a moment."""
RETRIES = 1
"""How often the service repeats a failed rotation; what comes later is the recovery's."""


@dataclass(frozen=True)
class Service:
    """What is not known of the live service: a function must be right whatever it is.

    Attributes:
        cleans_up: It takes AWSPENDING off after success.
        unnamed: A value stored without naming AWSPENDING leaves it on the version, drops it, or is
            refused.
        takes_repeated_moves: A move of a label to the version that has it is done, not refused.
        wrong_holder: The code with which a wrong RemoveFromVersionId is refused.
    """

    cleans_up: bool = False
    unnamed: Literal["left", "dropped", "refused"] = "left"
    takes_repeated_moves: bool = True
    wrong_holder: HolderCode = "InvalidParameterException"

    @property
    def names(self) -> list[str]:
        """What is unusual about it, in words."""
        found = ["AWSPENDING cleaned up"] if self.cleans_up else []
        found += [] if self.unnamed == "left" else [f"AWSPENDING {self.unnamed} if not named"]
        found += [] if self.takes_repeated_moves else ["repeated moves refused"]
        return found


@dataclass(frozen=True)
class Setup:
    """A secret and the function that rotates it.

    Attributes:
        strategy: Its name.
        administrator: Whether the secret names one.
        promote_in: ``setSecret`` or ``finishSecret``.
        service: How the service is where its documents do not say.
        lock_holds: The database's lock keeps others out.
    """

    strategy: str
    administrator: bool
    promote_in: str = "setSecret"
    service: Service = Service()
    lock_holds: bool = True

    @property
    def shuts_out(self) -> bool:
        """Whether applications cannot log in from a change to the promotion."""
        return self.strategy.startswith("single-user")

    @property
    def name(self) -> str:
        """The secret's part of the name of a history."""
        by = "with administrator" if self.administrator else "alone"
        return f"{self.strategy} {by}, promoted in {self.promote_in}"


@dataclass
class Delivery:
    """One invocation of the function.

    Attributes:
        name: For traces.
        messages: How many it has begun.
        current: The version that it has last read as AWSCURRENT.
        looked_alive: Its rotation was under way when it last looked, or when it took the lock.
        holds: It has the lock.
        changed: It has changed a password.
        dying: Killed: only the request that it was about to make still arrives.
        dead: Killed: it does nothing any more.
        over: It has ended.
        leaves: The version to which it has moved AWSPENDING while no rotation was under way.
    """

    name: str
    step: str
    token: str
    messages: int = 0
    current: str | None = None
    looked_alive: bool = True
    holds: bool = False
    changed: bool = False
    dying: bool = False
    dead: bool = False
    over: bool = False
    leaves: str | None = None
    sessions: list[SimulatedSession] = field(default_factory=list)


class Fault(NamedTuple):
    """What goes wrong before or in one message: a kind of :data:`FAULTS`, and how much of it."""

    kind: str
    much: int = 1

    def __str__(self) -> str:
        return self.kind if self.much == 1 else f"{self.kind} x{self.much}"


class Snapshot(NamedTuple):
    """The state of secret and database between two deliveries, comparable."""

    versions: Versions
    past: tuple[Versions, ...]
    accounts: tuple[tuple[str, tuple[str, ...], frozenset[str], str | None], ...]
    live: str | None
    succeeded: bool
    shut_out: bool
    drawn: tuple[tuple[str, int], ...]
    made_from: tuple[tuple[str, str | None], ...]

    @property
    def key(self) -> tuple[object, ...]:
        """What decides about everything that comes later."""
        values = tuple((v.version_id, v.value) for v in self.versions.by_id.values())
        labels = tuple(sorted(self.versions.labels.items()))
        return values, labels, self.accounts, *self[3:]


class Rest(NamedTuple):
    """How the rest of a rotation went, in which nothing more happened to it."""

    outcome: str
    wrong: str | None
    left: Snapshot


class Numbered(PasswordPolicy):
    """Passwords that tell which delivery has drawn them, so that a history can be repeated."""

    draw: ClassVar[Callable[[], str]]

    def generate(self) -> str:
        """Return the next one."""
        return Numbered.draw()


class Silent(Redactor):
    """Learns nothing: nothing is logged here."""

    def learn(self, *secrets: str | None) -> None:
        """Forget them."""


class Client:
    """What :class:`~shared.store.SecretStore` needs of boto3's client, without the wire."""

    def __init__(self, request: Callable[[str, Mapping[str, Any]], dict[str, Any]]) -> None:
        self._request = request

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        operation = OPERATION_OF[name]
        return lambda **parameters: self._request(operation, parameters)


def refusal(error: ServiceError, operation: str) -> ClientError:
    """Return an error of the service as boto3 raises it."""
    return ClientError({"Error": {"Code": error.code, "Message": error.message}}, operation)


@cache
def credentials(text: str) -> tuple[str, str]:
    """Return user name and password of a stored value."""
    document = json.loads(text)
    return document["username"], document["password"]


class WorldDatabase(Database):
    """The server; every message is the world's to decide about."""

    world: "World"

    @contextmanager
    def effect(self, message: str, session: SimulatedSession) -> Iterator[None]:
        """Have an effect, and look whether everything still holds."""
        fault = self.world.begin(message, changes=True)
        session.require_open(message)
        yield
        self.world.look_around(session)
        if fault is not None and fault.kind == "disconnected":
            self.world.disconnect(session)

    def look(self, message: str, session: SimulatedSession | None = None) -> None:
        """Have no effect."""
        fault = self.world.begin(message)
        if session is not None:
            session.require_open(message)
        if fault is not None and fault.kind == "disconnected":
            self.world.disconnect(session)

    def take_lock(self, name: str, session: SimulatedSession) -> Lock:
        """Give the lock to a session, once whoever has it lets go."""
        waited = False
        while not self.is_free(name, session):
            waited = True
            if not self.world.wait_for_lock():
                break
        super().take_lock(name, session)
        self.world.locked()
        return Lock.AFTER_WAITING if waited else Lock.AT_ONCE

    def release(self, session: SimulatedSession) -> None:
        """Free its lock, and let whoever waits for it have it."""
        held = session in self.lock_holders.values()
        super().release(session)
        if held:
            self.world.unlocked()


class WorldRotator(SimulatedRotator):
    """The simulated rotator; its sessions are their delivery's, and end with it."""

    def connect(self, login: Any, deadline: Deadline) -> SimulatedSession:  # noqa: ANN401
        """Log in."""
        session = super().connect(login, deadline)
        cast("WorldDatabase", self.database).world.running.sessions.append(session)
        return session


class World:
    """A secret, its database, and a service that rotates it.

    Args:
        setup: The secret.

    Attributes:
        running: The delivery that has the turn.
        plan: What happens before which message of the service's own deliveries, by its number.
        said: Those messages, by their numbers.
        trace: What happened, if somebody wants to know.
        wrong: The first thing that should have held and did not.
        ignored: What is not looked for: the beginnings of names such as ``H6``.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.ignored: tuple[str, ...] = ()
        self.time = 0.0
        self.operations = Operations(
            region="eu-central-1",
            account="123456789012",
            clock=self._clock,
            record=lambda _name, _arn: None,
            wrong_holder=setup.service.wrong_holder,
        )
        self.database = WorldDatabase(locks_hold=setup.lock_holds)
        self.database.world = self
        self.database.accounts = {
            ADMINISTRATOR: Account([ADMINISTRATOR_PASSWORD]),
            USER: Account([FIRST_PASSWORD], rights=frozenset({"read", "write"})),
        }
        self.secret = self._make_secret()
        self._settings = replace(
            Settings.from_environment(
                {"ROTATION_PROMOTE_IN": setup.promote_in}, SimulatedRotator.profile
            ),
            password_policy=Numbered(32, 32, ("a",), require_each=False),
        )
        self._client = cast("SecretsManagerClient", Client(self.request))
        self.live: str | None = None
        self.succeeded = True
        self.shut_out = False
        self._drawn: dict[str, int] = {}
        self._made_from: dict[str, str | None] = {}
        self._rests: dict[tuple[object, ...], Rest] = {}
        self._past = [self.secret.versions]
        self.begin_history()

    def _make_secret(self) -> Secret:
        document = {"engine": "simulated", "host": "db", "username": USER}
        document["password"] = FIRST_PASSWORD
        if self.setup.administrator:
            who = {"username": ADMINISTRATOR, "password": ADMINISTRATOR_PASSWORD}
            document["masterarn"] = self._create("administrator", document | who).arn
        secret = self._create("app", document)
        secret.tags = {"rotation:strategy": self.setup.strategy}
        secret.rotation = RotationSettings(enabled=True, function_arn=FUNCTION)
        return secret

    def _create(self, name: str, document: Mapping[str, str]) -> Secret:
        request = {"Name": name, "ClientRequestToken": version_id(f"first-of-{name}")}
        self.operations.create_secret(request | {"SecretString": json.dumps(document)})
        secret = self.operations.find(name)
        secret.arn = f"{secret.arn[:-6]}000000"
        return secret

    def _clock(self) -> datetime:
        self.time += 0.001
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self.time)

    # -- histories -------------------------------------------------------------------------------

    def begin_history(self, *, traced: bool = False) -> None:
        """Forget what was before: nothing is planned, nobody is at work."""
        self.plan: dict[int, list[Fault]] = {}
        self.trace: list[str] | None = [] if traced else None
        self.remembers = not traced
        self.wrong: str | None = None
        self.killed = self.blurred = self.edited_in_a_hold = False
        self.edited_both = self.saw_stale = False
        self.taken_up = self.arrived_late = False
        self.messages = 0
        self.said: dict[int, str] = {}
        self._stale, self._settled = 0, 0.0
        self._stale_view = self.secret.versions
        self.deliveries: list[Delivery] = []
        self.running = Delivery("nobody", "", "")
        self.held: Delivery | None = None

    def snapshot(self) -> Snapshot:
        """Return the state."""
        return Snapshot(
            self.secret.versions,
            tuple(self._past[-3:]),
            self._accounts(),
            self.live,
            self.succeeded,
            self.shut_out,
            tuple(self._drawn.items()),
            tuple(self._made_from.items()),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a state."""
        self.secret.versions = snapshot.versions
        self._past = list(snapshot.past)
        self.database.accounts = {
            name: Account(list(passwords), rights, mark)
            for name, passwords, rights, mark in snapshot.accounts
        }
        self.database.lock_holders.clear()
        self.live, self.succeeded = snapshot.live, snapshot.succeeded
        self.shut_out = snapshot.shut_out
        self._drawn, self._made_from = dict(snapshot.drawn), dict(snapshot.made_from)
        self._known = self._passwords()

    def _accounts(self) -> tuple[tuple[str, tuple[str, ...], frozenset[str], str | None], ...]:
        return tuple(
            (name, tuple(account.passwords), account.rights, account.mark)
            for name, account in self.database.accounts.items()
        )

    def _passwords(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(each.passwords) for name, each in self.database.accounts.items()}

    def say(self, text: str) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace.append(text)

    def blame(self, text: str) -> None:
        """Keep the first thing that is wrong."""
        if self.wrong is None and not text.startswith(self.ignored):
            self.wrong = text
            self.say(f"!!! {text}")

    # -- the service and the operator ------------------------------------------------------------

    def start(self, token: str) -> None:
        """Put AWSPENDING on a version without a value, as RotateSecret does."""
        versions = self.secret.versions
        self.secret.versions = versions.reserve(token, self._clock())
        self._remember()
        self.live, self.succeeded = token, False
        self.say(f"the service starts {short(token)}")

    def rotate(self, token: str, first: str = STEPS[0], *, retries: int = RETRIES) -> str:
        """Deliver the steps of a rotation, from ``first`` on, and repeat it when one fails.

        Returns:
            ``success``; ``ended`` when AWSPENDING is gone from the version; ``failed``.
        """
        step = STEPS.index(first)
        while step < len(STEPS):
            if self.is_quiet():
                return self._rest(token, step, retries)
            if self.deliver(STEPS[step], token):
                step += 1
                continue
            labels = self.secret.versions.labels
            if token not in {labels.get(PENDING), labels[CURRENT]}:
                self._end(token)
                return "ended"
            if not retries:
                return "failed"
            retries -= 1
            step = 0
        return self._conclude(token)

    def is_quiet(self) -> bool:
        """Say whether nothing is planned any more: what comes depends on the state alone."""
        return (
            self.remembers and not self._stale and (not self.plan or max(self.plan) < self.messages)
        )

    def _rest(self, token: str, step: int, retries: int) -> str:
        """Carry out the rest of a rotation, or remember how it went from the same state."""
        if self.wrong is not None:
            return "failed"
        before = (self.snapshot().key, token, step, retries, self.killed, self.blurred)
        rest = self._rests.get(before)
        if rest is None:
            self.remembers = False
            outcome = self.rotate(token, STEPS[step], retries=retries)
            self.remembers = True
            rest = self._rests[before] = Rest(outcome, self.wrong, self.snapshot())
            return outcome
        self.wrong = rest.wrong
        self.restore(rest.left)
        return rest.outcome

    def _conclude(self, token: str) -> str:
        labels = self.secret.versions.labels
        if self._edited_from(labels[CURRENT]) != token:
            if self.live == token:
                self.blame(f"H2: {short(token)} reports success and is not AWSCURRENT")
            return "failed"
        if self.live == token:
            self.live, self.succeeded = None, True
            if labels[CURRENT] == token:
                self.shut_out = False
                self.require_current()
        if self.setup.service.cleans_up and labels.get(PENDING) == token:
            self._replace(self.secret.versions.move(PENDING, token, None))
        self.say(f"{short(token)} has ended well")
        return "success"

    def _edited_from(self, version: str) -> str:
        """Return the version that AWSCURRENT was before operators edited it."""
        while is_edit(version):
            version = str(self._made_from[version])
        return version

    def _end(self, token: str) -> None:
        if self.live == token:
            self.live = None

    def abandon(self, token: str) -> None:
        """Take AWSPENDING off a version, as an operator does."""
        if self.secret.versions.labels.get(PENDING) == token:
            self._replace(self.secret.versions.move(PENDING, token, None))
        self._end(token)
        self.say(f"the operator takes AWSPENDING off {short(token)}")

    def edit(self, kind: str, *, abandons: bool) -> None:
        """Store a new AWSCURRENT, as an operator does.

        Args:
            kind: ``note``: another key, the same password; ``database``: a new password, set in
                the database as well; ``alone``: a new password that the database does not have.
            abandons: The service takes AWSPENDING off.
        """
        versions = self.secret.versions
        text = cast("str", cast("Any", versions.by_id[versions.labels[CURRENT]].value).string)
        document = json.loads(text)
        document["note"] = kind
        account = self.database.accounts[document["username"]]
        password = document["password"]
        if kind != "note":
            document["password"] = f"by-hand-{len(versions.by_id)}"
        if kind == "database":
            kept = [password] if self.setup.strategy == "dual-password" else []
            account.passwords = [document["password"], *kept]
            self._known = self._passwords()
        if kind == "alone":
            self.shut_out = True
        self.edited_in_a_hold = self.edited_in_a_hold or bool(self.database.lock_holders)
        self.edited_both = self.edited_both or kind == "database"
        self.operations.edit_abandons_rotation = abandons
        request = {
            "SecretId": self.secret.arn,
            "ClientRequestToken": version_id(f"edit-{len(versions.by_id)}"),
            "SecretString": json.dumps(document),
        }
        live = self.live
        self._made_from[request["ClientRequestToken"]] = versions.labels[CURRENT]
        self.operations.put_secret_value(request)
        self._remember()
        if live is not None and self.secret.versions.labels.get(PENDING) != live:
            self._end(live)
        self.say(f"the operator edits AWSCURRENT ({kind}{', AWSPENDING goes' if abandons else ''})")
        self._check_moment()

    def _replace(self, versions: Versions) -> None:
        self.secret.versions = versions
        self._remember()

    def _remember(self) -> None:
        if self.secret.versions is not self._past[-1]:
            self._past.append(self.secret.versions)

    # -- deliveries ------------------------------------------------------------------------------

    def deliver(self, step: str, token: str) -> bool:
        """Deliver one step, and say whether it succeeded."""
        delivery = Delivery(f"{step}({short(token)})", step, token)
        return self.carry_out(delivery)

    def carry_out(self, delivery: Delivery) -> bool:
        """Run a delivery to its end; the sessions of one that was killed end with it."""
        self.deliveries.append(delivery)
        self.running = delivery
        succeeded = False
        try:
            self._invoke(delivery)
            succeeded = True
            self.say(f"{delivery.name} succeeds")
        except Killed:
            self.say(f"{delivery.name} is killed")
        except RotationError as error:
            self.say(f"{delivery.name} fails: {type(error).__name__}: {error.message}")
            self._require_put_back(delivery)
        finally:
            self.running = delivery
            delivery.dead = delivery.over = True
            for session in delivery.sessions:
                with suppress(Killed):
                    session.close()
        if delivery.leaves is not None and delivery.leaves == self.secret.versions.pending():
            self.blame(f"H5: AWSPENDING is left on {short(delivery.leaves)}, which is over")
        return succeeded

    def _invoke(self, delivery: Delivery) -> None:
        store = SecretStore(self._client, sleep=self._sleep)
        deadline = Deadline(SECONDS_OF_A_STEP, lambda: self.time, self._sleep)
        event = RotationEvent(Step(delivery.step), self.secret.arn, delivery.token)
        rotation = Rotation(event, store, self._settings, deadline, Silent())
        WorldRotator.database = self.database
        Numbered.draw = self._draw
        WorldRotator(store, self._settings, cast("Trust", None), _no_rds).run(rotation)

    def _sleep(self, seconds: float) -> None:
        self.time += seconds

    def _draw(self) -> str:
        token = self.running.token
        self._drawn[token] = self._drawn.get(token, 0) + 1
        return f"password-{self._drawn[token]}-of-{short(token)}"

    def disconnect(self, session: SimulatedSession | None) -> None:
        """Lose a session: the server ends it, and the client hears nothing more."""
        self.blurred = True
        if session is not None:
            session.is_open = False
            self.database.release(session)
        raise Unreachable("The connection is lost.")

    def die(self, delivery: Delivery) -> None:
        """Kill a delivery whose next request is on its way: the server ends its sessions."""
        self.killed = delivery.dying = True
        for session in delivery.sessions:
            session.is_open = False
            self.database.release(session)

    # -- turns: what the scheduler overrides -----------------------------------------------------

    def turn(self, delivery: Delivery) -> None:
        """Let somebody else have the turn before a message, if it is time."""

    def wait_for_lock(self) -> bool:
        """Wait until the lock's holder lets go; False when nobody will."""
        return False

    def unlocked(self) -> None:
        """Note that the lock is free."""
        self.running.holds = False

    def locked(self) -> None:
        """Note that the running delivery has the lock."""
        delivery = self.running
        delivery.holds = self.setup.lock_holds
        delivery.looked_alive = delivery.token == self.live

    # -- messages --------------------------------------------------------------------------------

    def begin(self, message: str, *, changes: bool = False) -> Fault | None:
        """Begin a message: others have their turn, and what is planned happens.

        Returns:
            The fault that the message itself has, if any.
        """
        delivery = self.running
        if delivery.dead:
            raise Killed
        self.turn(delivery)
        delivery.messages += 1
        if delivery.dying and message.split(" ", 1)[0] not in WRITES:
            raise Killed
        if delivery is self.held:
            self.say(f"    {delivery.name} [held one]: {message}")
            return None
        number = self.messages
        self.messages += 1
        self.said[number] = message
        found = None
        for fault in self.plan.get(number, ()):
            found = self._strike(fault, delivery)
        self.say(f"    {number} {delivery.name}: {message}{f' ({found})' if found else ''}")
        return found

    def _strike(self, fault: Fault, delivery: Delivery) -> Fault | None:
        kind, _, rest = fault.kind.partition(" ")
        if kind == "kill":
            self.killed = True
            delivery.dead = True
            raise Killed
        if kind == "abandon":
            self.abandon(delivery.token)
            return None
        if kind == "edit":
            what, _, how = rest.partition(" ")
            self.edit(what, abandons=how == "abandons")
            return None
        self.blurred = True
        if kind == "stale":
            age = min(int(rest) + 1, len(self._past))
            self.see_stale(self._past[-age], reads=fault.much)
        return fault

    def see_stale(self, view: Versions, *, reads: int) -> None:
        """Let so many reads see the secret as it was, unless they come when it has settled."""
        self._stale, self._stale_view = reads, view
        self._settled = self.time + SETTLING_SECONDS

    def request(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a request as boto3's client would."""
        about = parameters.get("VersionStage") or short(parameters.get("VersionId", ""))
        fault = self.begin(f"{operation} {about}".strip())
        kind = "" if fault is None else fault.kind
        if kind == "throttled":
            raise refusal(ServiceError("ThrottlingException", "Rate exceeded"), operation)
        if kind == "unsent":
            raise ReadTimeoutError(endpoint_url="https://secretsmanager", error=None)
        if operation in READS:
            return self.read(operation, parameters)
        if self.running.dying:
            self.arrived_late = True
            with suppress(ClientError):
                self._write(operation, parameters)
            raise Killed
        if kind in {"lost", "unanswered"}:
            with suppress(ClientError):
                self._write(operation, parameters)
        if kind == "unanswered":
            raise ReadTimeoutError(endpoint_url="https://secretsmanager", error=None)
        return self._write(operation, parameters)

    def read(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a read; outside of a hold it tells the delivery whether it is over."""
        delivery = self.running
        if not delivery.holds:
            delivery.looked_alive = delivery.token == self.live
        if self.time > self._settled:
            self._stale = 0
        if self._stale and parameters["SecretId"] == self.secret.arn:
            self._stale -= 1
            self.secret.before, self.secret.stale_reads = self._stale_view, 1
            self.saw_stale = self.saw_stale or delivery.holds
        try:
            answer = self._answer(operation, parameters)
        finally:
            self.secret.stale_reads = 0
        if CURRENT in answer.get("VersionStages", ()) and answer["ARN"] == self.secret.arn:
            delivery.current = answer["VersionId"]
        return answer

    def _write(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        before = self.secret.versions
        try:
            return self._answer(operation, parameters)
        finally:
            if self.secret.versions is not before:
                self._remember()
                if operation == "PutSecretValue":
                    self._made_from[self.running.token] = self.running.current
                self._check_labels(before.labels, self.secret.versions.labels)
                self._check_moment()

    def _answer(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if operation == "PutSecretValue":
                return self._put(parameters)
            if operation == "UpdateSecretVersionStage":
                self._require_move(parameters)
            return OPERATIONS[operation](self.operations, parameters)
        except ServiceError as error:
            self.say(f"        {error.code}")
            raise refusal(error, operation) from None

    def _put(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Store a value; see what the service does with an AWSPENDING that is not named."""
        token = parameters["ClientRequestToken"]
        unnamed = (
            self.secret.versions.labels.get(PENDING) == token
            and PENDING not in parameters["VersionStages"]
        )
        if unnamed and self.setup.service.unnamed == "refused":
            raise ServiceError("InvalidParameterException", "AWSPENDING must be named.")
        answer = self.operations.put_secret_value(parameters)
        if unnamed and self.setup.service.unnamed == "dropped":
            self.secret.versions = self.secret.versions.move(PENDING, token, None)
            answer["VersionStages"].remove(PENDING)
        return answer

    def _require_move(self, parameters: Mapping[str, Any]) -> None:
        holder = self.secret.versions.labels.get(parameters["VersionStage"])
        repeated = holder is not None and parameters.get("MoveToVersionId") == holder
        # A wrong RemoveFromVersionId is refused as such.
        right = parameters.get("RemoveFromVersionId", holder) == holder
        if repeated and right and not self.setup.service.takes_repeated_moves:
            raise ServiceError("InvalidParameterException", "The version has that label already.")

    # -- what must hold --------------------------------------------------------------------------

    def look_around(self, session: SimulatedSession) -> None:
        """See what a statement has changed, and whether everything still holds."""
        del session
        now = self._passwords()
        if now == self._known:
            return
        delivery = self.running
        changed = [name for name in now if now[name] != self._known.get(name)]
        self._known = now
        delivery.changed = True
        self.say(f"        {', '.join(f'{name} has {now[name]}' for name in changed)}")
        if not delivery.looked_alive and not self.blurred:
            self.blame(f"H6: {delivery.name}, over when it looked, changes a password")
        if self.setup.shuts_out and not self.succeeded and not self._current_logs_in():
            self.shut_out = True
        self._check_moment()

    def _check_labels(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        moved = {
            label: (before.get(label), after.get(label))
            for label in {**before, **after}
            if before.get(label) != after.get(label)
        }
        delivery = self.running
        if self.trace is not None:
            ends = [f"{k}: {short(a)} -> {short(b)}" for k, (a, b) in sorted(moved.items())]
            self.say(f"        {', '.join(ends)}")
        if CURRENT in moved:
            self._check_promotion(*moved[CURRENT])
        self._resume(moved, delivery)
        own = {None, delivery.token}
        foreign = [
            label
            for label, ends in moved.items()
            if not own.issuperset(ends) or (label == PENDING and ends[1] is not None)
        ]
        if foreign and not delivery.looked_alive and not self.blurred:
            self.blame(f"H6: {delivery.name}, over when it looked, moves {', '.join(foreign)}")
        left = self.secret.versions.pending()
        if PENDING in moved and left is not None and self.live is None and self.succeeded:
            delivery.leaves = left

    def _resume(self, moved: Mapping[str, tuple[str | None, str | None]], by: Delivery) -> None:
        """Take a rotation up again whose createSecret gives itself the AWSPENDING that nobody has.

        Whether PutSecretValue has taken it off, or an operator, it cannot know: what is abandoned
        between its first message and that one goes on, if no other rotation has ended since.
        """
        attaches = by.step == STEPS[0] and moved.get(PENDING, ())[1:] == (by.token,)
        over = not self.succeeded or self.setup.service.unnamed == "refused"
        self.taken_up = self.taken_up or (attaches and by.token != self.live and over)
        if attaches and moved[PENDING][0] is None and not self.succeeded:
            self.live, by.looked_alive = by.token, True
            self.say(f"{short(by.token)} is under way again")

    def _check_promotion(self, before: str | None, after: str | None) -> None:
        order = list(self.secret.versions.by_id)
        # A rotation that was made from an edit does not undo it, although its version is older.
        made_from = self._made_from.get(str(after)) if is_edit(before) else None
        if order.index(made_from or str(after)) < order.index(str(before)):
            self.blame(f"H3: AWSCURRENT goes back from {short(before)} to {short(after)}")
        if not self._current_logs_in():
            self.blame(f"H2: {short(after)} is promoted and does not log in")

    def _logs_in(self, text: str) -> bool:
        return self.database.accepts(*credentials(text))

    def _current_logs_in(self) -> bool:
        versions = self.secret.versions
        value = versions.by_id[versions.labels[CURRENT]].value
        return value is not None and self._logs_in(value.string or "")

    def require_current(self) -> None:
        """Find it wrong when AWSCURRENT does not log in."""
        if not self._current_logs_in():
            current = short(self.secret.versions.labels[CURRENT])
            self.blame(f"H2: AWSCURRENT ({current}) does not log in")

    def _check_moment(self) -> None:
        if self._current_logs_in():
            return
        versions = self.secret.versions.by_id.values()
        if not any(v.value is not None and self._logs_in(v.value.string or "") for v in versions):
            self.blame("H1: no stored version logs in")
        if not self.shut_out or self.secret.versions.labels[CURRENT] == self.live:
            self.require_current()

    def _require_put_back(self, delivery: Delivery) -> None:
        """Hold a step that ended with an error, undisturbed, to having put back what it changed."""
        if (
            delivery.changed
            and self.setup.promote_in == "setSecret"
            and not (self.killed or self.blurred or self.database.lock_holders)
            and not self.edited()
            and not self._current_logs_in()
        ):
            self.blame(f"H7: {delivery.name} ends, and leaves AWSCURRENT refused")

    def edited(self) -> bool:
        """Say whether an operator has edited AWSCURRENT in this history."""
        return any(is_edit(version) for version in self.secret.versions.by_id)


def is_edit(version: str | None) -> bool:
    """Say whether an operator has made a version."""
    return version is not None and version.startswith("edit-")


def version_id(name: str) -> str:
    """Return a version's id, long enough for the API."""
    return f"{name}-".ljust(36, ".")


def short(version: str | None) -> str:
    """Return what a trace calls a version."""
    return "nobody" if version is None else version.rstrip(".").rstrip("-")


def _no_rds() -> Any:  # noqa: ANN401
    raise AssertionError
