"""All pages arrive, in order, each asked with the same filters and the cursor of the page before."""

from __future__ import annotations

from connector.facts import PageDecoded, RequestAnswered
from connector.model import FilterValue, Query
from connector.source.filters import FILTERS
from tests.scenarios.source.account import HOUR, TOKEN, account, in_turn, page, rows, run


def test_every_page_is_asked_with_the_same_filters_and_the_cursor_before() -> None:
    async def story() -> None:
        pages = [
            page(rows(0, 2), next="a/b+c=="),
            page(rows(2, 2), next="second"),
            page(rows(4, 1)),
        ]
        async with account(in_turn(*pages)) as it:
            query = Query({"sender": "evil.example", "detections_only": False}, per_page=100)
            assert await it.ids(query) == [f"record-{number}" for number in range(5)]
            asked = [request.params for request in it.searches]
        first = {
            "sender": "evil.example",
            "detections_only": "false",
            "per_page": "100",
            "start": "2026-03-01T10:59:59Z",
            "end": "2026-03-01T12:00:01Z",
        }
        assert asked == [first, {**first, "cursor": "a/b+c=="}, {**first, "cursor": "second"}]
        assert [fact.records for fact in it.seen(PageDecoded)] == [2, 2, 1]
        assert {fact.outcome for fact in it.seen(RequestAnswered)} == {"ok"}

    run(story())


def test_detections_only_is_always_sent_and_page_never() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), next="x"), page([]))) as it:
            await it.ids(Query())
            for asked in it.searches:
                assert asked.params["detections_only"] == "true"
                assert "page" not in asked.params
                assert asked.headers["authorization"] == f"Bearer {TOKEN}"

    run(story())


def test_every_filter_of_the_table_reaches_the_api() -> None:
    sample: dict[str, FilterValue] = {"text": "word", "boolean": True, "address": "192.0.2.1"}
    filters: dict[str, FilterValue] = {
        name: row.allowed[0] if row.allowed else sample[row.kind] for name, row in FILTERS.items()
    }

    async def story() -> None:
        async with account(in_turn(page([]))) as it:
            await it.ids(Query(filters))
            assert set(FILTERS) <= set(it.searches[0].params)

    run(story())


def test_an_empty_page_in_the_middle_does_not_end_the_walk() -> None:
    async def story() -> None:
        pages = [page(rows(0, 1), next="a"), page([], next="b"), page(rows(1, 1))]
        async with account(in_turn(*pages)) as it:
            assert await it.ids() == ["record-0", "record-1"]

    run(story())


def test_closing_a_walk_early_asks_for_nothing_more() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), next="a"))) as it:
            walk = it.source.search(Query(), HOUR)
            assert [record.id for record in (await anext(walk)).records] == ["record-0"]
            await walk.aclose()
            assert len(it.searches) == 1

    run(story())
