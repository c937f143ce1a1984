"""Records whose fields have their documented types are mapped by code of their own, with the same result."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.mapping import Pack, build_interpreter, build_map, build_mapper
from connector.mapping.compiler.record_types import CheckedRecord
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.model import Revision
from tests.properties.test_mapping_equality import JSON, PACKS, WORDS
from tests.support.examples import examples
from tests.unit.mapping.packs import pack_of, revision

READS_INSIDE = Path(__file__).with_name("reads_inside.yaml")
"""A mapping whose rules go inside objects and lists of the record, where much is known of a checked one."""


def inside() -> Pack:
    with tempfile.TemporaryDirectory() as directory:
        return pack_of(Path(directory), READS_INSIDE.read_text("utf-8"))


TEXTS = st.sampled_from(
    [*WORDS, "quarantined", "QUARANTINE_RELEASE", "MOVE", "DIRECT", "invoice.HTML", "[192.0.2.7]"]
) | st.text(max_size=12)
ALL = {**PACKS, "inside": inside()}
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "double": st.integers() | st.floats() | st.just(10**30),
    **dict.fromkeys(("keyword", "text", "date", "ip"), TEXTS),
}


def documented(start: str = "") -> st.SearchStrategy[dict[str, Any]]:
    """An object of the documented fields below *start*; any may be absent, null or empty."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for path, kind in RECORD_FIELDS.items():
        name = path.removeprefix(start).removesuffix("[]")
        if path.startswith(start) and "." not in name:
            one = documented(f"{path}.") if kind == "object" else VALUES[kind]
            fields[name] = st.none() | (st.lists(one, max_size=3) if path.endswith("[]") else one)
    others = st.dictionaries(
        st.sampled_from(["new", "search", "revision", "x_", "malformed"]), JSON, max_size=1
    )
    return st.fixed_dictionaries({}, optional=fields).flatmap(
        lambda made: others.flatmap(lambda more: st.sampled_from([made, {**made, **more}]))
    )


@st.composite
def revisions(draw: st.DrawFn) -> Revision:
    body = {"id": draw(TEXTS.filter(bool)), **draw(documented())}
    if draw(st.booleans()):
        body = dict(draw(st.permutations(list(body.items()))))
    return revision(body, number=draw(st.integers(1, 3)))


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_record_of_documented_types_is_mapped_as_any_other(name: str) -> None:
    compiled, walked = build_map(ALL[name]), build_interpreter(ALL[name])
    mapper = build_mapper(ALL[name])

    @settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
    @given(revisions())
    def agree(one: Revision) -> None:
        msgspec.convert(one.record.body, CheckedRecord)
        left, right = compiled(one), walked(one)

        assert json.dumps(left.document, sort_keys=True) == json.dumps(right.document, sort_keys=True)
        assert left[1:] == right[1:]
        rests = [result.document.get("cloudflare", {}).get("email_security") for result in (left, right)]
        assert json.dumps(rests[0]) == json.dumps(rests[1])
        event = mapper(one)
        assert event is not None
        assert b"\n" not in event.payload

    agree()


def test_what_is_looked_at_only_in_unusual_revisions_is_not_lost_in_them() -> None:
    compiled, walked = build_map(PACKS["ecs"]), build_interpreter(PACKS["ecs"])
    body = {"id": "r1", "final_disposition": "SPAM"}
    for more in (
        {"previous": {"final_disposition": "NONE"}},
        {"gone": True},
        {"throttled": 3},
        {"enrichment": {"detections": {"attachments": [{"name": "a.zip"}]}}},
    ):
        one = revision(body, **more)

        assert compiled(one) == walked(one)
