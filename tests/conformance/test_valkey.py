"""Valkey and Redis keep the contract."""

from tests.kit.contract import Contract
from tests.kit.worlds.valkey import RedisWorld, ValkeyWorld


class TestValkey(Contract):
    """Valkey."""

    world = ValkeyWorld


class TestRedis(Contract):
    """Redis."""

    world = RedisWorld
