"""What each strategy says to the database, message by message, on an engine in memory."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from local.secretsmanager import SecretsManagerService, ServiceError
from shared.engine import BY_ADMINISTRATOR
from shared.errors import (
    AccessDenied,
    AccountLocked,
    AccountMissing,
    AdministratorUnproven,
    BadSecret,
    CapabilityMissing,
    CurrentChanged,
    DatabaseError,
    LoginRefused,
    NoLoginWorks,
    NotOurUser,
    PasswordExpired,
    PasswordRejected,
    ProofFailed,
    ReaderBehind,
    RightsDiffer,
    ServerBusy,
    StatementFailed,
    Unreachable,
)
from shared.model import Label, Login, Version
from shared.runtime import handler_for
from shared.session import Pair
from shared.settings import StrategyName
from shared.store import SecretStore
from shared.strategies import strategy as strategies
from tests.conformance.simulated import SIMULATED, Account, Database, SimulatedSession
from tests.unit.test_rotation import FIRST, HookedRotator, HookedSession, World

pytestmark = pytest.mark.usefixtures("no_pauses")

ADMINISTRATOR = ("administrator", "the admin's passw0rd")
WITH_ADMINISTRATOR = ("single-user-by-administrator", "alternating-users", "dual")


class Told(Database):
    """A database that keeps the messages that have an effect, and whom each login is of.

    Attributes:
        changes: What had an effect.
        logins: User and password of every login that was tried.
    """

    def __init__(self, accounts: dict[str, Account]) -> None:
        super().__init__(accounts)
        self.changes: list[str] = []
        self.logins: list[tuple[str, str]] = []

    @contextmanager
    def effect(self, message: str, session: SimulatedSession) -> Iterator[None]:
        """Have one effect."""
        self.changes.append(message)
        with super().effect(message, session):
            yield

    def forget(self) -> None:
        """Begin anew."""
        self.changes.clear()
        self.logins.clear()


class Watched(World):
    """A world whose database tells."""

    def __init__(
        self,
        service: SecretsManagerService,
        strategy: str,
        *,
        environment: dict[str, str] | None = None,
        **fields: Any,  # noqa: ANN401 (of the secret)
    ) -> None:
        super().__init__(service, strategy, **fields)
        self.told = Told(self.database.accounts)
        self.database = HookedRotator.database = self.told
        self.hooks.on_connect = self.hear
        if environment is not None:
            function = service.register("configured", handler_for(HookedRotator, environment))
            service.enable_rotation(self.arn, function)

    def hear(self, login: Login) -> None:
        """Keep a login."""
        self.told.logins.append((login.username, login.password))

    @property
    def tried(self) -> list[str]:
        """The passwords with which the first user has tried to log in."""
        return [password for username, password in self.told.logins if username == "app"]

    def store(self, password: str, username: str = "app", **fields: Any) -> None:  # noqa: ANN401
        """Store an AWSCURRENT by hand."""
        document = {**json.loads(self.service.value(self.arn)), **fields}
        document |= {"username": username, "password": password}
        self.service.client().put_secret_value(SecretId=self.arn, SecretString=json.dumps(document))

    def fence(self, token: str) -> None:
        """Put the fence on a version, as an attempt does that is killed after it."""
        move = {"SecretId": self.arn, "VersionStage": Label.FENCE, "MoveToVersionId": token}
        if Label.FENCE in (labels := self.service.labels(self.arn)):
            move["RemoveFromVersionId"] = labels[Label.FENCE]
        self.service.client().update_secret_version_stage(**move)

    def changed_before(self) -> str:
        """Begin a rotation that was killed between change and promotion; return its token."""
        token = self.begin()
        self.fence(token)
        username, password = self.login("AWSPENDING")
        self.database.accounts[username].passwords = [password]
        self.told.forget()
        return token


def assisted(service: SecretsManagerService, **options: Any) -> Watched:  # noqa: ANN401
    """Return a world whose user changes its own password, and has an administrator besides."""
    arn = service.create_secret(
        "administrator",
        {"host": "h.test", "username": "administrator", "password": "the admin's passw0rd"},
    )
    return Watched(service, "single-user", masterarn=arn, **options)


def facts(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return what the log lines of the steps that have succeeded tell."""
    return [vars(record) for record in caplog.records if record.message == "step succeeded"]


