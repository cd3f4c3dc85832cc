"""When a secret is rotated: rotation rules, parsed and checked, and the windows they open.

All times are UTC. A schedule opens **windows**, on the hour; the service rotates at some moment in
the window. This one rotates when it opens.

=============================  ========================  ==========================================
rule                           opens                     closes, where no ``Duration`` says so
=============================  ========================  ==========================================
``AutomaticallyAfterDays: N``  midnight, N days later    at the end of that day
``rate(N days)``               midnight, N days later    at the end of that day
``rate(N hours)``              every N hours             after one hour
``cron(0 H D M W *)``          at hour H of those days   at the end of the day, or after one hour
                                                         where there are several hours a day
=============================  ========================  ==========================================

A window may not reach into the next UTC day (schedules in days) or into the next window (in
hours), and windows are at least four hours apart. ``cron`` must have 0 minutes and ``*`` years.

Sources: the user guide's page on rotation schedules, the API reference of ``RotationRulesType``.
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Self

from local.secretsmanager.errors import ServiceError

HOURS_A_DAY: Final = 24
SHORTEST_HOURS: Final = 4
LONGEST_RATE: Final = 999
# Long enough for a 29th of February that is also a given day of the week.
DAYS_SEARCHED: Final = 366 * 40

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class Window:
    """When the service may rotate: from ``opens`` on, and not after ``closes``."""

    opens: datetime
    closes: datetime


@dataclass(frozen=True)
class Rate:
    """Every so many days at midnight, or every so many hours counted from a midnight."""

    hours: int
    daily: bool

    @property
    def closest(self) -> int:
        """Give the hours between two openings."""
        return self.hours

    @property
    def latest_hour(self) -> int:
        """Give the latest hour of a day at which a window of a schedule in days opens."""
        return 0

    def next_opening(self, after: datetime) -> datetime:
        """Give the first opening later than a moment."""
        step = timedelta(hours=self.hours)
        if self.daily:
            return _midnight(after) + step
        return _EPOCH + ((after - _EPOCH) // step + 1) * step


@dataclass(frozen=True)
class Cron:
    """At some hours of the days that match."""

    hours: tuple[int, ...]
    days: "DayPattern"

    @property
    def daily(self) -> bool:
        """Tell whether this is a schedule in days: one opening on a day."""
        return len(self.hours) == 1

    @property
    def closest(self) -> int:
        """Give the fewest hours between two openings of one day."""
        gaps = [late - early for early, late in zip(self.hours, self.hours[1:], strict=False)]
        return min(gaps, default=HOURS_A_DAY)

    @property
    def latest_hour(self) -> int:
        """Give the latest hour of a day at which a window opens."""
        return self.hours[-1]

    def next_opening(self, after: datetime) -> datetime:
        """Give the first opening later than a moment.

        Raises:
            ServiceError: ``InvalidParameterException`` where there is none, such as on a
                31st of February.
        """
        for offset in range(DAYS_SEARCHED):
            day = after.date() + timedelta(days=offset)
            for hour in self.hours if self.days.matches(day) else ():
                opening = datetime.combine(day, time(hour), tzinfo=UTC)
                if opening > after:
                    return opening
        raise _invalid("The ScheduleExpression never opens a rotation window.")


@dataclass(frozen=True)
class DayPattern:
    """Which days a ``cron`` expression means, by day of the month or by day of the week."""

    months: frozenset[int]
    month_days: frozenset[int]
    last_month_day: bool
    week_days: frozenset[int]
    nth_week_days: frozenset[tuple[int, int]]
    last_week_days: frozenset[int]

    def matches(self, day: date) -> bool:
        """Tell whether a day is one of them."""
        last = monthrange(day.year, day.month)[1]
        week_day = day.isoweekday() % 7 + 1  # 1 is Sunday
        nth = (day.day - 1) // 7 + 1
        return day.month in self.months and (
            day.day in self.month_days
            or (self.last_month_day and day.day == last)
            or week_day in self.week_days
            or (week_day, nth) in self.nth_week_days
            or (week_day in self.last_week_days and day.day > last - 7)
        )


@dataclass(frozen=True)
class Schedule:
    """Rotation rules that hold."""

    openings: Rate | Cron
    duration: timedelta | None

    @classmethod
    def parse(cls, rules: Mapping[str, Any]) -> Self:
        """Read ``RotationRules``.

        Raises:
            ServiceError: ``InvalidParameterException`` where they contradict themselves, are no
                expression of the service's, or open windows too often or for too long.
        """
        expression, days = rules.get("ScheduleExpression"), rules.get("AutomaticallyAfterDays")
        if expression is not None and days is not None:
            raise _invalid(
                "You cannot specify both rotation frequency and schedule expression together."
            )
        if expression is not None:
            openings = _parse(expression)
        elif days is not None:
            openings = Rate(days * HOURS_A_DAY, daily=True)
        else:
            raise _invalid("RotationRules must have AutomaticallyAfterDays or ScheduleExpression.")
        duration = _duration(rules.get("Duration"), openings)
        openings.next_opening(_EPOCH)  # so that one that never opens is refused
        return cls(openings, duration)

    def next_window(self, after: datetime) -> Window:
        """Give the first window that opens after a moment."""
        opens = self.openings.next_opening(after)
        if self.duration is not None:
            return Window(opens, opens + self.duration)
        if self.openings.daily:
            return Window(opens, _midnight(opens) + timedelta(days=1, seconds=-1))
        return Window(opens, opens + timedelta(hours=1))

    def days_apart(self, after: datetime) -> int:
        """Give the days between the next two windows, as ``AutomaticallyAfterDays`` shows them."""
        first = self.openings.next_opening(after)
        return max(1, (self.openings.next_opening(first) - first).days)


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", message)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _duration(text: str | None, openings: Rate | Cron) -> timedelta | None:
    if text is None:
        return None
    hours = int(text.removesuffix("h"))
    room = HOURS_A_DAY - openings.latest_hour if openings.daily else openings.closest
    if not 1 <= hours <= room:
        raise _invalid(
            f"The Duration {text} of the rotation window is not between 1h and {room}h: the window "
            "must not extend into the next UTC day or into the next rotation window."
        )
    return timedelta(hours=hours)


def _parse(expression: str) -> Rate | Cron:
    if rate := re.fullmatch(r"rate\((\d+) (hour|day)s?\)", expression):
        number, daily = int(rate[1]), rate[2] == "day"
        if not (1 if daily else SHORTEST_HOURS) <= number <= LONGEST_RATE:
            raise _invalid(
                f"Invalid ScheduleExpression {expression}: a rate is at least {SHORTEST_HOURS} "
                f"hours or 1 day, and at most {LONGEST_RATE}."
            )
        return Rate(number * HOURS_A_DAY if daily else number, daily=daily)
    if cron := re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)", expression):
        try:
            return _parse_cron(*cron.groups())
        except ValueError as error:
            raise _invalid(f"Invalid ScheduleExpression {expression}: {error}.") from error
    raise _invalid(f"Invalid ScheduleExpression {expression}: it is neither rate() nor cron().")


def _parse_cron(  # noqa: PLR0917 - the fields of a cron expression, in their order
    minutes: str, hours: str, month_day: str, month: str, week_day: str, year: str
) -> Cron:
    if minutes != "0":
        raise ValueError("the minutes must be 0")
    if year != "*":
        raise ValueError("the year must be *")
    if (month_day == "?") == (week_day == "?"):
        raise ValueError("either the day of the month or the day of the week must be ?")
    nth, last, plain = _week_day_parts(week_day)
    days = DayPattern(
        months=_numbers(month, 1, 12, MONTHS),
        month_days=frozenset() if month_day in {"?", "L"} else _numbers(month_day, 1, 31),
        last_month_day=month_day == "L",
        week_days=_numbers(plain, 1, 7, WEEKDAYS) if plain else frozenset(),
        nth_week_days=nth,
        last_week_days=last,
    )
    cron = Cron(tuple(sorted(_numbers(hours, 0, HOURS_A_DAY - 1))), days)
    if cron.closest < SHORTEST_HOURS:
        raise ValueError(f"rotations are at least {SHORTEST_HOURS} hours apart")
    return cron


def _week_day_parts(field: str) -> tuple[frozenset[tuple[int, int]], frozenset[int], str]:
    """Split a day-of-week field into the ``#`` days, the ``L`` days, and what is left."""
    nth: set[tuple[int, int]] = set()
    last: set[int] = set()
    plain: list[str] = []
    for part in field.split(","):
        if "#" in part:
            name, number = part.split("#", 1)
            if number not in {"1", "2", "3", "4", "5"}:
                raise ValueError(f"{part} is no week of a month")
            nth.add((_number(name, 1, 7, WEEKDAYS), int(number)))
        elif part == "L":
            plain.append("SAT")
        elif part.endswith("L"):
            last.add(_number(part[:-1], 1, 7, WEEKDAYS))
        elif part != "?":
            plain.append(part)
    return frozenset(nth), frozenset(last), ",".join(plain)


def _numbers(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """Read one field: ``*``, ``7``, ``1-5``, ``MON``, ``0/8``, ``*/6``, ``/6``, lists of these."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, end = ("*" if step and not span else span).partition("-")
        start = low if first == "*" else _number(first, low, high, names)
        stop = _number(end, low, high, names) if end else high if step or first == "*" else start
        if stop < start:
            raise ValueError(f"{part} ends before it starts")
        found.update(range(start, stop + 1, _number(step, 1, high) if step else 1))
    return frozenset(found)


def _number(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> int:
    if text.upper() in names:
        return names.index(text.upper()) + 1
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ValueError(f"{text!r} is not between {low} and {high}")
    return int(text)
