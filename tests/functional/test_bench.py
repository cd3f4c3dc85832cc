"""The bench: its two sides do the same work, and its verdict follows from what it measured."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.bench import record
from local.bench.__main__ import Comparison, Figure, compare
from local.bench.measurements import ENGINES, ROOT, TURNS, Bench, Result, interleaved
from local.bench.script import Counts, Script
from local.demo.terminal import Terminal
from local.engines import ENGINES as DECLARED
from local.engines import Declared
from local.secretsmanager import SecretsManagerService
from local.servers import Server
from rotators.mysql.password_hashes import native_hash

STATEMENTS = {
    "postgres": re.compile(r"LOG:  (?:statement|execute <unnamed>): (\w+)"),
    "mysql": re.compile(r"\d Query\t(\w+)"),
    "mariadb": re.compile(r"\d Query\t(\w+)"),
}
LOGINS = {
    "postgres": re.compile(r"LOG:  connection authorized"),
    "mysql": re.compile(r"\d Connect\t\S+@\S* on "),
    "mariadb": re.compile(r"\d Connect\t\S+@\S* on "),
}


OTHER_VALUE = '{"password": "other new password"}'


@pytest.fixture(params=ENGINES, ids=lambda declared: str(declared.engine.name))
def declared(request: pytest.FixtureRequest) -> Declared:
    """Return each engine that is measured."""
    found: Declared = request.param
    return found


@pytest.fixture
def service() -> SecretsManagerService:
    """Return a Secrets Manager without any secret."""
    return SecretsManagerService()


@pytest.fixture
def bench(
    declared: Declared, service: SecretsManagerService, server_of: Callable[[str], Server]
) -> Iterator[Bench]:
    """Return a bench whose endpoint listens."""
    with service.endpoint() as endpoint:
        yield Bench(declared, server_of(declared.engine.name), service, endpoint.environment())


class Witness:
    """Tells what was done at server and service.

    Args:
        service: Has the secrets.
        server: Has the users.
    """

    def __init__(self, service: SecretsManagerService, server: Server) -> None:
        self._service = service
        self._server = server

    def of(self, rotate: Callable[..., object], **how: object) -> tuple[list[str], int, list[str]]:
        """Have a side rotate, and return its calls, how often it logged in, and its statements."""
        self._service.reset_requests()
        kind, logged = self._server.engine, len(self._server.log_text())
        rotate(**how)
        log = self._server.log_text()[logged:]
        verbs = [verb.upper() for verb in STATEMENTS[kind].findall(log)]
        calls = [request.operation for request in self._service.requests]
        return calls, len(LOGINS[kind].findall(log)), verbs


def test_both_sides_do_the_same(
    bench: Bench, service: SecretsManagerService, server_of: Callable[[str], Server]
) -> None:
    """A warm rotation of the floor makes the function's calls, logins and statements, in order.

    Service and server tell, and so does the record of how many there may be.
    """
    recorded = record.counts()
    witness = Witness(service, server_of(bench.declared.engine.name))
    for strategy, by in bench.strategies():
        mine, floors = (bench.secret(strategy, name, administrator=by) for name in "ab")
        with bench.function() as function, bench.floor() as floor:
            scripts = bench.record(function, floors)
            for _ in range(2 * TURNS):
                function.rotate(mine, bench.new_version(mine))
            token = bench.new_version(mine)
            of_function = witness.of(function.rotate, secret=mine, token=token)
            of_floor = witness.of(floor.rotate, **bench.order(scripts[0], floors))
        assert of_function == of_floor
        assert bench.logs_in(floors)
        counts = [script.counts for script in scripts]
        assert counts == recorded[f"{bench.title} {record.way(strategy, administrator=by)}"]
        assert of_function[:2] == (of_floor[0], counts[0].logins)
        assert len(of_function[0]) == counts[0].calls


def test_a_script_has_gaps_for_what_is_a_rotations_own() -> None:
    """Filled with other values, the messages are another rotation's."""
    values = {
        "new password": "pw-new",
        "old password": "pw-old",
        "token": "token-1",
        "current version": "version-1",
    }
    steps: list[list[list[Any]]] = [
        [["call", "PutSecretValue", {"SecretString": '{"password": "pw-new"}', "To": "token-1"}]],
        [["login", 0, {"password": "pw-old"}]],
        [["statement", 0, f"'SCRAM-SHA-256$1:x$y' {native_hash('pw-new')}", [], False]],
    ]
    script = Script.of(steps, values)
    assert script.counts == Counts(calls=1, logins=1, statements=1)
    assert "pw-" not in script.text
    other = {name: f"other {name}" for name in values}
    hashed = native_hash("other new password")
    assert script.filled(other) == [
        [["call", "PutSecretValue", {"SecretString": OTHER_VALUE, "To": "other token"}]],
        [["login", 0, {"password": "other old password"}]],
        [["statement", 0, f"'<verifier>' {hashed}", [], False]],
    ]


