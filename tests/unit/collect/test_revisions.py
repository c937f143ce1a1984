"""What counts as new or changed, and what does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.collect.revisions import (
    ENRICHMENT_PENDING,
    SLACK,
    WATCHED,
    Comparison,
    compare,
    digest_of,
    disappearance,
    is_other_message,
    message_of,
    state_of,
    time_of,
)
from connector.model import Feed, Record, Seen, Window

FEED = Feed("a" * 32, "detections")
START = datetime(2026, 11, 18, 9, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=1))


def see(body: dict[str, Any], known: Seen | None = None, window: Window = WINDOW) -> Comparison:
    record = Record("m1", {"id": "m1", **body})
    return compare(record, known, feed=FEED, window=window, collected=window.end)


def row(comparison: Comparison) -> Seen:
    assert comparison.seen is not None
    return comparison.seen


def test_first_sight_is_revision_one() -> None:
    comparison = see({"final_disposition": "MALICIOUS"})

    assert comparison.new
    assert comparison.revision is not None
    assert (comparison.revision.number, comparison.revision.previous) == (1, None)


def test_the_same_state_again_is_nothing_new() -> None:
    first = see({"final_disposition": "SPAM", "delivery_status": ["moved", "delivered"]})

    again = see({"final_disposition": "SPAM", "delivery_status": ["delivered", "moved"]}, row(first))

    assert again == Comparison()


def test_a_change_names_what_was_before() -> None:
    first = see({"final_disposition": "MALICIOUS", "is_quarantined": True, "subject": "x"})

    changed = see({"final_disposition": "MALICIOUS", "is_quarantined": False, "subject": "y"}, row(first))

    assert changed.revision is not None
    assert changed.revision.number == 2
    assert changed.revision.previous == {"is_quarantined": True}


def test_released_quarantined_released_are_three_updates_with_three_identities() -> None:
    states = [True, False, True, False]
    known: Seen | None = None
    revisions = []
    for quarantined in states:
        comparison = see({"is_quarantined": quarantined}, known)
        known = row(comparison)
        revisions.append(comparison.revision)

    assert [r.number for r in revisions if r] == [1, 2, 3, 4]
    assert [r.occurrence for r in revisions if r] == [1, 1, 2, 2]
    assert len({r.identity for r in revisions if r}) == 4


def test_a_field_that_appears_or_vanishes_is_no_change() -> None:
    first = see({"final_disposition": "SPAM"})
    appeared = see({"final_disposition": "SPAM", "delivery_status": ["delivered"]}, row(first))
    vanished = see({"final_disposition": "SPAM"}, row(appeared))

    assert appeared.revision is None
    assert vanished.revision is None


def test_a_field_that_appeared_in_silence_is_compared_from_then_on() -> None:
    first = see({"final_disposition": "SPAM"})
    appeared = see({"final_disposition": "SPAM", "delivery_status": ["delivered"]}, row(first))

    moved = see({"final_disposition": "SPAM", "delivery_status": ["moved"]}, row(appeared))

    assert moved.revision is not None
    assert moved.revision.previous == {"delivery_status": ["delivered"]}


def test_null_empty_and_blank_are_the_same_nothing() -> None:
    first = see({"post_delivery_operations": None, "threat_categories": [], "properties": {"a": None}})

    again = see({"post_delivery_operations": [], "threat_categories": None, "properties": {}}, row(first))
    moved = see({"post_delivery_operations": ["MOVE"]}, row(first))

    assert again.revision is None
    assert moved.revision is not None


def test_an_unchanged_record_is_written_again_only_when_its_row_would_expire_too_early() -> None:
    first = see({"is_quarantined": True})
    soon = Window(WINDOW.start, WINDOW.end + SLACK)
    late = Window(WINDOW.start, WINDOW.end + SLACK + timedelta(seconds=1))

    assert see({"is_quarantined": True}, row(first), soon).seen is None
    assert row(see({"is_quarantined": True}, row(first), late)).until == late.end


def test_a_record_that_is_gone_is_reported_once() -> None:
    first = see({"final_disposition": "MALICIOUS"})
    gone = disappearance(row(first), feed=FEED, window=WINDOW, collected=WINDOW.end)
    again = disappearance(row(gone), feed=FEED, window=WINDOW, collected=WINDOW.end)

    assert gone.revision is not None
    assert gone.revision.gone
    assert gone.revision.number == 2
    assert gone.revision.record.body["final_disposition"] == "MALICIOUS"
    assert again == Comparison()


def test_the_time_of_a_record_falls_back_and_never_fails() -> None:
    fallback = START
    assert time_of(Record("x", {"scanned_at": "2026-11-18T09:41:07Z"}), fallback).minute == 41
    assert time_of(Record("x", {"ts": "2026-11-18 09:42:07"}), fallback).tzinfo is UTC
    assert time_of(Record("x", {"scanned_at": "yesterday", "ts": 7}), fallback) == fallback
    assert time_of(Record("x", {"scanned_at": "0001-01-01T00:00:00+14:00"}), fallback) == fallback


def test_a_record_windowed_by_another_timestamp_is_remembered_inside_its_window() -> None:
    seen = row(see({"scanned_at": "2020-01-01T00:00:00Z"}))

    assert seen.time in WINDOW


def test_a_watched_value_that_no_json_library_likes_freezes_nothing() -> None:
    """Mail text may be watched too: halves of surrogate pairs, numbers beyond reason, endless nesting."""
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    hostile = {
        "subject": "\ud83d",
        "properties": {"\udc00": 10**400},
        "big": 2**70,
        "inf": float("inf"),
        "deep": deep,
    }
    watched = tuple(hostile)
    record = Record("m1", {"id": "m1", **hostile})

    first = compare(record, None, feed=FEED, window=WINDOW, collected=START, watched=watched)
    stored = row(first)
    written = orjson.loads(orjson.dumps(stored.state))
    again = compare(
        record, replace(stored, state=written), feed=FEED, window=WINDOW, collected=START, watched=watched
    )

    assert again == Comparison()


def test_a_record_that_was_gone_and_is_returned_again_is_news_once() -> None:
    first = see({"final_disposition": "MALICIOUS"})
    gone = disappearance(row(first), feed=FEED, window=WINDOW, collected=WINDOW.end)
    back = see({"final_disposition": "MALICIOUS"}, row(gone))

    assert back.revision is not None
    assert (back.revision.number, back.revision.gone, back.revision.occurrence) == (3, False, 2)
    assert see({"final_disposition": "MALICIOUS"}, row(back)) == Comparison()
    assert disappearance(row(back), feed=FEED, window=WINDOW, collected=WINDOW.end).revision is not None


def test_a_rows_time_stays_inside_every_window_that_returned_its_record() -> None:
    first = row(see({"scanned_at": "2026-11-18T09:00:30Z"}))
    earlier = Window(START - timedelta(minutes=1), START)

    moved = row(see({"scanned_at": "2026-11-18T09:00:30Z"}, first, earlier))

    assert moved.time in earlier
    assert see({"scanned_at": "2026-11-18T09:00:30Z"}, moved, earlier) == Comparison()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(st.sampled_from(WATCHED), json_values)


@given(bodies, st.randoms())
def test_whatever_the_order_the_digest_of_a_state_is_the_same(body: dict[str, Any], random: Any) -> None:
    shuffled = {key: random.sample(v, len(v)) if isinstance(v, list) else v for key, v in body.items()}

    assert digest_of(state_of(body)) == digest_of(state_of(shuffled))


@given(st.lists(bodies, min_size=1, max_size=8))
def test_no_update_is_lost_and_none_invented(history: list[dict[str, Any]]) -> None:
    """An update comes exactly when a field that both sides have differs; identities never repeat."""
    known: Seen | None = None
    reference: dict[str, Any] = {}
    identities = []
    for index, body in enumerate(history):
        comparison = see(body, known)
        state = state_of(body)
        differs = any(name in reference and reference[name] != value for name, value in state.items())
        reference.update(state)

        assert (comparison.revision is not None) == (index == 0 or differs)
        known = comparison.seen or known
        if comparison.revision is not None:
            identities.append(comparison.revision.identity)
    assert len(set(identities)) == len(identities)


def test_what_is_remembered_beside_the_state_is_no_part_of_it() -> None:
    first = row(see({"final_disposition": "SPAM"}))
    marked = replace(
        first, state={**first.state, ENRICHMENT_PENDING: {"missing": ["trace"], "asked": "live"}}
    )
    body = {"final_disposition": "SPAM", "delivery_status": ["delivered"]}

    assert see({"final_disposition": "SPAM"}, marked).revision is None
    appeared = row(see(body, marked))
    assert appeared.digest == digest_of(state_of(body))
    assert appeared.state[ENRICHMENT_PENDING] == marked.state[ENRICHMENT_PENDING]
    changed = row(see({"final_disposition": "NONE"}, marked))
    assert changed == row(see({"final_disposition": "NONE"}, first))
    gone = disappearance(marked, feed=FEED, window=WINDOW, collected=START)
    assert gone == disappearance(first, feed=FEED, window=WINDOW, collected=START)


@pytest.mark.parametrize(
    ("notation", "other"),
    [
        ("2026-11-18T09:41:07", False),
        ("2026-11-18T09:41:07+00:00", False),
        ("2026-11-18T11:41:07+02:00", False),
        ("2026-11-18T09:41:07.250Z", False),
        ("2026-11-18 09:41:07", False),
        ("20261118T094107Z", False),
        (None, False),
        ("", False),
        ("2026-11-18T09:41:08Z", True),
        ("2026-11-18T09:41Z", True),
        ("2026-11-18T09:41:07+01:00", True),
        ("yesterday", True),
    ],
)
@pytest.mark.parametrize("field", ["scanned_at", "ts"])
def test_only_another_second_makes_another_message_whatever_its_notation(
    field: str, notation: str | None, other: bool
) -> None:
    known = message_of({field: "2026-11-18T09:41:07Z", "subject": "x"})

    assert is_other_message(known, message_of({field: notation, "subject": "x"})) is other


def test_a_time_without_seconds_is_the_full_minute() -> None:
    assert message_of({"scanned_at": "2026-11-18T09:41"}) == message_of(
        {"scanned_at": "2026-11-18T09:41:00Z"}
    )
