"""Which strategy and which two users are chosen: pure decisions."""

import json

import pytest

from shared.errors import BadSetting
from shared.model import Description, Label, Login
from shared.options import Tag
from shared.settings import StrategyName
from shared.strategies import (
    NEEDS_ADMINISTRATOR,
    SECOND_USER_SUFFIX,
    STRATEGIES,
    choose_pair,
    choose_strategy,
    rights_are_managed,
)


def login(**fields: str) -> Login:
    """Return a login with these further fields."""
    document = {"host": "h", "username": "app", "password": "p", **fields}
    return Login.parse(json.dumps(document), where="the secret")


def description(labels: dict[str, set[str]] | None = None, **tags: str) -> Description:
    """Return a description with these labels, and tags such as ``second_user``."""
    return Description(
        arn="arn",
        stages={version: frozenset(found) for version, found in (labels or {}).items()},
        tags={f"rotation:{key.replace('_', '-')}": value for key, value in tags.items()},
        rotation_enabled=True,
        owning_service=None,
    )


def test_every_strategy_has_its_class() -> None:
    """Each name leads to the class that says so itself."""
    assert set(STRATEGIES) == set(StrategyName)
    for name, strategy in STRATEGIES.items():
        assert strategy.name is name


def test_strategies_that_need_an_administrator() -> None:
    """Those two cannot work without one; dual-password and single-user can."""
    assert set(NEEDS_ADMINISTRATOR) == {
        StrategyName.ALTERNATING_USERS,
        StrategyName.SINGLE_USER_BY_ADMINISTRATOR,
    }


@pytest.mark.parametrize("administrator", [False, True])
@pytest.mark.parametrize("default", [None, *StrategyName])
@pytest.mark.parametrize("tag", [None, *StrategyName])
def test_choice_of_the_strategy(
    tag: StrategyName | None, default: StrategyName | None, administrator: bool
) -> None:
    """The tag, else the function's setting, else what the secret allows."""
    current = login(**({"masterarn": "arn:administrator"} if administrator else {}))
    tags: dict[str, str] = {} if tag is None else {Tag.STRATEGY: tag.value}
    by_secret = StrategyName.ALTERNATING_USERS if administrator else StrategyName.SINGLE_USER
    assert choose_strategy(current, tags, default) is (tag or default or by_secret)


@pytest.mark.parametrize("text", ["", "Single-User", "alternating", "x" * 256])
def test_tag_that_is_no_strategy(text: str) -> None:
    """A tag that names none is refused by its name."""
    with pytest.raises(BadSetting, match="rotation:strategy"):
        choose_strategy(login(), {Tag.STRATEGY: text}, StrategyName.SINGLE_USER)


PINNED = Label.of_pair("app", "green")


@pytest.mark.parametrize(
    ("current", "found", "pair"),
    [
        # Nothing known: the current user is the first, whatever its name ends with.
        ("app", description(), ("app", "app_clone")),
        ("app_clone", description(), ("app_clone", "app_clone_clone")),
        # Tags.
        ("app", description(second_user="green"), ("app", "green")),
        ("app_clone", description(first_user="app"), ("app", "app_clone")),
        ("app", description(first_user="app"), ("app", "app_clone")),
        ("green", description(first_user="app", second_user="green"), ("app", "green")),
        ("app", description(first_user="app", second_user="green"), ("app", "green")),
        # What an earlier rotation pinned, on whatever version.
        ("app", description({"v1": {PINNED}}), ("app", "green")),
        ("green", description({"v0": set(), "v1": {PINNED, "AWSCURRENT"}}), ("app", "green")),
        ("green", description({"v1": {PINNED}}, second_user="green"), ("app", "green")),
        # A pinned pair of other users does not count.
        ("other", description({"v1": {PINNED}}), ("other", "other_clone")),
        # Tags overrule what is pinned.
        ("app", description({"v1": {PINNED}}, second_user="blue"), ("app", "blue")),
        (
            "app",
            description({"v1": {PINNED}}, first_user="app", second_user="blue"),
            ("app", "blue"),
        ),
    ],
)
def test_choice_of_the_pair(current: str, found: Description, pair: tuple[str, str]) -> None:
    """By tags, else by what was pinned, else by the name that AWS's functions make."""
    assert choose_pair(current, found) == pair


def test_suffix_is_that_of_aws() -> None:
    """Pairs that AWS's rotation functions made keep their names."""
    assert SECOND_USER_SUFFIX == "_clone"


@pytest.mark.parametrize(
    "found",
    [
        description(first_user="one", second_user="two"),
        description(first_user="app", second_user="app"),
        description(second_user="app"),
        description(first_user="other"),
    ],
)
def test_pairs_that_cannot_be(found: Description) -> None:
    """Tags must name two users, one of them the secret's."""
    with pytest.raises(BadSetting, match="rotation:first-user"):
        choose_pair("app", found)


@pytest.mark.parametrize(
    ("tags", "managed"),
    [
        ({}, True),
        ({Tag.RIGHTS: "managed"}, True),
        ({Tag.RIGHTS: " untouched "}, False),
    ],
)
def test_rights(tags: dict[str, str], managed: bool) -> None:
    """Rights are managed unless the tag says otherwise."""
    assert rights_are_managed(tags) is managed


@pytest.mark.parametrize("text", ["", "no", "Managed"])
def test_rights_tag_that_says_neither(text: str) -> None:
    """Any other text is refused by the tag's name."""
    with pytest.raises(BadSetting, match="rotation:rights"):
        rights_are_managed({Tag.RIGHTS: text})
