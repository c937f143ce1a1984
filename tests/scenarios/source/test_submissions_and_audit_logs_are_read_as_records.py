"""The lists beside the messages: pages, odd rows, an API that lies about its pages, a missing permission."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import pytest

from connector.errors import BadQuery, Denied, SearchIncomplete, SourceError
from connector.facts import SearchAborted
from connector.model import Page, Query, Record, SearchSource, Window, source_of
from connector.source.catalog import decode_item_of
from connector.source.probe import Level
from tests.scenarios.source.account import ACCOUNT, HOUR, SECOND, account, failure, run
from tests.support.scripted_http import Asked, Reply, Script, json_reply

SUBMISSIONS, AUDIT_LOGS = SearchSource.SUBMISSIONS, SearchSource.AUDIT_LOGS
PATHS = {
    SUBMISSIONS: f"/client/v4/accounts/{ACCOUNT}/email-security/submissions",
    AUDIT_LOGS: f"/client/v4/accounts/{ACCOUNT}/logs/audit",
}
TIME = "2026-03-01T11:30:00Z"


def submission(number: int, **more: object) -> dict[str, object]:
    return {"submission_id": f"s{number}", "requested_at": TIME, "subject": "x", **more}


def entry(number: int, **more: object) -> dict[str, object]:
    return {"id": f"a{number}", "action": {"time": TIME, "type": "update"}, **more}


def answer(rows: Sequence[object], **info: object) -> Reply:
    return json_reply({"success": True, "errors": [], "result": list(rows), "result_info": info})


def numbered(pages: Sequence[Sequence[object]], **info: object) -> Script:
    """Pages by number; an empty one behind the last."""

    def script(asked: Asked) -> Reply:
        number = int(asked.params.get("page", "1"))
        return answer(pages[number - 1] if number <= len(pages) else (), page=number, **info)

    return script


def _always(reply: Reply, _: Asked) -> Reply:
    return reply


def read(
    script: Script, source: SearchSource, *, per_page: int = 2, window: Window = HOUR, **filters: Any
) -> tuple[list[Page], list[Asked]]:
    async def work() -> tuple[list[Page], list[Asked]]:
        async with account(script) as it:
            pages = it.source.reading(source).search(Query(filters, per_page), window)
            async with aclosing(pages):
                found = [page async for page in pages]
            return found, it.server.asked

    return run(work())


def fails(script: Script, source: SearchSource, *, per_page: int = 2, window: Window = HOUR) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(script, source, per_page=per_page, window=window)
    return caught.value


def records(pages: Sequence[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]


def reasons(pages: Sequence[Page]) -> list[str]:
    return [item.reason for page in pages for item in page.quarantined]


def test_submissions_are_asked_for_in_order_of_time_one_second_beyond_both_ends() -> None:
    pages, asked = read(numbered([[submission(1)]]), SUBMISSIONS, type="USER")

    assert [record.id for record in records(pages)] == ["submissions:s1"]
    assert source_of("submissions:s1") is SUBMISSIONS
    assert asked[0].path == PATHS[SUBMISSIONS]
    assert asked[0].params == {
        "type": "USER", "start": "2026-03-01T10:59:59Z", "end": "2026-03-01T12:00:01Z",
        "order": "requested_at", "direction": "asc", "per_page": "2",
    }  # fmt: skip


def test_audit_logs_are_asked_for_with_every_value_of_a_filter_and_with_its_opposite() -> None:
    filters: dict[str, Any] = {"actor_email": ("a@x.example", "b@x.example"), "action_type.not": "view"}
    pages, asked = read(lambda _: answer([entry(1)]), AUDIT_LOGS, **filters)

    assert [record.id for record in records(pages)] == ["audit_logs:a1"]
    assert asked[0].path == PATHS[AUDIT_LOGS]
    assert parse_qsl(asked[0].target.partition("?")[2]) == [
        ("actor_email", "a@x.example"), ("actor_email", "b@x.example"), ("action_type.not", "view"),
        ("since", "2026-03-01T10:59:59Z"), ("before", "2026-03-01T12:00:01Z"), ("direction", "asc"),
        ("limit", "2"),
    ]  # fmt: skip


def test_a_full_page_is_followed_by_another_one_even_where_the_count_says_that_it_was_the_last() -> None:
    rows = [[submission(1), submission(2)], [submission(3)]]
    pages, asked = read(numbered(rows, total_count=2), SUBMISSIONS)

    assert [record.id for record in records(pages)] == [f"submissions:s{n}" for n in (1, 2, 3)]
    assert len(asked) == 2


def test_a_page_that_is_cut_to_a_smaller_size_is_not_the_last_one() -> None:
    pages, asked = read(numbered([[submission(1)], [submission(2)]], per_page=1), SUBMISSIONS, per_page=100)

    assert len(records(pages)) == 2
    assert len(asked) == 3


def test_a_count_that_promises_more_for_ever_ends_with_an_empty_page() -> None:
    pages, asked = read(numbered([[submission(1)]], total_count=1_000), SUBMISSIONS)

    assert len(records(pages)) == 1
    assert len(asked) == 2


def test_a_list_that_ignores_the_number_of_the_page_is_given_up_after_two_repetitions() -> None:
    error = fails(lambda _: answer([submission(1), submission(2)]), SUBMISSIONS)

    assert isinstance(error, SearchIncomplete)
    assert error.reason == "no_new_records"


def test_rows_that_leave_the_list_between_two_pages_are_noticed() -> None:
    def script(asked: Asked) -> Reply:
        first = "page" not in asked.params
        rows = [submission(1), submission(2)] if first else [submission(4)]
        return answer(rows, total_count=4 if first else 3)

    error = fails(script, SUBMISSIONS)

    assert isinstance(error, SearchIncomplete)
    assert error.reason == "rows_moved"
    pages, _ = read(script, SUBMISSIONS, window=SECOND)
    assert len(records(pages)) == 3  # nothing shorter can be asked for


@pytest.mark.parametrize("info", [{"cursor": "c1"}, {"cursors": {"after": "c1"}}, {"cursor": 17}])
def test_a_cursor_is_followed_wherever_it_stands(info: dict[str, object]) -> None:
    def script(asked: Asked) -> Reply:
        cursor = asked.params.get("cursor")
        return answer([entry(1), entry(2)], **info) if cursor is None else answer([entry(3)], cursor="")

    pages, asked = read(script, AUDIT_LOGS)

    assert len(records(pages)) == 3
    assert asked[1].params["cursor"] == str(next(iter(info.values())) if "cursor" in info else "c1")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (lambda _: answer([entry(1), entry(2)]), "full_page_without_next"),
        (lambda _: answer([entry(1)], cursor=["c"]), "unreadable_next"),
        (lambda _: answer([entry(1)], cursor="c"), "repeated_cursor"),
        (
            lambda asked: (
                answer([entry(1)], cursor="c")
                if "cursor" not in asked.params
                else failure(400, 1002, "expired")
            ),
            "refused_cursor",
        ),
    ],
)
def test_a_walk_that_cannot_be_trusted_is_aborted(script: Script, reason: str) -> None:
    error = fails(script, AUDIT_LOGS)

    assert isinstance(error, SearchIncomplete)
    assert error.reason == reason


def test_a_cursor_behind_which_nothing_comes_ends_the_walk() -> None:
    pages, asked = read(
        lambda asked: answer([entry(1)] if "cursor" not in asked.params else [], cursor="next"),
        AUDIT_LOGS,
    )

    assert len(records(pages)) == 1
    assert len(asked) == 2


def test_an_empty_list_is_one_empty_page() -> None:
    for source in PATHS:
        pages, asked = read(lambda _: answer([]), source)
        assert (records(pages), reasons(pages), len(asked)) == ([], [], 1)


HOSTILE: list[tuple[object, str]] = [
    ({"requested_at": TIME}, "without_id"),
    ({"submission_id": None, "requested_at": TIME}, "without_id"),
    ({"submission_id": "  ", "requested_at": TIME}, "without_id"),
    ({"submission_id": ["s1"], "requested_at": TIME}, "without_id"),
    ({"submission_id": True, "requested_at": TIME}, "without_id"),
    ({"submission_id": "s1"}, "without_time"),
    ({"submission_id": "s1", "requested_at": "soon"}, "without_time"),
    ({"submission_id": "s1", "requested_at": "0001-01-01T00:00:00Z"}, "without_time"),
    ({"submission_id": "s1", "requested_at": 1_796_000_000}, "without_time"),
    ({"submission_id": "s1", "requested_at": "9999-12-31T23:59:59-23:59"}, "without_time"),
    ("a text", "without_id"),
    (None, "without_id"),
    ([1, 2], "without_id"),
]


@pytest.mark.parametrize(("row", "reason"), HOSTILE)
def test_a_row_that_is_no_record_is_kept_with_its_bytes_and_the_others_pass(row: object, reason: str) -> None:
    pages, _ = read(lambda _: answer([submission(7), row]), SUBMISSIONS, per_page=1000)

    assert [record.id for record in records(pages)] == ["submissions:s7"]
    [item] = [item for page in pages for item in page.quarantined]
    assert item.reason == reason
    assert json.loads(item.raw) == row
    again = decode_item_of(SUBMISSIONS, item.raw)
    assert not isinstance(again, Record)
    assert again.reason == reason


@pytest.mark.parametrize("row", [{"id": "a1"}, {"id": "a1", "action": "update"}, {"id": "a1", "action": {}}])
def test_an_audit_log_without_a_time_is_no_record(row: dict[str, object]) -> None:
    pages, _ = read(lambda _: answer([entry(7), row]), AUDIT_LOGS, per_page=1000)

    assert [record.id for record in records(pages)] == ["audit_logs:a7"]
    assert reasons(pages) == ["without_time"]


def test_a_number_is_an_id_and_a_time_without_a_zone_is_utc() -> None:
    row = {"submission_id": 17, "requested_ts": "2026-03-01T11:30:00", "extra": {"deep": [1]}}
    pages, _ = read(lambda _: answer([row]), SUBMISSIONS)

    [record] = records(pages)
    assert record.id == "submissions:17"
    assert record.head["scanned_at"] == "2026-03-01T11:30:00"
    assert dict(record.body) == row


def test_one_id_twice_is_one_record_and_another_state_of_it_is_quarantined() -> None:
    same = [submission(1), submission(1), submission(1, outcome="done")]
    kept: list[Record] = []
    for reply in (answer(same), answer(same[::-1])):
        pages, _ = read(partial(_always, reply), SUBMISSIONS, per_page=1000)
        kept += records(pages)
        assert reasons(pages) == ["conflicting_duplicate"]

    assert len(kept) == 2
    assert kept[0] == kept[1], "which one is kept does not depend on the order of the page"


def test_a_token_without_the_permission_is_told_which_one_it_needs() -> None:
    error = fails(lambda _: failure(403, 10000, "Authentication error"), AUDIT_LOGS)

    assert isinstance(error, Denied)
    assert error.hint.endswith("has Account Settings: Read")


def test_a_filter_that_the_list_does_not_know_is_not_sent() -> None:
    with pytest.raises(BadQuery, match="detections_only"):
        read(lambda _: answer([]), SUBMISSIONS, detections_only=True)


def test_an_aborted_walk_is_reported() -> None:
    async def work() -> list[SearchAborted]:
        async with account(lambda _: answer([entry(1), entry(2)])) as it:
            with pytest.raises(SearchIncomplete):
                async for _ in it.source.reading(AUDIT_LOGS).search(Query({}, 2), HOUR):
                    pass
            return [fact for fact in it.facts if isinstance(fact, SearchAborted)]

    assert run(work()) == [SearchAborted(ACCOUNT, "full_page_without_next", 1)]


def test_a_probe_names_the_permission_of_each_list_that_is_read() -> None:
    def script(asked: Asked) -> Reply:
        if asked.path.endswith("/verify"):
            return json_reply({"success": True, "errors": [], "result": {"status": "active"}})
        return failure(403, 10000, "Authentication error") if "logs/audit" in asked.path else answer([])

    async def work() -> dict[str, Any]:
        async with account(script) as it:
            findings = await it.source.verify([SUBMISSIONS, AUDIT_LOGS])
            return {finding.item: finding for finding in findings}

    found = run(work())

    assert found["permission submissions"].level is Level.OK
    assert found["permission audit_logs"].level is Level.FAILED
    assert "Account Settings: Read" in found["permission audit_logs"].hint
    assert "permission" not in found
