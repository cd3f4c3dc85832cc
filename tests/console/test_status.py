"""`rotation status` says how secrets stand, and why, without a value."""

from datetime import UTC, datetime, timedelta

import pytest

from console.condition import Condition, assess
from console.fleet import Secret
from console.functions import Function, Maker
from console.log import Line
from console.outcome import Exit
from shared.errors import LoginRefused, Unreachable
from shared.model import Stage
from shared.plan import Plan, digest
from shared.settings import StrategyName
from tests.console.world import World

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OURS = Function("arn:f", Maker.OURS, folder="postgres")
REGION = "eu-central-1"
ATTACHED = {
    "ARN": "arn:s",
    "Name": "s",
    "RotationEnabled": True,
    "RotationLambdaARN": "arn:f",
    "CreatedDate": NOW - timedelta(days=400),
}
CURRENT = {"SecretVersionsToStages": {"one": [Stage.CURRENT]}}
PENDING = {"SecretVersionsToStages": {"one": [Stage.CURRENT], "two": [Stage.PENDING]}}
LABEL = Plan(StrategyName.SINGLE_USER, digest("one")).label("two")


def error(cause: str, ago: timedelta = timedelta(hours=1)) -> Line:
    """Return a failed step."""
    return Line(NOW - ago, "arn:s", "two", "setSecret", True, f"{cause} it is. Do.", cause, {})


@pytest.mark.parametrize(
    ("told", "line", "condition"),
    [
        ({"LastRotatedDate": NOW}, None, Condition.WELL),
        ({}, None, Condition.NEVER),
        ({"RotationEnabled": False}, None, Condition.DETACHED),
        ({"OwningService": "rds"}, None, Condition.MANAGED),
        ({"PrimaryRegion": "us-east-1"}, None, Condition.REPLICA),
        ({"PrimaryRegion": REGION, "LastRotatedDate": NOW}, None, Condition.WELL),
        ({**PENDING, "LastChangedDate": NOW - timedelta(hours=7)}, None, Condition.STUCK),
        ({**PENDING, "LastChangedDate": NOW - timedelta(hours=5)}, None, Condition.UNFINISHED),
        ({"NextRotationDate": NOW - timedelta(hours=25)}, None, Condition.OVERDUE),
        ({"NextRotationDate": NOW - timedelta(hours=23)}, None, Condition.NEVER),
        ({}, error("NoLoginWorks"), Condition.LOCKED_OUT),
        ({}, error("AccountLocked"), Condition.FAILING),
        ({"LastRotatedDate": NOW}, error("AccountLocked"), Condition.WELL),
        (
            {"SecretVersionsToStages": {"one": ["AWSCURRENT"], "two": [LABEL]}},
            None,
            Condition.FAILING,
        ),
        (
            {"SecretVersionsToStages": {"one": ["AWSPREVIOUS"], "two": [LABEL, "AWSCURRENT"]}},
            None,
            Condition.NEVER,
        ),
    ],
)
def test_labels_dates_and_log_decide(
    told: dict[str, object], line: Line | None, condition: Condition
) -> None:
    """A secret stands as labels, dates and the last error since its last rotation say."""
    secret = Secret.of({**ATTACHED, **CURRENT, **told})
    assert assess(secret, OURS, line, region=REGION, now=NOW).condition is condition


@pytest.mark.parametrize(
    ("maker", "condition"),
    [
        (Maker.MISSING, Condition.NO_FUNCTION),
        (Maker.AWS, Condition.ELSEWHERE),
        (Maker.ANOTHER, Condition.ELSEWHERE),
        (Maker.UNKNOWN, Condition.WELL),
    ],
)
def test_whose_function_it_is_counts(maker: Maker, condition: Condition) -> None:
    """A function that is missing fails; one of another maker is not judged."""
    secret = Secret.of({**ATTACHED, "LastRotatedDate": NOW})
    found = assess(secret, Function("arn:f", maker), None, region=REGION, now=NOW)
    assert found.condition is condition


@pytest.mark.parametrize(
    ("told", "within"),
    [
        ({"LastRotatedDate": NOW - timedelta(days=89)}, True),
        ({"LastRotatedDate": NOW - timedelta(days=91)}, False),
        ({"RotationEnabled": False}, False),
    ],
)
def test_the_policy_counts_from_the_last_rotation(told: dict[str, object], *, within: bool) -> None:
    """What was never rotated is as old as the secret; older than the policy is a warning."""
    secret = Secret.of({**ATTACHED, **told})
    found = assess(secret, OURS, None, region=REGION, now=NOW, policy_days=90)
    assert found.is_within_policy is within
    assert (found.condition is Condition.TOO_OLD) is not within
    assert found.level is (Exit.WELL if within else Exit.WARNINGS)


