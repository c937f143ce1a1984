"""A collector that is away, full or locked for a long time gets everything when it is back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from connector.facts import BatchRetried, BatchSent, EventDeadLettered, OutputHeld, OutputReleased
from connector.interfaces import Output
from connector.net.clock import utc_now
from connector.outputs.elasticsearch.output import ElasticsearchSettings
from connector.outputs.splunk_hec.channel import AckPolling
from connector.outputs.splunk_hec.output import SplunkHecOutput, SplunkHecSettings
from tests.scenarios.outputs.delivering import delivering
from tests.support.bulk_collector import bulk_collector, failed, trouble
from tests.support.collectors import unobserved, until
from tests.support.hec_collector import TOKEN, HecCollector, Indexer, hec_collector, reported
from tests.support.scripted_http import Reply
from tests.unit.delivery.fakes import revisions

ALL = {str(number) for number in range(1, 2001)}


def splunk(*urls: str, **options: Any) -> Output:
    settings = SplunkHecSettings.model_validate({"url": list(urls), "token": TOKEN, **options})
    return SplunkHecOutput("siem", settings, unobserved, utc_now, AckPolling(first=0.005, longest=0.02))


def elastic(*urls: str) -> Output:
    return ElasticsearchSettings.model_validate({"url": list(urls)}).build("siem", unobserved)


def names(collector: HecCollector) -> Counter[str]:
    return Counter(one["event"]["id"] for one in collector.events)


@pytest.mark.parametrize(
    "fault",
    [lambda: reported(9), lambda: reported(26), lambda: Reply(502, b"<html>"), lambda: Reply(raw=b"")],
    ids=["busy", "full", "bad gateway", "reset"],
)
async def test_splunk_is_down_for_long(fault: Callable[[], Reply]) -> None:
    async with (
        hec_collector(faults=[fault() for _ in range(40)]) as collector,
        delivering(splunk(collector.url), revisions(2000)) as delivery,
    ):
        await delivery.done()
        assert names(collector) == Counter(ALL)
        assert delivery.log.letters == []
        assert len(delivery.seen.of(BatchRetried)) >= 5


async def test_a_revoked_token_holds_and_a_renewed_one_goes_on() -> None:
    async with (
        hec_collector(token="other") as collector,
        delivering(splunk(collector.url), revisions(2000)) as delivery,
    ):
        await until(lambda: len(delivery.seen.of(BatchRetried)) > 5)
        assert delivery.deliverer.state.hold is not None
        assert delivery.log.position == 0
        collector.token = TOKEN
        await delivery.done()
        assert names(collector) == Counter(ALL)
        assert len(delivery.seen.of(OutputHeld)) == len(delivery.seen.of(OutputReleased)) == 1


async def test_indexers_that_die_with_what_they_had_not_indexed_get_it_again() -> None:
    """What was received and not indexed is gone with the machine; only acknowledgement notices."""
    async with hec_collector(ack=True, patience=None) as dying, hec_collector(ack=True) as healthy:
        output = splunk(dying.url, healthy.url, ack_timeout="1s")
        async with delivering(output, revisions(2000)) as delivery:
            await until(lambda: len(dying.events) == 2000)
            assert delivery.log.position == 0
            assert dying.server is not None
            dying.server.script = lambda _: Reply(raw=b"")
            await delivery.done()
            assert set(names(healthy)) == ALL
            assert delivery.log.letters == []


async def test_a_load_balancer_that_loses_stickiness_for_a_while_loses_nothing() -> None:
    machines = [Indexer(), Indexer(), Indexer()]
    async with (
        hec_collector(ack=True, indexers=machines, sticky="no") as collector,
        delivering(splunk(collector.url, ack_timeout="1s"), revisions(2000)) as delivery,
    ):
        await until(lambda: len(collector.events) >= 1000)
        collector.sticky = "cookie"
        await delivery.done()
        assert set(names(collector)) == ALL


async def test_a_cluster_is_down_then_locked_then_back() -> None:
    faults = [failed(503, "unavailable", "x"), Reply(200, b"<html>"), Reply(raw=b"")] * 5
    locked = [failed(403, "security_exception", "no"), failed(401, "security_exception", "no")] * 5
    async with (
        bulk_collector(faults=faults + locked) as collector,
        delivering(elastic(collector.url), revisions(2000)) as delivery,
    ):
        await delivery.done()
        assert {one["id"] for one in collector.stored.values()} == ALL
        assert delivery.seen.of(OutputHeld)
        assert delivery.seen.of(OutputReleased)
        assert not delivery.seen.of(EventDeadLettered)


async def test_only_the_events_that_a_cluster_pushed_back_are_sent_again() -> None:
    pushed: Counter[str] = Counter()

    def verdict(document: Any) -> dict[str, Any] | None:
        name = document["id"]
        pushed[name] += 1
        full = int(name) % 7 == 0 and pushed[name] <= 3
        return trouble(429, "es_rejected_execution_exception", "rejected") if full else None

    async with (
        bulk_collector(verdict=verdict) as collector,
        delivering(elastic(collector.url), revisions(2000)) as delivery,
    ):
        await delivery.done()
        assert {one["id"] for one in collector.stored.values()} == ALL
        assert max(pushed[name] for name in ALL if int(name) % 7) == 1
        assert sum(fact.duplicates for fact in delivery.seen.of(BatchSent)) == 0
        assert delivery.log.letters == []


async def test_a_lost_answer_is_no_second_document() -> None:
    async with bulk_collector() as collector:
        assert collector.server is not None
        lost = [True, True]

        def losing(asked: Any) -> Reply:
            reply = collector.answer(asked)
            return Reply(raw=b"") if asked.path.endswith("_bulk") and lost and lost.pop() else reply

        collector.server.script = losing
        async with delivering(elastic(collector.url), revisions(2000)) as delivery:
            await delivery.done()
            assert len(collector.documents) == 2000
            assert sum(fact.duplicates for fact in delivery.seen.of(BatchSent)) == 1000


async def test_a_missing_index_holds_until_somebody_makes_it() -> None:
    async with (
        bulk_collector(streams=set()) as collector,
        delivering(elastic(collector.url), revisions(2000)) as delivery,
    ):
        await until(lambda: delivery.deliverer.state.hold is not None)
        await asyncio.sleep(0.2)
        assert delivery.log.letters == []
        collector.streams.add("logs-cloudflare.email_security-default")
        await delivery.done()
        assert len(collector.stored) == 2000
