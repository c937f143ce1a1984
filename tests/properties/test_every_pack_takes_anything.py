"""Any JSON object with an id becomes one sound event of every pack, whatever else is in it or beside it."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.interfaces import Mapper
from connector.mapping import Library, build_mapper
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.model import Event
from connector.source.decode import decode
from tests.properties.test_mapping_equality import SCALARS, WORDS
from tests.support import ecs_check, leef_parser, ocsf_check
from tests.support.cef_parser import parse as parse_cef
from tests.support.examples import examples
from tests.unit.mapping.packs import revision

NAMES = sorted({step.removesuffix("[]") for path in RECORD_FIELDS for step in path.split(".")} - {"id"})
ENDPOINT_NAMES = (
    *("attachments", "findings", "links", "sender_info", "filename", "name", "href", "content_type", "size"),
    *("sha256", "md5", "ip", "as_number", "as_name", "geo", "operation", "status", "completed_at", "score"),
)
ADDRESSES = st.sampled_from(["a@b.example", "192.0.2.1", "NL/-/-", "-1", *WORDS])


def anything(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """JSON of any shape in which the names that packs read occur."""
    return st.recursive(
        SCALARS | ADDRESSES,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(names) | st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=10,
    )


RECORDS = st.dictionaries(
    st.sampled_from(NAMES) | st.text(max_size=6).filter(lambda key: key != "id"),
    anything(tuple(NAMES)),
    max_size=8,
)
ENRICHMENTS = st.dictionaries(
    st.sampled_from(["detections", "action_log", "trace", "incomplete", "new"]),
    anything(ENDPOINT_NAMES)
    | st.dictionaries(st.sampled_from(ENDPOINT_NAMES), anything(ENDPOINT_NAMES), max_size=4),
    max_size=3,
)
ENOUGH = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))


@cache
def mapper(pack: str) -> Mapper:
    return build_mapper(Library().load(pack))


def event_of(pack: str, identity: object, body: dict[str, Any], beside: dict[str, Any]) -> Event:
    one = revision({"id": identity, **body}, enrichment=beside, previous={"is_quarantined": True}, number=2)
    event = mapper(pack)(one)
    assert event is not None
    return event


@pytest.mark.parametrize("pack", Library().names())
def test_any_object_with_an_id_becomes_one_line(pack: str) -> None:
    @ENOUGH
    @given(st.text(min_size=1, max_size=20) | st.integers(), RECORDS, ENRICHMENTS)
    def becomes(identity: object, body: dict[str, Any], beside: dict[str, Any]) -> None:
        event = event_of(pack, identity, body, beside)

        assert b"\n" not in event.payload
        assert b"\r" not in event.payload
        if pack in {"cef", "leef"}:
            assert len(event.payload.decode("utf-8").splitlines()) == 1
        else:
            assert isinstance(decode(event.payload).value, dict)

    becomes()


@ENOUGH
@given(RECORDS, ENRICHMENTS)
def test_any_object_becomes_a_line_that_strict_readers_take(
    body: dict[str, Any], beside: dict[str, Any]
) -> None:
    cef, leef = (event_of(pack, "r1", body, beside) for pack in ("cef", "leef"))
    read = leef_parser.parse(leef.payload)

    assert parse_cef(cef.payload).extension["devicePayloadId"] == "r1"
    assert read.attributes["investigateId"] == "r1"
    assert leef_parser.gateway_fields(leef.payload) == read.attributes
    assert leef_parser.escaping_fields(leef.payload) == read.attributes


def test_any_object_becomes_an_event_that_the_class_of_ocsf_takes() -> None:
    schema = ocsf_check.load()
    if schema is None:
        pytest.skip("ocsf-email.json is not here to check against")

    @ENOUGH
    @given(RECORDS, ENRICHMENTS)
    def is_taken(body: dict[str, Any], beside: dict[str, Any]) -> None:
        made = event_of("ocsf", "r1", body, beside)
        document = decode(made.payload).value
        assert isinstance(document, dict)
        found = ocsf_check.problems(document, schema)

        assert [problem for problem in found if not problem.startswith("time:")] == []

    is_taken()


def test_any_object_becomes_a_document_that_the_schema_of_ecs_takes() -> None:
    schema = ecs_check.load()
    if schema is None:
        pytest.skip("ecs-fields.json is not here to check against")

    @ENOUGH
    @given(RECORDS, ENRICHMENTS)
    def is_taken(body: dict[str, Any], beside: dict[str, Any]) -> None:
        document = decode(event_of("ecs", "r1", body, beside).payload).value
        assert isinstance(document, dict)

        assert ecs_check.problems(document, schema) == []

    is_taken()
