"""Oracles: what a user of a database may do, found out without any code of the rotators."""

from collections.abc import Callable

from tests.kit.oracles.mysql import MariaDBOracle, MySQLOracle
from tests.kit.oracles.oracle import Oracle, Place
from tests.kit.oracles.postgres import PostgresOracle
from tests.kit.oracles.valkey import ValkeyOracle

ORACLES: dict[str, Callable[[Place], Oracle]] = {
    "postgres": PostgresOracle,
    "mysql": MySQLOracle,
    "mariadb": MariaDBOracle,
    "valkey": ValkeyOracle,
}

__all__ = ["Oracle", "Place", "oracle_for"]


def oracle_for(place: Place) -> Oracle:
    """Return the oracle of the place: its own, or its engine's."""
    return (place.oracle or ORACLES[place.kind.partition("-")[0]])(place)
