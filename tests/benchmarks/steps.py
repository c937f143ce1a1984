"""The steps of a record's way that need no process of their own: decoding, mapping, encoding, packing."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence

import orjson

from connector.collect.revisions import WATCHED, compare
from connector.formats.framing import line
from connector.formats.syslog import Origin, rfc5424
from connector.journal.codec import from_blob, quick_blob
from connector.mapping import Library, build_mapper
from connector.model import Event, Record, Window
from connector.outputs.elasticsearch import bulk
from connector.outputs.splunk_hec.request import Metadata, RequestEncoder
from connector.source.raw_page import PageSplitter
from tests.benchmarks.bench_mapping import jobs as mapping_jobs
from tests.benchmarks.figures import Report, at_least
from tests.benchmarks.page import ACCOUNTS, COLLECTED, FEED, page, revision
from tests.benchmarks.timing import Job, measure

RECORDS = 1000
_LEVEL = 1


def steps(report: Report, rounds: int) -> None:
    """Measure all steps in turn; the first figure is the floor of the whole run."""
    packs = list(Library().names())
    wanted = [*mapping_jobs(packs), *_collecting(), *_encoding(), *_packing()]
    for number, result in enumerate(measure(wanted, rounds)):
        if number == 0:
            report.floor = result.microseconds
        budget = None if result.budget is None else at_least(result.budget)
        group = "mapping" if number < len(packs) + 3 else "steps"
        report.cost(group, result.name, result.microseconds, budget)


def growth(report: Report, rounds: int) -> None:
    """How the cost of a record grows with the size of pages and with what was found in a mail."""
    mapper = build_mapper(Library().load("ecs"), accounts=ACCOUNTS)

    def whole(body: bytes) -> Callable[[], None]:
        def run() -> None:
            for record in orjson.loads(body):
                mapper(revision(record))

        return run

    found = {
        "attachment": "invoice.html",
        "detection": "MALICIOUS",
        "name": "Html.Smuggling",
        "reason": "a form",
        "score": 9,
    }
    wanted = [Job(f"ECS, pages of {size}", whole(page(size)), size) for size in (100, 250, 1000)]
    for count in (0, 10, 100):
        records = orjson.loads(page(200))
        body = orjson.dumps([{**record, "findings": [found] * count} for record in records])
        wanted.append(Job(f"ECS, {count} findings a record", whole(body), len(records)))
    for result in measure(wanted, rounds):
        report.cost("growth", result.name, result.microseconds)


def _collecting() -> Iterator[Job]:
    splitter = PageSplitter(WATCHED)
    answer = b'{"success":true,"result":' + page(RECORDS) + b',"result_info":{"next":null}}'

    def split() -> Sequence[Record]:
        made = splitter.split(answer)
        assert made is not None
        return made.slice().records

    rows = split()
    window = Window(COLLECTED.replace(hour=0), COLLECTED)
    known = {row.id: compare(row, None, feed=FEED, window=window, collected=COLLECTED).seen for row in rows}
    revisions = [
        compare(row, None, feed=FEED, window=window, collected=COLLECTED).revision for row in split()
    ]
    stored = [one for one in revisions if one is not None]
    written = quick_blob(stored, 1 << 30, lambda data: zlib.compress(data, _LEVEL))
    assert written is not None
    blob = written.data

    def first() -> None:
        for row in rows:
            compare(row, None, feed=FEED, window=window, collected=COLLECTED)

    def again() -> None:
        for row in rows:
            compare(row, known[row.id], feed=FEED, window=window, collected=COLLECTED)

    yield Job("page, split into records", split, RECORDS)
    yield Job("compare, never seen", first, RECORDS)
    yield Job("compare, seen before", again, RECORDS)
    yield Job("entry, written", lambda: quick_blob(stored, 1 << 30, bytes), RECORDS)
    yield Job("entry, read (zlib)", lambda: from_blob(blob, tolerant=False), RECORDS)


def _encoding() -> Iterator[Job]:
    documents, lines = _events("ecs"), _events("cef")
    envelope = RequestEncoder(Metadata("host", "source", "sourcetype"), "event")
    origin = Origin(16, "host.example", "cf-email-security")

    def syslog() -> bytes:
        return b"".join(
            line(rfc5424(origin, event.severity, event.time, event.code) + event.payload) for event in lines
        )

    yield Job("HEC envelopes", lambda: envelope.request(documents), RECORDS)
    yield Job("bulk body", lambda: bulk.body(documents), RECORDS)
    yield Job("syslog headers and frames", syslog, RECORDS)


def _packing() -> Iterator[Job]:
    body = b"\n".join(event.payload for event in _events("ecs"))

    def plain() -> bytes:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        return packer.compress(body) + packer.flush()

    yield Job("gzip of ECS, zlib", plain, RECORDS)
    try:
        from isal import isal_zlib  # noqa: PLC0415, absent where it has no wheel
    except ImportError:
        return
    yield Job("gzip of ECS, isal", lambda: isal_zlib.compress(body, _LEVEL, 31), RECORDS)


def _events(pack: str) -> list[Event]:
    mapper = build_mapper(Library().load(pack), accounts=ACCOUNTS)
    made = (mapper(revision(record)) for record in orjson.loads(page(RECORDS)))
    return [event for event in made if event is not None]