# A configuration is tested


# The search


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ("single-user", "CURRENT"),
        ("single-user-by-administrator", "CURRENT"),
        ("alternating-users", None),
        ("dual", None),
        ("dual-by-itself", "CURRENT"),
    ],
)
def test_what_a_healthy_rotation_tells(
    service: SecretsManagerService,
    caplog: pytest.LogCaptureFixture,
    strategy: str,
    told: str | None,
) -> None:
    """The log names what logged in, and nothing that there is nothing to tell about."""
    world = World(service, strategy)
    world.step(world.begin(), "setSecret")
    *_, line = facts(caplog)
    assert line.get("logged_in_with") == told
    assert not line.keys() & {"idle_sessions", "remarks", "put_back", "lock", "ended"}


@pytest.mark.parametrize(("source", "told"), [(-2, "PREVIOUS"), (0, "REST"), (None, "FENCE")])
def test_what_a_search_tells(
    service: SecretsManagerService,
    caplog: pytest.LogCaptureFixture,
    source: int | None,
    told: str,
) -> None:
    """The log names the place of the password that was in force."""
    world = Watched(service, "single-user")
    for number in range(2):
        world.store(f"passw0rd number {number}")
    if source is None:
        service.abandon(world.arn, world.changed_before())
    else:
        in_force = [FIRST, "passw0rd number 0", "passw0rd number 1"][source]
        world.database.accounts["app"].passwords = [in_force]
    world.step(world.begin(), "setSecret")
    assert facts(caplog)[-1]["logged_in_with"] == told
    assert world.logs_in()


def hopeless(service: SecretsManagerService, **options: Any) -> Watched:  # noqa: ANN401
    """Return a secret whose user has a password that no version holds."""
    world = Watched(service, "single-user", **options)
    world.database.accounts["app"].passwords = ["set by hand"]
    return world


def test_search_in_vain_is_remembered_on_each_attempt(service: SecretsManagerService) -> None:
    """The mark goes from attempt to attempt: the next one searches, too, and remembers."""
    world = hopeless(service)
    for _ in range(2):
        token = world.begin()
        with pytest.raises(NoLoginWorks):
            world.step(token, "setSecret")
        assert service.labels(world.arn)[Label.SEARCHED] == token
        if "AWSPENDING" in service.labels(world.arn):
            service.abandon(world.arn, token)


def test_search_in_vain_is_not_repeated(service: SecretsManagerService) -> None:
    """A retry tries AWSCURRENT and what the fence is on, and no other password again."""
    world = hopeless(service)
    for number in range(2):
        world.store(f"passw0rd number {number}")
    world.fence(token := world.begin())
    _, pending = world.login("AWSPENDING")
    often = []
    for _ in range(2):
        world.told.forget()
        with pytest.raises(NoLoginWorks):
            world.step(token, "setSecret")
        often.append(list(dict.fromkeys(world.tried)))
    current, first = "passw0rd number 1", "passw0rd number 0"
    assert often == [[current, pending, first, FIRST], [current, pending]]


def test_what_was_not_tried_is_told_once_and_in_order(service: SecretsManagerService) -> None:
    """Why versions were passed over is told, each reason once, the same in every run."""
    world = hopeless(service)
    service.client().put_secret_value(
        SecretId=world.arn, SecretString="{}", VersionStages=["broken"]
    )
    world.store("of another host", host="other.test")
    for username in ("second", "first", "third"):
        world.store("the passw0rd", username)
    world.store("no login", host="h.test")
    told = (
        "2 passwords were refused, of the 5 that ROTATION_REFUSED_LOGINS allows; "
        "not tried: PREVIOUS is of user third; "
        "REST is for another host, port or TLS option; REST is not usable; REST is of user first; "
        "REST is of user second. The last refusal: app was refused."
    )
    with pytest.raises(NoLoginWorks) as caught:
        world.step(world.begin(), "setSecret")
    assert told in str(caught.value)


