"""Secrets that one of AWS's own functions rotates are moved over, and back."""

import json
from uuid import uuid4

import pytest

from console.outcome import Exit
from tests.conformance.simulated import Account
from tests.console.world import World

AWS_NAME = "SecretsManagerRDSPostgreSQLRotationMultiUser"
AWS_HANDLER = "lambda_function.lambda_handler"
RULES = {"ScheduleExpression": "rate(9 days)", "Duration": "3h"}


@pytest.fixture(name="former")
def former_of(world: World) -> str:
    """One of AWS's own functions; its ARN. It finds every test of the service well."""
    return world.lambdas.add(AWS_NAME, lambda _event: None, handler=AWS_HANDLER)


def pair(world: World, former: str, current: str = "user2", *, allowed: str | None = None) -> str:
    """Make a secret as such a function leaves it: a second user that nobody has marked."""
    world.secret("administrator", attached=False)
    world.secret("app", masterarn=world.arn("administrator"))
    password = f"Password-of-the-second-{uuid4()}"
    rights = frozenset({"read"})
    world.database.accounts["user2"].rights = rights
    world.database.accounts["user2_clone"] = Account([password], rights)
    if current == "user2_clone":
        value = json.loads(world.service.value("app")) | {"username": current, "password": password}
        world.service.handle(
            "PutSecretValue",
            {
                "SecretId": "app",
                "ClientRequestToken": str(uuid4()),
                "SecretString": json.dumps(value),
            },
        )
    if allowed is not None:
        tags = [{"Key": "rotation:rotates", "Value": allowed}]
        world.service.handle("TagResource", {"SecretId": "administrator", "Tags": tags})
    world.service.enable_rotation("app", former, RULES)
    return "app"


def told(world: World) -> dict[str, object]:
    """Return what DescribeSecret tells, its tags as a mapping."""
    answer = world.service.handle("DescribeSecret", {"SecretId": "app"})
    return answer | {"Tags": {tag["Key"]: tag["Value"] for tag in answer["Tags"]}}


@pytest.mark.parametrize("current", ["user2", "user2_clone"])
def test_a_pair_is_moved_over_and_adopted(world: World, former: str, current: str) -> None:
    """Whichever user is in use, the secret then rotates with the same two, schedule kept."""
    pair(world, former, current, allowed="user2 user2_clone")
    world.reads_names = True
    said = world.run("enable", "app", "--adopt", "--yes")
    assert said.status == Exit.WELL, said.out + said.err
    assert f"from {AWS_NAME}" in said.row("app")
    assert told(world)["RotationLambdaARN"] == world.function
    assert told(world)["RotationRules"]["ScheduleExpression"] == "rate(9 days)"  # type: ignore[index]
    for _ in range(2):
        assert world.run("rotate", "app").status == Exit.WELL
        assert world.logs_in("app")
    assert world.database.accounts.keys() == {"user1", "user2", "user2_clone"}


@pytest.mark.parametrize("allowed", [None, "user2"])
def test_without_leave_it_is_given_back(world: World, former: str, allowed: str | None) -> None:
    """The administrator's own secret has to allow it: else all is as it was, and it says so."""
    pair(world, former, allowed=allowed)
    before = told(world)
    world.reads_names = True
    said = world.run("enable", "app", "--adopt", "--yes")
    assert said.status == Exit.FAILURE
    assert f"Given back to {AWS_NAME}" in said.out
    after = told(world)
    for member in ("RotationLambdaARN", "RotationRules", "Tags", "RotationEnabled"):
        assert after[member] == before[member]
    assert "AWSPENDING" not in world.labels("app")


def test_a_foreign_user_is_not_adopted_unasked(world: World, former: str) -> None:
    """Without --adopt the second user stands in the way, and no name was read."""
    pair(world, former)
    said = world.run("enable", "app", "--yes")
    assert "NotOurUser" in said.out
    assert told(world)["RotationLambdaARN"] == former


def test_there_is_a_way_back(world: World, former: str) -> None:
    """`disable --back` attaches the function of before; the pair is as that function knows it."""
    pair(world, former, allowed="*")
    world.reads_names = True
    world.run("enable", "app", "--adopt", "--yes")
    world.run("rotate", "app")
    said = world.run("disable", "app", "--back", "--yes")
    assert said.verdict == "1 secret given back."
    assert told(world)["RotationLambdaARN"] == former
    assert told(world)["RotationEnabled"]
    assert told(world)["Tags"] == {}
    assert world.logs_in("app")
    assert json.loads(world.service.value("app"))["username"] == "user2_clone"
    again = world.run("disable", "app", "--back", "--yes")
    assert "rotated-before-by" in again.out
    assert again.status == Exit.FAILURE


@pytest.mark.parametrize("phase", ["before", "after"])
def test_killed_it_is_moved_over_or_given_back(world: World, former: str, phase: str) -> None:
    """Killed around the request that moves it, the next run ends as if nothing had been."""
    pair(world, former)
    world.run_killed("RotateSecret", phase, 1, "enable", "app", "--yes")
    said = world.run("enable", "app", "--yes")
    assert said.status == Exit.FAILURE
    assert told(world)["RotationLambdaARN"] == former
    assert told(world)["Tags"] == {}
