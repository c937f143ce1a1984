"""Waiting is bounded, spread, and obeys what a server asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.net.backoff import full_jitter, parse_retry_after

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@given(st.integers(min_value=0, max_value=10**9), st.floats(min_value=0, max_value=1, exclude_max=True))
def test_a_wait_is_never_negative_and_never_above_the_cap(attempt: int, chance: float) -> None:
    assert 0 <= full_jitter(attempt, base=1.0, cap=60.0, random=lambda: chance) <= 60


def test_the_range_of_waits_doubles_until_the_cap() -> None:
    waits = [full_jitter(attempt, base=1.0, cap=10.0, random=lambda: 1.0) for attempt in range(1, 7)]
    assert waits == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("300", 300.0),
        (" 7 ", 7.0),
        ("+5", 5.0),
        ("-5", 0.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Fri, 20 Nov 2026 12:00:10 -0000", 10.0),
        ("86400000", 86_400_000.0),
    ],
)
def test_both_forms_of_retry_after_are_read(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize("value", [None, "", "soon", "1.5", "Fri, 99 Nov 2026", "٣", "-", "1e9", "\x00"])
def test_an_unusable_retry_after_says_nothing(value: str | None) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.text(max_size=40))
def test_no_header_value_can_break_the_parser(value: str) -> None:
    found = parse_retry_after(value, NOW)
    assert found is None or found >= 0


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_time_since_1970_is_read_as_one(unit: int) -> None:
    at = int((NOW + timedelta(seconds=90)).timestamp()) * unit
    assert parse_retry_after(str(at), NOW) == pytest.approx(90.0)
    assert parse_retry_after(str(at - 3600 * unit), NOW) == 0.0
