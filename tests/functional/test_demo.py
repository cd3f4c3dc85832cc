"""The demonstration: it holds, it keeps passwords to itself, and it leaves nothing behind."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.client import ACCEPTED, REFUSED, Attempt, Report, report_of
from local.demo.logins import Logins
from local.demo.scenes import SCENES, STRATEGIES, Observation, Scene, claims
from local.demo.terminal import WIDTH, Style, Terminal
from local.engines import ENGINES

ROOT = Path(__file__).parent.parent.parent
GONE_SECONDS = 10.0


@pytest.fixture
def temporary_folder() -> Iterator[Path]:
    """Return a folder for temporary files that the servers' user can reach, too."""
    folder = Path(tempfile.mkdtemp(prefix="test-demo-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def start_demo(arguments: list[str], temporary_folder: Path) -> "subprocess.Popen[str]":
    """Start the demonstration with its temporary files below a folder of ours."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary_folder), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def descendants(of: int) -> set[int]:
    """Return the process ids of a process's children, their children, and so on."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The program's name is in parentheses and may hold anything.
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found: set[int] = set()
    while more := {each for each, parent in parents.items() if parent in found | {of}} - found:
        found |= more
    return found


def still_there(pids: set[int]) -> list[str]:
    """Return the command lines of those that have not ended after some seconds."""
    until = time.monotonic() + GONE_SECONDS
    while True:
        left = []
        for pid in pids:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            left += [command] if command else []  # a zombie has none
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.1)


@pytest.mark.matrix
def test_everything_holds(temporary_folder: Path, tmp_path: Path) -> None:
    """All rotations end well, no password is shown, and nothing is left behind."""
    recorded = tmp_path / "passwords"
    demo = start_demo(["-m", "tests.functional.recorded_demo", str(recorded)], temporary_folder)
    output, errors = demo.communicate(timeout=120)
    assert demo.returncode == 0, output + errors
    assert errors == ""
    assert f"{len(SCENES)} rotations in" in output
    assert "and everything held" in output
    passwords = {json.loads(line) for line in recorded.read_text().splitlines()}
    # One for each user and administrator at first, and one for each rotation.
    assert len(passwords) > 2 * len(SCENES)
    assert [each for each in passwords if each in output] == []
    assert [line for line in output.splitlines() if len(line) > WIDTH] == []
    assert "\x1b" not in output
    assert list(temporary_folder.iterdir()) == []


def test_what_does_not_hold_is_told(temporary_folder: Path) -> None:
    """A claim that is false ends with status 1, is named, and brings the function's log."""
    code = (
        "import dataclasses, sys, local.demo.__main__ as demo, local.demo.scenes as scenes\n"
        "strict = dataclasses.replace(scenes.STRATEGIES['single-user'], calls=3)\n"
        "scenes.STRATEGIES['single-user'] = strict\n"
        "demo.SCENES = scenes.SCENES[:1]\n"
        "sys.exit(demo.main())\n"
    )
    demo = start_demo(["-c", code], temporary_folder)
    output, errors = demo.communicate(timeout=120)
    assert demo.returncode == 1, output + errors
    assert "1 of the claims did not hold:" in output
    assert "10 calls to Secrets Manager (at most 3)" in output
    assert '"message":"step succeeded"' in output


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGTERM, 128 + signal.SIGTERM, marks=pytest.mark.matrix),
        (signal.SIGINT, 128 + signal.SIGINT),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
    ids=["SIGTERM", "SIGINT", "SIGKILL"],
)
def test_ended_in_the_middle_it_leaves_nothing(
    number: signal.Signals, status: int, temporary_folder: Path
) -> None:
    """However it is ended in the middle, no process and no temporary file outlives it."""
    demo = start_demo(["-m", "local.demo"], temporary_folder)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "setSecret" in line:
            break
    family = descendants(demo.pid)
    # At least a keeper and a server for each engine, a function and the client.
    assert len(family) >= 8
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == status, errors
    assert errors == ""
    assert still_there(family) == []
    assert list(temporary_folder.iterdir()) == []


SEEN = Observation(
    succeeded=True,
    attempts=1,
    calls=10,
    logins=Logins(accepted=3, refused=0),
    report=Report(accepted=50, refused=1, errors=[], interruption=0.02, recovered=True),
    old_user="shop",
    new_user="shop",
    changed=True,
    old_works=False,
    new_works=True,
    old_works_later=None,
    other_keys=7,
    kept=True,
)
SINGLE_USER = Scene("postgres", "single-user", "shop")
ALTERNATING = Scene("postgres", "alternating-users", "shop")
KILLED = Scene("postgres", "single-user", "shop", killed=True)
UNINTERRUPTED = replace(SEEN.report, refused=0, interruption=0.0)
HEALTHY = {
    SINGLE_USER: SEEN,
    ALTERNATING: replace(
        SEEN, report=UNINTERRUPTED, new_user="shop_clone", old_works=True, old_works_later=False
    ),
    KILLED: replace(SEEN, attempts=2, logins=Logins(accepted=4, refused=1)),
}


