"""MySQL and MariaDB keep the contract."""

import pytest

from tests.kit.contract import Contract, World
from tests.kit.contract.strategy import LaneOf, failure_of, require_good_end, rotate
from tests.kit.matrix import abandon
from tests.kit.pairs import Subject
from tests.kit.worlds.mysql import MariaDB11World, MariaDBWorld, MySQLWorld


class TestMySQL(Contract):
    """MySQL 9."""

    world = MySQLWorld

    def test_password_policy(self, on: World, lane_of: LaneOf) -> None:
        """A password that the server's policy refuses ends the attempt, and says the way out."""
        lane = lane_of(Subject("mysql", "single-user", administrator=False))
        trial = lane.new_trial()
        with on.policy():
            lane.function.variables = {"EXCLUDE_NUMBERS": "true"}
            outcome = rotate(trial, retries=1)
            assert failure_of(outcome) == "PasswordRejected"
            assert "policy" in str(outcome.error)
            current = next(trial.stored())
            assert lane.oracle.logs_in(current.username, current.password)
            # The way out needs no access to the database.
            lane.function.variables = {}
            assert rotate(trial, retries=0, token=abandon(trial, outcome.token)).succeeded
            require_good_end(trial)


class TestMariaDB(Contract):
    """MariaDB 10.11."""

    world = MariaDBWorld


@pytest.mark.matrix
class TestMariaDB11(Contract):
    """MariaDB 11.8."""

    world = MariaDB11World
