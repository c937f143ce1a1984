"""Enrichment: what further endpoints say, in bounded time; a failure is a mark, never an error."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from connector.facts import EnrichmentDisabled, RecordsEnriched
from connector.model import Query, Record
from connector.simulator import Behaviour
from connector.source.enrichment import ENDPOINTS
from tests.scenarios.source.account import ACCOUNT, SEARCH, account, failure, page, rows, run
from tests.scenarios.source.simulated import simulated
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


@pytest.mark.parametrize("reply", [failure(500), failure(403, 10000, "no")])
def test_an_endpoint_that_fails_again_and_again_holds_nothing_back(reply: Reply) -> None:
    records = [Record(f"id-{number}", {}) for number in range(200)]

    def answer(asked: Asked) -> Reply:
        return reply if asked.path.endswith("detections") else detail(asked)

    async def story() -> None:
        async with account(answer) as it:
            began = it.clock()
            found = await it.source.enricher(["detections", "trace"]).enrich(records)
            assert (it.clock() - began).total_seconds() < 10
            assert all(set(found[record.id]) == {"trace", "incomplete"} for record in records)
            assert sum(asked.path.endswith("detections") for asked in it.server.asked) < 20
            (given_up,) = it.seen(EnrichmentDisabled)
            assert given_up.endpoint == "detections"
            assert it.seen(RecordsEnriched) == [RecordsEnriched(ACCOUNT, 0, 200, 0)]
            again = await it.source.enricher(["trace"]).enrich(records[:3])
            assert all("trace" in entry for entry in again.values())
            assert it.seen(RecordsEnriched)[-1] == RecordsEnriched(ACCOUNT, 3, 0, 0)

    run(story())


def test_records_that_are_refused_one_by_one_say_nothing_about_the_others() -> None:
    def answer(asked: Asked) -> Reply:
        return detail(asked) if "id-19" in asked.path else failure(400, 1, "only for detections")

    async def story() -> None:
        async with account(answer) as it:
            found = await it.source.enricher(["detections"]).enrich(
                [Record(f"id-{number}", {}) for number in range(20)]
            )
            assert "detections" in found["id-19"]
            assert it.seen(RecordsEnriched) == [RecordsEnriched(ACCOUNT, 1, 0, 19)]

    run(story())


def test_a_live_search_goes_before_all_details_when_the_budget_is_short() -> None:
    records = [Record(f"id-{number}", {}) for number in range(100)]

    def answer(asked: Asked) -> Reply:
        return page(rows(0, 2)) if asked.path == SEARCH else detail(asked)

    async def story() -> None:
        async with account(answer, requests=40) as it:
            details = asyncio.create_task(it.source.enricher(["detections"]).enrich(records))
            await asyncio.sleep(5)
            before = len(it.server.asked)
            assert await it.ids(Query()) == ["record-0", "record-1"]
            assert it.server.asked[before].path == SEARCH
            found = await details
            assert 10 <= sum("detections" in entry for entry in found.values()) < 20
            assert sum("incomplete" in entry for entry in found.values()) > 80

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


@pytest.mark.parametrize("paging", ["page", "cursor"])
def test_a_list_in_pages_is_read_to_its_end(paging: str) -> None:
    async def story() -> None:
        async with _simulated_log(paging) as (found, entries):
            assert found["action_log"] == entries
            assert "incomplete" not in found

    run(story())


def test_a_list_of_which_only_a_page_can_be_had_is_marked_as_incomplete() -> None:
    async def story() -> None:
        async with _simulated_log("ignored") as (found, entries):
            assert found["action_log"] == entries[:20]
            assert found["incomplete"] == ["action_log"]

    run(story())


def test_a_list_without_end_is_read_for_a_while_only() -> None:
    def answer(asked: Asked) -> Reply:
        number = int(asked.params.get("cursor", "0"))
        info = {"next": str(number + 1)}
        return json_reply({"success": True, "errors": [], "result": [number], "result_info": info})

    async def story() -> None:
        async with account(answer) as it:
            found = await it.source.enricher(["action_log"]).enrich(RECORDS[:1])
            assert found["id-0"] == {"action_log": list(range(20)), "incomplete": ["action_log"]}

    run(story())


@contextlib.asynccontextmanager
async def _simulated_log(paging: str) -> AsyncIterator[tuple[Mapping[str, Any], list[Any]]]:
    """What enrichment finds of a message with 47 entries in its log, and the entries."""
    behaviour = Behaviour(details_per_page=20, details_paging=cast("Any", paging))
    async with simulated(behaviour) as it:
        times = [f"2026-11-18T09:{minute:02}:00Z" for minute in range(47)]
        log = [{"completed_at": at, "operation": "MOVE", "properties": {}, "status": "OK"} for at in times]
        name = it.simulator.world.add({"action_log": log})
        found = await it.source.enricher(["action_log"]).enrich([Record(name, {})])
        entries = [{**entry, "started_at": entry["completed_at"], "success": True} for entry in log]
        yield found[name], entries
