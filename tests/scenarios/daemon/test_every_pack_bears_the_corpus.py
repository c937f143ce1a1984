"""The simulated corpus, as hostile as it gets, with what further endpoints say of it, through every pack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from connector.collect.revisions import digest_of, state_of
from connector.formats.cef import text_of
from connector.formats.leef import HEADER_NAMES, clean, end_safely
from connector.mapping import Library, build_map, build_mapper
from connector.model import Event, Feed, Record, Revision
from connector.simulator import Corpus, Recipe, Simulator, details
from connector.source.decode import decode
from tests.support import leef_parser, ocsf_check
from tests.support.process import ACCOUNT
from tests.unit.collect.test_windows import NOW

COUNT = 600
FEED = Feed(ACCOUNT, "everything")
RECIPE = Recipe(hostile=0.7, surrogates=True)
ACCOUNTS = {ACCOUNT: "prod"}


def revisions() -> Iterator[Revision]:
    simulator = Simulator(seed=11, backlog=COUNT, recipe=RECIPE)
    more = Corpus(11, RECIPE)
    for index, issued in enumerate(simulator.ledger.issued().values()):
        body = simulator.ledger.body(issued.id)
        known = enrichment(body, more.template(more.key(index)).details) if index % 2 else {}
        before = {"is_quarantined": not body["is_quarantined"]} if index % 3 == 0 else None
        yield Revision(
            FEED, Record(issued.id, body), digest_of(state_of(body)), 1 + (before is not None), NOW,
            previous=before, enrichment=known,
        )  # fmt: skip


def enrichment(body: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """What the endpoints say, with the text of the mail wherever a sender could put it."""
    said = details.detections(dict(body), dict(about))
    text = body["subject"]
    said["attachments"] = [
        *said["attachments"],
        {"filename": text, "content_type": text, "size": 1, "md5": text},
    ]
    said["links"] = [*said["links"], {"href": text, "text": text}]
    said["sender_info"] = {**said["sender_info"], "as_name": text}
    return {"detections": said, "action_log": [{"operation": text, "status": text}], "incomplete": ["trace"]}


@pytest.fixture(scope="module")
def corpus() -> list[Revision]:
    return list(revisions())


def events(name: str, corpus: list[Revision]) -> list[Event]:
    mapper = build_mapper(Library().load(name), accounts=ACCOUNTS)
    return [event for event in map(mapper, corpus) if event is not None]


def test_every_leef_line_holds_exactly_the_fields_that_were_put_in(corpus: list[Revision]) -> None:
    mapping = build_map(Library().load("leef"), accounts=ACCOUNTS)
    made = events("leef", corpus)

    assert len(made) == COUNT
    for event in made:
        document = mapping(event.revision).document
        read = leef_parser.parse(event.payload).attributes
        assert leef_parser.gateway_fields(event.payload) == read
        assert leef_parser.escaping_fields(event.payload) == read
        assert read["investigateId"] == event.revision.record.id
        assert read["accountName"] == ACCOUNT
        for key in read.keys() - {"devTime", "devTimeFormat", "sev"}:
            put_in = clean(text_of(document[key]), "^")
            if read[key] != end_safely(put_in):
                assert any(note.startswith(f"{key} cut") for note in event.notes), key
                assert put_in.startswith(read[key].rpartition("...")[0] or read[key]), key
        for key in document.keys() - read.keys() - set(HEADER_NAMES):
            assert not clean(text_of(document[key]), "^"), key


def test_every_ocsf_event_passes_the_published_schema(corpus: list[Revision]) -> None:
    schema = ocsf_check.load()
    if schema is None:
        pytest.skip("the published OCSF classes are not beside this checkout")
    made = events("ocsf", corpus)

    assert len(made) == COUNT
    for event in made:
        document = decode(event.payload).value
        assert isinstance(document, dict)
        assert ocsf_check.problems(document, schema) == [], event.revision.record.id


@pytest.mark.parametrize("name", Library().names())
def test_no_pack_lets_a_line_end_through(name: str, corpus: list[Revision]) -> None:
    made = events(name, corpus)

    assert len(made) == COUNT
    for event in made:
        assert b"\n" not in event.payload
        assert b"\r" not in event.payload
