"""Generated passwords, and the variables that shape them."""

import string
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import BadSetting
from shared.options import Options, Tag, Variable
from shared.passwords import (
    CLASSES,
    DEFAULT_EXCLUDED,
    DEFAULT_LENGTH,
    ENOUGH,
    PasswordPolicy,
    Profile,
)

EVERYTHING = set("".join(CLASSES.values()))


def policy(profile: Profile | None = None, **environment: str) -> PasswordPolicy:
    """Read a policy from these variables."""
    return PasswordPolicy.from_environment(environment, profile or Profile())


def characters(found: PasswordPolicy, passwords: int = 200) -> set[str]:
    """Return the characters of many passwords."""
    return set("".join(found.generate() for _ in range(passwords)))


def test_defaults() -> None:
    """32 characters of all classes, without those that break URIs and shells."""
    found = policy()
    password = found.generate()
    assert len(password) == DEFAULT_LENGTH
    assert characters(found) == EVERYTHING - set(DEFAULT_EXCLUDED)
    for members in CLASSES.values():
        assert set(password) & set(members)


def test_classes_are_all_printable_characters() -> None:
    """The classes are disjoint, and printable ASCII but the space together."""
    assert "".join(sorted("".join(CLASSES.values()))) == "".join(map(chr, range(33, 127)))


@pytest.mark.parametrize("word", CLASSES)
def test_class_excluded(word: Variable) -> None:
    """Each EXCLUDE_ variable takes its class away and no other."""
    found = policy(None, **{word: "true", "EXCLUDE_CHARACTERS": ""})
    assert characters(found) == EVERYTHING - set(CLASSES[word])


@pytest.mark.parametrize("word", CLASSES)
def test_class_required(word: Variable) -> None:
    """Each class that is left occurs in every password, short ones too."""
    found = policy(PASSWORD_LENGTH="8")
    assert all(set(found.generate()) & set(CLASSES[word]) for _ in range(200))


def test_class_not_required() -> None:
    """With REQUIRE_EACH_INCLUDED_TYPE=false a password may lack a class."""
    found = policy(PASSWORD_LENGTH="8", REQUIRE_EACH_INCLUDED_TYPE="false")
    assert not all(set(found.generate()) & set(string.digits) for _ in range(200))


def test_characters_excluded() -> None:
    """EXCLUDE_CHARACTERS takes the place of the default exclusions."""
    assert characters(policy(EXCLUDE_CHARACTERS="")) == EVERYTHING
    assert characters(policy(EXCLUDE_CHARACTERS="abc123!")) == EVERYTHING - set("abc123!")


def test_class_emptied_by_excluded_characters_is_not_required() -> None:
    """A class of which nothing is left is no class: the policy stays possible."""
    found = policy(EXCLUDE_CHARACTERS=string.digits)
    assert len(found.classes) == 3
    assert not characters(found) & set(string.digits)


def test_engine_s_limits() -> None:
    """What the engine cannot take is left out, and its longest password is the limit."""
    profile = Profile(longest=20, forbidden="!#")
    assert not characters(policy(profile)) & set("!#")
    assert len(policy(profile).generate()) == 20
    assert len(policy(profile, PASSWORD_LENGTH="20").generate()) == 20
    with pytest.raises(BadSetting, match="8 to 20"):
        policy(profile, PASSWORD_LENGTH="21")


@pytest.mark.parametrize("length", ["8", "40", "4096"])
def test_length(length: str) -> None:
    """PASSWORD_LENGTH is obeyed from 8 to 4096."""
    assert len(policy(PASSWORD_LENGTH=length).generate()) == int(length)


@pytest.mark.parametrize("length", ["7", "0", "-8", "4097", "8.0", "eight", "٨", "9" * 5000])
def test_impossible_length(length: str) -> None:
    """Any other length is refused by name."""
    with pytest.raises(BadSetting, match="PASSWORD_LENGTH"):
        policy(PASSWORD_LENGTH=length)


def test_nothing_left_to_draw_from() -> None:
    """Excluding everything is refused by name."""
    with pytest.raises(BadSetting, match="EXCLUDE_"):
        policy(EXCLUDE_CHARACTERS="".join(EVERYTHING))
    with pytest.raises(BadSetting, match="EXCLUDE_"):
        policy(None, **dict.fromkeys(CLASSES, "true"))


ARN = "arn:the-secret"


