"""Passwords struck from texts."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.redaction import REPLACEMENT, SHORTEST, Redactor

PASSWORD = "p%s'w\"o\\r/d@ ünïcode ⚿"


def scrubbed(text: str, *secrets: str | None) -> str:
    """Return the text without these secrets."""
    redactor = Redactor()
    redactor.learn(*secrets)
    return redactor.scrub(text)


@pytest.mark.parametrize(
    "shown",
    [
        PASSWORD,
        repr(PASSWORD),
        repr({"password": PASSWORD}),
        json.dumps(PASSWORD),
        json.dumps(PASSWORD, ensure_ascii=False),
        json.dumps({"password": PASSWORD}),
        PASSWORD.replace("'", "''"),
        "ALTER USER x IDENTIFIED BY '" + PASSWORD.replace("\\", "\\\\").replace("'", "\\'") + "'",
        f"postgresql://app:{quote(PASSWORD, safe='')}@host/db",
        base64.b64encode(PASSWORD.encode()).decode(),
    ],
)
def test_forms_in_which_a_password_is_shown(shown: str) -> None:
    """As it is, quoted for Python, JSON, SQL or a URI, or in Base64: it is struck."""
    found = scrubbed(f"before {shown} after", PASSWORD)
    assert REPLACEMENT in found
    assert found.startswith("before ")
    assert found.endswith(" after")
    for part in ("ünïcode", "w\\", "%s'"):
        assert part not in found


@given(st.text(st.characters(), min_size=SHORTEST), st.text(st.characters()))
@example("half of a pair \ud800", "")
def test_no_password_survives(password: str, text: str) -> None:
    """Whatever a password is, halves of surrogate pairs included, no text keeps it."""
    found = scrubbed(f"{text}{password}{text}{json.dumps(password)}", password)
    assert password not in found.replace(REPLACEMENT, "\0")


def test_longest_first() -> None:
    """A password that is a part of another does not leave the rest of that one standing."""
    assert scrubbed("secret-longer", "secret", "secret-longer") == REPLACEMENT


def test_short_and_missing_values() -> None:
    """Nothing, and values that would match everywhere, are not struck."""
    assert scrubbed("abc None", "abc", None, "") == "abc None"


def test_invocations_know_their_own_only() -> None:
    """A redactor that learned nothing changes nothing."""
    assert scrubbed(PASSWORD) == PASSWORD
