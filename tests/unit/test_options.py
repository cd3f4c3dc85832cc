"""What an operator sets, read by one mechanism."""

from enum import StrEnum

import pytest

from shared.errors import BadSetting
from shared.options import Options, Tag

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders-AbCdEf"


class Fruit(StrEnum):
    """Something to choose from."""

    APPLE = "apple"
    PEAR = "pear"


@pytest.mark.parametrize("text", ["pear", " pear\n"])
def test_word(text: str) -> None:
    """A word is read whatever surrounds it."""
    assert Options({"FRUIT": text}).word("FRUIT", Fruit) is Fruit.PEAR


@pytest.mark.parametrize("values", [{}, {"NAME": ""}, {"NAME": "  "}])
def test_nothing_is_set(values: dict[str, str]) -> None:
    """What is missing, empty or blank is not set, whatever is looked for."""
    found = Options(values)
    assert found.word("NAME", Fruit) is None
    assert found.number("NAME", range(1, 10)) is None
    assert found.flag("NAME") is None
    assert found.text("NAME") == ""


@pytest.mark.parametrize("text", ["1", " 9 ", "5"])
def test_number(text: str) -> None:
    """A number within its range is read."""
    assert Options({"N": text}).number("N", range(1, 10)) == int(text)


@pytest.mark.parametrize("text", ["0", "10", "-1", "1.0", "one", "٣", "²", "9" * 5000, "0x1"])
def test_impossible_number(text: str) -> None:
    """Any other is refused, the range named, and not shown at length."""
    with pytest.raises(BadSetting, match=r"^N is .*a number from 1 to 9") as caught:
        Options({"N": text}).number("N", range(1, 10))
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("text", "meaning"),
    [(word, True) for word in ("true", "True", " 1 ", "yes")]
    + [(word, False) for word in ("false", "FALSE", "0", "no")],
)
def test_flag(text: str, meaning: bool) -> None:
    """Yes and no in the usual spellings."""
    assert Options({"FLAG": text}).flag("FLAG") is meaning


@pytest.mark.parametrize("text", ["2", "maybe", "on ly", "ja"])
def test_flag_that_says_neither(text: str) -> None:
    """Anything else is refused, and what it may say is told."""
    with pytest.raises(BadSetting, match=r"^FLAG is .* one of true, 1, yes, false, 0, no"):
        Options({"FLAG": text}).flag("FLAG")


@pytest.mark.parametrize("text", ["plum", "Pear"])
def test_refused_word_of_a_variable(text: str) -> None:
    """Name, value and what there is to choose from are told."""
    with pytest.raises(BadSetting, match=rf"^FRUIT is '{text}'; it must be one of apple, pear\. "):
        Options({"FRUIT": text}).word("FRUIT", Fruit)


def test_refused_word_of_a_tag() -> None:
    """The secret is told besides, with a command that takes the tag off."""
    with pytest.raises(BadSetting) as caught:
        Options.of_tags(ARN, {"fruit": "plum"}).word("fruit", Fruit)
    assert caught.value.message == f"Tag fruit of {ARN} is 'plum'; it must be one of apple, pear."
    command = f"`aws secretsmanager untag-resource --secret-id {ARN} --tag-keys fruit`"
    assert command in caught.value.advice


@pytest.mark.parametrize(
    "tags",
    [
        dict.fromkeys(Tag, "x"),
        {"team": "a", "rotation": "b", "aws:rotation:strategy": "c", "Rotations": "d"},
    ],
)
def test_tags_that_are_known_or_not_ours(tags: dict[str, str]) -> None:
    """Every tag of the project's is taken, and anybody else's."""
    assert Options.of_tags(ARN, tags).values == tags


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("rotation:stratergy", Tag.STRATEGY),
        ("Rotation:Strategy", Tag.STRATEGY),
        ("rotation: rights", Tag.RIGHTS),
        ("rotation:reader-host", Tag.READER_HOSTS),
        ("rotation:seconduser", Tag.SECOND_USER),
        ("rotation:rotate", Tag.ROTATES),
        ("rotation:inuse", Tag.IN_USE),
    ],
)
def test_misspelt_tag(name: str, meant: Tag) -> None:
    """A tag of ours that there is not is refused, and the nearest one told."""
    with pytest.raises(BadSetting, match=f"did you mean {meant}") as caught:
        Options.of_tags(ARN, {name: "x"})
    assert caught.value.message.startswith(f"Tag {name} of {ARN} is no tag")
    quoted = f"'{name}'" if " " in name else name
    assert f"--tag-keys {quoted}`" in caught.value.advice