@pytest.mark.parametrize("number", [0, 1])
def test_version_that_cannot_be_decrypted(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It is passed over, and told; the others are tried."""
    world = hopeless(service)
    world.store("passw0rd number 0")
    denied = service.labels(world.arn)["AWSCURRENT"]
    for later in (1, 2):
        world.store(f"passw0rd number {later}")
    read = SecretStore.version

    def version(store: SecretStore, secret_id: str, version_id: str) -> Version | None:
        if version_id == denied:
            raise AccessDenied("No key.")
        return read(store, secret_id, version_id)

    monkeypatch.setattr(SecretStore, "version", version)
    if number:
        world.database.accounts["app"].passwords = [FIRST]
        world.step(world.begin(), "setSecret")
        assert world.logs_in()
    else:
        with pytest.raises(NoLoginWorks, match=r"not tried: REST cannot be decrypted: No key\."):
            world.step(world.begin(), "setSecret")


def test_number_of_refused_logins(service: SecretsManagerService) -> None:
    """The search ends where the setting says, and tells so; an account may be locked by more."""
    world = hopeless(service, environment={"ROTATION_REFUSED_LOGINS": "2"})
    for number in range(3):
        world.store(f"passw0rd number {number}")
    with pytest.raises(
        NoLoginWorks,
        match="of the 2 that ROTATION_REFUSED_LOGINS allows; not tried: whatever is older",
    ):
        world.step(world.begin(), "setSecret")
    assert world.tried == ["passw0rd number 2", "passw0rd number 1"]


def test_password_that_several_versions_hold(service: SecretsManagerService) -> None:
    """A password that was refused is not tried again, wherever it stands."""
    world = hopeless(service)
    for number in (0, 1, 0, 1):
        world.store(f"passw0rd number {number}")
    with pytest.raises(NoLoginWorks, match="3 passwords were refused"):
        world.step(world.begin(), "setSecret")
    assert world.tried == ["passw0rd number 1", "passw0rd number 0", FIRST]


def test_what_logged_in_is_looked_at_again_under_the_lock(service: SecretsManagerService) -> None:
    """AWSCURRENT needs no second login; any other password does, and may be another one then."""
    world = Watched(service, "single-user")
    world.store("set by hand")  # where nothing was ever changed, there is no fence
    world.step(world.begin(), "setSecret")
    assert world.tried == ["set by hand", FIRST, FIRST, world.login()[1]]
    world.told.forget()
    before = world.login()[1]
    world.step(world.begin(), "setSecret")
    assert world.tried == [before, world.login()[1]]
    world.store("of another rotation")
    previous = world.login("AWSPREVIOUS")[1]
    world.told.forget()
    world.step(world.begin(), "setSecret")
    tried = ["of another rotation", previous, previous, world.login()[1]]
    assert world.tried == tried


def test_answer_that_names_an_older_version(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login of a version that is AWSCURRENT no more, by the labels, is no login of AWSCURRENT."""
    world = Watched(service, "dual-by-itself")
    world.rotate()
    old = world.login("AWSPREVIOUS")[1]
    token = world.begin()
    current, pending = world.login()[1], world.login("AWSPENDING")[1]
    read = SecretStore.current
    answers = ["AWSPREVIOUS"]

    def stale(store: SecretStore, secret_id: str) -> Version:
        if answers:
            return store._read(SecretId=secret_id, VersionStage=answers.pop())
        return read(store, secret_id)

    monkeypatch.setattr(SecretStore, "current", stale)
    world.told.forget()
    world.step(token, "setSecret")
    assert world.tried == [old, current, pending]
    assert world.database.accounts["app"].passwords == [pending, current]


# A user that has an administrator


def test_administrator_instead_of_guesses(
    service: SecretsManagerService, caplog: pytest.LogCaptureFixture
) -> None:
    """Only AWSCURRENT is tried, and nobody's leftovers; then the administrator sets it."""
    world = assisted(service)
    for number in range(2):
        world.store(f"passw0rd number {number}")
    world.database.accounts["app"].passwords = ["set by hand"]
    token = world.begin()
    _, pending = world.login("AWSPENDING")
    world.step(token, "setSecret")
    assert world.tried == ["passw0rd number 1", pending]
    assert world.told.changes == ["change the password of app"]
    assert facts(caplog)[-1]["logged_in_with"] == "ADMINISTRATOR"
    assert world.logs_in()


@pytest.mark.parametrize("helped", [True, False])
@pytest.mark.parametrize(
    ("error", "right"),
    [
        (PasswordExpired("Expired."), True),
        (ServerBusy("Too many.", proves_password=True), True),
        (ServerBusy("Too many."), False),
    ],
)
def test_right_password_that_cannot_be_used(
    service: SecretsManagerService, error: DatabaseError, right: bool, helped: bool
) -> None:
    """An administrator does what its user cannot; without one, or not knowing, it is an error."""
    world = assisted(service) if helped else Watched(service, "single-user")
    token = world.begin()

    def refuse(login: Login) -> None:
        if (login.username, login.password) == ("app", FIRST):
            raise error

    world.hooks.on_connect = refuse
    if helped and right:
        world.step(token, "setSecret")
        assert world.logs_in()
    else:
        with pytest.raises(type(error)):
            world.step(token, "setSecret")
        assert world.told.changes == []


def test_account_that_an_administrator_must_not_revive(service: SecretsManagerService) -> None:
    """What a DBA has locked is told, and its password is not set."""
    world = assisted(service)
    world.database.accounts["app"].passwords = ["set by hand"]
    world.hooks.problem = AccountLocked("Locked.")
    with pytest.raises(AccountLocked):
        world.step(world.begin(), "setSecret")
    assert world.told.changes == []


# One password


@pytest.mark.parametrize("strategy", ["single-user", "single-user-by-administrator"])
def test_change_that_an_earlier_delivery_has_made(
    service: SecretsManagerService, strategy: str
) -> None:
    """It is proven and promoted, and not made again."""
    world = Watched(service, strategy)
    token = world.changed_before()
    world.step(token, "setSecret")
    assert world.told.changes == []
    assert service.labels(world.arn)["AWSCURRENT"] == token
    assert world.logs_in()


def test_change_that_an_administrator_has_made(service: SecretsManagerService) -> None:
    """Where AWSCURRENT and the pending password are looked at by an administrator: likewise."""
    world = assisted(service)
    token = world.changed_before()
    _, pending = world.login("AWSPENDING")

    def expire(login: Login) -> None:
        world.hear(login)
        if login.password == FIRST:
            raise PasswordExpired("Expired.")

    world.hooks.on_connect = expire
    world.step(token, "setSecret")
    assert world.told.changes == []
    assert world.login()[1] == pending


@pytest.mark.parametrize("strategy", ["single-user", "single-user-by-administrator"])
@pytest.mark.parametrize("rejects", [True, False])
def test_change_of_an_abandoned_attempt(
    service: SecretsManagerService, strategy: str, rejects: bool
) -> None:
    """AWSCURRENT's password is brought into force first, if the policy lets it."""
    world = Watched(service, strategy)
    service.abandon(world.arn, world.changed_before())
    token = world.begin()
    _, pending = world.login("AWSPENDING")
    asked: list[tuple[str, str]] = []

    def history(username: str, password: str) -> None:
        asked.append((username, password))
        if rejects and password == FIRST:
            raise PasswordRejected("Used before.")

    world.hooks.on_change = history
    world.step(token, "setSecret")
    assert asked == [("app", FIRST), ("app", pending)]
    assert world.logs_in()


@pytest.mark.parametrize("strategy", ["single-user", "single-user-by-administrator"])
def test_promotion_that_is_refused(service: SecretsManagerService, strategy: str) -> None:
    """The former password is put back: AWSCURRENT logs in."""
    world = Watched(service, strategy)
    token = world.begin()

    def refuse(operation: str, phase: str, index: int) -> None:
        asked = service.requests[index - 1].parameters
        if operation == "UpdateSecretVersionStage" and asked["VersionStage"] == "AWSCURRENT":
            raise ServiceError("AccessDeniedException", "no")

    service.on_request = refuse
    with pytest.raises(AccessDenied, match="AWSCURRENT logs in"):
        world.step(token, "setSecret")
    assert world.logs_in()


@pytest.mark.parametrize("strategy", ["single-user", "single-user-by-administrator", "dual"])
def test_edit_between_change_and_finish(service: SecretsManagerService, strategy: str) -> None:
    """FinishSecret brings an edited AWSCURRENT into force, where a user has one password."""
    service._operations.edit_abandons_rotation = False
    world = Watched(service, strategy, environment={"ROTATION_PROMOTE_IN": "finishSecret"})
    token = world.begin()
    world.step(token, "setSecret", "testSecret")
    world.store("by hand")
    world.told.forget()
    with pytest.raises(CurrentChanged):
        world.step(token, "finishSecret")
    assert world.logs_in() is (strategy != "dual")
    assert world.told.changes == ["change the password of app"] * world.logs_in()


# Two passwords


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ([FIRST], ["add a password"]),
        (
            ["left behind", FIRST],
            [
                "add a password",
                "make the old password the first",
                "put the new password before it",
            ],
        ),
    ],
)
def test_second_password(
    service: SecretsManagerService, before: list[str], changes: list[str]
) -> None:
    """One statement where the known password is the first; else the other one is replaced."""
    world = Watched(service, "dual-by-itself")
    world.database.accounts["app"].passwords = before
    token = world.begin()
    _, pending = world.login("AWSPENDING")
    world.step(token, "setSecret")
    assert world.told.changes == changes
    assert world.database.accounts["app"].passwords == [pending, FIRST]


