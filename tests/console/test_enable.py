"""`rotation enable` attaches what nothing stands in the way of, and leaves nothing else behind."""

from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from console.outcome import Exit
from console.schedules import SPREAD, is_same, rules_for
from local.secretsmanager.schedule import Schedule
from tests.console.world import CALLER, World


def attached(world: World, name: str) -> bool:
    """Say whether rotation is on."""
    return bool(world.service.handle("DescribeSecret", {"SecretId": name}).get("RotationEnabled"))


def test_a_secret_is_attached_and_not_rotated(world: World) -> None:
    """It has the function, a schedule and a window; its password and labels are as before."""
    world.secret("app", attached=False)
    before = world.labels("app"), world.service.value("app")
    said = world.run("enable", "app", "--yes")
    assert said.status == Exit.WELL
    assert said.verdict == "1 secret: 1 attached, nothing in the way."
    told = world.service.handle("DescribeSecret", {"SecretId": "app"})
    assert told["RotationLambdaARN"] == world.function
    assert told["RotationRules"]["Duration"] == "4h"
    assert (world.labels("app"), world.service.value("app")) == before


def test_what_would_fail_is_detached_again(world: World) -> None:
    """The cause is told, and the secret is as it was: no function called at night, no label."""
    world.secret("app", attached=False, password="not the one")
    before = world.labels("app")
    said = world.run("enable", "app", "--yes")
    assert said.status == Exit.FAILURE
    assert "Detached again: nothing was left behind" in said.out
    assert ", 1 with LoginRefused." in said.verdict
    assert not attached(world, "app")
    assert world.labels("app") == before


def test_a_dry_run_changes_nothing(world: World) -> None:
    """It shows function, schedule and window, and makes no request that changes anything."""
    world.secret("app", attached=False)
    said = world.run("enable", "app", "--dry-run")
    assert "postgres" in said.row("app")
    assert "cron(" in said.row("app")
    assert said.status == Exit.WELL
    own = {each.operation for each in world.service.requests if each.caller == CALLER}
    assert own == {"DescribeSecret"}


def test_nothing_is_done_without_a_yes(world: World) -> None:
    """Nobody is there to say yes: the secret stays as it is."""
    world.secret("app", attached=False)
    assert world.run("enable", "app").status == Exit.FAILURE
    assert not attached(world, "app")


def test_run_again_it_repeats_nothing(world: World) -> None:
    """What is attached with the same schedule is not attached once more."""
    world.secret("app", attached=False)
    world.run("enable", "app", "--yes")
    asked = world.asked("RotateSecret")
    said = world.run("enable", "app", "--yes")
    assert said.status == Exit.WELL
    assert world.asked("RotateSecret") == asked


@pytest.mark.parametrize(
    ("phase", "password"), [("before", None), ("after", None), ("after", "not the one")]
)
def test_killed_it_goes_on(world: World, phase: str, password: str | None) -> None:
    """Killed around the request that attaches, the next run ends as if nothing had been."""
    world.secret("app", attached=False, password=password)
    world.run_killed("RotateSecret", phase, 1, "enable", "app", "--yes")
    said = world.run("enable", "app", "--yes")
    assert attached(world, "app") is (password is None)
    assert said.status == (Exit.WELL if password is None else Exit.FAILURE)
    assert "AWSPENDING" not in world.labels("app")


def test_what_somebody_else_attached_stays(world: World) -> None:
    """A secret that was attached before is examined, and not detached, whatever is found."""
    world.secret("app", password="not the one", attached=False)
    request = {"SecretId": "app", "RotationLambdaARN": world.function, "RotateImmediately": False}
    rules = {"ScheduleExpression": "rate(9 days)"}
    token = {"ClientRequestToken": str(uuid4())}
    world.service.handle("RotateSecret", {**request, **token, "RotationRules": rules})
    world.service.wait()
    said = world.run("enable", "app", "--yes")
    assert said.status == Exit.FAILURE
    assert attached(world, "app")
    assert world.asked("CancelRotateSecret") == 0


def test_a_file_says_which_and_how(world: World, tmp_path: Path) -> None:
    """Each line names a secret, and what is its own; the command line has the rest."""
    for name in ("one", "two"):
        world.secret(name, attached=False)
    file = tmp_path / "secrets.csv"
    file.write_text("secret,schedule,window\none,rate(7 days),6h\ntwo,,\n")
    assert world.run("enable", "--file", str(file), "--window", "3h", "--yes").status == Exit.WELL
    rules = {
        name: world.service.handle("DescribeSecret", {"SecretId": name})["RotationRules"]
        for name in ("one", "two")
    }
    assert (rules["one"]["ScheduleExpression"], rules["one"]["Duration"]) == ("rate(7 days)", "6h")
    assert rules["two"]["Duration"] == "3h"


