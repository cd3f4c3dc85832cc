"""Search, readers, and the test of a configuration: each message, on an engine in memory."""

from collections.abc import Callable

import pytest

from local.secretsmanager import SecretsManagerService
from shared.errors import (
    LoginRefused,
    NoLoginWorks,
    ProofFailed,
    ReaderBehind,
    StatementFailed,
)
from shared.model import Label, Login
from shared.strategies import strategy as strategies
from tests.unit.test_rotation import HookedSession, World

pytestmark = pytest.mark.usefixtures("no_pauses")

BY_ADMINISTRATOR = ("single-user-by-administrator", "alternating-users", "dual")


# A configuration is tested


# The search


def hopeless(service: SecretsManagerService, strategy: str = "single-user") -> World:
    """Return a secret whose user has a password that no version holds."""
    world = World(service, strategy)
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


def test_what_was_not_tried_is_told_once_and_in_order(service: SecretsManagerService) -> None:
    """Why versions were passed over is told, each reason once, the same in every run."""
    world = World(service, "single-user")
    for username in ("second", "first", "second"):
        text = f'{{"host": "h.test", "username": "{username}", "password": "the passw0rd"}}'
        service.client().put_secret_value(SecretId=world.arn, SecretString=text)
    text = '{"host": "h.test", "username": "app", "password": "a wrong passw0rd"}'
    service.client().put_secret_value(SecretId=world.arn, SecretString=text)
    world.database.accounts["app"].passwords = ["set by hand"]
    told = (
        "2 passwords were refused; not tried: PREVIOUS is of user second; "
        "REST is of user first; REST is of user second. The last refusal: "
    )
    with pytest.raises(NoLoginWorks) as caught:
        world.step(world.begin(), "setSecret")
    assert told in str(caught.value)


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
