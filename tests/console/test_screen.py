"""What the command says: exit status, one verdict, JSON, and nothing that steers a terminal."""

import io
import json

import pytest

from console.account import Pace
from console.app import FIRST_STEPS, in_order, run
from console.outcome import Exit
from console.screen import Screen, plain
from shared import errors
from shared.errors import RotationError, Unreachable
from shared.examination.registry import CODES
from tests.console.world import World

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\u202egnp\u2066\r\n\x9b2J"


def test_nothing_from_outside_steers_a_terminal(world: World) -> None:
    """A tag, a log line and a function's answer with control characters are written out."""
    world.secret("app", tags={"rotation:strategy": HOSTILE.replace("\n", "")})
    world.fault = Unreachable(f"No server at {HOSTILE}.")
    for arguments in (
        ("status",),
        ("status", "--csv"),
        ("status", "--json"),
        ("rotate", "app", "--patience", "1"),
        ("recover", "app", "--mended", "--yes"),
        ("doctor", "app"),
        ("explain", HOSTILE),
        ("status", HOSTILE),
        ("enable", "app", "--schedule", HOSTILE),
        (HOSTILE,),
    ):
        said = world.run(*arguments)
        for character in said.out + said.err:
            assert character == "\n" or character.isprintable(), (arguments, character)
    assert "\\x1b]0;owned\\x07" in world.run("status").out


def test_markup_is_not_read() -> None:
    """Brackets in a name are brackets: no style, no link."""
    out = io.StringIO()
    screen = Screen(out=out, err=io.StringIO())
    screen.say("[red]name[/red] [link=http://x]y[/link] :smile:")
    screen.table(("A", "B"), [("[b]x[/b]", "")])
    assert out.getvalue().splitlines() == [
        "[red]name[/red] [link=http://x]y[/link] :smile:",
        "A",
        "[b]x[/b]",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 名 ü", "plain 名 ü"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    """Control characters, marks of direction and halves of pairs; all else as it is."""
    assert plain(text) == shown


def test_alone_it_says_what_to_do_first(world: World) -> None:
    """Ten lines at most, each command in them one that there is."""
    said = world.run()
    lines = said.out.rstrip().splitlines()
    assert len(lines) <= 10
    assert said.status == Exit.WELL
    for line in FIRST_STEPS.splitlines():
        if line.startswith("  rotation "):
            assert world.run(line.split()[1], "--help").status == Exit.WELL


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--nosuch"],
        ["nosuch"],
        ["rotate"],
        ["doctor"],
        ["recover"],
        ["enable", "--file", "/nosuch"],
        ["enable", "--all", "--between", "7-3"],
        ["status", "--tag", "no-value"],
        ["explain", "NoSuchCode"],
    ],
)
def test_what_makes_no_sense_has_a_status_of_its_own(world: World, arguments: list[str]) -> None:
    """3, one line that says why, and no request that changes anything."""
    said = world.run(*arguments)
    assert said.status == Exit.USAGE
    assert len(said.err.splitlines()) == 1


def test_what_could_not_be_looked_at_has_a_status_of_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4: no network, no such profile."""
    monkeypatch.setattr("console.account.ATTEMPTS", 1)
    out, err = io.StringIO(), io.StringIO()
    assert run(["status", "--endpoint-url", "http://127.0.0.1:9"], out, err) == Exit.BLIND
    assert "AWS cannot be reached from here" in err.getvalue()
    assert world.run("status", "--profile", "no-such").status == Exit.BLIND


def test_options_of_all_commands_may_stand_anywhere(world: World) -> None:
    """--json behind a command is the same as before it."""
    assert in_order(["status", "--json", "--profile", "p", "a", "--region=r"]) == [
        *("--json", "--profile", "p", "--region=r", "status", "a"),
    ]
    assert in_order(["status", "--", "--json"]) == ["status", "--", "--json"]
    world.secret("app")
    assert world.run("status", "--json").document["secrets"][0]["name"] == "app"


def test_quiet_is_one_line(world: World) -> None:
    """--quiet: the verdict, and the status tells the rest."""
    world.secret("app", password="not the one")
    said = world.run("rotate", "app", "-q")
    assert len(said.out.splitlines()) == 1
    assert said.status == Exit.FAILURE


def test_an_error_is_json_too(world: World) -> None:
    """A program that asks for JSON gets it also where the command ends early."""
    document = world.run("rotate", "nosuch", "--json").document
    assert document["status"] == Exit.USAGE
    assert "nosuch" in document["verdict"]


def causes() -> list[str]:
    """Return every cause that a log may name."""
    return [
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, RotationError) and not kind.__subclasses__()
    ]


def test_every_code_and_cause_is_explained(world: World) -> None:
    """What it means and what to do, for all that a finding or a log may name."""
    for name in sorted({*CODES, *causes()}):
        said = world.run("explain", name)
        assert said.status == Exit.WELL, name
        assert said.out.startswith(f"{name}: ")
        assert "What to do:    " in said.out
    assert world.run("explain", "nologinworks").status == Exit.WELL
    wrong = world.run("explain", "NoLoginWork")
    assert "did you mean NoLoginWorks?" in wrong.err
    document = json.loads(world.run("explain", "Overdue", "--json").out)
    assert document["level"] == "warning"


def test_a_pace_is_kept() -> None:
    """No more than so many a second pass, however many ask at once; a pause is no debt."""
    time, waited = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        time[0] += seconds

    pace = Pace(10, clock=lambda: time[0], sleep=sleep)
    for _ in range(11):
        pace.wait()
    assert time[0] == pytest.approx(1.0)
    time[0] += 100
    pace.wait()
    assert waited[-1] == 0
