"""Rotation rules: which hold, and which windows they open."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.secretsmanager import ServiceError
from local.secretsmanager.schedule import Schedule

# A Sunday.
START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def openings(rules: dict[str, Any], count: int = 3) -> list[str]:
    """When the next windows open, as text."""
    schedule, moment, found = Schedule.parse(rules), START, []
    for _ in range(count):
        moment = schedule.next_window(moment).opens
        found.append(f"{moment:%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(4 hours)", ["03-01 12:00", "03-01 16:00", "03-01 20:00"]),
        ("rate(1 day)", ["03-02 00:00", "03-03 00:00", "03-04 00:00"]),
        ("rate(10 days)", ["03-11 00:00", "03-21 00:00", "03-31 00:00"]),
        ("cron(0 8 * * ? *)", ["03-02 08:00", "03-03 08:00", "03-04 08:00"]),
        ("cron(0 4/12 * * ? *)", ["03-01 16:00", "03-02 04:00", "03-02 16:00"]),
        ("cron(0 /8 * * ? *)", ["03-01 16:00", "03-02 00:00", "03-02 08:00"]),
        ("cron(0 8,20 * * ? *)", ["03-01 20:00", "03-02 08:00", "03-02 20:00"]),
        ("cron(0 8 1/7 * ? *)", ["03-08 08:00", "03-15 08:00", "03-22 08:00"]),
        ("cron(0 16 L * ? *)", ["03-31 16:00", "04-30 16:00", "05-31 16:00"]),
        ("cron(0 0 ? * SUN#1 *)", ["04-05 00:00", "05-03 00:00", "06-07 00:00"]),
        ("cron(0 0 ? * MON-FRI *)", ["03-02 00:00", "03-03 00:00", "03-04 00:00"]),
        ("cron(0 0 ? * L *)", ["03-07 00:00", "03-14 00:00", "03-21 00:00"]),
        ("cron(0 0 ? * 6L *)", ["03-27 00:00", "04-24 00:00", "05-29 00:00"]),
        ("cron(0 10 ? FEB,MAY TUE#2 *)", ["05-12 10:00", "02-09 10:00", "05-11 10:00"]),
        ("cron(0 0 29 2 ? *)", ["02-29 00:00"]),
    ],
)
def test_expressions_open_windows(expression: str, expected: list[str]) -> None:
    """Each form of expression opens its windows when the user guide says."""
    assert openings({"ScheduleExpression": expression}, len(expected)) == expected


@pytest.mark.parametrize(
    ("rules", "hours"),
    [
        ({"ScheduleExpression": "rate(4 hours)"}, 1),
        ({"ScheduleExpression": "cron(0 8,20 * * ? *)"}, 1),
        ({"ScheduleExpression": "rate(4 hours)", "Duration": "4h"}, 4),
        ({"ScheduleExpression": "cron(0 21 * * ? *)", "Duration": "3h"}, 3),
        ({"ScheduleExpression": "cron(0 21 * * ? *)"}, 3),
        ({"ScheduleExpression": "rate(2 days)"}, 24),
        ({"AutomaticallyAfterDays": 30}, 24),
        ({"AutomaticallyAfterDays": 30, "Duration": "2h"}, 2),
    ],
)
def test_windows_close(rules: dict[str, Any], hours: int) -> None:
    """A window closes after its Duration, else after one hour or at the end of the day."""
    window = Schedule.parse(rules).next_window(START)
    assert (
        timedelta(0)
        <= timedelta(hours=hours) - (window.closes - window.opens)
        <= timedelta(seconds=1)
    )


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"Duration": "3h"},
        {"AutomaticallyAfterDays": 3, "ScheduleExpression": "rate(3 days)"},
        {"ScheduleExpression": "rate(3 hours)"},
        {"ScheduleExpression": "rate(0 days)"},
        {"ScheduleExpression": "rate(1000 days)"},
        {"ScheduleExpression": "rate(2 weeks)"},
        {"ScheduleExpression": "rate(10 minutes)"},
        {"ScheduleExpression": "cron(30 8 * * ? *)"},
        {"ScheduleExpression": "cron(0 8 * * ? 2027)"},
        {"ScheduleExpression": "cron(0 8 * * * *)"},
        {"ScheduleExpression": "cron(0  * * ? *)"},
        {"ScheduleExpression": "cron(0 8, * * ? *)"},
        {"ScheduleExpression": "cron(0 8 ? * ? *)"},
        {"ScheduleExpression": "cron(0 8 * * ?)"},
        {"ScheduleExpression": "cron(0 24 * * ? *)"},
        {"ScheduleExpression": "cron(0 0/3 * * ? *)"},
        {"ScheduleExpression": "cron(0 8 31 2 ? *)"},
        {"ScheduleExpression": "cron(0 8 ? * MON#6 *)"},
        {"ScheduleExpression": "cron(0 8 ? * FRI-MON *)"},
        {"ScheduleExpression": "cron(0 8 ? JANUARY MON *)"},
        {"ScheduleExpression": "rate(4 hours)", "Duration": "5h"},
        {"ScheduleExpression": "cron(0 8,14 * * ? *)", "Duration": "7h"},
        {"ScheduleExpression": "cron(0 21 * * ? *)", "Duration": "4h"},
        {"ScheduleExpression": "rate(1 day)", "Duration": "25h"},
        {"ScheduleExpression": "rate(1 day)", "Duration": "0h"},
    ],
)
def test_rules_that_do_not_hold_are_refused(rules: dict[str, Any]) -> None:
    """Whatever contradicts the documented rules is an InvalidParameterException."""
    with pytest.raises(ServiceError, match=r"^InvalidParameterException: "):
        Schedule.parse(rules)


@given(
    st.one_of(
        st.integers(4, 999).map(lambda number: f"rate({number} hours)"),
        st.integers(1, 999).map(lambda number: f"rate({number} days)"),
        st.integers(0, 23).map(lambda hour: f"cron(0 {hour} ? * MON,THU *)"),
    ),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
)
def test_the_next_window_is_always_ahead_on_the_hour_and_does_not_overlap(
    expression: str, moment: datetime
) -> None:
    """From any moment on, windows open later, on the hour, one after the other."""
    schedule = Schedule.parse({"ScheduleExpression": expression})
    window = schedule.next_window(moment)
    following = schedule.next_window(window.opens)
    assert moment < window.opens < window.closes <= following.opens
    assert (window.opens.minute, window.opens.second) == (0, 0)
    assert following.opens - window.opens >= timedelta(hours=4)
    assert schedule.days_apart(moment) >= 1
