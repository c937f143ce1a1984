"""An analyst's search gives every record once, newest first, whatever the API's order and clock."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import BadQuery, Denied, SearchIncomplete, Unavailable
from connector.ops.search import SearchRequest, stream
from tests.support.examples import examples
from tests.unit.ops.fake_search import NOW, FakeSearch

Order = Literal["newest", "oldest", "unordered"]
MINUTE = timedelta(minutes=1)


async def ids(mailbox: FakeSearch, wanted: SearchRequest | None = None) -> list[str]:
    async with aclosing(stream(mailbox, wanted or SearchRequest())) as found:
        return [record.id async for records in found for record in records]


@pytest.mark.parametrize("order", ["newest", "oldest", "unordered"])
@given(count=st.integers(0, 400), apart=st.integers(1, 1000), limit=st.integers(1, 120))
@settings(max_examples=examples(25), deadline=None)
async def test_a_limit_gives_the_newest(order: Order, count: int, apart: int, limit: int) -> None:
    """Exactly the newest that lie in the window, in falling order, in whatever order the API gives them."""
    mailbox = FakeSearch(order)
    made = mailbox.fill(count, timedelta(seconds=apart))
    within = [name for number, name in enumerate(made) if apart * number + 1 <= 86_400]

    found = await ids(mailbox, SearchRequest(limit=limit))

    assert found[: len(within)] == within[:limit]


@pytest.mark.parametrize("order", ["newest", "oldest", "unordered"])
async def test_without_a_limit_every_record_comes_once(order: Order) -> None:
    mailbox = FakeSearch(order)
    made = mailbox.fill(5000, timedelta(seconds=10))

    found = await ids(mailbox)

    assert sorted(found) == sorted(made)


async def test_a_month_of_nothing_is_a_dozen_requests() -> None:
    mailbox = FakeSearch()

    assert await ids(mailbox, SearchRequest(start=timedelta(days=30))) == []
    assert len(mailbox.asked) <= 12


async def test_slices_leave_no_time_out() -> None:
    mailbox = FakeSearch()
    await ids(mailbox, SearchRequest(start=timedelta(days=9), end=timedelta(hours=3)))

    windows = [window for _, window in mailbox.asked]
    assert windows[0].end == NOW - timedelta(hours=3)
    assert windows[-1].start == NOW - timedelta(days=9)
    assert all(newer.start == older.end for newer, older in pairwise(windows))


async def test_a_walk_that_is_too_much_is_halved_until_it_is_not() -> None:
    """Records of the part that was given up are not shown twice."""
    mailbox = FakeSearch()
    made = mailbox.fill(8000, timedelta(seconds=1))
    mailbox.most = 2000

    found = await ids(mailbox)

    assert sorted(found) == sorted(made)


async def test_what_cannot_be_halved_any_more_is_an_error() -> None:
    mailbox = FakeSearch()
    mailbox.errors = [SearchIncomplete("broken")] * 60

    with pytest.raises(SearchIncomplete, match="broken"):
        await ids(mailbox)


async def test_a_local_clock_that_is_ahead_is_put_right() -> None:
    """The end is moved back to the API's present, and the start with it."""
    mailbox = FakeSearch()
    mailbox.skew = timedelta(minutes=-30)
    made = mailbox.fill(10, MINUTE)

    assert await ids(mailbox, SearchRequest(start=timedelta(hours=1))) == made
    assert mailbox.asked[-1][1].start == NOW - timedelta(minutes=90)


async def test_a_local_clock_that_is_behind_hides_nothing() -> None:
    mailbox = FakeSearch()
    mailbox.skew = timedelta(minutes=30)
    made = mailbox.fill(40, MINUTE)

    assert sorted(await ids(mailbox, SearchRequest(start=timedelta(hours=1)))) == made


async def test_an_api_that_is_down_is_an_error_at_once() -> None:
    mailbox = FakeSearch()
    mailbox.errors = [Unavailable("down")]

    with pytest.raises(Unavailable, match="down"):
        await ids(mailbox)
    assert len(mailbox.asked) == 1


async def test_a_refusal_after_some_records_keeps_those() -> None:
    mailbox = FakeSearch()
    made = mailbox.fill(3, MINUTE)
    shown: list[str] = []

    async def read() -> None:
        async with aclosing(stream(mailbox, SearchRequest())) as found:
            async for records in found:
                shown.extend(record.id for record in records)
                mailbox.errors = [Denied("not any more")]

    with pytest.raises(Denied):
        await read()
    assert shown == made


async def test_of_several_dispositions_the_newest_of_all_count() -> None:
    """Not a hundred of the first value and none of the second."""
    mailbox = FakeSearch()
    spam = mailbox.fill(300, 2 * MINUTE)
    malicious = mailbox.fill(300, 3 * MINUTE, "MALICIOUS")
    wanted = SearchRequest({"final_disposition": ("MALICIOUS", "SPAM")}, limit=50)

    found = await ids(mailbox, wanted)

    assert set(found) == set(spam[:30]) | set(malicious[:20])


async def test_a_limit_asks_for_no_more_than_it_needs() -> None:
    mailbox = FakeSearch()
    mailbox.fill(5000, timedelta(seconds=1))

    await ids(mailbox, SearchRequest(limit=10))

    assert [query.per_page for query, _ in mailbox.asked] == [100]


@pytest.mark.parametrize(
    "wanted",
    [
        SearchRequest(start=NOW + timedelta(days=1)),
        SearchRequest(start=timedelta(hours=1), end=timedelta(hours=2)),
        SearchRequest(start=timedelta(days=900_000)),
    ],
)
def test_a_window_that_is_none_is_refused(wanted: SearchRequest) -> None:
    with pytest.raises(BadQuery):
        wanted.window(NOW)


def test_an_end_in_the_future_is_now() -> None:
    assert SearchRequest(end=NOW + timedelta(days=1)).window(NOW).end == NOW
