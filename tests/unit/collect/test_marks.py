"""Records that come again byte by byte are recognised by their mark; all others are compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from connector.collect.revisions import ENRICHMENT_PENDING, WATCHED, compare, disappearance, mark_left
from connector.facts import PageCollected
from connector.model import Record, Seen, Window
from connector.source.raw_page import PageSplitter
from tests.unit.collect.feed_under_test import FEED, START, FeedUnderTest

MINUTE = timedelta(minutes=1)
WINDOW = Window(START - 5 * MINUTE, START)
BODY = {"id": "m", "scanned_at": (START - MINUTE).isoformat(), "final_disposition": "SPAM", "brand": "x"}


def listed(body: dict[str, Any], watched: tuple[str, ...] = WATCHED) -> Record:
    record = PageSplitter(watched).list_record(orjson.dumps(body))
    assert record is not None
    return record


def row_of(record: Record) -> Seen:
    seen = compare(record, None, feed=FEED, window=WINDOW, collected=START).seen
    assert seen is not None
    return seen


async def test_what_comes_again_unchanged_is_neither_decoded_nor_compared(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        feed.source.add(f"m{number}", START - MINUTE * (number + 1) / 6, final_disposition="MALICIOUS")
    assert len(await feed.poll()) == 5
    decoded: list[bytes] = []

    def counting(text: bytes) -> Any:
        decoded.append(text)
        return orjson.loads(text)

    monkeypatch.setattr("connector.model.orjson", SimpleNamespace(loads=counting, JSONDecodeError=ValueError))
    feed.source.change("m3", final_disposition="SPAM")
    feed.observed.clear()
    (update,) = await feed.poll(8 * MINUTE)

    assert (update.record.id, update.number) == ("m3", 2)
    assert {orjson.loads(text)["id"] for text in decoded} == {"m3"}
    pages = [fact for fact in feed.observed if isinstance(fact, PageCollected)]
    assert (sum(page.repeated for page in pages), sum(page.changed for page in pages)) == (9, 1)


def test_a_mark_tells_every_byte_of_a_record_and_what_is_watched() -> None:
    assert len({listed(BODY).mark, listed({**BODY, "brand": "y"}).mark, listed(BODY, ("brand",)).mark}) == 3
    assert listed(BODY).mark == listed(dict(BODY)).mark
    assert row_of(listed(BODY)).mark == listed(BODY).mark


def test_a_changed_record_is_recognised_by_its_new_mark() -> None:
    changed = listed({**BODY, "final_disposition": "NONE"})
    seen = compare(changed, row_of(listed(BODY)), feed=FEED, window=WINDOW, collected=START).seen

    assert seen is not None
    assert seen.mark == changed.mark


def test_rows_that_remember_more_than_a_state_have_no_mark() -> None:
    row = row_of(listed(BODY))
    gone = disappearance(row, feed=FEED, window=WINDOW, collected=START).seen
    pending = replace(row, state={**row.state, ENRICHMENT_PENDING: {"missing": ["trace"], "age": 0}})
    later = Window(START, START + timedelta(hours=2))
    again = compare(listed(BODY), pending, feed=FEED, window=later, collected=START).seen

    assert mark_left(row).mark == b""
    assert gone is not None
    assert gone.mark == b""
    assert again is not None
    assert again.mark == b""


def test_a_record_that_came_back_to_its_search_is_recognised_again() -> None:
    seen = compare(
        listed(BODY), mark_left(row_of(listed(BODY))), feed=FEED, window=WINDOW, collected=START
    ).seen

    assert seen is not None
    assert seen.mark == listed(BODY).mark
