"""The worlds of this project's own engines: an example each for a new one."""

from tests.kit.contract.world import World
from tests.kit.worlds.mysql import MariaDB11World, MariaDBWorld, MySQLWorld
from tests.kit.worlds.postgres import Postgres18World, PostgresWorld
from tests.kit.worlds.valkey import RedisWorld, ValkeyWorld

WORLDS: tuple[type[World], ...] = (
    PostgresWorld,
    Postgres18World,
    MySQLWorld,
    MariaDBWorld,
    MariaDB11World,
    ValkeyWorld,
    RedisWorld,
)
"""Each has a class in ``tests/conformance``."""
