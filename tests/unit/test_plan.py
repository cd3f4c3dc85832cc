"""What createSecret decides, and the staging label that tells it to every later step."""

import json
import re
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import BadSetting, StrategyNeedsAdministrator
from shared.model import Description, Label, Login, Stage, Version
from shared.options import Tag
from shared.passwords import Profile
from shared.plan import (
    LONGEST_NAME,
    SECOND_USER_SUFFIX,
    Plan,
    choose_users,
    digest,
    is_plan,
)
from shared.session import Pair
from shared.settings import SecretSettings, Settings, StrategyName
from shared.strategies import STRATEGIES
from tests.conformance.simulated import SIMULATED

TOKEN = "11111111-2222-3333-4444-555555555555"
SINGLE, BY_ADMINISTRATOR, ALTERNATING, DUAL = StrategyName
NEEDS_ADMINISTRATOR = {ALTERNATING, BY_ADMINISTRATOR}
LONGEST_LABEL = 256
"""In characters, as the API has it."""

user = st.text(min_size=1, max_size=80)
"""Whatever a user may be called; a MariaDB user may have 80 characters, of any kind."""

kinds = st.tuples(st.sampled_from(StrategyName), st.none()) | st.tuples(
    st.just(ALTERNATING), st.tuples(user, user)
)
plans = st.builds(
    lambda kind, **fields: Plan(strategy=kind[0], users=kind[1], **fields),
    kinds,
    made_from=st.uuids().map(str).map(digest),
    rights_are_managed=st.booleans(),
    asks_readers=st.booleans(),
)


def login(**fields: str) -> Login:
    """Return a login with these further fields."""
    document = {"host": "h", "username": "app", "password": "p", **fields}
    return Login.parse(json.dumps(document), where="the secret")


def description(labels: dict[str, set[str]] | None = None, /, **tags: str) -> Description:
    """Return a description with these labels, and tags such as ``second_user``."""
    return Description(
        arn="arn",
        stages={version: frozenset(found) for version, found in (labels or {}).items()},
        tags={f"rotation:{key.replace('_', '-')}": value for key, value in tags.items()},
        rotation_enabled=True,
        owning_service=None,
    )


def plan(strategy: StrategyName = ALTERNATING, **fields: Any) -> Plan:  # noqa: ANN401
    """Return a plan of which only these fields matter."""
    return Plan(strategy, digest("v0"), **fields)


def earlier(first: str, second: str, token: str = "earlier") -> str:
    """Return the label of an earlier rotation of these two users."""
    return plan(users=(first, second)).label(token)


# The label


@given(plans)
@example(plan(users=("a" * 88, "b" * 88), rights_are_managed=False, asks_readers=True))
@example(plan(users=("-", "--"), asks_readers=True))
@example(plan(users=("a--b", "-2d"), rights_are_managed=False))
@example(plan(users=("ü", "\N{GRINNING FACE}")))
@example(plan(BY_ADMINISTRATOR, rights_are_managed=False, asks_readers=True))
def test_plan_is_read_back(made: Plan) -> None:
    """Whatever is planned, and whatever users are called, its label tells; any names are found."""
    label = made.label(TOKEN)
    read = Plan.read({"AWSPENDING", label})
    assert read is not None
    assert read.with_names(*(made.users or ())) == made
    assert replace(read, users=made.users) == made
    assert read.lacks_names or read == made
    assert is_plan(label)


@given(plans)
@example(plan(users=("a" * 88, "b" * 88), rights_are_managed=False, asks_readers=True))
@example(plan(users=("ü" * 80, "-" * 80), rights_are_managed=False, asks_readers=True))
def test_label_is_one_that_every_version_may_have(made: Plan) -> None:
    """It stays within an alphabet that nobody refuses, and within the service's length."""
    label = made.label(TOKEN)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", label)
    assert len(label) <= LONGEST_LABEL


def test_label_that_is_stored_in_secrets_today() -> None:
    """The label's text is a format: plans of rotations under way are read after an update."""
    made = Plan(ALTERNATING, digest("v0"), ("app", "app-b"), asks_readers=True)
    assert made.label("v1") == (
        "rotation--3bfc269594ef6492--alternating-users--0270da4daac514f3"
        "--managed-readers--app--app-2db"
    )
    assert Plan(SINGLE, digest("v0"), rights_are_managed=False).label("v1") == (
        "rotation--3bfc269594ef6492--single-user--0270da4daac514f3--untouched"
    )


