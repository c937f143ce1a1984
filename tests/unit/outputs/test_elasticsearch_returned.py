"""After the journal was lost: a message that is back in an earlier state is not mistaken for a repetition."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.facts import Fact, OutputWarning
from connector.model import Event, Feed, Receipt, Record, Revision
from connector.outputs.elasticsearch.output import ElasticsearchOutput, ElasticsearchSettings
from tests.support.bulk_collector import bulk_collector, failed
from tests.support.scripted_http import Reply

FEED = Feed("0" * 32, "all")
DAY = datetime(2026, 5, 1, 12, tzinfo=UTC)


def event(verdict: str, minute: int, *, number: int = 1, message: str = "m1", **fields: Any) -> Event:
    collected = DAY + timedelta(minutes=minute)
    revision = Revision(FEED, Record(message, {"id": message}), verdict, number, collected)
    document = {
        "event": {"id": message, "created": collected.isoformat().replace("+00:00", "Z")},
        "tags": ["update"] if number > 1 else [],
        "cloudflare": {"email_security": {"final_disposition": verdict, "revision": number}},
        **fields,
    }
    return Event(revision, json.dumps(document).encode(), DAY, 5, "email.spam")


def output(url: str, facts: list[Fact]) -> ElasticsearchOutput:
    return ElasticsearchSettings.model_validate({"url": url}).build("siem", facts.append)


def newest(stored: dict[str, Any]) -> str:
    last = max(stored.values(), key=lambda each: each["event"]["created"])
    return str(last["cloudflare"]["email_security"]["final_disposition"])


async def test_a_return_after_a_lost_journal_is_stored_once() -> None:
    facts: list[Fact] = []
    async with bulk_collector() as collector:
        elastic = output(collector.url, facts)
        await elastic.send([event("SPAM", 1), event("MALICIOUS", 2, number=2)])
        # A new journal: the message is in its first state again, seen for the first time.
        again = event("SPAM", 3)
        assert await elastic.send([again]) == Receipt()
        assert newest(collector.stored) == "SPAM"
        assert await elastic.send([again]) == Receipt(duplicates=1)
        # And it goes on to the second state, which the cluster also has.
        assert await elastic.send([event("MALICIOUS", 4, number=2)]) == Receipt()
        assert newest(collector.stored) == "MALICIOUS"
        assert len(collector.stored) == 4
        await elastic.close()
    assert facts == []


async def test_events_repeated_after_a_crash_stay_single() -> None:
    facts: list[Fact] = []
    async with bulk_collector() as collector:
        elastic = output(collector.url, facts)
        batch = [event("SPAM", 1), event("MALICIOUS", 2, number=2), event("SPAM", 1, message="m2")]
        assert await elastic.send(batch) == Receipt()
        assert await elastic.send(batch) == Receipt(duplicates=3)
        # Collected again by a new journal, in the state that the cluster shows.
        assert await elastic.send([event("MALICIOUS", 9)]) == Receipt(duplicates=1)
        assert len(collector.stored) == 3
        await elastic.close()
    assert facts == []


async def test_what_an_ingest_pipeline_added_is_no_other_state() -> None:
    async with bulk_collector() as collector:
        elastic = output(collector.url, [])
        await elastic.send([event("SPAM", 1)])
        for stored in collector.stored.values():
            stored["event"]["ingested"] = "2026-05-01T12:05:00Z"
        assert await elastic.send([event("SPAM", 7)]) == Receipt(duplicates=1)
        await elastic.close()


async def test_without_the_right_to_read_that_is_reported_once() -> None:
    facts: list[Fact] = []
    refused = {"/logs-cloudflare.email_security-default/_search": failed(403, "security_exception", "no")}
    async with bulk_collector(answers=refused) as collector:
        elastic = output(collector.url, facts)
        for _ in range(3):
            await elastic.send([event("SPAM", 1)])
        await elastic.close()
    [warning] = facts
    assert isinstance(warning, OutputWarning)
    assert "returned to an earlier state" in warning.reason


async def test_a_mapping_without_the_record_id_is_reported_once() -> None:
    facts: list[Fact] = []
    async with bulk_collector() as collector:
        elastic = output(collector.url, facts)
        for _ in range(3):
            await elastic.send([event("SPAM", 1, event={})])
        await elastic.close()
    assert len(facts) == 1


async def test_an_answer_that_is_no_search_result_counts_as_a_repetition() -> None:
    odd = {
        "/logs-cloudflare.email_security-default/_search": Reply(200, b'{"hits":{"hits":[1,{"_source":7}]}}')
    }
    async with bulk_collector(answers=odd) as collector:
        elastic = output(collector.url, [])
        await elastic.send([event("SPAM", 1)])
        assert await elastic.send([event("SPAM", 2)]) == Receipt(duplicates=1)
        await elastic.close()
