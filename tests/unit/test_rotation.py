"""Turns of a rotation that a real database takes too seldom: on an engine in memory."""

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from local.secretsmanager import SecretsManagerService
from shared import databases
from shared.deadline import Deadline
from shared.engine import BY_USER, Engine
from shared.errors import (
    AccountLocked,
    AdministratorUnproven,
    CapabilityMissing,
    CurrentChanged,
    DatabaseError,
    ForeignPending,
    IdleUserInUse,
    LoginRefused,
    NameNotResolved,
    NameTooLong,
    NoLoginWorks,
    NotOurUser,
    PasswordRejected,
    ProofFailed,
    ReplicaBehind,
    RightsDiffer,
    RotationError,
    ServerBusy,
    StrategyNeedsAdministrator,
    Unreachable,
)
from shared.model import Description, Login, RotationEvent, Step
from shared.passwords import Profile
from shared.redaction import Redactor
from shared.rotation import Rotation
from shared.runtime import Clients, handler_for
from shared.session import Lock, Pair, Session
from shared.settings import Settings, StrategyName
from shared.store import SecretStore
from shared.strategies import strategy
from shared.strategies.alternating_users import second_user
from shared.strategies.dual_password import own_two_passwords, two_passwords
from tests.conformance.simulated import Account, Database, SimulatedRotator, SimulatedSession

pytestmark = pytest.mark.usefixtures("no_pauses")

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
FIRST = "the First passw0rd"


class Hooks:
    """What happens at a turn of the session; nothing unless a test says so."""

    def __init__(self) -> None:
        self.waits = 0
        self.on_lock: Callable[[], None] = lambda: None
        self.on_change: Callable[[str, str], None] = lambda username, password: None
        self.on_connect: Callable[[Login], None] = lambda login: None
        self.problem: DatabaseError | None = None
        self.too_old_for: Collection[StrategyName] = ()


class HookedSession(SimulatedSession):
    """A session that tells its hooks."""

    hooks: ClassVar[Hooks]

    def lock(self, name: str, seconds: float) -> Lock:
        """Take the lock, after waiting if the hooks say so."""
        self.hooks.on_lock()
        self.hooks.waits -= 1
        return Lock.AFTER_WAITING if self.hooks.waits >= 0 else Lock.AT_ONCE

    def change_password(self, username: str, password: str) -> None:
        """Change it, unless the hooks object."""
        self.hooks.on_change(username, password)
        super().change_password(username, password)

    def prepare(self, idle: str, password: str, pair: Pair, *, rights: bool) -> None:
        """Prepare, unless the hooks object."""
        self.hooks.on_change(idle, password)
        super().prepare(idle, password, pair, rights=rights)

    def add_password(self, new: str, old: str) -> bool:
        """Add one, unless the hooks object."""
        self.hooks.on_change(self._username, new)
        return super().add_password(new, old)

    def set_both(self, username: str, new: str, old: str) -> None:
        """Set both, unless the hooks object."""
        self.hooks.on_change(username, new)
        super().set_both(username, new, old)

    def unable(self, strategy: StrategyName) -> str | None:
        """Be too old, if the hooks say so."""
        return "Version 1 is too old." if strategy in self.hooks.too_old_for else None

    def account_problem(self, username: str) -> DatabaseError | None:
        """Tell the problem that the hooks have."""
        return self.hooks.problem or super().account_problem(username)


class HookedRotator(SimulatedRotator):
    """Opens hooked sessions."""

    hooks: ClassVar[Hooks]

    def connect(self, login: Login, deadline: Deadline) -> SimulatedSession:
        """Log in, unless the hooks object."""
        self.hooks.on_connect(login)
        super().connect(login, deadline).close()
        return HookedSession(self.database, login.username)


