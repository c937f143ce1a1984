"""Indexer acknowledgement: what counts as accepted, and what is sent again."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import pytest

from connector.errors import Hold, Retryable
from connector.facts import AcknowledgementDowngraded, Fact
from connector.model import Receipt
from connector.net.clock import utc_now
from connector.outputs.splunk_hec.channel import AckPolling
from connector.outputs.splunk_hec.output import SplunkHecOutput, SplunkHecSettings
from connector.testing.outputs import events
from tests.support.collectors import until
from tests.support.hec_collector import TOKEN, HecCollector, Indexer, hec_collector, reported
from tests.support.scripted_http import Reply, json_reply

PACE = AckPolling(first=0.005, longest=0.01)


class Splunk:
    """An output that asks quickly, and its facts."""

    def __init__(self, *collectors: HecCollector, polling: AckPolling = PACE, **options: Any) -> None:
        urls = [collector.url for collector in collectors]
        given = {"url": urls, "token": TOKEN, **options}
        self.facts: list[Fact] = []
        settings = SplunkHecSettings.model_validate(given)
        self.output = SplunkHecOutput("siem", settings, self.facts.append, utc_now, polling)

    @property
    def warnings(self) -> list[str]:
        return [fact.reason for fact in self.facts if isinstance(fact, AcknowledgementDowngraded)]

    async def send(self, label: str = "event") -> Receipt:
        return await self.output.send(events(2, label=label))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.output.close()


async def test_a_batch_is_accepted_when_it_is_indexed_and_not_before() -> None:
    async with hec_collector(ack=True, patience=None) as collector, Splunk(collector) as splunk:
        sending = asyncio.ensure_future(splunk.send())
        await until(lambda: max(collector.indexers[0].asked.values(), default=0) >= 3)
        assert not sending.done()
        collector.patience = 0
        assert await sending == Receipt()
        assert collector.pending == 0
        assert splunk.warnings == []


async def test_several_batches_wait_at_once_each_on_a_channel_of_its_own() -> None:
    async with hec_collector(ack=True, patience=None) as collector, Splunk(collector) as splunk:
        assert splunk.output.limits.concurrency == 8
        sending = [asyncio.ensure_future(splunk.send(f"batch-{number}")) for number in range(8)]
        await until(lambda: len(collector.channels) == 8)
        assert len(set(collector.channels)) == 8
        collector.patience = 0
        await asyncio.gather(*sending)
        await splunk.send("next")
        assert collector.channels[8] in collector.channels[:8]


async def test_requests_leave_one_after_the_other_while_batches_wait() -> None:
    async with hec_collector(ack=True, patience=5) as collector, Splunk(collector) as splunk:
        await asyncio.gather(*(splunk.send(f"batch-{number}") for number in range(8)))
        assert [one["event"]["id"] for one in collector.events[::2]] == [f"batch-{n}-0-end" for n in range(8)]


@pytest.mark.parametrize("sticky", ["cookie", "connection"])
async def test_behind_a_load_balancer_the_indexer_that_took_a_batch_is_asked(sticky: str) -> None:
    """All indexers count from 0: a number from one would mean another batch at the next."""
    machines = [Indexer(), Indexer(), Indexer()]
    async with (
        hec_collector(ack=True, patience=1, indexers=machines, sticky=sticky) as collector,
        Splunk(collector) as splunk,
    ):
        for turn in range(3):
            await asyncio.gather(*(splunk.send(f"batch-{turn}-{number}") for number in range(6)))
        assert collector.pending == 0
        assert len(collector.events) == 36
        assert sum(bool(machine.issued) for machine in machines) > 1


async def test_a_lost_acknowledgement_never_counts_for_another_batch() -> None:
    """Without stickiness questions go astray; then a batch is sent again rather than believed."""
    machines = [Indexer(), Indexer()]
    async with (
        hec_collector(ack=True, patience=None, indexers=machines, sticky="no") as collector,
        Splunk(collector, ack_timeout="1s") as splunk,
    ):
        with pytest.raises(Retryable, match="sent again"):
            await splunk.send()
        collector.patience = 0
        first = collector.channels[0]
        await splunk.send("next")
        assert collector.channels[-1] != first


async def test_a_batch_that_nobody_confirms_in_time_is_sent_again() -> None:
    async with (
        hec_collector(ack=True, patience=None) as collector,
        Splunk(collector, ack_timeout="1s") as splunk,
    ):
        with pytest.raises(Retryable, match="no indexer confirmed the batch within 1 s"):
            await splunk.send()


async def test_a_cancelled_send_leaves_its_channel_behind() -> None:
    async with hec_collector(ack=True, patience=None) as collector, Splunk(collector) as splunk:
        sending = asyncio.ensure_future(splunk.send())
        await until(lambda: collector.pending == 1)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        collector.patience = 0
        await splunk.send("next")
        assert collector.channels[0] != collector.channels[1]


async def test_auto_goes_on_without_acknowledgement_and_says_so_once() -> None:
    async with hec_collector() as collector, Splunk(collector) as splunk:
        for number in range(3):
            await splunk.send(f"batch-{number}")
        await splunk.output.open()
        await splunk.send("last")
        assert len(collector.events) == 8
        [warning] = splunk.warnings
        assert "off for the token" in warning
        assert "received, not indexed" in warning


async def test_acknowledgement_that_is_turned_on_later_is_used_and_its_loss_reported_again() -> None:
    async with hec_collector() as collector, Splunk(collector) as splunk:
        await splunk.send("before")
        collector.ack = True
        await splunk.send("during")
        assert collector.pending == 0
        collector.ack = False
        await splunk.send("after")
        assert len(splunk.warnings) == 2


async def test_on_holds_before_anything_is_sent_when_the_token_does_not_have_it() -> None:
    async with hec_collector() as collector, Splunk(collector, ack="on") as splunk:
        with pytest.raises(Hold, match="turn it on for the token"):
            await splunk.output.open()
        with pytest.raises(Hold, match="turn it on for the token"):
            await splunk.send()
        collector.ack = True
        await splunk.output.open()
        assert await splunk.send() == Receipt()


async def test_off_asks_for_nothing_and_shows_no_channel() -> None:
    async with hec_collector() as collector, Splunk(collector, ack="off") as splunk:
        assert splunk.output.limits.concurrency == 1
        await splunk.send()
        assert collector.channels == []
        assert splunk.warnings == []
        collector.ack = True
        with pytest.raises(Hold, match="set ack: auto"):
            await splunk.send()


ODD = [
    Reply(404, b"no such endpoint behind this proxy"),
    reported(14),
    reported(11),
]


@pytest.mark.parametrize("reply", ODD)
async def test_questions_that_are_refused_weaken_auto_and_hold_on(reply: Reply) -> None:
    async with hec_collector(ack=True, patience=None, ack_faults=[reply]) as collector:
        async with Splunk(collector) as splunk:
            await splunk.send()
            await splunk.send("more")
            assert len(splunk.warnings) == 1
        collector.ack_faults = [json_reply({"acks": {}}), reply]
        async with Splunk(collector, ack="on") as splunk:
            await splunk.output.open()
            with pytest.raises(Hold, match="requires it"):
                await splunk.send()


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"acks":[]}', b'{"text":"Success","code":0}'])
async def test_answers_that_say_nothing_are_not_mistaken_for_a_yes(body: bytes) -> None:
    """Once may be an accident; three times in a row is no acknowledgement, and told."""
    faults = [Reply(200, body)] * 2
    async with hec_collector(ack=True, ack_faults=faults) as collector, Splunk(collector) as splunk:
        await splunk.send()
        assert splunk.warnings == []
        collector.ack_faults = [Reply(200, body)] * 3
        await splunk.send("more")
        assert len(splunk.warnings) == 1


async def test_a_collector_that_is_gone_while_a_batch_waits_does_not_have_it() -> None:
    faults = [reported(8), Reply(raw=b""), Reply(503)]
    async with hec_collector(ack=True, ack_faults=faults) as collector, Splunk(collector) as splunk:
        with pytest.raises(Retryable):
            await splunk.send()


async def test_a_collector_that_is_briefly_busy_is_asked_again() -> None:
    faults = [reported(9), reported(23), reported(27), reported(26), reported(27), reported(26)]
    async with hec_collector(ack=True, ack_faults=faults) as collector, Splunk(collector) as splunk:
        assert await splunk.send() == Receipt()
        assert collector.ack_faults == []


async def test_a_token_that_is_revoked_while_a_batch_waits_holds() -> None:
    async with hec_collector(ack=True, ack_faults=[reported(4)]) as collector, Splunk(collector) as splunk:
        with pytest.raises(Hold, match="unknown token"):
            await splunk.send()


async def test_what_waits_behind_a_failed_request_is_not_tried_one_by_one() -> None:
    gone = [Reply(503, hold=asyncio.Event())]
    async with hec_collector(faults=gone) as collector, Splunk(collector, timeout="200ms") as splunk:
        sending = [splunk.send(f"batch-{number}") for number in range(8)]
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        assert all(isinstance(outcome, Retryable) for outcome in outcomes)
        assert len({str(outcome) for outcome in outcomes}) == 1
        assert collector.events == []
