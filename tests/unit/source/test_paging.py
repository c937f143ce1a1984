"""The guard of a walk: lets every honest walk pass, ends every circle, in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import SearchIncomplete
from connector.source.deferred import ForeignOrigin, cursor_from, resolve_same_origin
from connector.source.paging import PagingGuard

BASE = "https://api.example/client/v4/accounts/1/email-security/investigate"


def progress(per_page: int = 1000, pages: int = 10_000) -> PagingGuard:
    return PagingGuard(per_page, pages_without_new=20, max_pages=pages)


@given(st.lists(st.integers(0, 5), max_size=60))
def test_pages_with_anything_new_every_now_and_then_pass(counts: list[int]) -> None:
    guard, number = progress(), 0
    for index, count in enumerate(counts):
        # Every tenth page has something new, whatever the others have.
        size = max(count, 1) if index % 10 == 0 else count
        records = [str(number + step) for step in range(size)]
        number += size
        guard.page(records, f"cursor-{index}")


def _circle(guard: PagingGuard, pages: int, size: int) -> None:
    for number in range(10_000):
        first = (number % pages) * size
        guard.page([str(first + step) for step in range(size)], f"cursor-{number}")


@given(st.integers(1, 60), st.integers(1, 30))
def test_a_circle_of_pages_ends_whatever_its_length(length: int, size: int) -> None:
    guard = progress()
    with pytest.raises(SearchIncomplete, match="no_new_records"):
        _circle(guard, length, size)
    assert guard.pages == length + 20


def test_a_large_circle_ends_and_its_ids_do_not_pile_up() -> None:
    guard = progress()
    with pytest.raises(SearchIncomplete, match="no_new_records"):
        _circle(guard, 150, 1000)
    assert len(guard._recent) + len(guard._older) <= 202_000


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/client/v4/polls/7?a=b", "https://api.example/client/v4/polls/7?a=b"),
        ("polls/7", "https://api.example/client/v4/accounts/1/email-security/polls/7"),
        ("https://API.example:443/x#part", "https://API.example:443/x"),
        (" /x ", "https://api.example/x"),
    ],
)
def test_an_address_of_the_same_origin_is_resolved(location: str, expected: str) -> None:
    assert resolve_same_origin(BASE, location) == expected


@pytest.mark.parametrize(
    "location",
    [
        "http://api.example/x",
        "https://api.example:8443/x",
        "https://api.example.evil.example/x",
        "//evil.example/x",
        "https://user@api.example/x",
        "https://api.example@evil.example/x",
        "\\\\evil.example/x y",
        "https://[::1/x",
        "javascript:alert(1)",
    ],
)
def test_an_address_of_any_other_origin_is_foreign(location: str) -> None:
    with pytest.raises(ForeignOrigin):
        resolve_same_origin(BASE, location)


@given(st.text())
def test_no_text_can_lead_a_cursor_elsewhere(text: str) -> None:
    try:
        cursor_from(BASE, text)
    except ForeignOrigin:
        return