@pytest.mark.parametrize("length", [80, LONGEST_NAME, LONGEST_NAME + 1, 200])
def test_names_that_do_not_fit(length: int) -> None:
    """A name of 80 plain characters stands in the label; instead of a long one its digest does."""
    made = plan(users=("app", "x" * length))
    read = Plan.read([made.label(TOKEN)])
    assert read is not None
    assert read.lacks_names is (length > LONGEST_NAME)
    assert read.users is not None
    assert read.users[0] == "app"
    assert read.with_names("x" * length) == made
    if read.lacks_names:
        assert read.users[1] == "-z" + digest("x" * length)
        assert read.with_names("other", "names") == read


def test_digest_of_either_name() -> None:
    """Where both names are digests each is found again, or stays; names are never mixed up."""
    first, second = "ü" * 60, "ö" * 60
    made = plan(users=(first, second))
    read = Plan.read([made.label(TOKEN)])
    assert read is not None
    assert read.users == ("-z" + digest(first), "-z" + digest(second))
    assert read.with_names(second, first) == made
    assert read.with_names(second).users == ("-z" + digest(first), second)
    assert read.with_names(second).lacks_names


def test_names_of_one_user() -> None:
    """A plan without two users lacks no names, and gets none."""
    made = plan(SINGLE)
    assert not made.lacks_names
    assert made.with_names("app") is made


def test_label_is_the_attempt_s_own() -> None:
    """Two attempts with the same plan have two labels: storing one never takes the other's."""
    made = plan(SINGLE)
    assert made.label("one") != made.label("other")
    assert Plan.read([made.label("one")]) == Plan.read([made.label("other")]) == made


@given(
    st.text(st.characters(codec="utf-8") | st.sampled_from("-rotation0a"), max_size=60)
    | st.lists(st.sampled_from(["single-user", "0", "managed", "-zz", "-c3", ""]), max_size=8).map(
        lambda fields: "rotation--" + "--".join(fields)
    )
)
@example("rotation--")
@example("rotation--x--single-user")
@example("rotation--x--single-user--y")
@example("rotation--x--nothing--y--managed")
@example("rotation--x--alternating-users--y--managed--app---ff")
@example("rotation-fence")
def test_foreign_labels_are_read_without_an_error(label: str) -> None:
    """Anybody may put a label on a version: it is a plan, or it is none."""
    found = Plan.read([label])
    assert found is None or label.startswith("rotation--")


@pytest.mark.parametrize(
    "label",
    [
        *Stage,
        *Label,
        "",
        "rotation-",
        "x" + plan().label(TOKEN),
        "rotation--x--nothing--y--managed",
        "rotation--x--single-user--y",
    ],
)
def test_labels_that_are_no_plan(label: str) -> None:
    """The service's labels, the framework's others, and what only begins like one are none."""
    assert Plan.read([label]) is None


def test_plan_without_two_names() -> None:
    """A label that names one user only names no pair."""
    found = Plan.read([plan().label(TOKEN) + "--app"])
    assert found is not None
    assert found.users is None


def test_plan_among_other_labels() -> None:
    """The plan is found wherever it stands among the labels; without labels there is none."""
    made = plan(SINGLE)
    assert Plan.read(["AWSPENDING", "zzz", made.label(TOKEN)]) == made
    assert Plan.read([made.label(TOKEN), "AWSPENDING"]) == made
    assert Plan.read([]) is None


def test_what_is_a_plan_s_label() -> None:
    """Only labels with the plans' own beginning are taken off as superseded."""
    assert is_plan(plan().label(TOKEN))
    for label in (*Stage, *Label, "somebody's rotation--x", ""):
        assert not is_plan(label)


# What a plan says


def test_version_that_a_plan_was_made_from() -> None:
    """It is told by its id; no version at all is none."""
    assert plan().is_made_from("v0")
    assert not plan().is_made_from("v1")
    assert not plan().is_made_from(None)


@pytest.mark.parametrize(
    ("users", "current", "following"),
    [
        (None, "app", "app"),
        (("app", "green"), "app", "green"),
        (("app", "green"), "green", "app"),
    ],
)
def test_whose_turn_it_is(users: tuple[str, str] | None, current: str, following: str) -> None:
    """Two users take turns; one user is always its own successor."""
    assert plan(users=users).next_user(current) == following


def test_pair_as_sessions_know_it() -> None:
    """The pair has the secret's ARN as its owner; one user is no pair."""
    assert plan(users=("app", "green")).pair("arn") == Pair("app", "green", owner="arn")
    assert plan(SINGLE).pair("arn") is None


