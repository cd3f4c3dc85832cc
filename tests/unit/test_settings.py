"""How a function is configured, and what the tags of a secret say."""

import re
from pathlib import Path

import pytest

from shared.errors import BadSetting
from shared.model import Description, Step
from shared.options import Tag, Variable
from shared.passwords import Profile
from shared.settings import (
    DEFAULT_LOCK_SECONDS,
    DEFAULT_REFUSED_LOGINS,
    InUse,
    Rights,
    SecretSettings,
    Settings,
    StrategyName,
    capability_missing,
)

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders-AbCdEf"
ACCOUNT = "c9akciq32rgh.eu-central-1.rds.amazonaws.com"
PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def settings(**environment: str) -> Settings:
    """Read the settings from these variables."""
    return Settings.from_environment(environment, Profile())


def test_defaults() -> None:
    """Without any variable: by the secret, promoted in setSecret, five refusals, own bundle."""
    found = settings()
    assert found.strategy is None
    assert found.promote_in is Step.SET
    assert found.refused_logins == DEFAULT_REFUSED_LOGINS == 5
    assert found.lock_seconds == DEFAULT_LOCK_SECONDS == 20
    assert found.ca_file is None
    assert found.password_policy.length == 32


def test_empty_variables_are_defaults() -> None:
    """CloudFormation gives empty texts for parameters that are not set."""
    names = {*Variable} - {Variable.EXCLUDE_CHARACTERS}
    assert settings(**dict.fromkeys(names, "")) == settings()


@pytest.mark.parametrize("name", StrategyName)
def test_strategy(name: StrategyName) -> None:
    """Each strategy by its name, spaces around it forgiven."""
    assert settings(ROTATION_STRATEGY=f" {name.value} ").strategy is name


@pytest.mark.parametrize("step", [Step.SET, Step.FINISH])
def test_promotion(step: Step) -> None:
    """The promotion is in setSecret or in finishSecret."""
    assert settings(ROTATION_PROMOTE_IN=step.value).promote_in is step


@pytest.mark.parametrize("number", [1, 5, 99])
def test_refused_logins(number: int) -> None:
    """One refusal must be possible: nobody knows beforehand whether AWSCURRENT is refused."""
    assert settings(ROTATION_REFUSED_LOGINS=str(number)).refused_logins == number


@pytest.mark.parametrize("number", [1, 20, 60])
def test_lock_seconds(number: int) -> None:
    """How long a delivery waits for another one, up to a minute."""
    assert settings(ROTATION_LOCK_SECONDS=str(number)).lock_seconds == number


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROTATION_LOCK_SECONDS", "0"),
        ("ROTATION_LOCK_SECONDS", "61"),
        ("ROTATION_LOCK_SECONDS", "1.5"),
        ("ROTATION_STRATEGY", "alternating"),
        ("ROTATION_PROMOTE_IN", "testSecret"),
        ("ROTATION_PROMOTE_IN", "setsecret"),
        ("ROTATION_REFUSED_LOGINS", "0"),
        ("ROTATION_REFUSED_LOGINS", "00"),
        ("ROTATION_REFUSED_LOGINS", "100"),
        ("ROTATION_REFUSED_LOGINS", "-1"),
        ("ROTATION_REFUSED_LOGINS", "٣"),
        ("ROTATION_REFUSED_LOGINS", "9" * 5000),
    ],
)
def test_impossible_values(name: str, value: str) -> None:
    """A value that is none is refused by the variable's name, and not shown at length."""
    with pytest.raises(BadSetting, match=name) as caught:
        settings(**{name: value})
    assert len(str(caught.value)) < 400


# Tags


def secret(tags: dict[str, str], **environment: str) -> SecretSettings:
    """Read a secret's tags, with these variables of the function's."""
    return SecretSettings.of(Description(ARN, {}, tags, True, None), settings(**environment))


@pytest.mark.parametrize("tags", [{}, dict.fromkeys(Tag, ""), {"team": "orders"}])
def test_tags_that_say_nothing(tags: dict[str, str]) -> None:
    """Without tags the function's settings hold, rights are managed, sessions are warned about."""
    found = secret(tags)
    assert (found.strategy, found.first_user, found.second_user, found.adopt) == (None, "", "", "")
    assert (found.rights, found.in_use) == (Rights.MANAGED, InUse.WARN)
    assert found.reader_hosts == ()
    assert found.password_policy == settings().password_policy