def tightened(
    found: PasswordPolicy, length: str | None = None, excluded: str | None = None
) -> PasswordPolicy:
    """Return the policy with these tags of the secret's."""
    tags = {Tag.PASSWORD_LENGTH: length, Tag.EXCLUDE_CHARACTERS: excluded}
    given: dict[str, str] = {name: value for name, value in tags.items() if value is not None}
    return found.tightened(Options.of_tags(ARN, given))


def test_tags_that_ask_for_nothing() -> None:
    """Without tags, or with empty ones, the function's policy holds."""
    assert tightened(policy()) == tightened(policy(), "", " ") == policy()


def test_tags_that_tighten() -> None:
    """Longer passwords and fewer characters, each alone and both together."""
    found = tightened(policy(), "40", string.punctuation)
    assert len(found.generate()) == 40
    assert characters(found) == set(string.ascii_letters + string.digits)
    assert tightened(policy(), "32") == policy()
    assert tightened(policy(), None, "/@") == policy()


@pytest.mark.parametrize("length", ["31", "8", "100", "4097", "x"])
def test_tags_that_would_loosen_the_length(length: str) -> None:
    """A length below the function's, or beyond the engine's, is refused with both bounds."""
    with pytest.raises(BadSetting, match=f"^Tag {Tag.PASSWORD_LENGTH} of {ARN} .* 32 to 99, from"):
        tightened(policy(Profile(longest=99)), length)


@pytest.mark.parametrize(
    ("length", "kept"), [("32", "abcdef"), ("16", string.digits + "abcdefghijklmnopqrstuv")]
)
def test_tags_that_leave_just_enough(length: str, kept: str) -> None:
    """2**80 possible passwords are enough, whatever the length."""
    everything = "".join(EVERYTHING - set(kept))
    found = tightened(policy(PASSWORD_LENGTH=length), None, everything)
    assert found.possible() == len(kept) ** int(length) >= 2**80 > (len(kept) - 1) ** int(length)
    with pytest.raises(
        BadSetting, match=rf"leaves {len(kept) - 1} characters, too few .* {length}"
    ):
        tightened(policy(PASSWORD_LENGTH=length), None, everything + kept[0])


def test_tags_that_leave_nothing() -> None:
    """Who may only tag a secret cannot make its password one that is guessed."""
    with pytest.raises(BadSetting, match=f"{Tag.EXCLUDE_CHARACTERS} of {ARN} .* leaves 0"):
        tightened(policy(), "99", "".join(EVERYTHING))


def test_weak_policy_of_the_function_s_own() -> None:
    """Where the function itself asks for less, tags that leave it alone are no mistake."""
    weak = policy(PASSWORD_LENGTH="8")
    assert weak.possible() < ENOUGH
    assert tightened(weak) == weak
    assert tightened(weak, "9").length == 9
    with pytest.raises(BadSetting, match="too few"):
        tightened(weak, None, "a")


def test_every_character_is_equally_likely() -> None:
    """No character, and no place of a class, is preferred: chi-squared stays in bounds.

    With 88 degrees of freedom 180 is exceeded once in a hundred million runs.
    """
    found = policy(REQUIRE_EACH_INCLUDED_TYPE="false")
    alphabet = "".join(found.classes)
    counts = Counter("".join(found.generate() for _ in range(600)))
    expected = 600 * DEFAULT_LENGTH / len(alphabet)
    assert sum((counts[c] - expected) ** 2 / expected for c in alphabet) < 180


def test_required_classes_have_no_fixed_place() -> None:
    """A class that occurs once may stand anywhere."""
    found = policy(PASSWORD_LENGTH="8", EXCLUDE_CHARACTERS=string.digits[1:])
    places = Counter(found.generate().index("0") for _ in range(600))
    assert set(places) == set(range(8))


def test_passwords_differ() -> None:
    """No password comes twice."""
    found = policy(PASSWORD_LENGTH="16")
    assert len({found.generate() for _ in range(1000)}) == 1000


# How fast inputs are made depends on what else the machine does.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(
            ["PASSWORD_LENGTH", "EXCLUDE_CHARACTERS", "REQUIRE_EACH_INCLUDED_TYPE", *CLASSES]
        ),
        st.sampled_from(["true", "false", "", "8", "12", "abc", string.printable[:60]]) | st.text(),
    )
)
def test_any_variables_give_a_policy_or_are_refused(environment: dict[str, str]) -> None:
    """Whatever the variables say, passwords follow them, or one is named."""
    try:
        found = PasswordPolicy.from_environment(environment, Profile())
    except BadSetting:
        return
    password = found.generate()
    assert len(password) == found.length
    excluded = environment.get("EXCLUDE_CHARACTERS", DEFAULT_EXCLUDED)
    assert not set(password) & set(excluded)
