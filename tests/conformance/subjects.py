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
        Subject("valkey", "dual-password", administrator=True),
    }
)
"""Every engine and every strategy; what else there is runs in `make test-sample`."""


SPARSE, DENSE = 20, 10
"""Of the quick ones every twentieth boundary: what `make test` has time for. Of the others every
tenth, beginning with another one for each; `make test-matrix` takes all of all."""


def every(subject: Subject) -> int:
    """Return of how many boundaries a sample takes one."""
    return SPARSE if subject in QUICK else DENSE


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