def test_every_tag_is_read() -> None:
    """Each tag is found where it belongs; those of administrators' secrets are no mistake."""
    found = secret(
        {
            Tag.STRATEGY: "dual-password",
            Tag.FIRST_USER: "app",
            Tag.SECOND_USER: " app two ",
            Tag.ADOPT: "app 3",
            Tag.RIGHTS: "untouched",
            Tag.IN_USE: "refuse",
            Tag.READER_HOSTS: " one.example.com  10.0.0.1 ::1",
            Tag.PASSWORD_LENGTH: "40",
            Tag.EXCLUDE_CHARACTERS: "abc",
            Tag.ADMINISTRATOR: "postgres",
            Tag.ROTATES: "app*",
        },
        ROTATION_STRATEGY="single-user",
    )
    assert found.strategy is StrategyName.DUAL_PASSWORD
    assert (found.first_user, found.second_user, found.adopt) == ("app", "app two", "app 3")
    assert (found.rights, found.in_use) == (Rights.UNTOUCHED, InUse.REFUSE)
    assert found.reader_hosts == ("one.example.com", "10.0.0.1", "::1")
    assert found.password_policy.length == 40
    assert not set("abc") & set("".join(found.password_policy.classes))


def test_function_s_strategy_holds_without_a_tag() -> None:
    """The function's strategy is for secrets that have none of their own."""
    assert secret({}, ROTATION_STRATEGY="single-user").strategy is StrategyName.SINGLE_USER


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        (Tag.STRATEGY, "alternating", "one of single-user, .*, dual-password"),
        (Tag.RIGHTS, "mine", "one of managed, untouched"),
        (Tag.IN_USE, "stop", "one of warn, refuse"),
        (Tag.PASSWORD_LENGTH, "16", "a number from 32 to 4096"),
        (Tag.READER_HOSTS, "a.example.com,b.example.com", "no commas"),
        (Tag.READER_HOSTS, "a.example.com, b.example.com", "no commas"),
        (Tag.READER_HOSTS, "a.example.com:5432", "without ports"),
        (Tag.READER_HOSTS, "a.example.com /tmp", "names or addresses"),
        ("rotation:stratergy", "single-user", "did you mean rotation:strategy"),
    ],
)
def test_impossible_tags(name: str, value: str, allowed: str) -> None:
    """Tag, secret and value are told, and what is allowed."""
    with pytest.raises(BadSetting, match=allowed) as caught:
        secret({name: value})
    assert caught.value.message.startswith(f"Tag {name} of {ARN} is ")


def test_readers_of_the_writer() -> None:
    """Readers of the writer's own account, in its Region, are taken."""
    readers: dict[str, str] = {Tag.READER_HOSTS: f"orders.cluster-ro-{ACCOUNT} orders-2.{ACCOUNT}"}
    secret(readers).require_related_readers(f"orders.cluster-{ACCOUNT}")
    secret({}).require_related_readers("localhost")


def test_readers_of_somebody_else() -> None:
    """Who may only tag a secret cannot have its new password sent to a host of his own."""
    readers: dict[str, str] = {Tag.READER_HOSTS: f"orders-2.{ACCOUNT} db.evil.example"}
    with pytest.raises(BadSetting, match=r"which db\.evil\.example is not") as caught:
        secret(readers).require_related_readers(f"orders.{ACCOUNT}")
    assert f"Tag {Tag.READER_HOSTS} of {ARN}" in caught.value.message


def test_strategy_that_the_engine_cannot_do() -> None:
    """What it can do instead is told, with a command that chooses the first of it."""
    possible = [StrategyName.SINGLE_USER, StrategyName.ALTERNATING_USERS]
    error = capability_missing(ARN, StrategyName.DUAL_PASSWORD, possible)
    assert error.message.endswith("dual-password needs; it can do single-user, alternating-users.")
    command = f"secretsmanager tag-resource --secret-id {ARN} --tags Key={Tag.STRATEGY},Value="
    assert f"`aws {command}single-user`" in error.advice


# The page


def documented() -> list[str]:
    """Return what the first columns of the page's tables name."""
    rows = re.findall(r"^\| (`[^|]*) \|", PAGE.read_text(), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_every_tag_and_variable_has_its_row() -> None:
    """The page lists each that the code knows, once, and no other."""
    assert sorted(documented()) == sorted([*Tag, *Variable])