class World:
    """A service, a database, and one secret in it."""

    def __init__(self, service: SecretsManagerService, strategy: str, **fields: Any) -> None:  # noqa: ANN401
        self.service = service
        self.strategy = strategy
        self.hooks = HookedSession.hooks = HookedRotator.hooks = Hooks()
        self.database = HookedRotator.database = Database(
            {"app": Account([FIRST]), "administrator": Account(["the admin's passw0rd"])}
        )
        login = {"host": "h.test", "username": "app", "password": FIRST, **fields}
        if strategy in {"single-user-by-administrator", "alternating-users", "dual"}:
            login["masterarn"] = service.create_secret(
                "administrator",
                {"host": "h.test", "username": "administrator", "password": "the admin's passw0rd"},
            )
        tag = "dual-password" if strategy.startswith("dual") else strategy
        self.arn = service.create_secret("app", login, tags={"rotation:strategy": tag})
        function = service.register("rotator", handler_for(HookedRotator, {}))
        service.enable_rotation(self.arn, function)

    def begin(self) -> str:
        """Begin a rotation, and carry out createSecret."""
        self.service.prepare_rotation(self.arn, token := str(uuid4()))
        self.step(token, "createSecret")
        return token

    def step(self, token: str, *steps: str) -> None:
        """Carry out these steps."""
        for step in steps:
            self.service.invoke_step(self.arn, token, step)

    def rotate(self) -> str:
        """Rotate; raise what a step raised."""
        return self.service.rotate(self.arn).check().token

    def tag(self, key: str, value: str, *, of: str = "app") -> None:
        """Set a tag of a secret."""
        arn = self.service.client().describe_secret(SecretId=of)["ARN"]
        self.service.client().tag_resource(SecretId=arn, Tags=[{"Key": key, "Value": value}])

    def login(self, stage: str = "AWSCURRENT") -> tuple[str, str]:
        """Return user and password of the version with that label."""
        document = json.loads(self.service.value(self.arn, stage=stage))
        return document["username"], document["password"]

    def logs_in(self, stage: str = "AWSCURRENT") -> bool:
        """Tell whether the version with that label logs in."""
        return self.database.accepts(*self.login(stage))


ALL = ["single-user", "single-user-by-administrator", "alternating-users", "dual", "dual-by-itself"]


@pytest.fixture(params=ALL)
def world(request: pytest.FixtureRequest, service: SecretsManagerService) -> World:
    """A world for each strategy in turn."""
    return World(service, request.param)


def test_healthy_rotations(world: World) -> None:
    """Every strategy works on this engine, and nobody is refused."""
    for _ in range(4):
        world.rotate()
        assert world.logs_in()
    assert world.database.refused == 0


# What comes late


def test_late_deliveries(world: World) -> None:
    """All steps of a promoted version succeed, also when the next rotation has begun."""
    token = world.rotate()
    world.step(token, *STEPS)
    following = world.begin()
    world.step(token, *STEPS)
    world.step(following, "setSecret", "testSecret", "finishSecret")
    assert world.logs_in()


# The lock


def test_delivery_that_waited_reads_afresh(world: World) -> None:
    """A delivery that had to wait goes on by what it reads under the lock."""
    token = world.begin()
    world.hooks.waits = 1
    world.step(token, "setSecret", "testSecret", "finishSecret")
    assert world.service.labels(world.arn)["AWSCURRENT"] == token
    assert world.logs_in()


def test_delivery_whose_twin_finished(world: World) -> None:
    """A delivery that waited for a twin which did everything has nothing left to do."""
    token = world.begin()

    def twin() -> None:
        world.hooks.on_lock = lambda: None
        world.step(token, "setSecret", "testSecret", "finishSecret")
        world.hooks.waits = 1

    world.hooks.on_lock = twin
    world.step(token, "setSecret")
    assert world.service.labels(world.arn)["AWSCURRENT"] == token
    assert world.logs_in()


@pytest.mark.parametrize("strategy", ALL)
def test_delivery_that_was_overtaken(service: SecretsManagerService, strategy: str) -> None:
    """An abandoned delivery that wakes up when another rotation has ended does no harm."""
    world = World(service, strategy)
    for _ in range(2):
        late = world.begin()

        def overtake(late: str = late) -> None:
            world.hooks.on_lock = lambda: None
            service.abandon(world.arn, late)
            world.rotate()

        world.hooks.on_lock = overtake
        with pytest.raises(RotationError):
            world.step(late, "setSecret")
        assert world.logs_in()


# A server that is not there yet