@pytest.mark.parametrize("text", ["secret,schedul\na,b\n", "name\na\n", "", "secret\nno-such\n"])
def test_a_file_that_is_wrong_is_refused(world: World, tmp_path: Path, text: str) -> None:
    """A column that is none, or a secret that is none, ends the command before any change."""
    file = tmp_path / "secrets.csv"
    file.write_text(text)
    assert world.run("enable", "--file", str(file), "--yes").status in {Exit.USAGE, Exit.WELL}
    assert world.asked("RotateSecret") == 0


def test_what_may_not_be_rotated_is_refused(world: World) -> None:
    """A managed secret, and one whose rotation has not ended, are told and left alone."""
    world.service.create_secret("managed", {}, owning_service="rds")
    world.hang(world.secret("hangs"))
    said = world.run("enable", "--all", "--yes")
    assert "it is managed by rds" in said.row("managed")
    assert "a rotation has not ended" in said.row("hangs")
    assert said.status == Exit.FAILURE
    assert world.asked("RotateSecret") == 0


def test_which_function_has_to_be_said(world: World) -> None:
    """With two functions of the framework the command asks which; it takes a name."""
    world.add_function("mysql", handler="rotators.mysql.rotator.handler")
    world.secret("app", attached=False)
    said = world.run("enable", "app", "--yes")
    assert said.status == Exit.USAGE
    assert "postgres, mysql" in said.err
    assert world.run("enable", "app", "--function", "postgres", "--yes").status == Exit.WELL
    other = world.add_function("foreign", handler="app.handler")
    assert world.run("enable", "app", "--function", other, "--yes").status == Exit.USAGE


def test_a_function_that_may_not_be_invoked_is_told(world: World) -> None:
    """The service's refusal comes with the command that cures it, and nothing was attached."""
    world.secret("app", attached=False)
    del world.service.functions[world.function]
    said = world.run("enable", "app", "--yes")
    assert "aws lambda add-permission" in said.out
    assert said.status == Exit.FAILURE
    assert not attached(world, "app")


@pytest.mark.parametrize("schedule", SPREAD)
def test_windows_are_spread(schedule: str) -> None:
    """A thousand secrets rotate at many hours, none much fuller than others, always the same."""
    arns = [f"arn:aws:secretsmanager:eu-central-1:1:secret:app/{number}" for number in range(1000)]
    rules = [rules_for(arn, schedule) for arn in arns]
    assert rules == [rules_for(arn, schedule) for arn in arns]
    slots = Counter(each["ScheduleExpression"] for each in rules)
    expected = {"monthly": 28 * 6, "weekly": 7 * 6, "daily": 6}[schedule]
    assert len(slots) > expected * 0.95
    assert max(slots.values()) < 1000 / expected * 3
    for each in rules[:50]:
        Schedule.parse(each)  # raises what the service would answer


def test_rules_are_compared_by_what_was_asked() -> None:
    """The days that the service adds make no difference."""
    assert is_same(
        {"ScheduleExpression": "a", "AutomaticallyAfterDays": 3}, {"ScheduleExpression": "a"}
    )
    assert not is_same({"ScheduleExpression": "a"}, {"ScheduleExpression": "a", "Duration": "4h"})


def test_another_schedule_is_a_change_of_its_own(world: World) -> None:
    """A secret that is attached gets a new schedule where one is asked for, and keeps it else."""
    world.secret("app", rules={"ScheduleExpression": "rate(9 days)"})
    assert "attached already" in world.run("enable", "app", "--dry-run").row("app")
    row = world.run("enable", "app", "--dry-run", "--schedule", "weekly").row("app")
    assert "new schedule" in row


@pytest.mark.parametrize("password", [None, "not the one"])
def test_a_schedule_is_for_what_would_rotate(world: World, password: str | None) -> None:
    """A secret that is attached gets its schedule after an examination, or stays as it was."""
    world.secret("app", password=password)
    said = world.run("enable", "app", "--schedule", "rate(9 days)", "--yes")
    told = world.service.handle("DescribeSecret", {"SecretId": "app"})
    assert said.status == (Exit.WELL if password is None else Exit.FAILURE)
    assert (told.get("RotationRules") is None) is (password is not None)
    assert told["RotationEnabled"]


def test_disable_detaches_and_says_what_stays(world: World) -> None:
    """The rotation is off, an attempt under way is ended, the password stays."""
    world.secret("app")
    world.hang("app")
    value = world.service.value("app")
    said = world.run("disable", "app", "--yes")
    assert said.verdict == "1 secret detached."
    assert not attached(world, "app")
    assert "AWSPENDING" not in world.labels("app")
    assert world.service.value("app") == value
    assert (
        world.run("disable", "app", "--yes").verdict
        == "0 secrets to detach of 1. Nothing was done."
    )


def test_disable_names_the_second_user(world: World) -> None:
    """After alternating users both stay, and the statements that remove one are shown."""
    world.secret("administrator", attached=False)
    world.secret("app", masterarn=world.arn("administrator"))
    assert world.run("rotate", "app").status == Exit.WELL
    said = world.run("disable", "app", "--yes")
    assert "user2_clone" in said.out
    assert 'DROP ROLE "user2_clone";' in said.out
