"""The headers on limits are lists; what makes no sense in them is passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.source.ratelimit_headers import Policy, Remaining, parse_policy, parse_remaining


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"default";r=50;t=30', [(50, 30)]),
        ('"default"; r=50; t=30 , "burst";t=1;r=7', [(50, 30), (7, 1)]),
        ("default;r=50;t=30", [(50, 30)]),
        ('"odd, name;r=1";r=50;t=30', [(50, 30)]),
        ('"default";r=50', []),
        ('"default";r=-1;t=30', []),
        ('"default";r=1.5;t=30', []),
        ("limit=100, remaining=50, reset=30", []),
        ("", []),
    ],
)
def test_items_are_read(header: str, expected: list[tuple[int, int]]) -> None:
    assert parse_remaining({"ratelimit": header}) == tuple(Remaining(*pair) for pair in expected)


def test_the_policy_is_read() -> None:
    header = '"burst";q=100;w=60, "default";q=1200;w=300, "broken";q=0;w=0'
    assert parse_policy({"ratelimit-policy": header}) == (Policy(100, 60), Policy(1200, 300))


@given(st.text(alphabet='";,=rtqw0123456789 \\abc', max_size=60))
def test_no_header_can_break_the_reader(header: str) -> None:
    for item in parse_remaining({"ratelimit": header}):
        assert item.requests >= 0