def test_the_most_urgent_comes_first(world: World) -> None:
    """One line a secret, those that fail first, with the cause from the function's log."""
    world.secret("b-well")
    world.run("rotate", "b-well")
    world.secret("a-refused", password="not the one")
    world.run("rotate", "a-refused")
    world.secret("c-new", attached=False)
    with world.ago(hours=7):
        world.hang(world.secret("d-hangs"))
    said = world.run("status")
    names = [line.split()[0] for line in said.out.splitlines()[1:5]]
    assert names == ["a-refused", "d-hangs", "c-new", "b-well"]
    assert "NoLoginWorks" in said.row("a-refused")
    assert "single-user" in said.row("b-well")
    assert said.verdict == (
        "4 secrets: 1 locked out, 1 stuck, 1 not attached, 1 well. Next: `rotation recover --all`"
    )
    assert said.status == Exit.FAILURE


def test_secrets_are_chosen(world: World) -> None:
    """By name or by a tag with just that value; in two ways at once is a mistake."""
    world.secret("red", tags={"colour": "red"})
    world.secret("redder", tags={"colour": "reddish"})
    by_tag = world.run("status", "--tag", "colour=red", "--json").document["secrets"]
    assert [each["name"] for each in by_tag] == ["red"]
    by_name = world.run("status", "redder", "--json").document["secrets"]
    assert [each["name"] for each in by_name] == ["redder"]
    assert world.run("status", "red", "--tag", "colour=red").status == Exit.USAGE
    nothing = world.run("status", "no-such")
    assert nothing.status == Exit.USAGE
    assert "no-such" in nothing.err


def test_a_report_for_auditors(world: World) -> None:
    """CSV has a row for each secret, its age against the policy, and no formula."""
    world.secret("=HYPERLINK", attached=False)
    world.secret(
        "app", tags={"rotation:strategy": "single-user"}, rules={"AutomaticallyAfterDays": 9}
    )
    world.run("rotate", "app")
    world.service.create_secret("managed", {}, owning_service="rds")
    said = world.run("status", "--csv", "--policy", "90")
    head, *rows = (line.split(",") for line in said.out.splitlines())
    by_name = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert set(by_name) == {"'=HYPERLINK", "app", "managed"}
    assert by_name["app"]["within_policy"] == "yes"
    assert by_name["app"]["schedule"] == "rate(9 days)"
    assert by_name["app"]["strategy"] == "single-user"
    assert by_name["'=HYPERLINK"]["attached"] == "no"


def test_what_cannot_be_read_is_said(world: World) -> None:
    """Without the log's lines the table is there, and says whose causes are not told."""
    world.secret("app", password="not the one")
    world.run("rotate", "app")
    world.lambdas.denied.add("FilterLogEvents")
    said = world.run("status")
    assert "Causes are not told of /aws/lambda/postgres: FilterLogEvents" in said.out
    assert "failing" in said.row("app"), "the labels tell that an attempt has ended"
    world.lambdas.denied.add("GetFunctionConfiguration")
    assert world.run("status").status == Exit.FAILURE


def test_a_retry_under_way_is_no_failure(world: World) -> None:
    """What the service repeats is a warning, with the last cause of the log."""
    world.secret("app")
    world.fault = Unreachable("No server at db.example.com.")
    world.run("rotate", "app", "--patience", "1")
    said = world.run("status")
    assert "not finished" in said.row("app")
    assert "Unreachable: No server at db.example.com" in said.row("app")
    assert said.status == Exit.WARNINGS
    assert LoginRefused.__name__ not in said.out


def test_watching_looks_again_and_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """--watch tells anew after each pause, until Ctrl-C, and exits as the last look says."""
    world.secret("app", password="not the one")
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 1:
            raise KeyboardInterrupt
        world.service.rotate("app")

    monkeypatch.setattr("console.app.time.sleep", pause)
    said = world.run("status", "--watch", "--interval", "3")
    assert pauses == [3, 3]
    assert "1 never rotated" in said.out
    assert "1 locked out" in said.verdict
    assert said.status == Exit.FAILURE
