"""`python -m local.bench`: see the package's description."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from local.bench import crowd, fleet, load, record
from local.bench.measurements import ENGINES, Bench, Result
from local.demo.terminal import Terminal
from local.engines import Declared
from local.isolation import forget_caller
from local.secretsmanager import SecretsManagerService
from local.servers import ServerUnavailable, start

PAIRS = 15
MORE = 3
"""So many times as many pairs are measured again where a bar was missed."""

FIRST_ANSWER_BAR, COLD_BAR, WARM_BAR = 1.1, 1.25, 1.2
IMPORT_BAR_MS = 80
MEMORY_BAR_MB = 120
ROTATIONS_FOR_MEMORY = 10
SLOWER = 1.15
"""A ratio so many times the last one is worth a warning."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One ratio of a comparison, and the highest that is accepted."""

    name: str
    bar: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared: one measurement, which may give several figures."""

    figures: tuple[Figure, ...]
    measure: Callable[[int], list[Result]]


def main() -> int:
    """Measure everything, or what else is asked for.

    Returns:
        The exit status: 0; 1 if a server cannot be had, or ``--strict`` and a bar was missed; 130
        after Ctrl-C. A machine that does something else besides misses bars without any fault.
    """
    parser = argparse.ArgumentParser(prog="python -m local.bench")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"{PAIRS} when omitted")
    names = [each.engine.name for each in ENGINES]
    parser.add_argument("--engine", choices=names, help="only this one; every one when omitted")
    parser.add_argument("--write", action="store_true", help="keep the ratios as the last ones")
    parser.add_argument("--strict", action="store_true", help="fail where a bar is missed")
    commands = parser.add_subparsers(title="instead")
    for module, what in (
        (fleet, "rotate many secrets"),
        (crowd, "rotate where there are many users"),
        (load, "rotate while clients are busy"),
    ):
        command = commands.add_parser(module.__name__.rpartition(".")[2], help=what)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args()
    terminal = Terminal(sys.stdout, os.environ)
    try:
        if "run" in arguments:
            found: int = arguments.run(arguments, terminal)
            return found
        chosen = [each for each in ENGINES if arguments.engine in {None, each.engine.name}]
        held = compare_all(chosen, arguments.pairs, terminal, write=arguments.write)
        return int(arguments.strict and not held)
    except ServerUnavailable as error:
        terminal.claim(str(error), held=False)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def compare_all(
    engines: Sequence[Declared], pairs: int, terminal: Terminal, *, write: bool
) -> bool:
    """Measure engines, tell the results, and return whether all bars were kept."""
    service = SecretsManagerService()
    ratios: dict[str, float] = {}
    with ExitStack() as stack:
        environment = stack.enter_context(service.endpoint()).environment()
        forget_caller(environment)
        benches = []
        for declared in engines:
            with terminal.status(f"starting {declared.engine.title}"):
                server = stack.enter_context(start(declared.engine.name))
            benches.append(Bench(declared, server, service, environment))
        terminal.title(f"{'':<52}{'function':>11}{'floor':>11}{'ratio':>7}{'last':>6}{'bar':>9}")
        verdicts = [measure(bench, pairs, terminal, ratios) for bench in benches]
    held = all(verdicts)
    terminal.line()
    terminal.quiet(
        f"  Medians of {pairs} interleaved pairs; the ratio is that of the pairs' ratios."
    )
    terminal.claim("No bar was missed." if held else "A bar was missed.", held=held)
    if write:
        record.write_ratios(ratios)
    return held


def comparisons(bench: Bench) -> list[Comparison]:
    """Return what is compared for one engine."""
    name = bench.title
    cold = Comparison(
        (
            Figure(f"{name} cold, to the first answer", FIRST_ANSWER_BAR),
            Figure(f"{name} cold, the whole rotation", COLD_BAR),
        ),
        bench.cold_starts,
    )
    warm = [
        Comparison(
            (Figure(f"{name} warm, {record.way(strategy, administrator=by)}", WARM_BAR),),
            partial(bench.warm_rotations, strategy, administrator=by),
        )
        for strategy, by in bench.strategies()
    ]
    return [cold, *warm]


def measure(bench: Bench, pairs: int, terminal: Terminal, ratios: dict[str, float]) -> bool:
    """Measure one engine, tell the results, and return whether all bars were kept."""
    held = [compare(each, pairs, terminal, ratios) for each in comparisons(bench)]
    with terminal.status(f"{bench.title} imports"):
        taken = bench.import_seconds(pairs) * 1000
    held.append(absolute(f"{bench.title} imports of our own", taken, "ms", IMPORT_BAR_MS, terminal))
    with terminal.status(f"{bench.title} memory"):
        used = bench.memory_mb(ROTATIONS_FOR_MEMORY)
    held.append(absolute(f"{bench.title} memory, warm", used, "MB", MEMORY_BAR_MB, terminal))
    return all(held)


def absolute(name: str, found: float, unit: str, bar: int, terminal: Terminal) -> bool:
    """Tell a figure that has no floor, and return whether its bar was kept."""
    limit = f"<= {bar} {unit}"
    terminal.claim(f"{name:<50}{found:>8.0f} {unit}{'':>19}{limit:>14}", held=found <= bar)
    return found <= bar


def compare(
    comparison: Comparison, pairs: int, terminal: Terminal, ratios: dict[str, float]
) -> bool:
    """Measure both sides, twice if need be, tell the results, and return whether all are kept.

    Args:
        comparison: What to measure.
        pairs: How often.
        terminal: Where the results are told.
        ratios: Gets what was found, by the figures' names.
    """
    results = _results(comparison, pairs, terminal)
    if not all(_is_kept(*each) for each in results):
        for each in results:
            if not _is_kept(*each):
                terminal.line(f"  {_row(*each)} missed; again with more pairs")
        results = _results(comparison, MORE * pairs, terminal)
    for figure, result in results:
        terminal.claim(_row(figure, result), held=_is_kept(figure, result))
        ratios[figure.name] = result.ratio
        last = record.ratio(figure.name)
        if last is not None and result.ratio > SLOWER * last:
            terminal.line(f"  warning: {figure.name} has become slower than it was, {last:.2f}")
    return all(_is_kept(*each) for each in results)


def _results(comparison: Comparison, pairs: int, terminal: Terminal) -> list[tuple[Figure, Result]]:
    with terminal.status(f"{comparison.figures[0].name}, {pairs} pairs"):
        return list(zip(comparison.figures, comparison.measure(pairs), strict=True))


def _is_kept(figure: Figure, result: Result) -> bool:
    return result.ratio <= figure.bar


def _row(figure: Figure, result: Result) -> str:
    last = record.ratio(figure.name)
    return (
        f"{figure.name:<50}{result.function * 1000:>8.1f} ms{result.floor * 1000:>8.1f} ms"
        f"{result.ratio:>7.2f}{'' if last is None else f'{last:.2f}':>6}"
        f"{f'<= {figure.bar:.2f}':>9}"
    )


if __name__ == "__main__":
    sys.exit(main())