def test_second_password_beside_one_that_is_not_current(service: SecretsManagerService) -> None:
    """What has logged in stays, whatever AWSCURRENT is."""
    world = Watched(service, "dual-by-itself")
    world.store("by hand")
    token = world.begin()
    _, pending = world.login("AWSPENDING")
    world.step(token, "setSecret")
    assert world.database.accounts["app"].passwords == [pending, FIRST]


# Two users


def rich(service: SecretsManagerService, *, managed: bool = True) -> Watched:
    """Return two users that take turns, the first of which has rights."""
    world = Watched(service, "alternating-users")
    world.database.accounts["app"].rights = frozenset({"read"})
    if not managed:
        world.tag("rotation:rights", "untouched")
        world.database.accounts["app_clone"] = Account(["a DBA's"], mark=world.arn)
    return world


@pytest.mark.parametrize("managed", [True, False])
def test_rights_of_the_second_user(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch, managed: bool
) -> None:
    """They follow the first one's, and whom it acts as is looked at; not where a DBA keeps them."""
    asked: list[tuple[str, str]] = []

    def should_act_as(session: HookedSession, username: str, pair: Pair) -> None:
        asked.append((username, pair.first))

    monkeypatch.setattr(HookedSession, "should_act_as", should_act_as)
    world = rich(service, managed=managed)
    world.step(world.begin(), "setSecret", "testSecret")
    assert world.database.accounts["app_clone"].rights == set(["read"] * managed)
    assert asked == [("app_clone", "app")] * managed


