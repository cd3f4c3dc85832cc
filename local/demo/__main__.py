"""`python -m local.demo`: see the package's description."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NoReturn

from local.demo.performance import perform
from local.demo.scenes import SCENES, Observation, Scene, claims, milliseconds
from local.demo.terminal import Style, Terminal
from local.demo.world import World, running_world
from local.engines import ENGINES
from local.servers import ServerUnavailable

LOG_LINES = 15
"""So many of each function's last lines are shown when something did not hold."""


def main() -> int:
    """Run the demonstration.

    Returns:
        The exit status: 0 if everything held, 1 if not, 130 after Ctrl-C, 141 where nobody reads.
    """
    terminal = Terminal(sys.stdout, os.environ)
    # SystemExit unwinds the stack, so that everything is stopped in order.
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return _demonstrate(terminal)
    except ServerUnavailable as error:
        terminal.claim(str(error), held=False)
        return 1
    except KeyboardInterrupt:
        terminal.line("Interrupted; everything is stopped.")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # `| head` has seen enough; the interpreter would try to write the rest when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _terminated(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _demonstrate(terminal: Terminal) -> int:
    began = time.monotonic()
    terminal.title("Rotating passwords of real databases while a client goes on logging in")
    terminal.line()

    def ready(name: str, address: str, seconds: float) -> None:
        where = terminal.styled(f"{address:<34} {milliseconds(seconds):>7}", Style.QUIET)
        terminal.line(f"  {terminal.styled(terminal.good, Style.GOOD)} {name:<20} {where}")

    with ExitStack() as stack:
        with terminal.status("starting Secrets Manager, PostgreSQL, MySQL, MariaDB and Valkey"):
            world = stack.enter_context(running_world(ready))
        return _play(world, terminal, began)


def _play(world: World, terminal: Terminal, began: float) -> int:
    try:
        seen = [(scene, perform(scene, world, terminal)) for scene in SCENES]
    except Exception:
        _show_logs(world, terminal)
        raise
    failed = [
        f"{_name(scene, terminal)}: {claim.text}"
        for scene, observation in seen
        for claim in claims(scene, observation)
        if not claim.held
    ]
    _summarise(seen, terminal)
    took = milliseconds(time.monotonic() - began)
    terminal.line()
    if not failed:
        terminal.claim(f"{len(seen)} rotations in {took}, and everything held.", held=True)
        return 0
    terminal.claim(f"{len(failed)} of the claims did not hold:", held=False)
    for each in failed:
        terminal.claim(each, held=False)
    _show_logs(world, terminal)
    return 1


def _show_logs(world: World, terminal: Terminal) -> None:
    for engine, function in world.functions.items():
        lines = function.log.splitlines()[-LOG_LINES:]
        if lines:
            terminal.title(f"The log of the function for {ENGINES[engine].engine.title} ends:")
        for line in lines:
            terminal.line(line)


def _summarise(seen: Sequence[tuple[Scene, Observation]], terminal: Terminal) -> None:
    terminal.title(
        f"{'':<40}{'interruption':>14}{'calls':>8}{'logins':>9}{'refused':>10}{'client logins':>16}"
    )
    for scene, observation in seen:
        report = observation.report
        away = milliseconds(report.interruption) if report.interruption else "none"
        terminal.line(
            f"  {_name(scene, terminal):<38}{away:>14}{observation.calls:>8}"
            f"{observation.logins.all:>9}{observation.logins.refused:>10}{report.accepted:>16}"
        )


def _name(scene: Scene, terminal: Terminal) -> str:
    killed = ", killed" if scene.killed else ""
    return f"{ENGINES[scene.engine].engine.title} {terminal.dot} {scene.strategy}{killed}"


if __name__ == "__main__":
    sys.exit(main())
