"""How a function is configured."""

import pytest

from shared.errors import BadSetting
from shared.model import Step
from shared.passwords import Profile
from shared.settings import DEFAULT_REFUSED_LOGINS, Settings, StrategyName


def settings(**environment: str) -> Settings:
    """Read the settings from these variables."""
    return Settings.from_environment(environment, Profile())


def test_defaults() -> None:
    """Without any variable: by the secret, promoted in setSecret, five refusals, own bundle."""
    found = settings()
    assert found.strategy is None
    assert found.promote_in is Step.SET
    assert found.refused_logins == DEFAULT_REFUSED_LOGINS == 5
    assert found.ca_file is None
    assert found.password_policy.length == 32


def test_empty_variables_are_defaults() -> None:
    """CloudFormation gives empty texts for parameters that are not set."""
    names = ["ROTATION_STRATEGY", "ROTATION_PROMOTE_IN", "ROTATION_REFUSED_LOGINS"]
    names += ["DATABASE_CA_FILE", "PASSWORD_LENGTH"]
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
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