# Choosing


def wanted(found: Description, default: StrategyName | None = None) -> SecretSettings:
    """Return what these tags, and a function's setting, ask for."""
    environment = {} if default is None else {"ROTATION_STRATEGY": default.value}
    return SecretSettings.of(found, Settings.from_environment(environment, Profile()))


def users_of(current_user: str, found: Description) -> tuple[str, str]:
    """Choose the two users by labels and tags."""
    return choose_users(current_user, found, wanted(found))


def choose(found: Description, default: StrategyName | None = None, **fields: str) -> Plan:
    """Choose for a secret that was read as version v0."""
    current = Version("v0", frozenset({Stage.CURRENT}), "{}")
    return Plan.choose((SIMULATED,), current, login(**fields), found, wanted(found, default))


def test_plan_of_a_plain_secret() -> None:
    """Without tags and administrator one user changes its own password, and no reader is asked."""
    assert choose(description()) == Plan(SINGLE, digest("v0"))


def test_plan_with_every_tag() -> None:
    """Everything that tags say stands in the plan."""
    tags = {
        "strategy": "alternating-users",
        "first_user": "app",
        "second_user": "green",
        "rights": " untouched ",
        "reader_hosts": "reader-1 reader-2",
    }
    assert choose(description(**tags), masterarn="arn:administrator") == Plan(
        ALTERNATING,
        digest("v0"),
        users=("app", "green"),
        rights_are_managed=False,
        asks_readers=True,
    )


@pytest.mark.parametrize("strategy", [SINGLE, BY_ADMINISTRATOR, DUAL])
def test_plan_of_one_user(strategy: StrategyName) -> None:
    """Only alternating users are two; tags about two users are not even looked at elsewhere."""
    found = description(strategy=strategy, first_user="other")
    assert choose(found, masterarn="arn:administrator").users is None


@pytest.mark.parametrize(("hosts", "asked"), [("", False), (" \t", False), (" reader ", True)])
def test_readers_are_asked_if_there_are_any(hosts: str, asked: bool) -> None:
    """A tag without a host asks nobody."""
    assert choose(description(reader_hosts=hosts)).asks_readers is asked


@pytest.mark.parametrize("text", ["managed", " managed "])
def test_rights_are_managed(text: str) -> None:
    """They are, where the tag says so."""
    assert choose(description(rights=text)).rights_are_managed


def test_strategies_that_need_an_administrator() -> None:
    """Two of them cannot be planned without one, also where the function's setting asks for it."""
    for strategy in StrategyName:
        for tags, default in (({"strategy": strategy.value}, None), ({}, strategy)):
            assert choose(description(**tags), default, masterarn="arn:a").strategy is strategy
            if strategy not in NEEDS_ADMINISTRATOR:
                assert choose(description(**tags), default).strategy is strategy
                continue
            with pytest.raises(StrategyNeedsAdministrator, match=f"{strategy} of arn"):
                choose(description(**tags), default)


def test_every_strategy_has_its_class() -> None:
    """Each name leads to the class that says so itself."""
    assert set(STRATEGIES) == set(StrategyName)
    for name, strategy in STRATEGIES.items():
        assert strategy.name is name


@pytest.mark.parametrize("administrator", [False, True])
@pytest.mark.parametrize("default", [None, *StrategyName])
@pytest.mark.parametrize("tag", [None, *StrategyName])
def test_choice_of_the_strategy(
    tag: StrategyName | None, default: StrategyName | None, administrator: bool
) -> None:
    """The tag, else the function's setting, else what the secret allows."""
    current = login(**({"masterarn": "arn:administrator"} if administrator else {}))
    found = description(**({} if tag is None else {"strategy": tag.value}))
    by_secret = ALTERNATING if administrator else SINGLE
    chosen = tag or default or by_secret
    version = Version("v0", frozenset({Stage.CURRENT}), "{}")
    if not administrator and chosen in NEEDS_ADMINISTRATOR:
        with pytest.raises(StrategyNeedsAdministrator):
            Plan.choose((SIMULATED,), version, current, found, wanted(found, default))
    else:
        made = Plan.choose((SIMULATED,), version, current, found, wanted(found, default))
        assert made.strategy is chosen


# The two users


PAIR = earlier("app", "green")


