"""P3: what Secrets Manager does with a rotation function, well or ill."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from probes.account import ACCEPTED, Account, code_of
from probes.labels import listed_versions

QUESTIONS: Final[Mapping[str, str]] = {
    "P3.1": "Which boto3 has the runtime, and does memfd_create work?",
    "P3.2": "Which keys has the event?",
    "P3.3": "RotateImmediately=false: which steps run, and what does testSecret see?",
    "P3.4": "Does rotation stay enabled after such a test fails?",
    "P3.5": "Which labels has the reserved version after a Put that names AWSPENDING and another?",
    "P3.6": "Does a Put that does not name AWSPENDING leave it on the reserved version?",
    "P3.7": "Does AWSPENDING stay on the promoted version?",
    "P3.8": "Promotion in setSecret: which steps follow, is it a success, is the next one taken?",
    "P3.9": "A step takes AWSPENDING off and returns: which steps follow, what is it then?",
    "P3.10": "A step takes AWSPENDING off and fails: is it tried again, what is it then?",
    "P3.11": "A failing function: which invocations, when, under which token?",
    "P3.12": "After a failure: RotateSecret without and with the pending token?",
    "P3.13": "After a failure: NextRotationDate in the past, LastChangedDate touched?",
    "P3.14": "Which lists show a version without a value?",
    "P3.15": "Does a new AWSCURRENT from outside take AWSPENDING away?",
    "P3.16": "A step that takes long: is it waited for, or delivered again?",
    "P3.17": "A reserved concurrency of 1, three rotations at once: do all succeed?",
    "P3.18": "Does the next step see the labels that the one before has moved?",
}
COSTS: Final = (
    "a function, its role and log group, twelve secrets: below 0.05 USD, half an hour "
    "(--watch-minutes watches retries for longer)"
)

CODE: Final = Path(__file__).with_name("function.py")
SETTLE_SECONDS: Final = 300
SLEEP_SECONDS: Final = 120
Line = dict[str, Any]


class Rotations:
    """The function, and secrets that it rotates.

    Args:
        account: Where.
        sleep_seconds: How long the mode `sleeping` sleeps in a step.
    """

    def __init__(self, account: Account, sleep_seconds: float) -> None:
        self._account = account
        self._secrets: dict[str, str] = {}
        self._logs = f"{account.prefix}-logs"
        self.function = self._make_function(sleep_seconds)

    def _make_function(self, sleep_seconds: float) -> str:
        account = self._account
        account.make("log group", "logs")
        account.ask("logs", "put_retention_policy", logGroupName=self._logs, retentionInDays=1)
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
        trust |= {"Principal": {"Service": "lambda.amazonaws.com"}}  # type: ignore[dict-item] # JSON
        role = account.make("role", "role", AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
        partition, number = role.split(":")[1], role.split(":")[4]
        where = f"{account.region}:{number}"
        allowed = {
            f"arn:{partition}:secretsmanager:{where}:secret:{account.prefix}-*": [
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
            ],
            f"arn:{partition}:logs:{where}:log-group:{self._logs}:*": [
                "logs:CreateLogStream",
                "logs:PutLogEvents",
            ],
        }
        account.ask(
            "iam",
            "put_role_policy",
            RoleName=f"{account.prefix}-role",
            PolicyName="probe",
            PolicyDocument=_policy(
                *(
                    {"Effect": "Allow", "Action": actions, "Resource": resource}
                    for resource, actions in allowed.items()
                )
            ),
        )
        # A new role is not known everywhere at once.
        arn = account.wait(lambda: self._create(role, sleep_seconds), 60)
        if arn is None:
            raise RuntimeError("Lambda did not accept the new role within a minute.")
        account.ask(
            "lambda",
            "add_permission",
            FunctionName=arn,
            StatementId="secretsmanager",
            Action="lambda:InvokeFunction",
            Principal="secretsmanager.amazonaws.com",
            SourceAccount=number,
        )
        account.wait(
            lambda: (
                account.ask("lambda", "get_function_configuration", FunctionName=arn)["State"]
                == "Active"
            ),
            60,
        )
        return arn

    def _create(self, role: str, sleep_seconds: float) -> str | None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as code:
            code.writestr("function.py", CODE.read_text())
        try:
            made = self._account.make(
                "function",
                "function",
                Runtime="python3.13",
                Handler="function.handler",
                Role=role,
                Timeout=900,
                Code={"ZipFile": archive.getvalue()},
                LoggingConfig={"LogGroup": self._logs},
                Environment={"Variables": {"SLEEP_SECONDS": str(sleep_seconds)}},
            )
        except ClientError as error:
            if code_of(error) == "InvalidParameterValueException":
                return None
            raise
        return str(made["FunctionArn"])

    def attach(self, mode: str, *, immediately: bool = True) -> str:
        """Make a secret where there is none of this mode yet, attach it, and return the outcome."""
        if mode not in self._secrets:
            made = self._account.make("secret", mode, SecretString="first")
            self._secrets[mode] = made["ARN"]
        return self._account.outcome(
            "secretsmanager",
            "rotate_secret",
            SecretId=self._secrets[mode],
            RotationLambdaARN=self.function,
            RotationRules={"ScheduleExpression": "rate(4 hours)"},
            RotateImmediately=immediately,
        )

    def rotate(self, mode: str, token: str | None = None) -> str:
        """Ask for a rotation, and return ``accepted`` or the code."""
        naming = {"ClientRequestToken": token} if token else {}
        return self._account.outcome(
            "secretsmanager", "rotate_secret", SecretId=self._secrets[mode], **naming
        )

    def arn(self, mode: str) -> str:
        """Return the ARN of a mode's secret."""
        return self._secrets[mode]

    def described(self, mode: str) -> Line:
        """Return what DescribeSecret says."""
        return self._account.ask("secretsmanager", "describe_secret", SecretId=self._secrets[mode])

    def lines(self, mode: str) -> list[Line]:
        """Return what the function said in a mode, in order."""
        events: list[Line] = []
        page: dict[str, Any] = {}
        while not events or page.get("nextToken"):
            more = {"nextToken": page["nextToken"]} if page.get("nextToken") else {}
            page = self._account.ask("logs", "filter_log_events", logGroupName=self._logs, **more)
            events += page["events"]
            if not page["events"] and not page.get("nextToken"):
                break
        told = [json.loads(one["message"]) for one in events if '"probe": "P3"' in one["message"]]
        return sorted((one for one in told if one["mode"] == mode), key=lambda one: one["began"])

    def wait_for(self, mode: str, step: str, seconds: float = SETTLE_SECONDS) -> list[Line]:
        """Wait until the log shows a step, which takes a while; return all lines."""
        self._account.wait(lambda: any(one["step"] == step for one in self.lines(mode)), seconds)
        return self.lines(mode)

    def rotated(self, mode: str, seconds: float = SETTLE_SECONDS) -> bool:
        """Wait until a rotation is a success to Secrets Manager, and return whether it is."""
        return bool(
            self._account.wait(lambda: self.described(mode).get("LastRotatedDate"), seconds)
        )


