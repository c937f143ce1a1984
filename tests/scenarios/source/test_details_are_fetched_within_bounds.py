"""Enrichment: what further endpoints say, in bounded time; a failure is a mark, never an error."""

from __future__ import annotations

import asyncio

import pytest

from connector.model import Record
from connector.source.enrichment import ENDPOINTS
from tests.scenarios.source.account import account, failure, run
from tests.support.scripted_http import Asked, Reply, json_reply

RECORDS = [Record(f"id-{number}", {"final_disposition": "SPAM"}) for number in range(5)]


def detail(asked: Asked) -> Reply:
    record, endpoint = asked.path.split("/")[-2:]
    return json_reply({"success": True, "errors": [], "result": {"of": record, "what": endpoint}})


def test_each_wanted_record_gets_what_each_endpoint_says() -> None:
    async def story() -> None:
        async with account(detail) as it:
            enricher = it.source.enricher(ENDPOINTS, wanted=lambda record: record.id != "id-3")
            found = await enricher.enrich([*RECORDS, Record("sha256:0", {})])
            assert set(found) == {"id-0", "id-1", "id-2", "id-4"}
            assert found["id-1"] == {name: {"of": "id-1", "what": name} for name in ENDPOINTS}
            assert len(it.server.asked) == 12

    run(story())


@pytest.mark.parametrize("reply", [failure(500), failure(403, 10000, "no"), failure(400, 1, "x")])
def test_an_endpoint_that_fails_is_listed(reply: Reply) -> None:
    def answer(asked: Asked) -> Reply:
        return reply if asked.path.endswith("trace") else detail(asked)

    async def story() -> None:
        async with account(answer) as it:
            found = await it.source.enricher(["detections", "trace"]).enrich(RECORDS[:2])
            for record in RECORDS[:2]:
                assert set(found[record.id]) == {"detections", "incomplete"}
                assert found[record.id]["incomplete"] == ["trace"]

    run(story())


def test_what_does_not_exist_is_complete_without_it() -> None:
    async def story() -> None:
        async with account(lambda _: failure(404, 1002, "not found")) as it:
            assert await it.source.enricher(["detections"]).enrich(RECORDS[:1]) == {"id-0": {}}

    run(story())


def test_time_is_up_for_all_together() -> None:
    never = asyncio.Event()

    def answer(asked: Asked) -> Reply:
        ready = detail(asked)
        return ready if "id-0" in asked.path else Reply(200, ready.body, ready.headers, hold=never)

    async def story() -> None:
        async with account(answer) as it:
            began = it.clock()
            found = await it.source.enricher(["detections"], seconds=20).enrich(RECORDS)
            assert (it.clock() - began).total_seconds() == pytest.approx(20, abs=0.5)
            assert found["id-0"] == {"detections": {"of": "id-0", "what": "detections"}}
            assert [found[record.id] for record in RECORDS[1:]] == [{"incomplete": ["detections"]}] * 4

    run(story())


def test_nothing_wanted_asks_nothing() -> None:
    async def story() -> None:
        async with account(detail) as it:
            assert await it.source.enricher(["trace"], wanted=lambda _: False).enrich(RECORDS) == {}
            assert it.server.asked == []

    run(story())
