"""The database feels nothing: rotations beside busy clients, and beside many users."""

import pytest

from local.bench.crowd import costs
from local.bench.load import CLIENTS, ROTATIONS, WATCHES, Noticed, clients, notice
from local.bench.measurements import Bench
from local.engines import ENGINES
from local.secretsmanager import SecretsManagerService
from local.servers import start

pytestmark = pytest.mark.matrix

SLEEPS = {"postgres": "pg_sleep(0.05) IS NOT NULL", "mysql": "sleep(0.05) = 0"}


@pytest.mark.parametrize("engine", sorted(WATCHES))
def test_clients_notice_nothing_of_rotations(engine: str) -> None:
    """Twenty busy clients wait for no lock and get no error; no session of a rotation is left."""
    service = SecretsManagerService()
    with start(engine) as server, service.endpoint() as endpoint:
        bench = Bench(ENGINES[engine], server, service, endpoint.environment())
        noticed = notice(bench, server)
    assert noticed.rotations == ROTATIONS * len(bench.strategies())
    assert noticed.transactions > CLIENTS
    assert (noticed.errors, noticed.waits, noticed.left) == ([], [], 0)
    assert noticed.longest_seconds < 5


@pytest.mark.parametrize("engine", sorted(WATCHES))
def test_a_lock_that_clients_wait_for_is_noticed(engine: str) -> None:
    """A statement that keeps the clients' rows for a second is seen, by whichever way there is."""
    noticed = Noticed()
    with start(engine) as server:
        watch = WATCHES[engine](server, [])
        sleep = SLEEPS.get(engine, SLEEPS["mysql"])
        with watch.waits(noticed), clients(server, noticed):
            server.execute(f"UPDATE bench_load SET n = n + 1 WHERE {sleep}")
    assert noticed.waits


@pytest.mark.parametrize("engine", sorted(WATCHES))
def test_ten_thousand_users_are_no_burden(engine: str) -> None:
    """With 10,000 users and 50,000 grants a user is prepared in under two seconds."""
    found = dict(costs(engine))
    assert sorted(found) == [0, 1_000, 10_000]
    assert max(found.values()) < 2