def test_idle_user_that_an_earlier_delivery_has_prepared(service: SecretsManagerService) -> None:
    """It is proven once more and not touched, unless password or rights are others meanwhile."""
    world = rich(service)
    token = world.begin()
    clone, pending = world.login("AWSPENDING")
    world.step(token, "setSecret")
    world.told.forget()
    world.step(token, "setSecret")
    assert world.told.changes == []
    assert world.told.logins.count((clone, pending)) == 2
    world.database.accounts["app"].rights = frozenset({"read", "write"})
    world.step(token, "setSecret")
    assert world.told.changes == ["change the password of app_clone", "grant write"]
    world.told.forget()
    world.database.accounts[clone].passwords = ["by hand"]
    world.step(token, "setSecret")
    assert world.told.changes == ["change the password of app_clone"]
    assert world.logs_in("AWSPENDING")


@pytest.mark.parametrize("turn", ["app", "app_clone"])
@pytest.mark.parametrize("step", ["setSecret", "finishSecret"])
def test_rights_that_differ(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch, step: str, turn: str
) -> None:
    """A user with other rights is not promoted, whoever's turn it is; both steps look at them."""
    world = rich(service)
    if turn == "app":
        world.rotate()
    token = world.begin()
    if step == "finishSecret":
        world.step(token, "setSecret", "testSecret")
    asked: list[tuple[str, str]] = []

    def differences(session: HookedSession, pair: Pair, idle: str) -> list[str]:
        asked.append((pair.second, idle))
        return ["may write"]

    monkeypatch.setattr(HookedSession, "differences", differences)
    with pytest.raises(RightsDiffer, match="app and app_clone have different rights: may write"):
        world.step(token, step)
    assert asked == [("app_clone", turn)]


