"""Any row of a list beside the messages becomes one sound event of every format, whatever is in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.app.source_mappers import mapper_of_any_source
from connector.interfaces import Mapper
from connector.mapping import Library
from connector.mapping.schemas.fields import OTHER_FIELDS
from connector.model import Event, Feed, Record, Revision, SearchSource, mark_source
from connector.source.decode import decode
from tests.properties.test_every_pack_takes_anything import ENOUGH, anything
from tests.support import ecs_check, leef_parser, ocsf_check
from tests.support.cef_parser import parse

NAMES = tuple(sorted({step for path in OTHER_FIELDS for step in path.split(".")}))
ROWS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=6), anything(NAMES), max_size=8)
SOURCES = (SearchSource.SUBMISSIONS, SearchSource.AUDIT_LOGS)
PACKS = ("ecs", "cef", "leef", "ocsf", "cim", "asim", "raw")


@cache
def mapper(pack: str) -> Mapper:
    library = Library()
    return mapper_of_any_source(library, library.load(pack), {})


def event_of(source: SearchSource, pack: str, row: dict[str, Any]) -> Event:
    body = {**row, "submission_id" if source is SearchSource.SUBMISSIONS else "id": "r1"}
    now = datetime(2026, 11, 18, 12, tzinfo=UTC)
    record = Record(mark_source(source, "r1"), body)
    event = mapper(pack)(Revision(Feed("account", "list"), record, "d", 2, now, {"status": "x"}))
    assert event is not None
    return event


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("pack", PACKS)
def test_any_row_becomes_one_line_that_readers_take(source: SearchSource, pack: str) -> None:
    schemas = {"ecs": ecs_check.load(), "ocsf": ocsf_check.load()}

    @ENOUGH
    @given(ROWS)
    def becomes(row: dict[str, Any]) -> None:
        payload = event_of(source, pack, row).payload

        assert b"\n" not in payload
        assert b"\r" not in payload
        if pack == "cef":
            assert parse(payload).extension["devicePayloadId"] == "r1"
        elif pack == "leef":
            read = leef_parser.parse(payload).attributes
            assert leef_parser.gateway_fields(payload) == leef_parser.escaping_fields(payload) == read
        else:
            document = decode(payload).value
            assert isinstance(document, dict)
            json.dumps(document)
            _check(source, pack, document, schemas)

    becomes()


def _check(source: SearchSource, pack: str, document: dict[str, Any], schemas: dict[str, Any]) -> None:
    if pack == "ecs" and schemas["ecs"] is not None:
        assert ecs_check.problems(document, schemas["ecs"]) == []
    if pack == "ocsf" and source is SearchSource.SUBMISSIONS and schemas["ocsf"] is not None:
        found = ocsf_check.problems(document, schemas["ocsf"])
        assert [problem for problem in found if not problem.startswith("time:")] == []
    if pack == "ocsf" and source is SearchSource.AUDIT_LOGS:
        assert document["type_uid"] == 600300 + document["activity_id"]
        assert isinstance(document["api"]["operation"], str)
        assert isinstance(document["actor"]["user"]["name"], str)
        assert document["src_endpoint"]
