"""When secrets are rotated, so that a fleet is not rotated in one minute."""

import hashlib
import re
from collections.abc import Callable, Mapping

from console.outcome import Misused

MONTHLY, WEEKLY, DAILY = "monthly", "weekly", "daily"
DEFAULT_WINDOW = "4h"
FIRST_HOUR, LAST_HOUR = 0, 5
"""Windows open between these, UTC."""
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
LAST_DAY = 28
"""Every month has it."""

_EXPRESSION = re.compile(r"(?:rate|cron)\([^()]+\)")
_WINDOW = re.compile(r"[1-9]\d?h")
_HOURS = re.compile(r"(\d{1,2})-(\d{1,2})")


def hours_of(text: str) -> tuple[int, int]:
    """Read ``--between``: two hours of a day, such as ``1-5``.

    Raises:
        Misused: It is none.
    """
    found = _HOURS.fullmatch(text)
    if found is None or not 0 <= int(found[1]) <= int(found[2]) <= 23:  # noqa: PLR2004 (hours)
        raise Misused(f"--between {text}: it must be two hours of a day, UTC, such as 1-5.")
    return int(found[1]), int(found[2])


def rules_for(
    secret_arn: str,
    schedule: str,
    window: str = DEFAULT_WINDOW,
    hours: tuple[int, int] = (FIRST_HOUR, LAST_HOUR),
) -> dict[str, str]:
    """Return the ``RotationRules`` of a secret.

    Day and hour come from the secret's ARN: the same secret always gets the same, and many spread
    evenly. Windows open on the hour, and the service rotates at some moment in the window.

    Args:
        secret_arn: The secret.
        schedule: ``monthly``, ``weekly``, ``daily``; or an expression, taken as it is.
        window: How long the window is open, such as ``4h``.
        hours: When the first and the last windows open.

    Raises:
        Misused: Schedule or window is none.
    """
    if not _WINDOW.fullmatch(window):
        raise Misused(f"--window {window}: it must be hours, such as 4h.")
    if _EXPRESSION.fullmatch(schedule):
        return {"ScheduleExpression": schedule, "Duration": window}
    if schedule not in SPREAD:
        words = ", ".join(SPREAD)
        raise Misused(f"--schedule {schedule}: it must be {words}, rate(...) or cron(...).")
    place = int.from_bytes(hashlib.sha256(secret_arn.encode()).digest()[:8])
    first, last = hours
    place, hour = divmod(place, last - first + 1)
    expression = f"cron(0 {first + hour} {SPREAD[schedule](place)} *)"
    return {"ScheduleExpression": expression, "Duration": window}


SPREAD: Mapping[str, Callable[[int], str]] = {
    MONTHLY: lambda place: f"{1 + place % LAST_DAY} * ?",
    WEEKLY: lambda place: f"? * {WEEKDAYS[place % len(WEEKDAYS)]}",
    DAILY: lambda _place: "* * ?",
}
"""Day of the month, month and day of the week, by a number that is the secret's own."""


def is_same(rules: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    """Say whether a secret has these rules; the service adds the days between two rotations."""
    return all(rules.get(name) == wanted.get(name) for name in ("ScheduleExpression", "Duration"))