def test_rights_that_a_dba_keeps_are_not_compared(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where rights are untouched, different ones are nobody's business."""
    world = rich(service, managed=False)
    monkeypatch.setattr(HookedSession, "differences", lambda *_: ["may write"])
    world.rotate()
    assert world.login()[0] == "app_clone"


def test_second_user_that_a_dba_must_make(service: SecretsManagerService) -> None:
    """Where rights are untouched it is not made; it is told as missing at its turn, not before."""
    world = rich(service, managed=False)
    world.rotate()
    del world.database.accounts["app_clone"]
    world.rotate()
    assert world.login()[0] == "app"
    with pytest.raises(AccountMissing, match="User app_clone does not exist"):
        world.step(world.begin(), "setSecret")
    assert "app_clone" not in world.database.accounts


def test_second_user_of_somebody_else(service: SecretsManagerService) -> None:
    """The refusal tells what a DBA runs to adopt it."""
    world = rich(service)
    world.database.accounts["app_clone"] = Account(["its own"])
    with pytest.raises(NotOurUser, match=f"a DBA runs: MARK app_clone AS {world.arn}"):
        world.step(world.begin(), "setSecret")


@pytest.mark.parametrize("whom", ["app", "app_clone", "app app_clone"])
def test_whom_the_administrator_of_two_users_is_for(
    service: SecretsManagerService, whom: str
) -> None:
    """He must be for both users, whoever's turn it is."""
    world = rich(service)
    world.tag("rotation:rotates", whom, of="administrator")
    token = world.begin()
    if whom == "app app_clone":
        world.step(token, "setSecret")
        return
    with pytest.raises(AdministratorUnproven):
        world.step(token, "setSecret")


def test_what_is_told_of_two_users(
    service: SecretsManagerService,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log has the idle user's sessions, and what a DBA may want to know."""
    monkeypatch.setattr(HookedSession, "sessions_of", lambda *_: 2)
    monkeypatch.setattr(HookedSession, "remarks", lambda _: ["An old default privilege."])
    world = rich(service)
    world.step(world.begin(), "setSecret")
    *_, line = facts(caplog)
    assert line["idle_sessions"] == 2
    assert line["remarks"] == ["An old default privilege."]


def test_server_that_is_too_old_in_the_end(service: SecretsManagerService) -> None:
    """A server that was exchanged for an older one is told as such in finishSecret, too."""
    world = rich(service)
    token = world.begin()
    world.step(token, "setSecret", "testSecret")
    world.hooks.too_old_for = (StrategyName.ALTERNATING_USERS,)
    with pytest.raises(CapabilityMissing, match="Version 1 is too old"):
        world.step(token, "finishSecret")


# Whose session promotes


@pytest.mark.parametrize("users_rotate", [True, False])
@pytest.mark.parametrize("strategy", ["alternating-users", "dual"])
def test_session_that_promotes(
    service: SecretsManagerService,
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
    users_rotate: bool,
) -> None:
    """The user's own, unless only an administrator's has to be able to take a lock."""
    if not users_rotate:
        declared = dict.fromkeys(SIMULATED.strategies, BY_ADMINISTRATOR)
        engines = (replace(SIMULATED, strategies=declared),)
        monkeypatch.setattr(HookedRotator, "engines", engines)
    world = Watched(service, strategy)
    world.tag("rotation:rights", "untouched")
    world.database.accounts["app_clone"] = Account(["a DBA's"], mark=world.arn)
    token = world.begin()
    login = world.login("AWSPENDING")
    world.step(token, "setSecret", "testSecret")
    world.told.forget()
    world.step(token, "finishSecret")
    assert world.told.logins == [login if users_rotate else ADMINISTRATOR, login]


def test_session_that_compares_rights_promotes(service: SecretsManagerService) -> None:
    """It is the administrator's, who alone can."""
    world = rich(service)
    token = world.begin()
    login = world.login("AWSPENDING")
    world.step(token, "setSecret", "testSecret")
    world.told.forget()
    world.step(token, "finishSecret")
    assert world.told.logins == [ADMINISTRATOR, login]


# What is kept out of logs, and what is named in errors


def test_passwords_are_kept_out_of_errors(service: SecretsManagerService) -> None:
    """Every password that was read is known to the redactor, before anything may quote it."""
    world = assisted(service)
    token = world.begin()
    _, pending = world.login("AWSPENDING")
    for step, password in (("setSecret", FIRST), ("testSecret", pending)):

        def quote(login: Login, password: str = password) -> None:
            if login.password == password:
                raise Unreachable(f"Nobody answers {password}.")

        world.hooks.on_connect = quote
        with pytest.raises(Unreachable) as caught:
            world.step(token, step)
        assert password not in str(caught.value)


def test_value_that_is_not_usable_is_named(service: SecretsManagerService) -> None:
    """The error says which version of which secret it is about."""
    world = World(service, "single-user")
    service.client().put_secret_value(SecretId=world.arn, SecretString="[]")
    with pytest.raises(BadSecret, match=f"AWSCURRENT of secret {world.arn} is JSON but not"):
        world.begin()


# Why the proof is refused


def refusing(world: World) -> str:
    """Begin a rotation whose pending password is refused; return its token."""
    token = world.begin()
    _, pending = world.login("AWSPENDING")

    def refuse(login: Login) -> None:
        if login.password == pending:
            raise LoginRefused("Not that one.")

    world.hooks.on_connect = refuse
    return token


def test_account_that_cannot_be_looked_at(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the look at the account fails, the refusal is what is told."""
    world = World(service, "alternating-users")
    token = refusing(world)

    def fail(session: HookedSession, username: str) -> None:
        raise StatementFailed("No answer.")

    monkeypatch.setattr(HookedSession, "account_problem", fail)
    with pytest.raises(ProofFailed, match=r"app_clone was refused .*: Not that one\."):
        world.step(token, "setSecret")


# Readers


def lagging(reader: str) -> Callable[[Login], None]:
    """Return a hook by which a reader never follows."""

    def lag(login: Login) -> None:
        if login.host == reader:
            raise LoginRefused("Not yet.")

    return lag


def test_reader_that_never_follows(
    service: SecretsManagerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up when there is only time left to put the password back, and named."""
    monkeypatch.setattr(strategies, "READER_PATIENCE_ENDS_SECONDS", 1e9)
    world = World(service, "single-user")
    world.tag("rotation:reader-hosts", "reader.test")
    token = world.begin()
    world.hooks.on_connect = lagging("reader.test")
    with pytest.raises(ReaderBehind, match=r"reader\.test refuses app"):
        world.step(token, "setSecret")
    assert world.logs_in()


def test_readers_are_asked_at_the_secret_s_port(service: SecretsManagerService) -> None:
    """A reader is reached by its own host, and by the port and user of the secret."""
    world = World(service, "single-user", port=6000)
    world.tag("rotation:reader-hosts", "reader.test another.test")
    asked: list[tuple[str, int | None, str]] = []
    world.hooks.on_connect = lambda login: asked.append((login.host, login.port, login.username))
    world.rotate()
    assert {each for each in asked if each[0] != "h.test"} == {
        ("reader.test", 6000, "app"),
        ("another.test", 6000, "app"),
    }