def probe(
    account: Account, *, watch_minutes: float = 10, sleep_seconds: float = SLEEP_SECONDS
) -> Iterator[tuple[str, str]]:
    """Answer the questions, each as soon as it is known.

    Args:
        account: Where.
        watch_minutes: How long the retries of a failing function are watched.
        sleep_seconds: How long a step takes that takes long.
    """
    rotations = Rotations(account, sleep_seconds)
    yield from _tests_alone(account, rotations)
    # The rest at once: most of the time goes by while Secrets Manager tries again.
    for mode in ("healthy", "planned", "early", "ending", "endfailing", "failing", "sleeping"):
        if (outcome := rotations.attach(mode)) != ACCEPTED:
            raise RuntimeError(f"RotateSecret was refused for the mode {mode}: {outcome}.")
    yield from _successes(rotations)
    yield from _taken_off(account, rotations)
    yield from _failures(account, rotations, watch_minutes)
    yield "P3.16", _long_step(rotations)
    yield "P3.17", _throttled(account, rotations)


def _tests_alone(account: Account, rotations: Rotations) -> Iterator[tuple[str, str]]:
    rotations.attach("healthy", immediately=False)
    lines = rotations.wait_for("healthy", "testSecret")
    if not lines:
        raise RuntimeError("The function's log stayed empty.")
    first = lines[0]
    yield (
        "P3.1",
        f"boto3 {first['boto3']}, botocore {first['botocore']}; memfd_create {first['memfd']}",
    )
    yield "P3.2", ", ".join(first["keys"])
    seen = lines[-1]
    labels = seen["labels"].get(seen["token"], [])
    yield (
        "P3.3",
        (
            f"{_steps(lines)}; RotationEnabled {seen['enabled']}, labels {labels}, "
            f"value: {seen['value']}"
        ),
    )
    account.wait(lambda: not _pending(rotations.described("healthy")), 60)
    rotations.attach("failing", immediately=False)
    rotations.wait_for("failing", "testSecret")
    account.wait(lambda: not _pending(rotations.described("failing")), 60)
    failed = rotations.described("failing")
    yield (
        "P3.4",
        (
            f"RotationEnabled {failed.get('RotationEnabled')}, AWSPENDING on "
            f"{'a version' if _pending(failed) else 'none'}"
        ),
    )


