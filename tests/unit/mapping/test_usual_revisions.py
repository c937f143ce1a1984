"""Usual revisions have a function of their own; the one for every revision is compiled when it is needed."""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import Any

import pytest

from connector.mapping import build_interpreter, build_map
from connector.model import Revision
from tests.unit.mapping.packs import pack_of, revision, write

BODY = {"id": "r1", "from": "a@b.example", "findings": [{"name": "x", "score": 1}], "is_quarantined": False}
MAPPING = (
    "fields: {all: {all_of: [from, to, subject, replyto, envelope_from, envelope_to, message_id, edf_hash]}, "
    "flags: {all_of: [is_quarantined, properties.blocklisted_message]}, "
    "a: from, b: $change.fields, c: $enrichment.x, d: $throttled, e: findings.score}\n"
    "rest: {into: rest, malformed: malformed, without: [id, from]}\n"
)


def needs_the_other(directory: Path, one: Revision, text: str = MAPPING) -> bool:
    """Whether mapping *one* compiles the function for every revision; both back ends must agree on it."""
    name = directory.name.replace("_", "-").lower()  # no other function has its name
    pack = write(directory, **{name: f"mapping: 1\nformat: json\n{text}"}).load(name)
    mapping, walked = build_map(pack), build_interpreter(pack)
    assert mapping(one) == walked(one)
    return f"<mapping {name}.yaml, every revision>" in linecache.cache


def test_a_usual_revision_needs_one_function(tmp_path: Path) -> None:
    assert not needs_the_other(tmp_path, revision(BODY))


def test_a_mapping_that_reads_little_has_one_function_for_all(tmp_path: Path) -> None:
    assert not needs_the_other(tmp_path, revision(BODY, enrichment={"x": 1}), "fields: {a: from}")


def test_a_field_that_is_not_documented_needs_no_other_function(tmp_path: Path) -> None:
    assert not needs_the_other(tmp_path, revision({**BODY, "brand_new": {"deep": [1]}}))


@pytest.mark.parametrize(
    "more",
    [{"previous": {"is_quarantined": True}}, {"gone": True}, {"throttled": 2}, {"enrichment": {"x": 1}}],
    ids=lambda more: next(iter(more)),
)
def test_changes_and_answers_of_endpoints_need_the_other(tmp_path: Path, more: dict[str, Any]) -> None:
    assert needs_the_other(tmp_path, revision(BODY, **more))


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": ["a@b.example"]},
        {"to": "a@b.example"},
        {"is_quarantined": 1},
        {"findings": [{"score": True}]},
        {"findings": ["x"]},
        {"properties": "x"},
        {"id": 7},
        {"lone \ud83d surrogate": 1},
    ],
    ids=str,
)
def test_a_value_of_another_type_needs_the_other(tmp_path: Path, wrong: dict[str, Any]) -> None:
    assert needs_the_other(tmp_path, revision({**BODY, **wrong}))


def test_the_rest_keeps_the_order_of_the_record(tmp_path: Path) -> None:
    body = {"validation": {"spf": "pass"}, "subject": "s", "id": "r1", "new": 1, "alert_id": "a", "to": ["b"]}
    mapping = build_map(pack_of(tmp_path, MAPPING))

    assert [*mapping(revision(body)).document["rest"]] == ["validation", "subject", "new", "alert_id", "to"]
