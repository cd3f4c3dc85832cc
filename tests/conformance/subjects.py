"""Which engines and strategies a test is run with: all of them, and few of them in `make test`."""

from collections.abc import Iterable

import pytest

from tests.kit.pairs import SUBJECTS, Subject

QUICK = frozenset(
    {
        Subject("postgres", "single-user", administrator=False),
        Subject("postgres", "alternating-users", administrator=True),
        Subject("mysql", "single-user-by-administrator", administrator=True),
        Subject("mysql", "dual-password", administrator=False),
        Subject("mariadb", "alternating-users", administrator=True),
    }
)
"""Every engine and every strategy; what else there is runs in `make test-sample`."""


def with_subjects(subjects: Iterable[Subject] = SUBJECTS) -> pytest.MarkDecorator:
    """Parametrise a test with subjects, those that are not quick for `make test-sample`."""
    return pytest.mark.parametrize(
        "subject",
        [
            subject if subject in QUICK else pytest.param(subject, marks=pytest.mark.matrix)
            for subject in subjects
        ],
        ids=lambda subject: subject.name,
    )
