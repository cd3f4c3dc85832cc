"""What error numbers of MySQL and MariaDB are turned into."""

import pytest

from rotators.mysql import error_codes
from shared.errors import (
    AccountLocked,
    DatabaseError,
    LoginRefused,
    PermissionDenied,
    ServerBusy,
    ServerReadOnly,
    StatementFailed,
    Unreachable,
)

PROVING = {1044, 1049, 1203, 1226, 1820, 1862, 3032, 3118, 4151}


def test_only_two_numbers_let_the_search_go_on() -> None:
    """LoginRefused is made of 1045 and 1698 in answer to a login, and of nothing else."""
    refusing = {
        code for code, meaning in error_codes.AT_LOGIN.items() if meaning.error is LoginRefused
    }
    assert refusing == {1045, 1698}
    assert all(
        not issubclass(meaning.error, LoginRefused) for meaning in error_codes.IN_STATEMENT.values()
    )


def test_what_proves_the_password() -> None:
    """Exactly the numbers that were seen to give way to 1045 prove the password."""
    proving = {code for code, meaning in error_codes.AT_LOGIN.items() if meaning.proves_password}
    assert proving == PROVING


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1040, ServerBusy),
        (1053, ServerBusy),
        (1129, ServerBusy),
        (1203, ServerBusy),
        (3955, AccountLocked),
        (2013, Unreachable),
        (0, Unreachable),
        (9999, StatementFailed),
    ],
)
def test_login(code: int, expected: type[DatabaseError]) -> None:
    """A number in answer to a login becomes its error; one that is not known says only that."""
    assert type(error_codes.at_login(code, "Login of app", "'app'@'%'")) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1045, PermissionDenied),
        (1698, PermissionDenied),
        (1290, ServerReadOnly),
        (1836, ServerReadOnly),
        (3100, ServerReadOnly),
        (1969, ServerBusy),
        (1064, StatementFailed),
        (2006, Unreachable),
    ],
)
def test_statement(code: int, expected: type[DatabaseError]) -> None:
    """A number in answer to a statement becomes its error; 1045 is no refused login there."""
    error = error_codes.in_statement(code, "app at host:1, to do it", "'app'@'%'")
    assert type(error) is expected
    assert "to do it" in error.message


def test_every_meaning_says_what_to_do() -> None:
    """Each entry names the number, the circumstances, and a hint."""
    for table in (error_codes.AT_LOGIN, error_codes.IN_STATEMENT):
        for code, meaning in table.items():
            error = meaning.raised(code, "Login of app at host:1", "'app'@'%'")
            assert str(code) in error.message
            assert "host:1" in error.message
            assert len(error.advice) > 20
            assert "{" not in error.advice
