"""`rotation doctor` names what a rotation would stumble over, as it is seen from outside.

Each world is broken in one way; the code that is named is that one, and nothing else fails.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from console.outcome import Exit
from console.outside import CHECKS
from console.policies import Answer, answer
from shared.examination.code import Examiner
from shared.examination.posture import POSTURE
from shared.examination.registry import CODES
from tests.console.world import World

ROLE = "arn:aws:iam::123456789012:role/postgres"
READ = "secretsmanager:GetSecretValue"


def codes(world: World, *levels: str, name: str = "app") -> set[str]:
    """Return the codes that doctor finds at some levels."""
    (report,) = world.run("doctor", name, "--json").document["secrets"]
    return {each["Code"] for each in report["Findings"] if each["Level"] in levels}


def policy(**statement: object) -> str:
    """Return a policy of one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def deny_secret(world: World) -> None:
    """Let the secret's policy refuse the role."""
    text = policy(
        Effect="Deny", Principal={"AWS": ROLE}, Action="secretsmanager:Get*", Resource="*"
    )
    world.service.handle("PutResourcePolicy", {"SecretId": "app", "ResourcePolicy": text})


def overdue(world: World) -> None:
    """Let the next rotation's date have passed, two days ago."""
    rotation = world.service._operations.find("app").rotation
    assert rotation is not None
    window = rotation.next_window
    assert window is not None
    passed = datetime.now(UTC) - timedelta(days=2)
    rotation.missed = type(window)(passed, passed)


def short_window(world: World) -> None:
    """Give the schedule the shortest window that there is."""
    rules = {"ScheduleExpression": "rate(9 days)", "Duration": "1h"}
    world.service.enable_rotation("app", world.function, rules)


def forget_schedule(world: World) -> None:
    """Take the schedule away."""
    rotation = world.service._operations.find("app").rotation
    assert rotation is not None
    rotation.rules, rotation.schedule, rotation.next_window = {}, None, None


def by_key(world: World, text: str | None) -> None:
    """Let the secret be under a customer's key with a policy."""
    key = world.key(text)
    world.service._operations.find("app").key_id = key


BROKEN: Mapping[str, Callable[[World], object]] = {
    "FunctionMissing": lambda world: world.lambdas._functions.clear(),
    "InvokeDenied": lambda world: world.lambdas.forbid_invoking(world.function),
    "SecretPolicyDenies": deny_secret,
    "KeyDenied": lambda world: by_key(world, policy(Principal={"AWS": "arn:x"}, Action="kms:*")),
    "RoleLacksRights": lambda world: world.lambdas.refused_to_roles.add(READ),
    "NotScheduled": forget_schedule,
    "Overdue": overdue,
    "WindowTooShort": short_window,
}
"""By the code that is found: what breaks a world in that way."""


@pytest.fixture(name="app")
def app_of(world: World) -> World:
    """An account with one secret that rotates."""
    world.secret("app", rules={"ScheduleExpression": "rate(9 days)", "Duration": "4h"})
    return world


def test_every_code_has_a_broken_world() -> None:
    """What is found from outside is what these worlds show, and those of posture."""
    outside = {name for name, code in CODES.items() if code.examiner is Examiner.OUTSIDE}
    assert BROKEN.keys() == outside - {code.name for code in POSTURE}


def test_a_healthy_world_has_no_finding(app: World) -> None:
    """Nothing fails, warns or is left out."""
    app.run("rotate", "app")
    said = app.run("doctor", "app")
    assert codes(app, "failure", "warning", "note", "not-looked-at") == set()
    assert said.verdict == "1 secret: 1 well."
    assert said.status == Exit.WELL


@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_world_is_named(app: World, code: str) -> None:
    """The code is named, nothing else fails, and the exit status is that of its level."""
    BROKEN[code](app)
    level = CODES[code].level
    assert codes(app, "failure", "warning") == {code}
    said = app.run("doctor", "app")
    assert said.status == {"failure": Exit.FAILURE, "warning": Exit.WARNINGS}[level]
    assert code in said.out


def own(world: World) -> None:
    """Let another service manage the secret."""
    world.service._operations.find("app").owning_service = "rds"