@pytest.mark.parametrize(
    ("current", "found", "users"),
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
        # What an earlier rotation planned, on whatever version.
        ("app", description({"v1": {PAIR}}), ("app", "green")),
        ("green", description({"v0": set(), "v1": {PAIR, "AWSCURRENT"}}), ("app", "green")),
        ("green", description({"v1": {PAIR}}, second_user="green"), ("app", "green")),
        # Without the plan the second user would be taken for a first one.
        ("app_clone", description({"v1": {earlier("app", "app_clone")}}), ("app", "app_clone")),
        # The plans of other users, and of one user, do not count.
        ("other", description({"v1": {PAIR}}), ("other", "other_clone")),
        ("app", description({"v1": {plan(SINGLE).label("t")}}), ("app", "app_clone")),
        ("app", description({"v1": {plan(SINGLE).label("t")}, "v2": {PAIR}}), ("app", "green")),
        # Tags overrule what was planned, while the first user is in use.
        ("app", description({"v1": {PAIR}}, second_user="blue"), ("app", "blue")),
        (
            "app",
            description({"v1": {PAIR}}, first_user="app", second_user="blue"),
            ("app", "blue"),
        ),
        (
            "green",
            description({"v1": {PAIR}}, first_user="green", second_user="blue"),
            ("green", "blue"),
        ),
    ],
)
def test_choice_of_the_users(current: str, found: Description, users: tuple[str, str]) -> None:
    """By tags, else by an earlier plan, else by the name that AWS's functions make."""
    assert users_of(current, found) == users


@pytest.mark.parametrize("reverse", [False, True])
def test_plan_of_the_version_in_use_counts_first(reverse: bool) -> None:
    """Where versions tell different pairs, AWSCURRENT's is the one; any other's comes after it."""
    versions = [
        ("v1", {earlier("app", "green")}),
        ("v2", {earlier("app", "blue"), "AWSCURRENT"}),
        ("v3", {earlier("app", "red"), "AWSPREVIOUS"}),
    ]
    found = description(dict(reversed(versions) if reverse else versions))
    assert users_of("app", found) == ("app", "blue")


def test_second_user_is_not_exchanged_while_it_is_in_use() -> None:
    """Its place would be taken by a user that was never made equal to the first."""
    found = description({"v1": {PAIR, "AWSCURRENT"}}, second_user="blue")
    with pytest.raises(BadSetting, match="names blue, but green, the second user of app, is in"):
        users_of("green", found)
    assert users_of("app", found) == ("app", "blue")


LONG = "ü" * 40
"""Does not fit into a label."""


@pytest.mark.parametrize("current", [LONG, LONG + "_clone"])
def test_long_names_are_found_among_what_may_be_meant(current: str) -> None:
    """Either user finds the other by the suffix, though the label has only digests."""
    found = description({"v1": {earlier(LONG, LONG + "_clone")}})
    assert users_of(current, found) == (LONG, LONG + "_clone")


def test_long_name_is_found_among_the_tags() -> None:
    """Names that only tags tell are found as well: the tagged one, and what it stands for."""
    other = "ö" * 40
    found = description({"v1": {earlier(LONG, other)}}, second_user=other)
    assert users_of(LONG, found) == (LONG, other)
    assert users_of(other, description({"v1": {earlier("app", other)}})) == ("app", other)


def test_digest_is_never_taken_for_a_name() -> None:
    """Where nothing tells the other user's name any more, no user is called like its digest."""
    found = description({"v1": {earlier("app", "ö" * 60), "AWSCURRENT"}})
    with suppress(BadSetting):
        assert "-z" not in " ".join(users_of("app", found))


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
        description({"v1": {PAIR}}, first_user="green"),
        description({"v1": {PAIR}}, second_user="app"),
    ],
)
def test_pairs_that_cannot_be(found: Description) -> None:
    """Tags must name two users, one of them the secret's."""
    with pytest.raises(BadSetting, match=f"{Tag.FIRST_USER} and {Tag.SECOND_USER} of arn name"):
        users_of("app", found)


def test_names_can_be_read_by_people() -> None:
    """Letters, digits and ``_`` stand in the label as they are; any other byte as two digits."""
    plan = Plan(ALTERNATING, digest("v"), users=("app_1", "äpp_1"))
    assert plan.label(TOKEN).endswith("--managed--app_1---c3-a4pp_1")


def test_label_that_is_no_text() -> None:
    """Half of a surrogate pair, which nobody can have stored, does no harm."""
    label = Plan(ALTERNATING, digest("v"), users=("app", "app_clone")).label(TOKEN)
    read = Plan.read([label.replace("clone", "\udc80")])
    assert read is not None
    assert read.users == ("app", "app_?")
