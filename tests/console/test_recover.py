"""`rotation recover` goes on after a failure, or says what a person must do first."""

import pytest

from console.outcome import Exit
from shared.errors import AccountLocked, Unreachable
from tests.console.world import CALLER, World


def test_a_stuck_attempt_is_ended_and_rotated(world: World) -> None:
    """AWSPENDING is taken off and a rotation begun, after a yes."""
    with world.ago(hours=7):
        world.hang(world.secret("app"))
    said = world.run("recover", "--all", "--yes")
    assert said.verdict == "1 secret to recover: 1 rotated."
    assert said.status == Exit.WELL
    assert world.logs_in("app")


def test_nothing_is_done_without_a_yes(world: World) -> None:
    """It shows what it would do; nobody says yes, and nothing is touched."""
    with world.ago(hours=7):
        token = world.hang(world.secret("app"))
    said = world.run("recover", "--all")
    assert "end the attempt, begin a rotation" in said.row("app")
    assert said.status == Exit.FAILURE
    assert world.labels("app")["AWSPENDING"] == token
    assert world.asked("UpdateSecretVersionStage") + world.asked("RotateSecret") == 0


def test_what_is_not_mended_is_not_tried(world: World) -> None:
    """Where the cause is still there, it says what to mend, and begins nothing."""
    world.secret("app", password="not the one")
    world.run("rotate", "app")
    before = world.asked("RotateSecret")
    said = world.run("recover", "app", "--yes")
    assert "LoginRefused" in said.row("app")
    assert said.status == Exit.FAILURE
    assert world.asked("RotateSecret") == before


def test_what_was_mended_is_found_out(world: World) -> None:
    """Once the function finds nothing in the way any more, the secret rotates."""
    world.secret("app", password="not the one")
    world.run("rotate", "app")
    world.database.accounts["user1"].passwords.append("not the one")
    said = world.run("recover", "--all", "--yes")
    assert "the function finds nothing in the way" in said.row("app")
    assert said.verdict == "1 secret to recover: 1 rotated."
    assert world.logs_in("app")


def test_what_is_mended_rotates(world: World) -> None:
    """After a locked account was unlocked, a person says so, and the secret rotates."""
    world.secret("app")
    world.fault = AccountLocked("user1 is locked.")
    world.run("rotate", "app")
    world.fault = None
    said = world.run("recover", "app", "--yes", "--mended")
    assert said.verdict == "1 secret to recover: 1 rotated."
    assert world.logs_in("app")


def test_a_young_attempt_is_left_to_the_service(world: World) -> None:
    """--all waits for what may be under way; a secret that is named is recovered at once."""
    world.secret("app")
    world.hang("app")
    said = world.run("recover", "--all", "--yes")
    assert "the service may be repeating it" in said.row("app")
    assert said.status == Exit.WARNINGS
    assert world.run("recover", "app", "--yes").status == Exit.WELL


def test_what_is_well_is_left_alone(world: World) -> None:
    """Nothing to recover: no question, no request that changes anything."""
    world.secret("app")
    world.run("rotate", "app")
    asked = world.asked("RotateSecret")
    said = world.run("recover", "--all")
    assert said.verdict == "1 secret: nothing to recover."
    assert world.asked("RotateSecret") == asked


@pytest.mark.parametrize("operation", ["UpdateSecretVersionStage", "RotateSecret"])
@pytest.mark.parametrize("phase", ["before", "after"])
def test_killed_anywhere_it_is_no_worse(world: World, operation: str, phase: str) -> None:
    """Killed before or after each of its two requests, it can be run again, and ends rotated."""
    with world.ago(hours=7):
        world.hang(world.secret("app"))
    world.run_killed(operation, phase, 1, "recover", "app", "--yes")
    assert world.logs_in("app")
    world.run("recover", "app", "--yes")
    assert world.logs_in("app")
    labels = world.labels("app")
    assert labels.get("AWSPENDING") in {None, labels["AWSCURRENT"]}


def test_awscurrent_is_never_moved(world: World) -> None:
    """Whatever fails, the command itself moves no other label than AWSPENDING."""
    with world.ago(hours=7):
        world.hang(world.secret("app"))
    world.secret("bad", password="not the one")
    world.run("rotate", "bad")
    world.run("recover", "--all", "--yes", "--mended")
    own = [
        request.parameters["VersionStage"]
        for request in world.service.requests
        if request.operation == "UpdateSecretVersionStage" and request.caller == CALLER
    ]
    assert set(own) == {"AWSPENDING"}


def test_many_are_summed_up_by_cause(world: World) -> None:
    """The verdict counts what is left by what stands in the way."""
    for number in range(3):
        world.secret(f"bad/{number}", password="not the one")
        world.run("rotate", f"bad/{number}")
    with world.ago(hours=7):
        world.hang(world.secret("app"))
    said = world.run("recover", "--all", "--yes")
    assert said.verdict.startswith("4 secrets to recover: 1 rotated, 3 with ")
    assert said.status == Exit.FAILURE


def test_what_may_pass_is_tried(world: World) -> None:
    """Where the function does not examine, a cause that may have passed is tried again."""
    world.secret("app")
    world.fault = Unreachable("No server at db.example.com.")
    world.run("rotate", "app", "--patience", "1")
    world.fault = None
    world.lambdas.denied.add("Invoke")
    assert world.run("recover", "app", "--yes").verdict == "1 secret to recover: 1 rotated."
