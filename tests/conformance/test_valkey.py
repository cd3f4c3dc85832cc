"""Valkey and Redis keep the contract."""

import pytest

from tests.kit.contract import Contract
from tests.kit.worlds.valkey import RedisWorld, ValkeyWorld


class TestValkey(Contract):
    """Valkey."""

    world = ValkeyWorld


@pytest.mark.matrix
class TestRedis(Contract):
    """Redis."""

    world = RedisWorld
