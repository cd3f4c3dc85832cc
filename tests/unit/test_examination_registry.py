"""The registry of codes, and the shape in which findings travel."""

import json
import re

import pytest

from shared import errors
from shared.examination.code import Examiner
from shared.examination.finding import SHAPE, Examination, Finding, Level
from shared.examination.outside import OUTSIDE
from shared.examination.registry import CODES, ERRORS, OWN, RETIRED, by_name, kinds

CODE_NAMES = [*CODES]

UNFORESEEABLE = {
    "BadEvent",
    "LockTimeout",
    "UnknownVersion",
    "VersionNotPending",
    "AttemptOutdated",
    "ValueNotReadable",
    "NoLoginWorks",
    "ProofFailed",
    "CurrentChanged",
}
"""What comes of a rotation's own events, changes and proofs: nothing to be seen before."""


@pytest.mark.parametrize("name", CODE_NAMES)
def test_a_code_tells_what_it_is_what_it_means_and_what_to_do(name: str) -> None:
    """Each code has a name of one word, a title without a full stop, and two texts."""
    code = CODES[name]
    assert re.fullmatch(r"([A-Z][a-z]+)+", code.name)
    assert code.title
    assert not code.title.endswith(".")
    assert code.meaning.endswith(".")
    assert code.do


def test_every_error_is_foreseen_or_said_not_to_be() -> None:
    """An error that is new either gets a code, or stands among those that cannot be foreseen."""
    groups = {"DatabaseError", "CannotRotate"}
    # A tool beside the functions may have errors of its own.
    ours = {kind.__name__ for kind in kinds() if kind.__module__ == errors.__name__}
    assert ours - groups - UNFORESEEABLE == set(ERRORS)


def test_a_name_stands_once() -> None:
    """A name cannot mean two things: not even one that is retired is used again."""
    code = CODES["LockHeld"]
    with pytest.raises(ValueError, match="LockHeld stands in the registry twice"):
        by_name((*OWN, code))
    assert len(CODES) == len(ERRORS) + len(OWN) + len(OUTSIDE) + len(RETIRED)


def test_each_examiner_has_codes_of_its_own() -> None:
    """What is found from outside stands in its own list, and nothing else does."""
    outside = {code.name for code in CODES.values() if code.examiner is Examiner.OUTSIDE}
    assert outside == {code.name for code in OUTSIDE} != set()


EXAMINATION = Examination(
    secret="arn:aws:secretsmanager:eu-central-1:1:secret:x",
    checks=("secret", "login", "lock"),
    findings=(
        Finding("login", "LoginRefused", Level.FAILURE, "User app was refused.", "Compare them."),
        Finding("lock", "LoginRefused", Level.NOT_LOOKED_AT),
    ),
    engine="postgres",
    server=None,
    strategy="single-user",
)


def test_an_answer_is_read_as_it_was_written() -> None:
    """What the function answers comes back from JSON as the same examination."""
    text = json.dumps(EXAMINATION.to_dict())
    assert Examination.from_dict(json.loads(text)) == EXAMINATION
    assert json.loads(text)["Findings"][1] == {
        "Check": "lock",
        "Code": "LoginRefused",
        "Level": "not-looked-at",
        "Seen": "",
        "Do": "",
    }


def test_an_answer_of_another_shape_is_not_guessed_at() -> None:
    """An answer of a newer function is refused, not misread."""
    document = EXAMINATION.to_dict()
    with pytest.raises(ValueError, match="shape 2 of an examination is not known"):
        Examination.from_dict({**document, "Examination": SHAPE + 1})


def test_only_failures_are_failures() -> None:
    """What was not looked at because of a failure is none itself."""
    assert [each.check for each in EXAMINATION.failures] == ["login"]
