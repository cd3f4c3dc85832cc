"""MySQL and MariaDB keep the contract."""

from tests.kit.contract import Contract
from tests.kit.worlds.mysql import MariaDB11World, MariaDBWorld, MySQLWorld


class TestMySQL(Contract):
    """MySQL 9."""

    world = MySQLWorld


class TestMariaDB(Contract):
    """MariaDB 10.11."""

    world = MariaDBWorld


class TestMariaDB11(Contract):
    """MariaDB 11.8."""

    world = MariaDB11World
