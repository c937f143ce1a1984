"""The first look at cron expressions agrees with what computes the schedule."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st

from connector.settings.cron import check_cron


@pytest.mark.parametrize(
    "text",
    [
        "* * * * *",
        "*/5 * * * *",
        "0 6-20/2 * * mon-fri",
        "0,30 8 1,15 jan-jun,dec *",
        "59 23 31 12 sun",
        "0 0 * * SAT",
    ],
)
def test_what_people_write_is_accepted(text: str) -> None:
    check_cron(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "five fields"),
        ("@daily", "five fields"),
        ("* * * * * *", "five fields"),
        ("60 * * * *", "the minute must be"),
        ("* 24 * * *", "the hour must be"),
        ("* * 0 * *", "the day of the month must be"),
        ("* * * 13 *", "the month must be"),
        ("* * * * 1", "write the days of the week as words"),
        ("* * * * mon-5", "write the days of the week as words"),
        ("* * * * fun", "the day of the week must be"),
        ("5-1 * * * *", "the minute must be"),
        ("*/0 * * * *", "the minute must be"),
        ("0-2/7 * * * *", "the minute must be"),
        ("5/10 * * * *", "the minute must be"),
        ("*-5 * * * *", "the minute must be"),
        ("0 0 30 2 *", "this day never occurs"),
        ("0 0 31 4,jun *", "this day never occurs"),
        (",1 * * * *", "the minute must be"),
        ("\u0661 * * * *", "the minute must be"),
    ],
)
def test_the_wrong_field_is_named(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        check_cron(text)


FIELD = st.text(alphabet="0123456789*/-,mondecju", min_size=1, max_size=7)
PLAUSIBLE = st.sampled_from(["*", "*/2", "0", "1-5", "1,2", "jan", "mon", "mon-sat/2", "0-58/5"])


@given(st.lists(st.one_of(PLAUSIBLE, FIELD), min_size=5, max_size=5))
def test_what_is_accepted_the_scheduler_accepts_too(fields: list[str]) -> None:
    text = " ".join(fields)
    try:
        check_cron(text)
    except ValueError:
        return

    trigger = CronTrigger.from_crontab(text, timezone=UTC)

    assert trigger.get_next_fire_time(None, datetime(2026, 1, 1, tzinfo=UTC)) is not None
