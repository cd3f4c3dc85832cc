"""PostgreSQL keeps the contract."""

import pytest

from tests.kit.contract import Contract
from tests.kit.worlds.postgres import Postgres18World, PostgresWorld


class TestPostgres(Contract):
    """PostgreSQL 15."""

    world = PostgresWorld


@pytest.mark.matrix
class TestPostgres18(Contract):
    """PostgreSQL 18."""

    world = Postgres18World
