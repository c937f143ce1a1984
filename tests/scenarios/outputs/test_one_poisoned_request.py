"""The fault matrix, column "one poisoned request": whatever refuses it and however, one dead letter,
nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connector.facts import EventDeadLettered, ResendAbandoned
from connector.interfaces import Observe, Output
from connector.outputs import BUILT_IN
from connector.testing.fault_proxy import PoisonFault, PoisonProxy, poison_proxy
from tests.scenarios.outputs.delivering import Delivery, as_line, delivering
from tests.support.bulk_collector import bulk_collector
from tests.support.collectors import StreamCollector, authority, stream_collector, unobserved, until
from tests.support.hec_collector import TOKEN, hec_collector
from tests.support.log_ingestion import log_ingestion
from tests.support.log_ingestion import settings as sentinel_settings
from tests.support.otlp_collector import otlp_collector
from tests.support.sampling import slow
from tests.support.scripted_http import Asked, Reply, scripted
from tests.unit.delivery.fakes import FactRecorder, revision, revisions

COUNT = 201
POISON = "100"
NEEDLE = b'"id": "100"'
EXPECTED = sorted(str(number) for number in range(1, COUNT + 1) if str(number) != POISON)


def status(number: int, headers: bytes = b"") -> PoisonFault:
    """A firewall that answers with this status and ends the connection."""
    answer = b"HTTP/1.1 %d No\r\n%scontent-length: 7\r\nconnection: close\r\n\r\nblocked" % (number, headers)
    return PoisonFault(NEEDLE, answer)


FAULTS = {
    **{str(number): status(number) for number in (400, 401, 403, 429, 500)},
    "413": status(413),
    "503 with a wait": status(503, b"retry-after: 0\r\n"),
    "reset": PoisonFault(NEEDLE),
    "hang": PoisonFault(NEEDLE, hang=True),
}
REASONS = {"400": "refused", "413": "too_large"}
"""What these statuses say of an event; all other refusals say nothing."""

Collector = Callable[[], contextlib.AbstractAsyncContextManager[tuple[int, Callable[[], Sequence[str]]]]]


@contextlib.asynccontextmanager
async def http() -> AsyncIterator[tuple[int, Callable[[], Sequence[str]]]]:
    """The port of a collector, and the ids that it took."""
    taken: list[str] = []

    def answer(asked: Asked) -> Reply:
        taken.extend(line.split(b'"')[3].decode() for line in asked.body.splitlines())
        return Reply(200)

    async with scripted(answer) as server:
        yield server.port, lambda: taken


@contextlib.asynccontextmanager
async def splunk() -> AsyncIterator[tuple[int, Callable[[], Sequence[str]]]]:
    """The same for Splunk HEC."""
    async with hec_collector() as collector:
        yield urlsplit(collector.url).port or 0, lambda: [one["event"]["id"] for one in collector.events]


@contextlib.asynccontextmanager
async def cluster() -> AsyncIterator[tuple[int, Callable[[], Sequence[str]]]]:
    """The same for Elasticsearch."""
    async with bulk_collector() as collector:
        yield urlsplit(collector.url).port or 0, lambda: [one["id"] for one in collector.stored.values()]


@contextlib.asynccontextmanager
async def opentelemetry() -> AsyncIterator[tuple[int, Callable[[], Sequence[str]]]]:
    """The same for a collector of OpenTelemetry logs."""
    async with otlp_collector() as collector:
        yield (
            collector.server.port,
            lambda: [json.loads(record.body.string_value)["id"] for record in collector.records],
        )


@contextlib.asynccontextmanager
async def ingestion() -> AsyncIterator[tuple[int, Callable[[], Sequence[str]]]]:
    """The same for Microsoft Sentinel, with its token authority."""
    async with log_ingestion() as site:
        yield urlsplit(site.url).port or 0, lambda: [row["id"] for row in site.rows]


OUTPUTS: dict[str, tuple[Collector, dict[str, object]]] = {
    "http": (http, {}),
    "splunk_hec": (splunk, {"token": TOKEN, "gzip": False}),
    "elasticsearch": (cluster, {"gzip": False}),
    "otlp": (opentelemetry, {"gzip": False, "body": "json"}),
    "sentinel": (ingestion, {"gzip": False}),
}


# Every fault once, every output with a status and a reset; all pairs in `make test-all`.
CASES = [
    (kind, fault) if kind == "http" or fault in {"403", "reset"} else slow(kind, fault)
    for kind in OUTPUTS
    for fault in FAULTS
]


@pytest.mark.parametrize(("kind", "fault"), CASES)
async def test_one_message_that_is_refused_in_whatever_way_stops_nothing(kind: str, fault: str) -> None:
    # Only a firewall that hangs is waited for: nothing else may take that long on a busy machine.
    timeout = "1s" if fault == "hang" else "10s"
    await refused_by_a_firewall(kind, fault, "http", {"timeout": timeout})


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["403", "reset", "hang"])
@pytest.mark.parametrize("kind", OUTPUTS)
async def test_a_firewall_that_opens_tls_may_refuse_one_message_in_whatever_way(
    kind: str, fault: str, tmp_path: Path
) -> None:
    trusted = authority(tmp_path)
    timeout = "1s" if fault == "hang" else "10s"
    options = {"timeout": timeout, "tls": {"ca_file": trusted.ca_file}}
    await refused_by_a_firewall(kind, fault, "https", options, trusted.server)


async def refused_by_a_firewall(
    kind: str, fault: str, scheme: str, more: Mapping[str, object], tls: ssl.SSLContext | None = None
) -> None:
    collector, options = OUTPUTS[kind]
    async with (
        collector() as (port, taken),
        poison_proxy(port, FAULTS[fault], tls) as proxy,
    ):
        url = f"{scheme}://127.0.0.1:{proxy.port}"
        batch = {"events": 50, "linger": "10ms"}
        given: dict[str, Any] = {"type": kind, "url": url, "batch": batch, **options, **more}
        settings = BUILT_IN[kind].model_validate(sentinel_settings(**given) if kind == "sentinel" else given)
        output = settings.build("siem", unobserved)
        async with delivering(output, revisions(COUNT)) as delivery:
            newest = await mail_goes_on(delivery)
            await delivery.done(120)

        assert set(taken()) == {str(number) for number in range(1, newest + 1)} - {POISON}
        assert delivery.log.dead_lettered == {POISON: REASONS.get(fault, "poison")}
        assert proxy.refused >= 2
        assert delivery.deliverer.state.hold is None


async def mail_goes_on(delivery: Delivery) -> int:
    """Add mail until the poisoned message is a dead letter; return the number of the newest.

    The message is compared with others: where all those are delivered first, it waits for more, as it should.
    """
    newest = COUNT
    async with asyncio.timeout(120):
        while POISON not in delivery.log.dead_lettered:
            await asyncio.sleep(0.05)
            newest += 1
            delivery.log.append([revision(str(newest))])
    return newest


LINE = b"|100|"


def syslog(port: int, framing: str, observe: Observe, transport: str = "tcp", **more: object) -> Output:
    settings = BUILT_IN["syslog"].model_validate(
        {
            "type": "syslog",
            "address": f"{transport}://127.0.0.1:{port}",
            "framing": framing,
            "timeout": "5s",
            "batch": {"events": 50, "linger": "10ms"},
            **more,
        }
    )
    return settings.build("siem", observe)


def received(collector: StreamCollector) -> set[str]:
    """The ids that arrived, in whole messages."""
    return {message.decode().split("|")[2] for message in collector.messages()}


@pytest.mark.parametrize("framing", ["lf", "octet"])
async def test_one_message_that_resets_a_syslog_connection_is_one_dead_letter(framing: str) -> None:
    async with stream_collector() as collector, poison_proxy(collector.port, PoisonFault(LINE)) as proxy:
        output = syslog(proxy.port, framing, unobserved)
        async with delivering(output, revisions(COUNT), mapper=as_line) as delivery:
            await delivery.done(60)

        assert sorted(received(collector)) == EXPECTED
        assert delivery.log.dead_lettered == {POISON: "poison"}
        assert delivery.deliverer.state.hold is None


@pytest.mark.slow
@pytest.mark.parametrize("framing", ["lf", "octet"])
async def test_one_message_that_resets_a_syslog_connection_over_tls_is_one_dead_letter(
    framing: str, tmp_path: Path
) -> None:
    trusted = authority(tmp_path)
    fault = PoisonFault(LINE)
    async with stream_collector() as collector, poison_proxy(collector.port, fault, trusted.server) as proxy:
        output = syslog(proxy.port, framing, unobserved, "tls", tls={"ca_file": trusted.ca_file})
        async with delivering(output, revisions(COUNT), mapper=as_line) as delivery:
            await delivery.done(120)

        assert sorted(received(collector)) == EXPECTED
        assert delivery.log.dead_lettered == {POISON: "poison"}
        assert delivery.deliverer.state.hold is None


LATE = {
    "reset": PoisonFault(LINE, delay=0.4),
    "reset by a collector that resets every connection": PoisonFault(LINE, delay=0.4, reset_at_end=True),
    "closed": PoisonFault(LINE, delay=0.4, close=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", LATE)
@pytest.mark.parametrize("framing", ["lf", "octet"])
@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_one_message_that_breaks_a_syslog_connection_late_is_one_dead_letter(
    transport: str, framing: str, fault: str, tmp_path: Path
) -> None:
    """The message was acknowledged long before the connection breaks."""
    trusted = authority(tmp_path)
    tls = trusted.server if transport == "tls" else None
    async with stream_collector() as collector, poison_proxy(collector.port, LATE[fault], tls) as proxy:
        seen = FactRecorder()
        more = {"tls": {"ca_file": trusted.ca_file}} if tls else {}
        output = syslog(proxy.port, framing, seen, transport, **more)
        async with delivering(output, revisions(COUNT), mapper=as_line) as delivery:
            await delivery.done(60)
            await until(lambda: proxy.refused > 0)
            last = COUNT
            while not delivery.log.letters and last < COUNT + 20:
                last += 1
                delivery.log.append(revisions(1, last))
                await delivery.done(60)

        assert sorted(received(collector), key=int) == [
            str(number) for number in range(1, last + 1) if str(number) != POISON
        ]
        [letter] = delivery.log.letters
        assert (letter.revision.record.id, letter.reason, letter.attempts) == (POISON, "poison", 5)
        assert letter.sequence == int(POISON)
        assert delivery.log.suspected == []
        [abandoned] = seen.of(ResendAbandoned)
        assert abandoned.identity == letter.revision.identity
        assert len(delivery.seen.of(EventDeadLettered)) == 1
        assert proxy.refused <= 20


async def suspected(delivery: Delivery, proxy: PoisonProxy) -> None:
    """Deliver until the connection broke; then one event more, so that the suspect is found."""
    log = delivery.log
    await delivery.done(60)
    await until(lambda: proxy.refused > 0)
    log.append(revisions(1, log.head + 1))
    await delivery.done(60)
    await until(lambda: bool(log.suspected))


@pytest.mark.slow
async def test_a_suspect_of_a_process_that_was_killed_is_one_dead_letter() -> None:
    fault = PoisonFault(LINE, delay=0.4)
    async with stream_collector() as collector, poison_proxy(collector.port, fault) as proxy:
        output = syslog(proxy.port, "lf", unobserved)
        async with delivering(output, revisions(COUNT), mapper=as_line) as delivery:
            await suspected(delivery, proxy)
            delivery.log.frozen = True  # killed: nothing is stored any more
        log = delivery.log
        log.frozen = False
        assert log.letters == []

        async with delivering(syslog(proxy.port, "lf", unobserved), mapper=as_line, log=log) as successor:
            await until(lambda: bool(log.letters))
            log.append(revisions(1, log.head + 1))
            await successor.done(60)
            last = log.head

    [letter] = log.letters
    assert (letter.revision.record.id, letter.reason) == (POISON, "poison")
    assert log.suspected == []
    assert received(collector) == {str(n) for n in range(1, last + 1) if str(n) != POISON}


@pytest.mark.slow
async def test_a_suspect_that_passes_in_the_end_is_no_dead_letter() -> None:
    """The firewall is mended before the proof is complete."""
    fault = PoisonFault(LINE, delay=0.4)
    async with (
        stream_collector() as collector,
        poison_proxy(collector.port, fault) as proxy,
        delivering(syslog(proxy.port, "lf", unobserved), revisions(COUNT), mapper=as_line) as delivery,
    ):
        await suspected(delivery, proxy)
        assert delivery.deliverer.state.suspects == 1
        proxy.mend()
        delivery.log.append(revisions(1, delivery.log.head + 1))
        await delivery.done(60)
        await until(lambda: not delivery.log.suspected)
        last = delivery.log.head

    assert delivery.log.letters == []
    assert received(collector) == {str(number) for number in range(1, last + 1)}
