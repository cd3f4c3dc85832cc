"""`python -m local.bench`: see the package's description."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from local.bench.measurements import ENGINES, Bench, Result
from local.demo.terminal import Terminal
from local.isolation import forget_caller
from local.secretsmanager import SecretsManagerService
from local.servers import ServerUnavailable, start

PAIRS = 25
MORE = 3
"""So many times as many pairs are measured again where a bar was missed."""

COLD_BAR, WARM_BAR = 1.4, 1.3
MEMORY_BAR_MB = 120
ROTATIONS_FOR_MEMORY = 10


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared, and the highest ratio that is accepted."""

    name: str
    bar: float
    measure: Callable[[int], Result]


def main() -> int:
    """Measure everything.

    Returns:
        The exit status: 0 if no bar was missed, 1 if one was or a server cannot be had, 130 after
        Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="python -m local.bench")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"{PAIRS} when omitted")
    pairs = parser.parse_args().pairs
    terminal = Terminal(sys.stdout, os.environ)
    service = SecretsManagerService()
    try:
        with ExitStack() as stack:
            environment = stack.enter_context(service.endpoint()).environment()
            forget_caller(environment)
            benches = []
            for engine in ENGINES:
                with terminal.status(f"starting {engine.name}"):
                    server = stack.enter_context(start(engine.kind))
                benches.append(Bench(engine, server, service, environment))
            terminal.title(f"{'':<28}{'function':>12}{'floor':>12}{'ratio':>9}{'bar':>13}")
            verdicts = [measure(bench, pairs, terminal) for bench in benches]
    except ServerUnavailable as error:
        terminal.claim(str(error), held=False)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    held = all(verdicts)
    terminal.line()
    terminal.quiet(
        f"  Medians of {pairs} interleaved pairs; the ratio is that of the pairs' ratios."
    )
    terminal.claim("No bar was missed." if held else "A bar was missed.", held=held)
    return 0 if held else 1


def measure(bench: Bench, pairs: int, terminal: Terminal) -> bool:
    """Measure one engine, tell the results, and return whether all bars were kept."""
    name = bench.engine.name
    comparisons = (
        Comparison(f"{name} cold start", COLD_BAR, bench.cold_starts),
        Comparison(f"{name} warm rotation", WARM_BAR, bench.warm_rotations),
    )
    held = [compare(comparison, pairs, terminal) for comparison in comparisons]
    with terminal.status(f"{name} memory"):
        used = bench.memory_mb(ROTATIONS_FOR_MEMORY)
    row = f"{name + ' memory, warm':<24}{used:>9.0f} MB"
    terminal.claim(f"{row}{'':>21}{f'<= {MEMORY_BAR_MB} MB':>13}", held=used <= MEMORY_BAR_MB)
    return all(held) and used <= MEMORY_BAR_MB


def compare(comparison: Comparison, pairs: int, terminal: Terminal) -> bool:
    """Measure both sides, twice if need be, tell the result, and return whether it is kept."""
    result = _result(comparison, pairs, terminal)
    if result.ratio > comparison.bar:
        terminal.line(f"  {_row(comparison, result)} missed; again with more pairs")
        result = _result(comparison, MORE * pairs, terminal)
    held = result.ratio <= comparison.bar
    terminal.claim(_row(comparison, result), held=held)
    return held


def _result(comparison: Comparison, pairs: int, terminal: Terminal) -> Result:
    with terminal.status(f"{comparison.name}, {pairs} pairs"):
        return comparison.measure(pairs)


def _row(comparison: Comparison, result: Result) -> str:
    return (
        f"{comparison.name:<24}{result.function * 1000:>9.1f} ms{result.floor * 1000:>9.1f} ms"
        f"{result.ratio:>9.2f}{f'<= {comparison.bar:.2f}':>13}"
    )


if __name__ == "__main__":
    sys.exit(main())
