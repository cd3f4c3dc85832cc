"""`rotation status`: how every secret stands, the most urgent first, and why."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from console.account import Account
from console.condition import URGENCY, Condition, Standing, assess, told_age
from console.engines import engines_of
from console.fleet import Secret
from console.functions import Functions, Maker
from console.log import LOOK_BACK, Line, Log
from console.outcome import Exit
from console.screen import STYLES, Screen, counted, plain

HEAD = ("SECRET", "ENGINE", "STRATEGY", "STATE", "LAST", "NEXT", "WHY")
FORMULA = frozenset("=+-@")
"""A spreadsheet takes a cell that begins so for a formula."""


def standings(
    account: Account,
    secrets: Sequence[Secret],
    functions: Functions,
    log: Log,
    policy_days: int | None = None,
) -> list[Standing]:
    """Say how secrets stand, the most urgent first, then by name.

    One look at each function's log serves all of its secrets.
    """
    now = datetime.now(UTC)
    errors: dict[str, Line] = {}
    for arn in sorted({each.function for each in secrets if each.is_attached}):
        function = functions.of(arn)
        if function.maker is Maker.OURS:
            errors |= log.last_errors(function, now - LOOK_BACK)
    found = [
        assess(
            secret,
            functions.of(secret.function),
            errors.get(secret.arn),
            region=account.region,
            now=now,
            policy_days=policy_days,
        )
        for secret in secrets
    ]
    return sorted(found, key=lambda each: (URGENCY[each.condition], each.secret.name))


def status(
    account: Account,
    screen: Screen,
    secrets: Sequence[Secret],
    *,
    policy_days: int | None = None,
    as_csv: bool = False,
) -> Exit:
    """Show how secrets stand."""
    log = Log(account)
    found = standings(account, secrets, Functions(account), log, policy_days)
    if as_csv:
        screen.text(to_csv(found))
        return worst(found)
    screen.tell(secrets=[to_dict(each) for each in found], unread_logs=log.unread)
    now = datetime.now(UTC)
    screen.table(HEAD, [_row(each, now) for each in found], last="WHY")
    for group, reason in log.unread.items():
        screen.say(f"Causes are not told of {group}: {reason}.", STYLES[Exit.BLIND])
    causes = Counter(each.cause for each in found if each.cause)
    for cause, number in causes.most_common():
        screen.say(f"{number} with {cause}: `rotation explain {cause}`")
    return screen.verdict(worst(found), summed_up(found))


def worst(found: Iterable[Standing]) -> Exit:
    """Return the exit status: a failure counts before a warning."""
    levels = {each.level for each in found}
    return next((each for each in (Exit.FAILURE, Exit.WARNINGS) if each in levels), Exit.WELL)


def summed_up(found: Sequence[Standing]) -> str:
    """Count the conditions, the most urgent first, and say what to do."""
    counts = Counter(each.condition for each in found)
    told = ", ".join(f"{counts[each]} {each.value}" for each in Condition if counts[each])
    advice = next((ADVICE[each] for each in Condition if counts[each] and each in ADVICE), "")
    return f"{counted(len(found))}: {told or 'none'}.{f' {advice}' if advice else ''}"


ADVICE: Mapping[Condition, str] = {
    Condition.LOCKED_OUT: "Next: `rotation recover --all`",
    Condition.STUCK: "Next: `rotation recover --all`",
    Condition.FAILING: "Next: `rotation recover --all`",
    Condition.OVERDUE: "Next: `rotation doctor --all`",
}


def _row(each: Standing, now: datetime) -> tuple[str, ...]:
    secret = each.secret
    return (
        secret.name,
        engines_of(each.function.folder),
        each.strategy,
        each.condition.value,
        f"{told_age(now - secret.last_rotated)} ago" if secret.last_rotated else "",
        _next(secret.next_rotation, now) if secret.is_attached else "",
        each.why,
        STYLES[each.level] if each.level is not Exit.WELL else "",
    )


def _next(due: datetime | None, now: datetime) -> str:
    if due is None:
        return "by hand"
    return f"in {told_age(due - now)}" if due > now else f"{told_age(now - due)} ago"


def to_dict(each: Standing) -> dict[str, object]:
    """Return what is known of a secret, for a program."""
    secret = each.secret
    return {
        "arn": secret.arn,
        "name": secret.name,
        "state": each.condition.value,
        "level": each.level.name.lower(),
        "engine": engines_of(each.function.folder) or None,
        "strategy": each.strategy or None,
        "attached": secret.is_attached,
        "function": secret.function or None,
        "schedule": secret.schedule or None,
        "window": secret.rules.get("Duration"),
        "last_rotated": secret.last_rotated,
        "next_rotation": secret.next_rotation,
        "age_days": None if each.age is None else each.age // timedelta(days=1),
        "policy_days": each.policy_days,
        "within_policy": each.is_within_policy,
        "unfinished_version": secret.pending,
        "cause": each.cause or None,
        "why": each.why or None,
    }


def to_csv(found: Iterable[Standing]) -> str:
    """Return the report for auditors: one row for each secret, with a head."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in map(to_dict, found):
        writer.writerow([cell(row[name]) for name in COLUMNS])
    return written.getvalue()


COLUMNS = (
    *("name", "arn", "state", "level", "engine", "strategy", "attached", "function", "schedule"),
    *("window", "last_rotated", "next_rotation", "age_days", "policy_days", "within_policy"),
    *("unfinished_version", "cause", "why"),
)
"""Of the report for auditors."""


def cell(value: object) -> str:
    """Return a value as a cell of CSV that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = plain(value.isoformat() if isinstance(value, datetime) else value)
    return f"'{text}" if text[:1] in FORMULA else text
