"""What others take of a quota: estimated from what the API says is left, whatever it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.source.quota_estimate import QuotaEstimate
from connector.source.ratelimit_headers import Remaining


def test_where_nobody_else_asks_all_of_it_is_ours() -> None:
    others = QuotaEstimate()
    for number in range(100):
        left = Remaining(1200 - number, 300 - number)
        assert others.our_share(left, spent=number, now=float(number)) == 1200 - number


def test_what_others_take_is_expected_to_go_on_until_the_reset() -> None:
    others, found = QuotaEstimate(), 0.0
    for second in range(150):
        left = Remaining(1200 - 3 * second, 300 - second)
        found = others.our_share(left, spent=second, now=float(second))
    # Two a second are theirs, for 151 more seconds, with some caution.
    assert found == pytest.approx(753 - 1.1 * 2 * 151, rel=0.1)


def test_the_next_window_begins_with_what_the_last_one_taught() -> None:
    others = QuotaEstimate()
    for second in range(300):
        others.our_share(Remaining(1200 - 3 * second, 300 - second), spent=second, now=float(second))
    first = others.our_share(Remaining(1199, 300), spent=300, now=301.0)
    assert first == pytest.approx(1199 - 1.1 * 2 * 300, rel=0.1)


def test_somebody_who_stops_is_forgotten_within_a_window() -> None:
    others, found = QuotaEstimate(), 0.0
    for second in range(300):
        others.our_share(Remaining(1200 - 4 * second, 300 - second), spent=0, now=float(second))
    for second in range(200):
        found = others.our_share(Remaining(1200, 300 - second), spent=0, now=301.0 + second)
    assert found > 1050


@given(
    st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 600), st.integers(0, 50), st.floats(0, 500)),
        max_size=60,
    )
)
def test_whatever_the_api_says_it_is_never_more_than_what_is_left(
    answers: list[tuple[int, int, int, float]],
) -> None:
    others, now, spent = QuotaEstimate(), 0.0, 0
    for left, seconds, more, pause in answers:
        now, spent = now + pause, spent + more
        found = others.our_share(Remaining(left, seconds), spent=spent, now=now)
        assert 0.02 * left <= found <= left