@pytest.mark.parametrize(
    ("kind", "waited_for"), [(Unreachable, True), (ServerBusy, True), (NameNotResolved, False)]
)
def test_server_that_comes_back(
    world: World, kind: type[DatabaseError], waited_for: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything has changed, a server that restarts is waited for while there is time."""
    monkeypatch.setattr(databases, "PATIENCE_ENDS_SECONDS", 15.0)
    monkeypatch.setattr(databases, "PATIENCE_PAUSE_SECONDS", 0.0)
    token = world.begin()
    away = 3

    def come_back(login: Login) -> None:
        nonlocal away
        away -= 1
        if away >= 0:
            raise kind("Not yet.")

    world.hooks.on_connect = come_back
    if waited_for:
        world.step(token, "setSecret", "testSecret", "finishSecret")
    else:
        with pytest.raises(kind):
            world.step(token, "setSecret")
    assert world.logs_in()


def test_proof_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the change nobody is patient: applications may be shut out."""
    monkeypatch.setattr(databases, "PATIENCE_ENDS_SECONDS", 15.0)
    token = world.begin()
    _, pending = world.login("AWSPENDING")

    def gone(login: Login) -> None:
        if login.password == pending:
            raise Unreachable("Gone.")

    world.hooks.on_connect = gone
    with pytest.raises(Unreachable):
        world.step(token, "setSecret")
    assert world.logs_in()


# Policies and proofs


@pytest.mark.parametrize("in_force", [True, False])
def test_password_that_the_policy_refuses(world: World, in_force: bool) -> None:
    """A refusal counts unless the password is in force already, as after a lost answer."""
    token = world.begin()

    def refuse(username: str, password: str) -> None:
        if in_force:
            account = world.database.accounts.setdefault(username, Account([], mark=world.arn))
            account.passwords.insert(0, password)
        raise PasswordRejected("The policy refuses it.")

    # Found in force by the search, the password would not be set at all.
    world.hooks.on_change = refuse
    if in_force:
        world.step(token, "setSecret")
        world.hooks.on_change = lambda username, password: None
        world.step(token, "testSecret", "finishSecret")
        assert world.service.labels(world.arn)["AWSCURRENT"] == token
    else:
        with pytest.raises(PasswordRejected):
            world.step(token, "setSecret")
    assert world.logs_in()


def test_proof_that_is_refused(world: World) -> None:
    """A new password that does not log in is never promoted; AWSCURRENT goes on logging in."""
    token = world.begin()
    username, password = world.login("AWSPENDING")

    def refuse(login: Login) -> None:
        if login.username == username and login.password == password:
            raise LoginRefused("Not that one.")

    world.hooks.on_connect = refuse
    with pytest.raises(ProofFailed):
        world.step(token, "setSecret")
    assert world.service.labels(world.arn)["AWSCURRENT"] != token
    assert world.logs_in()


def test_proof_that_the_account_s_state_explains(service: SecretsManagerService) -> None:
    """The administrator's look at the idle user tells why it is refused."""
    world = World(service, "alternating-users")
    token = world.begin()
    _, password = world.login("AWSPENDING")

    def refuse(login: Login) -> None:
        if login.password == password:
            raise LoginRefused("Not that one.")

    world.hooks.on_connect = refuse
    world.hooks.problem = AccountLocked("It is locked.")
    with pytest.raises(AccountLocked):
        world.step(token, "setSecret")


@pytest.mark.parametrize("proves", [True, False])
def test_limit_that_only_the_right_password_meets(world: World, proves: bool) -> None:
    """A limit that proves the password is a proof; one that does not is an error."""
    token = world.begin()
    _, password = world.login("AWSPENDING")

    def limit(login: Login) -> None:
        if login.password == password:
            raise ServerBusy("Too many.", proves_password=proves)

    world.hooks.on_connect = limit
    if proves and world.strategy == "dual-by-itself":
        # Without an administrator nobody can take the lock for the promotion.
        world.step(token, "setSecret", "testSecret")
        with pytest.raises(ServerBusy):
            world.step(token, "finishSecret")
    elif proves:
        world.step(token, "setSecret", "testSecret", "finishSecret")
    else:
        with pytest.raises(ServerBusy):
            world.step(token, "setSecret")
    assert world.logs_in()


def test_history_that_forbids_the_way_back(service: SecretsManagerService) -> None:
    """When the old password is refused at the put-back, that is told; the retry promotes."""
    world = World(service, "single-user")
    token = world.begin()
    _, pending = world.login("AWSPENDING")

    def refuse(login: Login) -> None:
        if login.password == pending:
            raise LoginRefused("Not that one.")

    def history(username: str, password: str) -> None:
        if password == FIRST:
            raise PasswordRejected("It was used before.")

    world.hooks.on_connect, world.hooks.on_change = refuse, history
    with pytest.raises(ProofFailed, match="could not be brought back"):
        world.step(token, "setSecret")
    assert world.logs_in("AWSPENDING")
    world.hooks.on_connect = lambda login: None
    world.step(token, *STEPS)
    assert world.logs_in()


def test_reader_that_follows_after_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that lags is asked again, with pauses, until it follows."""
    monkeypatch.setattr(strategy, "READER_PAUSE_SECONDS", 0.01)
    world.service.client().tag_resource(
        SecretId=world.arn, Tags=[{"Key": "rotation:reader-hosts", "Value": "reader.test"}]
    )
    lags = 3

    def lag(login: Login) -> None:
        nonlocal lags
        if login.host == "reader.test" and lags:
            lags -= 1
            raise LoginRefused("Not yet.")

    world.hooks.on_connect = lag
    world.rotate()
    assert lags == 0
    assert world.logs_in()


# Alternating users


def test_session_that_acts_as_somebody_else(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second user that the server lets act as itself is not promoted.

    PostgreSQL 12.21 to 17.1 have such releases, which are not to be had: a session stands in.
    """
    world = World(service, "alternating-users")
    monkeypatch.setattr(HookedSession, "acts_as", lambda session: session._username)
    monkeypatch.setattr(HookedSession, "should_act_as", lambda session, username, pair: pair.first)
    token = world.begin()
    with pytest.raises(RightsDiffer, match="acts as app_clone, and should act as app"):
        world.step(token, "setSecret")
    assert world.login()[0] == "app"
    monkeypatch.setattr(HookedSession, "acts_as", lambda session: "app")
    world.rotate()
    assert world.login()[0] == "app_clone"


@pytest.mark.parametrize("in_use", ["warn", "refuse"])
def test_idle_user_that_is_in_use(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch, in_use: str
) -> None:
    """Sessions of the idle user are told, or stop the rotation before anything has changed."""
    world = World(service, "alternating-users")
    world.tag("rotation:in-use", in_use)
    asked: list[str] = []

    def sessions_of(session: HookedSession, username: str) -> int:
        asked.append(username)
        return 2

    monkeypatch.setattr(HookedSession, "sessions_of", sessions_of)
    if in_use == "warn":
        world.rotate()
        assert world.login()[0] == "app_clone"
    else:
        with pytest.raises(IdleUserInUse, match=r"app_clone is idle .* 2 open sessions"):
            world.step(world.begin(), "setSecret")
        assert "app_clone" not in world.database.accounts
        assert "AWSPENDING" not in service.labels(world.arn)
    assert asked == ["app_clone"]


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("adopt", ["app_clone", "", "other"])
def test_second_user_that_is_adopted(
    service: SecretsManagerService, adopt: str, allowed: bool
) -> None:
    """A second user of somebody's is taken over only where both secrets' tags name it."""
    world = World(service, "alternating-users")
    world.database.accounts["app_clone"] = Account(["its own passw0rd"])
    if adopt:
        world.tag("rotation:adopt", adopt)
    if allowed:
        world.tag("rotation:rotates", "app*", of="administrator")
    token = world.begin()
    if adopt == "app_clone" and allowed:
        world.step(token, "setSecret", "testSecret", "finishSecret")
        assert world.login()[0] == "app_clone"
    else:
        kind = AdministratorUnproven if adopt == "app_clone" else NotOurUser
        with pytest.raises(kind):
            world.step(token, "setSecret")
        assert world.database.accepts("app_clone", "its own passw0rd")
        assert world.database.accounts["app_clone"].mark is None
    assert world.logs_in()


def test_second_user_that_was_dropped(service: SecretsManagerService) -> None:
    """An active second user that somebody has dropped keeps the first from nothing."""
    world = World(service, "alternating-users")
    world.rotate()
    del world.database.accounts["app_clone"]
    assert not world.logs_in()
    for username in ("app", "app_clone"):
        world.rotate()
        assert world.login()[0] == username
        assert world.logs_in()


@pytest.mark.parametrize("status", ["InProgress", "Failed"])
def test_region_that_lags_behind(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """No turn begins while a replica may still hand out the idle user; one user is only warned."""
    describe = SecretStore.describe

    def behind(store: SecretStore, secret_id: str) -> Description:
        return replace(describe(store, secret_id), replication={"eu-west-1": status})

    monkeypatch.setattr(SecretStore, "describe", behind)
    with pytest.raises(ReplicaBehind, match="eu-west-1"):
        World(service, "alternating-users").begin()


# Dual password


def test_two_passwords(service: SecretsManagerService) -> None:
    """The password before goes on working until the next rotation."""
    world = World(service, "dual")
    for _ in range(3):
        before = world.login()
        world.rotate()
        assert world.logs_in()
        assert world.database.accepts(*before)


def test_two_passwords_set_before(service: SecretsManagerService) -> None:
    """A repeated setSecret evicts nothing."""
    world = World(service, "dual-by-itself")
    token = world.begin()
    world.step(token, "setSecret", "setSecret")
    world.database.accounts["app"].passwords = [world.login("AWSPENDING")[1]]
    world.step(token, "setSecret", "testSecret", "finishSecret")
    assert world.logs_in()


def test_two_passwords_of_a_broken_secret(service: SecretsManagerService) -> None:
    """Without an administrator, a user none of whose passwords works cannot be helped."""
    world = World(service, "dual-by-itself")
    token = world.begin()
    world.database.accounts["app"].passwords = ["changed by hand"]
    with pytest.raises(NoLoginWorks):
        world.step(token, "setSecret")


# What an engine may lack


class BareSession(Session):
    """A session of an engine that can nothing but change passwords."""

    engine: ClassVar[Engine] = replace(
        SimulatedSession.engine, strategies={StrategyName.SINGLE_USER: BY_USER}
    )

    def close(self) -> None:
        """Close."""

    def lock(self, name: str, seconds: float) -> Lock:
        """Take the lock."""
        return Lock.AT_ONCE

    def change_password(self, username: str, password: str) -> None:
        """Change nothing."""

    def account_problem(self, username: str) -> DatabaseError | None:
        """See nothing."""
        return None


def test_engine_without_capabilities(service: SecretsManagerService) -> None:
    """A strategy that a session cannot do is told by its name, with those that it can."""
    world = World(service, "alternating-users")
    event = RotationEvent(Step.SET, world.arn, str(uuid4()))
    settings = Settings.from_environment({}, Profile())
    rotation = Rotation(event, SecretStore(service.client()), settings, Deadline(60), Redactor())
    with pytest.raises(CapabilityMissing, match=r"alternating-users needs; it can do single-user"):
        second_user(rotation, BareSession())
    with pytest.raises(CapabilityMissing, match="dual-password needs") as caught:
        two_passwords(rotation, BareSession())
    assert f"--secret-id {world.arn} --tags Key=rotation:strategy,Value=single" in str(caught.value)


@pytest.mark.parametrize("strategy", ["alternating-users", "dual", "dual-by-itself"])
def test_server_too_old_for_the_strategy(service: SecretsManagerService, strategy: str) -> None:
    """What only the server knows is refused in setSecret, before the fence, and ends the attempt.

    The message says what the server lacks, and what it can do instead.
    """
    world = World(service, strategy)
    world.hooks.too_old_for = (StrategyName.ALTERNATING_USERS, StrategyName.DUAL_PASSWORD)
    token = world.begin()
    told = r"it can do single-user-by-administrator, single-user\. Version 1 is too old"
    with pytest.raises(CapabilityMissing, match=told):
        world.step(token, "setSecret")
    labels = service.labels(world.arn)
    assert "rotation-fence" not in labels
    assert labels.get("AWSPENDING") != token


def test_second_password_of_its_own(service: SecretsManagerService) -> None:
    """Where only an administrator can give a second password, a secret without one is refused."""
    world = World(service, "dual-password")
    event = RotationEvent(Step.SET, world.arn, str(uuid4()))
    settings = Settings.from_environment({}, Profile())
    rotation = Rotation(event, SecretStore(service.client()), settings, Deadline(60), Redactor())

    class ByAdministrator(BareSession):
        def set_both(self, username: str, new: str, old: str) -> None:
            """Set nothing."""

    with pytest.raises(StrategyNeedsAdministrator, match="dual-password of arn"):
        own_two_passwords(rotation, ByAdministrator())


def test_length_of_names() -> None:
    """Unless an engine counts otherwise, names are counted in characters."""
    HookedRotator.require_name("ü" * 60)
    with pytest.raises(NameTooLong, match="length of 61"):
        HookedRotator.require_name("x" * 61)


# What is stored


def test_plan_that_was_taken_away(service: SecretsManagerService) -> None:
    """Without the plan nobody guesses what was decided: createSecret ends the attempt."""
    world = World(service, "alternating-users")
    token = world.begin()
    (plan,) = [label for label in service.labels(world.arn) if label.startswith("rotation--")]
    service.client().update_secret_version_stage(
        SecretId=world.arn, VersionStage=plan, RemoveFromVersionId=token
    )
    with pytest.raises(ForeignPending):
        world.step(token, "setSecret")
    with pytest.raises(ForeignPending):
        world.step(token, "createSecret")
    assert "AWSPENDING" not in service.labels(world.arn)
    world.rotate()
    assert world.logs_in()


def test_passwords_of_other_users_are_passed_over(service: SecretsManagerService) -> None:
    """A version of another user's is never tried."""
    world = World(service, "single-user")
    client = service.client()
    other = '{"host": "h.test", "username": "other", "password": "the other passw0rd"}'
    client.put_secret_value(SecretId=world.arn, SecretString=other)
    wrong = '{"host": "h.test", "username": "app", "password": "a wrong passw0rd"}'
    client.put_secret_value(SecretId=world.arn, SecretString=wrong)
    tried: list[str] = []
    world.hooks.on_connect = lambda login: tried.append(login.password)
    world.rotate()
    assert "the other passw0rd" not in tried
    assert world.logs_in()


def test_twin_that_stored_first(service: SecretsManagerService) -> None:
    """A value that a twin of createSecret has stored is as good as its own."""
    world = World(service, "single-user")
    service.prepare_rotation(world.arn, token := str(uuid4()))

    def twin(operation: str, phase: str, index: int) -> None:
        if operation == "PutSecretValue" and phase == "before":
            service.on_request = None
            world.step(token, "createSecret")

    service.on_request = twin
    world.step(token, "createSecret")
    world.step(token, *STEPS[1:])
    assert world.logs_in()


@pytest.mark.parametrize("abandons", [True, False])
@pytest.mark.parametrize("strategy", ["single-user", "single-user-by-administrator"])
def test_current_edited_between_change_and_promotion(
    service: SecretsManagerService, strategy: str, abandons: bool
) -> None:
    """An AWSCURRENT stored while the change was made is not overruled, and logs in."""
    service._operations.edit_abandons_rotation = abandons
    world = World(service, strategy)
    token = world.begin()

    def edit(username: str, password: str) -> None:
        world.hooks.on_change = lambda username, password: None
        text = service.value(world.arn)
        service.client().put_secret_value(SecretId=world.arn, SecretString=text)

    world.hooks.on_change = edit
    with pytest.raises(CurrentChanged):
        world.step(token, "setSecret")
    assert world.logs_in()
    assert "AWSPENDING" not in service.labels(world.arn)
    world.rotate()
    assert world.logs_in()


def test_current_given_to_another_user_between_change_and_promotion(
    service: SecretsManagerService,
) -> None:
    """Another user's password is not set: whose secret it is was just decided by an operator."""
    world = World(service, "single-user")
    world.database.accounts["other"] = Account(["the other passw0rd"])
    token = world.begin()

    def edit(username: str, password: str) -> None:
        world.hooks.on_change = lambda username, password: None
        other = '{"host": "h.test", "username": "other", "password": "the other passw0rd"}'
        service.client().put_secret_value(SecretId=world.arn, SecretString=other)

    world.hooks.on_change = edit
    with pytest.raises(CurrentChanged):
        world.step(token, "setSecret")
    assert world.login() == ("other", "the other passw0rd")
    assert world.logs_in()


def test_clients(service: SecretsManagerService) -> None:
    """Both clients are made when they are first wanted, once, with bounded waits."""
    clients = Clients({})
    assert clients.rds() is clients.rds()
    assert clients.secretsmanager() is clients.secretsmanager()
    for client in (clients.rds(), clients.secretsmanager()):
        config: Any = client.meta.config
        assert config.connect_timeout <= 5
        assert config.read_timeout <= 5
        assert config.retries["total_max_attempts"] <= 3


def test_second_user_that_was_about_to_be_made(service: SecretsManagerService) -> None:
    """An attempt that ended between the fence and the second user is carried on: it is made now."""
    world = World(service, "alternating-users")
    token = world.begin()

    def vanish(*_: str) -> None:
        world.hooks.on_change = lambda *_: None
        msg = "The server is gone."
        raise Unreachable(msg)

    world.hooks.on_change = vanish
    with pytest.raises(Unreachable):
        world.step(token, "setSecret")
    assert service.labels(world.arn)["rotation-fence"] == token
    world.step(token, "setSecret", "testSecret", "finishSecret")
    assert world.login()[0] == "app_clone"
    assert world.logs_in()