@pytest.mark.parametrize("scene", HEALTHY)
def test_a_healthy_rotation_passes(scene: Scene) -> None:
    """What is seen of a rotation as it should be makes every claim true."""
    assert all(claim.held for claim in claims(scene, HEALTHY[scene]))


@pytest.mark.parametrize(
    ("scene", "flaw"),
    [
        (SINGLE_USER, {"succeeded": False}),
        (SINGLE_USER, {"attempts": 2}),
        (SINGLE_USER, {"calls": 11}),
        (SINGLE_USER, {"logins": Logins(4, 0)}),
        (SINGLE_USER, {"logins": Logins(2, 1)}),
        (SINGLE_USER, {"report": replace(SEEN.report, interruption=1.1)}),
        (SINGLE_USER, {"report": replace(SEEN.report, errors=["OperationalError"])}),
        (SINGLE_USER, {"report": replace(SEEN.report, recovered=False)}),
        (SINGLE_USER, {"changed": False}),
        (SINGLE_USER, {"old_works": True}),
        (SINGLE_USER, {"new_works": False}),
        (SINGLE_USER, {"kept": False}),
        (ALTERNATING, {"report": SEEN.report}),
        (ALTERNATING, {"old_works": False}),
        (ALTERNATING, {"old_works_later": True}),
        (ALTERNATING, {"old_works_later": None}),
        (ALTERNATING, {"succeeded": False}),
        (KILLED, {"attempts": 1}),
        (KILLED, {"succeeded": False}),
        (KILLED, {"logins": Logins(4, 2)}),
        (KILLED, {"report": replace(SEEN.report, interruption=11.0)}),
    ],
)
def test_each_flaw_is_seen(scene: Scene, flaw: dict[str, object]) -> None:
    """Each thing that can be wrong about a rotation makes exactly one claim false."""
    seen = replace(HEALTHY[scene], **flaw)  # type: ignore[arg-type]
    assert [claim.held for claim in claims(scene, seen)].count(False) == 1


def test_every_engine_and_strategy_is_shown() -> None:
    """Each engine is shown with each strategy that it has, and one rotation is killed."""
    shown = {(scene.engine, scene.strategy) for scene in SCENES}
    assert shown == {
        (name, strategy)
        for name, declared in ENGINES.items()
        for strategy in declared.engine.strategies
        if strategy in STRATEGIES
    }
    assert any(scene.killed for scene in SCENES)


def test_the_longest_interruption_is_reported() -> None:
    """It lasts from the start of the first attempt that fails to the end of the next success."""
    outcomes = [ACCEPTED, REFUSED, ACCEPTED, REFUSED, "OperationalError", ACCEPTED, ACCEPTED]
    attempts = [Attempt(number, number + 0.5, each) for number, each in enumerate(outcomes)]
    assert report_of(attempts) == Report(
        accepted=4, refused=2, errors=["OperationalError"], interruption=2.5, recovered=True
    )
    assert report_of(attempts[:2]).recovered is False
    assert report_of(attempts[:2]).interruption == 0.5


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Say that a person looks on."""
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Screen(), {}, True),
        (Screen(), {"NO_COLOR": "1"}, False),
        (Screen(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours_are_for_people(
    stream: io.StringIO, environment: dict[str, str], coloured: bool
) -> None:
    """Colours are used on a terminal only, and NO_COLOR and a dumb terminal are honoured."""
    terminal = Terminal(stream, environment)
    terminal.line(terminal.styled("text", Style.GOOD))
    assert ("\x1b[32m" in stream.getvalue()) == coloured


def test_the_status_line_moves_on_a_terminal_only() -> None:
    """What goes on is shown while it goes on, erased afterwards, and not written to a file."""
    screen, file = Screen(), io.StringIO()
    for stream in (screen, file):
        terminal = Terminal(stream, {})
        with terminal.status("starting"):
            time.sleep(0.05)
            terminal.line("ready")
    assert file.getvalue() == "ready\n"
    assert "starting" in screen.getvalue()
    assert "\r\x1b[Kready\n" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_signs_fit_the_stream() -> None:
    """Where the stream cannot write a check mark, plain ASCII is written."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    terminal = Terminal(stream, {})
    terminal.claim("It holds.", held=True)
    terminal.claim("It does not.", held=False)
    stream.seek(0)
    assert stream.read() == "  + It holds.\n  ! It does not.\n"


def test_long_claims_are_wrapped() -> None:
    """No line of a claim is longer than the terminal is taken to be."""
    stream = io.StringIO()
    Terminal(stream, {}).claim("word " * 60, held=False)
    assert max(len(line) for line in stream.getvalue().splitlines()) <= WIDTH
    assert re.fullmatch(r"  [✗!] (?:word\s+)+", stream.getvalue())