def test_pairs_begin_with_either_side_in_turn() -> None:
    """Neither side always comes first, and the pair that warms both up is not counted."""
    order: list[str] = []

    def take(side: str, seconds: float) -> tuple[float, float]:
        order.append(side)
        return (seconds if len(order) > 2 else 1000.0), 2 * seconds

    results = interleaved(3, lambda: take("function", 3.0), lambda: take("floor", 2.0))
    assert order[2:] == ["function", "floor", "floor", "function", "function", "floor"]
    assert results == [
        Result(pairs=3, function=3.0, floor=2.0, ratio=1.5),
        Result(pairs=3, function=6.0, floor=4.0, ratio=1.5),
    ]


@pytest.mark.parametrize(
    ("ratios", "held", "asked"),
    [([1.2], True, [25]), ([1.5, 1.3], True, [25, 75]), ([1.5, 1.5], False, [25, 75])],
)
def test_a_missed_bar_is_measured_again(ratios: list[float], held: bool, asked: list[int]) -> None:
    """A bar that is missed is measured once more with three times the pairs, which then counts."""
    pairs: list[int] = []
    found: dict[str, float] = {}

    def measure(number: int) -> list[Result]:
        pairs.append(number)
        return [Result(number, 1.0, 1.0, ratios[len(pairs) - 1])]

    comparison = Comparison((Figure("x", 1.4),), measure)
    assert compare(comparison, 25, Terminal(io.StringIO(), {}), found) == held
    assert pairs == asked
    assert found == {"x": ratios[-1]}


def test_a_ratio_that_has_grown_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ratio well above the last one is told, and misses no bar by that."""
    monkeypatch.setattr(record, "ratio", lambda _name: 1.0)
    results = iter([[Result(1, ratio, 1.0, ratio)] for ratio in (1.1, 1.3)])
    comparison = Comparison((Figure("x", 1.4),), lambda _pairs: next(results))
    streams = io.StringIO(), io.StringIO()
    for stream in streams:
        assert compare(comparison, 1, Terminal(stream, {}), {})
    warned = ["warning: x has become slower" in stream.getvalue() for stream in streams]
    assert warned == [False, True]


def test_ratios_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is read back, beside what was there; every engine's cold start is."""
    for each in ENGINES:
        assert record.ratio(f"{each.engine.title} cold, the whole rotation") is not None
    monkeypatch.setattr(record, "RECORD", copy := tmp_path / "record.json")
    copy.write_text('{"counts": {}, "ratios": {"x": 1.5}}')
    record.write_ratios({"y": 1.234})
    record.write_counts("z", [Counts(1, 2, 3)])
    assert (record.ratio("x"), record.ratio("y"), record.ratio("z")) == (1.5, 1.23, None)
    assert record.counts() == {"z": [Counts(1, 2, 3)]}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "local.bench", *arguments],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_it_runs() -> None:
    """The command measures every strategy, and its status says what its last line says."""
    done = run("--pairs", "1", "--engine", "postgres", "--strict")
    assert done.stderr == ""
    for what in ("cold, to the first answer", "cold, the whole rotation", "memory, warm"):
        assert f"PostgreSQL {what}" in done.stdout
    for strategy in DECLARED["postgres"].engine.strategies:
        assert f"PostgreSQL warm, {strategy}" in done.stdout
    assert "MySQL" not in done.stdout
    verdict = "No bar was missed." if done.returncode == 0 else "A bar was missed."
    assert verdict in done.stdout
    assert done.returncode in {0, 1}


def test_a_fleet_rotates() -> None:
    """Many secrets are rotated at once, and each is looked at afterwards."""
    done = run("fleet", "5", "--environments", "2", "--strategy", "alternating-users")
    assert done.stderr == ""
    assert done.returncode == 0
    assert "PostgreSQL, alternating-users: 5 secrets, 2 environments" in done.stdout
    assert "Every secret has a new password and logs in with it." in done.stdout
