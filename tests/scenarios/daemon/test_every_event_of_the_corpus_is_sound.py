"""The whole simulated corpus, as hostile as it gets: ECS events are ECS, CEF lines say what was put in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.collect.revisions import digest_of, state_of
from connector.formats import cef
from connector.formats.cef import clean, text_of
from connector.mapping import Library, build_map, build_mapper
from connector.model import Event, Feed, Record, Revision
from connector.simulator import Recipe, Simulator
from connector.source.decode import decode
from tests.support import ecs_check
from tests.support.cef_parser import parse
from tests.support.process import ACCOUNT
from tests.unit.collect.test_windows import NOW

COUNT = 1500
FEED = Feed(ACCOUNT, "everything")


def revisions() -> Iterator[Revision]:
    simulator = Simulator(seed=7, backlog=COUNT, recipe=Recipe(hostile=0.7, surrogates=True))
    for issued in simulator.ledger.issued().values():
        body = simulator.ledger.body(issued.id)
        yield Revision(FEED, Record(issued.id, body), digest_of(state_of(body)), 1, NOW)


@pytest.fixture(scope="module")
def corpus() -> list[Revision]:
    return list(revisions())


def events(name: str, corpus: list[Revision]) -> list[Event]:
    mapper = build_mapper(Library().load(name), accounts={ACCOUNT: "prod"})
    return [event for event in map(mapper, corpus) if event is not None]


def test_every_ecs_event_passes_the_published_schema(corpus: list[Revision]) -> None:
    schema = ecs_check.load()
    if schema is None:
        pytest.skip("the published ECS fields are not beside this checkout")
    made = events("ecs", corpus)

    assert len(made) == COUNT
    for event in made:
        document = decode(event.payload).value
        assert isinstance(document, dict)
        assert ecs_check.problems(document, schema) == [], event.revision.record.id


def test_every_cef_line_decodes_to_exactly_the_fields_that_were_put_in(corpus: list[Revision]) -> None:
    mapping = build_map(Library().load("cef"), accounts={ACCOUNT: "prod"})
    made = events("cef", corpus)

    assert len(made) == COUNT
    for event in made:
        document = mapping(event.revision).document
        line = parse(event.payload)
        assert b"\n" not in event.payload
        assert b"\r" not in event.payload
        assert line.extension["devicePayloadId"] == event.revision.record.id
        for key, value in line.extension.items():
            put_in = clean(text_of(document[key]))
            if value != put_in:
                assert any(note.startswith(f"{key} cut") for note in event.notes), key
                assert put_in.startswith(value.rpartition("...")[0] or value), key
        for key in document.keys() - line.extension.keys() - set(cef.HEADER_NAMES):
            assert key.endswith("Label") or not clean(text_of(document[key])), key
