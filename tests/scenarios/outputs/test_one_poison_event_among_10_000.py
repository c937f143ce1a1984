"""One event that can never be delivered among 10 000, for each type of output: exactly that one is buried.

Where the collector can refuse an event it does. Syslog has no answer: there the event is too large. Files,
buckets and standard output take everything: there it cannot be mapped.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from connector.facts import BatchSending
from connector.interfaces import Output
from connector.model import Event, Limits, Revision
from connector.outputs import BUILT_IN
from connector.outputs.stdout import StdoutOutput
from tests.scenarios.outputs.delivering import as_json, as_line, delivering
from tests.support.bucket import bucket
from tests.support.bulk_collector import bulk_collector, trouble
from tests.support.collectors import datagram_collector, pipe_reader, stream_collector, unobserved
from tests.support.hec_collector import TOKEN, hec_collector
from tests.support.log_ingestion import log_ingestion
from tests.support.log_ingestion import settings as sentinel_settings
from tests.support.otlp_collector import otlp_collector
from tests.support.sampling import sampled
from tests.support.scripted_http import Asked, Reply, scripted
from tests.unit.delivery.fakes import revisions

COUNT = 10_000
POISON = "6789"
MARK = b'"6789"'
NAME = re.compile(rb"[\"|](\d+)[\"|]")


def too_large(revision: Revision) -> Event:
    """A mapper by which the poisonous event outgrows every message."""
    event = as_json(revision)
    if revision.record.id != POISON:
        return event
    return replace(event, payload=event.payload[:-1] + b',"x":"' + b"x" * 60_000 + b'"}')


def unmappable(revision: Revision) -> Event:
    """A mapper that fails for the poisonous event."""
    if revision.record.id == POISON:
        raise ValueError("cannot be mapped")
    return as_json(revision)


@dataclass
class Bench:
    """An output, what its collector took, why the poisonous event is buried, and what makes events."""

    output: Output
    taken: Callable[[], Sequence[bytes]]
    reason: str
    mapper: Callable[[Revision], Event] = as_json


Setting: TypeAlias = Callable[[Path], contextlib.AbstractAsyncContextManager[Bench]]


def made(kind: str, **settings: object) -> Output:
    return BUILT_IN[kind].model_validate({**settings, "type": kind}).build("siem", unobserved)


@contextlib.asynccontextmanager
async def splunk(_: Path) -> AsyncIterator[Bench]:
    async with hec_collector(poison=lambda event: 6 if event["id"] == POISON else None) as collector:
        yield Bench(made("splunk_hec", url=collector.url, token=TOKEN), collector.documents, "refused")


@contextlib.asynccontextmanager
async def splunk_lines(_: Path) -> AsyncIterator[Bench]:
    async with hec_collector(poison=lambda line: 6 if "|6789|" in str(line) else None) as collector:
        output = made("splunk_hec", url=collector.url, token=TOKEN)
        yield Bench(output, collector.documents, "refused", as_line)


@contextlib.asynccontextmanager
async def elastic(_: Path) -> AsyncIterator[Bench]:
    def verdict(document: Any) -> dict[str, Any] | None:
        return trouble(400, "document_parsing_exception", "no") if document["id"] == POISON else None

    async with bulk_collector(verdict=verdict) as collector:
        yield Bench(made("elasticsearch", url=collector.url), lambda: collector.documents, "rejected")


@contextlib.asynccontextmanager
async def http(_: Path) -> AsyncIterator[Bench]:
    taken: list[bytes] = []

    def answer(asked: Asked) -> Reply:
        if MARK in asked.body:
            return Reply(422, b"no such field")
        taken.extend(asked.body.splitlines())
        return Reply(204)

    async with scripted(answer) as server:
        yield Bench(made("http", url=server.url), lambda: taken, "refused")


@contextlib.asynccontextmanager
async def sentinel(_: Path) -> AsyncIterator[Bench]:
    def judge(_asked: Asked, rows: list[Any]) -> Reply | None:
        return Reply(400, b"no such row") if any(row["id"] == POISON for row in rows) else None

    async with log_ingestion(judge) as site:
        yield Bench(made("sentinel", **sentinel_settings(site.url)), site.documents, "refused")


@contextlib.asynccontextmanager
async def opentelemetry(_: Path) -> AsyncIterator[Bench]:
    async with otlp_collector(poison=MARK.decode()) as collector:

        def taken() -> list[bytes]:
            return [record.body.string_value.encode() for record in collector.records]

        yield Bench(made("otlp", url=collector.server.url, body="json"), taken, "refused")


@contextlib.asynccontextmanager
async def archive(_: Path) -> AsyncIterator[Bench]:
    async with bucket() as store:
        keys = {"access_key_id": "key", "secret_access_key": "secret"}
        place = {"bucket": "mail", "region": "eu-central-1", "endpoint": store.url}
        output = made("s3", **place, auth={"static": keys}, batch={"linger": "50ms"})
        yield Bench(output, lambda: [line.strip() for line in store.lines()], "mapping", unmappable)


@contextlib.asynccontextmanager
async def syslog(_: Path) -> AsyncIterator[Bench]:
    async with stream_collector() as collector:
        output = made("syslog", address=f"tcp://127.0.0.1:{collector.port}", mapping="ecs")
        yield Bench(output, collector.messages, "too_large", too_large)


@contextlib.asynccontextmanager
async def syslog_datagrams(_: Path) -> AsyncIterator[Bench]:
    async with datagram_collector() as collector:
        output = made("syslog", address=f"udp://127.0.0.1:{collector.port}", mapping="ecs")
        yield Bench(output, collector.messages, "too_large", too_large)


@contextlib.asynccontextmanager
async def file(folder: Path) -> AsyncIterator[Bench]:
    path = folder / "events.ndjson"
    yield Bench(made("file", path=str(path)), lambda: path.read_bytes().splitlines(), "mapping", unmappable)


@contextlib.asynccontextmanager
async def stdout(_: Path) -> AsyncIterator[Bench]:
    with pipe_reader() as (writing, taken):
        output = StdoutOutput("siem", Limits(), 5.0, writing)
        yield Bench(output, lambda: bytes(taken).splitlines(), "mapping", unmappable)


SETTINGS: dict[str, Setting] = {
    "splunk_hec": splunk,
    "splunk_hec, lines": splunk_lines,
    "elasticsearch": elastic,
    "http": http,
    "sentinel": sentinel,
    "otlp": opentelemetry,
    "s3": archive,
    "syslog": syslog,
    "syslog over udp": syslog_datagrams,
    "file": file,
    "stdout": stdout,
}


@pytest.mark.parametrize("name", sampled(SETTINGS, 3))
async def test_exactly_that_one_is_a_dead_letter(name: str, tmp_path: Path) -> None:
    async with SETTINGS[name](tmp_path) as bench:
        pages = [revisions(1000, first) for first in range(1, COUNT, 1000)]
        async with delivering(bench.output, *pages, mapper=bench.mapper) as delivery:
            await delivery.done(60)

        assert delivery.log.dead_lettered == {POISON: bench.reason}
        assert len(delivery.log.letters) == 1
        assert len(delivery.seen.of(BatchSending)) < COUNT // 50
        names = [NAME.findall(item)[0].decode() for item in bench.taken()]
        wanted = {one.record.id for page in pages for one in page} - {POISON}
        assert set(names) <= wanted if "udp" in name else sorted(names) == sorted(wanted)


def test_every_built_in_type_is_among_them() -> None:
    # Kafka has no scripted collector: tests/integration/test_kafka.py asks a real broker.
    assert {name.split(",")[0].split()[0] for name in SETTINGS} == set(BUILT_IN) - {"kafka"}
