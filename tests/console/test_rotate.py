"""`rotation rotate` begins one rotation, and follows it to its end."""

import pytest

from console.outcome import Exit
from shared.errors import AccountLocked, NoLoginWorks, Unreachable
from tests.console.world import World


def test_each_step_is_told(world: World) -> None:
    """The four steps with their times, and a verdict; AWSCURRENT logs in."""
    world.secret("app")
    before = world.labels("app")["AWSCURRENT"]
    said = world.run("rotate", "app")
    steps = [line.split()[0] for line in said.out.splitlines() if line.endswith(" ms")]
    assert steps == ["createSecret", "setSecret", "testSecret", "finishSecret"]
    assert said.verdict.startswith("app: rotated, ")
    assert said.status == Exit.WELL
    assert world.labels("app")["AWSPREVIOUS"] == before
    assert world.logs_in("app")


def test_a_failure_tells_cause_and_what_to_do(world: World) -> None:
    """The step that failed, the whole message, whether the attempt has ended, what comes next."""
    world.secret("app", password="not the one")
    said = world.run("rotate", "app")
    assert "  setSecret     NoLoginWorks  " in said.out
    assert f"\n    {NoLoginWorks.hint}" in said.out
    assert said.verdict == (
        "app: not rotated, NoLoginWorks; the attempt has ended. AWSCURRENT is as it was. "
        "Next: `rotation explain NoLoginWorks`, then `rotation recover app`"
    )
    assert said.status == Exit.FAILURE


def test_what_the_service_repeats_is_left_to_it(world: World) -> None:
    """A failure that may pass is waited for, and then told as one that has not ended."""
    world.secret("app")
    world.fault = Unreachable("No server at db.example.com.")
    said = world.run("rotate", "app", "--patience", "1")
    assert "not ended: Secrets Manager repeats it" in said.verdict
    assert "Unreachable" in said.verdict
    assert said.status == Exit.FAILURE


def test_a_stuck_attempt_is_told_and_ended_after_a_yes(world: World) -> None:
    """Nobody there to say yes: nothing is done; with --yes it is ended, and the secret rotates."""
    token = world.hang(world.secret("app"))
    said = world.run("rotate", "app")
    assert token in said.out
    assert "add --yes" in said.err
    assert world.labels("app")["AWSPENDING"] == token
    assert world.asked("RotateSecret") == 0
    assert world.run("rotate", "app", "--yes").status == Exit.WELL
    assert world.logs_in("app")


def test_a_stuck_attempt_is_told_with_its_cause(world: World) -> None:
    """The last line of the attempt's log says why it hangs."""
    world.secret("app")
    world.fault = Unreachable("No server at db.example.com.")
    world.run("rotate", "app", "--patience", "1")
    said = world.run("rotate", "app")
    assert "\n    No server at db.example.com.\n" in said.out


def test_without_the_log_labels_are_followed(world: World) -> None:
    """A person who may not read the log learns how it ended, and that the log is not shown."""
    world.lambdas.denied.add("FilterLogEvents")
    world.secret("well")
    said = world.run("rotate", "well")
    assert said.status == Exit.WELL
    assert "The log is not shown: /aws/lambda/postgres: FilterLogEvents" in said.out
    world.secret("bad", password="not the one")
    assert "the attempt has ended" in world.run("rotate", "bad").verdict


@pytest.mark.parametrize("attached", [True, False])
def test_what_nothing_rotates_is_refused(world: World, *, attached: bool) -> None:
    """Where there is no function, the command says what to do, and asks for nothing."""
    world.secret("app", attached=attached)
    if attached:
        world.lambdas._functions.clear()
    said = world.run("rotate", "app")
    assert said.status == Exit.FAILURE
    assert "`rotation enable app" in said.err
    assert world.asked("RotateSecret") == 0


def test_a_program_reads_the_steps(world: World) -> None:
    """--json: one document, with the log's lines."""
    world.secret("app")
    document = world.run("rotate", "app", "--json").document
    assert document["rotated"] is True
    assert [step["step"] for step in document["steps"]][-1] == "finishSecret"
    assert document["status"] == Exit.WELL


def test_what_no_retry_cures_is_not_waited_for(world: World) -> None:
    """A locked account ends the command at once: no repetition helps."""
    world.secret("app")
    world.fault = AccountLocked("user1 is locked.")
    said = world.run("rotate", "app", "--patience", "100")
    assert "AccountLocked" in said.verdict
    assert said.status == Exit.FAILURE
