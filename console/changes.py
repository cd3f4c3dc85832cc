"""What attaching secrets will change: decided from what they are, and from what was asked for."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Self

from console.fleet import Secret
from console.functions import Function, Functions, Maker, unqualified
from console.outcome import Misused
from console.schedules import DEFAULT_WINDOW, FIRST_HOUR, LAST_HOUR, MONTHLY, is_same, rules_for

COLUMNS = ("secret", "function", "schedule", "window")
"""Of a file of secrets; the first is needed."""


CAME_FROM = "rotated-before-by"
"""Tag on a secret that another function rotated: its ARN, the way back."""
ALTERNATING = "multiuser"
"""In the names of those of AWS's own functions that let two users take turns, in lower case."""


class Change(Enum):
    """What happens to a secret."""

    ATTACH = "attach"
    MOVE = "move over"
    SCHEDULE = "new schedule"
    SAME = "attached already"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Asked:
    """How a secret is to be attached, by command line or file; empty for what is chosen.

    Attributes:
        function, schedule, window: As on the command line.
        hours: Between which windows open.
        adopts: Whether the second user that one of AWS's own functions has made is adopted.
    """

    function: str = ""
    schedule: str = ""
    window: str = ""
    hours: tuple[int, int] = (FIRST_HOUR, LAST_HOUR)
    adopts: bool = False

    def over(self, general: Self) -> Self:
        """Return what was asked for here, and where nothing was, in general."""
        return replace(
            general,
            function=self.function or general.function,
            schedule=self.schedule or general.schedule,
            window=self.window or general.window,
        )


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to happen to one secret.

    Attributes:
        secret: The secret, as it is.
        change: What happens.
        function: What will rotate it.
        rules: Its ``RotationRules``.
        was_just_attached: Whether an earlier run of this command attached it, and may not have
            examined it.
        adopts: Whether the pair of users that its function has made is taken over.
        reason: Why it is refused.
    """

    secret: Secret
    change: Change
    function: Function | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)
    was_just_attached: bool = False
    adopts: bool = False
    reason: str = ""

    @property
    def former(self) -> str:
        """The function that rotated it before this framework's; empty where none did."""
        if self.change is Change.MOVE:
            return self.secret.function
        return self.secret.tags.get(CAME_FROM, "")


def read_file(path: Path) -> list[tuple[str, Asked]]:
    """Read a file of secrets: CSV with a head, one secret a line.

    Raises:
        Misused: It cannot be read, or has other columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            head = [name.strip().lower() for name in reader.fieldnames or ()]
            rows = [dict(zip(head, row.values(), strict=False)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Misused(f"{path} cannot be read: {error}.") from None
    unknown = [name for name in head if name not in COLUMNS]
    if unknown or COLUMNS[0] not in head:
        raise Misused(
            f"{path} must have the columns {', '.join(COLUMNS)}, the first at least"
            f"{f'; it has {unknown[0]}' if unknown else ''}."
        )
    told = [{name: (row.get(name) or "").strip() for name in COLUMNS} for row in rows]
    return [
        (row["secret"], Asked(row["function"], row["schedule"], row["window"]))
        for row in told
        if row["secret"]
    ]


def plan(secret: Secret, asked: Asked, functions: Functions, region: str) -> Planned:
    """Decide what is to happen to one secret.

    Raises:
        Misused: What was asked for makes no sense.
    """
    if reason := _refusal(secret, region):
        return Planned(secret, Change.REFUSED, reason=reason)
    function = _function_for(secret, asked, functions)
    window, schedule = asked.window or DEFAULT_WINDOW, asked.schedule or MONTHLY
    own = rules_for(secret.arn, schedule, window, asked.hours)
    # What a secret has stays, unless something else was asked for.
    keeps = bool(secret.rules) and not (asked.schedule or asked.window)
    rules = own_rules(secret.rules) if keeps else own
    planned = Planned(secret, Change.ATTACH, function, rules)
    if not secret.is_attached:
        return planned
    if unqualified(secret.function) != function.arn:
        alternates = ALTERNATING in secret.function.rpartition(":")[2].lower()
        return replace(planned, change=Change.MOVE, adopts=asked.adopts and alternates)
    if not is_same(secret.rules, rules):
        return replace(planned, change=Change.SCHEDULE)
    just = (is_same(secret.rules, own) or CAME_FROM in secret.tags) and not secret.was_ours
    return replace(planned, change=Change.SAME, was_just_attached=just)


def own_rules(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return rules as RotateSecret takes them: the service adds the days, and refuses both."""
    added = "AutomaticallyAfterDays" if "ScheduleExpression" in rules else ""
    return {name: value for name, value in rules.items() if name != added}


def _refusal(secret: Secret, region: str) -> str:
    if secret.owner or secret.kind:
        return f"it is managed by {secret.owner or secret.kind}"
    if secret.is_replica(region):
        return f"it is a replica: its primary is in {secret.primary_region}"
    if secret.pending is not None and secret.is_attached:
        return f"a rotation has not ended: `rotation recover {secret.name}`"
    if secret.pending is not None:
        return (
            "AWSPENDING is on a version of its own: `aws secretsmanager "
            f"update-secret-version-stage --secret-id {secret.arn} --version-stage AWSPENDING "
            f"--remove-from-version-id {secret.pending}`"
        )
    return ""


def _function_for(secret: Secret, asked: Asked, functions: Functions) -> Function:
    """Return the function that is to rotate a secret.

    Raises:
        Misused: It is not clear which.
    """
    if asked.function:
        return functions.named(asked.function)
    present = functions.of(secret.function)
    if present.maker is Maker.OURS:
        return present
    ours = functions.ours()
    folder = folder_of_aws(present.name) if present.maker is Maker.AWS else ""
    fit = [each for each in ours if not folder or each.folder == folder]
    if len(fit) == 1:
        return fit[0]
    names = ", ".join(each.name for each in fit) or "there is none of this framework here"
    raise Misused(f"Which function is to rotate {secret.name}? Name it with --function: {names}.")


def folder_of_aws(name: str) -> str:
    """Return the rotator's folder for the engine of one of AWS's own functions, by its name."""
    engines = {"postgre": "postgres", "mysql": "mysql", "maria": "mysql"}
    return next((folder for word, folder in engines.items() if word in name.lower()), "")