SHOWN: Mapping[str, tuple[str, Callable[[World], object]]] = {
    "owner": ("ManagedSecret", own),
    "function": ("FunctionMissing", BROKEN["FunctionMissing"]),
    "invoke": ("InvokeDenied", BROKEN["InvokeDenied"]),
    "role": ("RoleLacksRights", BROKEN["RoleLacksRights"]),
    "secret policy": ("SecretPolicyDenies", BROKEN["SecretPolicyDenies"]),
    "key": ("KeyDenied", BROKEN["KeyDenied"]),
    "schedule": ("NotScheduled", BROKEN["NotScheduled"]),
    "pending": ("AttemptUnfinished", lambda world: world.hang("app")),
}
"""By the check: a code that it alone finds, and the world in which it does."""


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_is_needed(app: World, monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    """With a check taken out, its world is not named any more."""
    code, spoil = SHOWN[check]
    spoil(app)
    # The function finds some of it as well: here it is not asked.
    app.lambdas.denied.add("Invoke")
    assert code in codes(app, "failure", "warning")
    monkeypatch.delitem(CHECKS, check)
    assert code not in codes(app, "failure", "warning")


@pytest.mark.parametrize(
    ("operation", "check"),
    [("GetPolicy", "invoke"), ("SimulatePrincipalPolicy", "role"), ("Invoke", "by the function")],
)
def test_what_is_refused_is_said(app: World, operation: str, check: str) -> None:
    """A check for which a right is missing was not looked at: status 4, and no failure."""
    app.lambdas.denied.add(operation)
    (report,) = app.run("doctor", "app", "--json").document["secrets"]
    blind = {each["Check"] for each in report["Findings"] if each["Level"] == "not-looked-at"}
    assert check in blind
    said = app.run("doctor", "app")
    assert said.status == Exit.BLIND
    assert operation in said.out


def test_the_function_finds_what_it_alone_can(app: World) -> None:
    """A password that is refused: the function's finding, and what stands behind it."""
    app.secret("refused", password="not the one", rules={"ScheduleExpression": "rate(9 days)"})
    said = app.run("doctor", "refused")
    assert codes(app, "failure", name="refused") == {"LoginRefused"}
    assert "not looked at, because of LoginRefused: " in said.out
    assert said.status == Exit.FAILURE


def test_what_nothing_rotates_is_seen_from_outside(world: World) -> None:
    """The function that would rotate it is looked at, and the secret's value by nobody."""
    world.secret("new", attached=False)
    world.lambdas.refused_to_roles.add(READ)
    said = world.run("doctor", "new")
    assert "RoleLacksRights" in said.out
    assert "`rotation enable new`" in said.out
    assert "not looked at, because of RotationNotEnabled: by the function" in said.out


def test_many_are_summed_up_by_cause(world: World) -> None:
    """A line for each code with how many secrets it is about, the worst first."""
    for _ in range(5):
        world.secret(rules={"ScheduleExpression": "rate(9 days)", "Duration": "1h"})
    world.secret("policy")
    world.service.handle(
        "PutResourcePolicy",
        {
            "SecretId": "policy",
            "ResourcePolicy": policy(Effect="Deny", Principal="*", Action="*", Resource="*"),
        },
    )
    said = world.run("doctor", "--all")
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[1][:3] == ["failure", "SecretPolicyDenies", "1"]
    assert ["warning", "WindowTooShort", "5"] in [line[:3] for line in lines]
    assert said.verdict.startswith("6 secrets: 1 would fail")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Principal": "*", "Action": "kms:*"}, Answer.ALLOWED),
        ({"Principal": {"AWS": ROLE}, "Action": ["kms:decrypt"]}, Answer.ALLOWED),
        (
            {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "*"},
            Answer.HANDED_OVER,
        ),
        ({"Principal": {"AWS": "arn:aws:iam::999999999999:root"}, "Action": "*"}, Answer.SILENT),
        ({"Principal": "*", "NotAction": "kms:Decrypt"}, Answer.SILENT),
        ({"Principal": "*", "NotAction": "s3:*"}, Answer.ALLOWED),
        ({"Effect": "Deny", "Principal": "*", "Action": "kms:*"}, Answer.DENIED),
        (
            {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Condition": {"Bool": {}}},
            Answer.PERHAPS_DENIED,
        ),
        (
            {"Effect": "Deny", "NotPrincipal": {"AWS": ROLE + "-other"}, "Action": "kms:*"},
            Answer.PERHAPS_DENIED,
        ),
    ],
)
def test_policies_are_read(statement: dict[str, object], expected: Answer) -> None:
    """Who is meant and what, with wildcards; conditions are left to a person."""
    assert answer(policy(**statement), ROLE, "kms:Decrypt") is expected


def test_no_policy_is_silent() -> None:
    """Where there is none, it neither allows nor denies."""
    assert answer(None, ROLE, "kms:Decrypt") is Answer.SILENT