def _successes(rotations: Rotations) -> Iterator[tuple[str, str]]:
    healthy = rotations.rotated("healthy")
    lines = rotations.wait_for("healthy", "finishSecret")
    yield "P3.5", f"{_labels_after_create(lines)}; success: {_yes(healthy)}"
    planned = rotations.rotated("planned")
    yield (
        "P3.6",
        (
            f"{_labels_after_create(rotations.wait_for('planned', 'finishSecret'))}; "
            f"success: {_yes(planned)}"
        ),
    )
    yield "P3.7", "stays" if _pending(rotations.described("healthy")) else "goes"
    early = rotations.rotated("early")
    lines = rotations.wait_for("early", "finishSecret")
    # A second rotation by the schedule or by hand must find nothing in its way.
    yield (
        "P3.8",
        f"{_steps(lines)}; success: {_yes(early)}; the next: {rotations.rotate('early')}",
    )
    after = [one for one in lines if one["step"] in {"testSecret", "finishSecret"}]
    seen = ["AWSCURRENT" in one["labels"].get(one["token"], []) for one in after]
    yield "P3.18", f"{sum(seen)} of {len(seen)} steps after the promotion saw it"


def _taken_off(account: Account, rotations: Rotations) -> Iterator[tuple[str, str]]:
    for question, mode in (("P3.9", "ending"), ("P3.10", "endfailing")):
        rotations.wait_for(mode, "setSecret")
        account.pause(120)
        steps = _steps(rotations.lines(mode))
        described = rotations.described(mode)
        yield (
            question,
            (
                f"{steps}; success: {_yes('LastRotatedDate' in described)}, "
                f"AWSPENDING on {'a version' if _pending(described) else 'none'}; "
                f"the next: {rotations.rotate(mode)}"
            ),
        )


def _failures(
    account: Account, rotations: Rotations, watch_minutes: float
) -> Iterator[tuple[str, str]]:
    rotations.wait_for("failing", "createSecret")
    before = rotations.described("failing")["LastChangedDate"]
    account.pause(watch_minutes * 60)
    lines = [one for one in rotations.lines("failing") if one["step"] != "testSecret"]
    began = lines[0]["began"] if lines else 0.0
    times = ", ".join(f"{one['began'] - began:.0f}" for one in lines)
    tokens = len({one["token"] for one in lines})
    yield "P3.11", f"{len(lines)} of createSecret, after s: {times}; tokens: {tokens}"
    described = rotations.described("failing")
    pending = _pending(described)
    yield "P3.14", _lists(account, rotations.arn("failing"), pending)
    bare = rotations.rotate("failing")
    named = rotations.rotate("failing", pending) if pending else "nothing is pending"
    yield "P3.12", f"without: {bare}; with: {named}"
    due = described.get("NextRotationDate")
    past = due is not None and due < datetime.now(UTC)
    yield (
        "P3.13",
        (
            f"NextRotationDate {due}, in the past: {_yes(past)}; LastChangedDate touched: "
            f"{_yes(described['LastChangedDate'] != before)}"
        ),
    )
    account.ask(
        "secretsmanager",
        "put_secret_value",
        SecretId=rotations.arn("failing"),
        SecretString="from outside",
    )
    account.pause(10)
    yield "P3.15", _yes(not _pending(rotations.described("failing")))


def _lists(account: Account, secret: str, pending: str | None) -> str:
    if pending is None:
        return "nothing is pending"
    listed = account.ask(
        "secretsmanager",
        "list_secrets",
        Filters=[{"Key": "name", "Values": [account.prefix]}],
        MaxResults=100,
    )["SecretList"]
    (here,) = [one for one in listed if one["ARN"] == secret]
    return (
        f"ListSecrets: {_yes(pending in here.get('SecretVersionsToStages', {}))}; "
        f"ListSecretVersionIds: {_yes(pending in listed_versions(account, secret))}"
    )


def _long_step(rotations: Rotations) -> str:
    succeeded = rotations.rotated("sleeping", 2 * SLEEP_SECONDS + SETTLE_SECONDS)
    lines = rotations.wait_for("sleeping", "finishSecret")
    return f"{_steps(lines)}; success: {_yes(succeeded)}"


def _throttled(account: Account, rotations: Rotations) -> str:
    reserved = account.outcome(
        "lambda",
        "put_function_concurrency",
        FunctionName=rotations.function,
        ReservedConcurrentExecutions=1,
    )
    if reserved != ACCEPTED:
        return f"not to be had: {reserved}"
    modes = [f"healthy{number}" for number in (1, 2, 3)]
    asked = [rotations.attach(mode) for mode in modes]
    succeeded = [rotations.rotated(mode) for mode in modes]
    return f"RotateSecret: {', '.join(asked)}; {sum(succeeded)} of 3 succeeded within five minutes"


def _policy(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _steps(lines: Sequence[Line]) -> str:
    return "steps: " + (", ".join(one["step"] for one in lines) or "none")


def _labels_after_create(lines: Sequence[Line]) -> str:
    for one in lines:
        if one["step"] == "setSecret":
            return f"setSecret sees {sorted(one['labels'].get(one['token'], []))}"
    return "setSecret did not run"


def _pending(described: Line) -> str | None:
    """Return the version that has AWSPENDING."""
    return next(
        (v for v, on in described.get("VersionIdsToStages", {}).items() if "AWSPENDING" in on), None
    )


def _yes(holds: bool) -> str:  # noqa: FBT001 (what it says)
    return "yes" if holds else "no"
