"""The bench: its two sides do the same work, and its verdict follows from what it measured."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from local.bench.__main__ import Comparison, compare
from local.bench.measurements import ENGINES, ROOT, Bench, Engine, Measured, Result, interleaved
from local.demo.terminal import Terminal
from local.secretsmanager import SecretsManagerService
from local.servers import Server

STATEMENTS = {
    "postgres": re.compile(r"LOG:  (?:statement|execute <unnamed>): (\w+)"),
    "mysql": re.compile(r"\d Query\t(\w+)"),
}
LOGINS = {
    "postgres": re.compile(r"LOG:  connection authorized"),
    "mysql": re.compile(r"\d Connect\t\S+@\S* on "),
}


@pytest.fixture(params=ENGINES, ids=lambda engine: str(engine.kind))
def engine(request: pytest.FixtureRequest) -> Engine:
    """Return each engine that is measured."""
    found: Engine = request.param
    return found


@pytest.fixture
def service() -> SecretsManagerService:
    """Return a Secrets Manager without any secret."""
    return SecretsManagerService()


@pytest.fixture
def bench(
    engine: Engine, service: SecretsManagerService, server_of: Callable[[str], Server]
) -> Iterator[Bench]:
    """Return a bench whose endpoint listens."""
    with service.endpoint() as endpoint:
        yield Bench(engine, server_of(engine.kind), service, endpoint.environment())


def test_both_sides_do_the_same(
    bench: Bench, engine: Engine, service: SecretsManagerService, server_of: Callable[[str], Server]
) -> None:
    """A warm rotation of the floor makes the function's calls, logins and statements, in order."""
    server = server_of(engine.kind)
    done = []
    for side, command in (("function", engine.function_command), ("floor", engine.floor_command)):
        secret = bench.secret(f"same_{engine.kind}_{side}")
        with Measured(command, bench.environment) as process:
            process.work(secret, bench.new_version(secret), whole=True)
            token = bench.new_version(secret)
            logged = len(server.log_text())
            service.reset_requests()
            process.work(secret, token, whole=True)
        log = server.log_text()[logged:]
        done.append(
            (
                [request.operation for request in service.requests],
                len(LOGINS[engine.kind].findall(log)),
                [verb.upper() for verb in STATEMENTS[engine.kind].findall(log)],
            )
        )
    function, floor = done
    assert function == floor
    assert len(function[0]) <= 10
    assert function[1] == 3


def test_pairs_begin_with_either_side_in_turn() -> None:
    """Neither side always comes first, and the pair that warms both up is not counted."""
    order: list[str] = []

    def take(side: str, seconds: float) -> float:
        order.append(side)
        return seconds if len(order) > 2 else 1000.0

    result = interleaved(3, lambda: take("function", 3.0), lambda: take("floor", 2.0))
    assert order[2:] == ["function", "floor", "floor", "function", "function", "floor"]
    assert result == Result(pairs=3, function=3.0, floor=2.0, ratio=1.5)


@pytest.mark.parametrize(
    ("ratios", "held", "asked"),
    [([1.2], True, [25]), ([1.5, 1.3], True, [25, 75]), ([1.5, 1.5], False, [25, 75])],
)
def test_a_missed_bar_is_measured_again(ratios: list[float], held: bool, asked: list[int]) -> None:
    """A bar that is missed is measured once more with three times the pairs, which then counts."""
    pairs: list[int] = []

    def measure(number: int) -> Result:
        pairs.append(number)
        return Result(number, 1.0, 1.0, ratios[len(pairs) - 1])

    stream = io.StringIO()
    assert compare(Comparison("x", 1.4, measure), 25, Terminal(stream, {})) == held
    assert pairs == asked


def test_it_runs() -> None:
    """The command measures every engine, and its status says what its last line says."""
    done = subprocess.run(
        [sys.executable, "-m", "local.bench", "--pairs", "1"],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    for each in ENGINES:
        for what in ("cold start", "warm rotation", "memory, warm"):
            assert f"{each.name} {what}" in done.stdout
    verdict = "No bar was missed." if done.returncode == 0 else "A bar was missed."
    assert verdict in done.stdout
    assert done.returncode in {0, 1}
