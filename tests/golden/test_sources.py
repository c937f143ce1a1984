"""Records of other sources than messages: every format maps them as written down, and its readers accept it.

``pytest tests/golden --update-golden`` writes down what the mappings make now; the difference is the review.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from connector.app.source_mappers import mapper_of_any_source
from connector.formats import ocsf
from connector.mapping import Library, build_interpreter, build_map, lint, run_tests
from connector.mapping.schemas.asim import AUDIT_COLUMNS, columns
from connector.model import Event, Feed, Record, Revision, SearchSource, mark_source
from tests.golden.revisions import ACCOUNT, ACCOUNTS, COLLECTED, HERE
from tests.support import ecs_check, leef_parser, ocsf_check
from tests.support.cef_parser import parse

PACKS = {
    "ecs": "ecs",
    "cef": "cef",
    "leef": "leef",
    "ocsf": "ocsf",
    "cim": "cim",
    "asim": "asim",
    "raw": "json",
}
"""The format of each pack."""

SOURCES = (SearchSource.SUBMISSIONS, SearchSource.AUDIT_LOGS)
BOTH = [(source, pack) for source in SOURCES for pack in PACKS]


@cache
def cases() -> Sequence[tuple[str, Revision]]:
    found = []
    for line in (HERE / "sources" / "records.ndjson").read_text("utf-8").splitlines():
        given = json.loads(line)
        body, source = given["record"], SearchSource(given["source"])
        name = body.get("submission_id") or body.get("id")
        record = Record(mark_source(source, str(name)), body)
        feed = Feed(ACCOUNT, "reports" if source is SearchSource.SUBMISSIONS else "changes")
        revision = Revision(feed, record, "c0ffee", given["number"], COLLECTED, given["previous"])
        found.append((f"{source}: {given['name']}", revision))
    return found


@cache
def events(pack: str) -> dict[str, Event]:
    library = Library()
    mapper = mapper_of_any_source(library, library.load(pack), ACCOUNTS)
    made = {name: mapper(revision) for name, revision in cases()}
    return {name: event for name, event in made.items() if event is not None}


def documents(pack: str, source: SearchSource) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, json.loads(event.payload)) for name, event in events(pack).items() if name.startswith(source)
    ]


@pytest.mark.parametrize("pack", PACKS)
def test_every_format_makes_what_is_written_down(pack: str, update_golden: bool) -> None:
    file = HERE / "sources" / (f"{pack}.txt" if pack in {"cef", "leef"} else f"{pack}.ndjson")
    made = {name: event.payload.decode("utf-8") for name, event in events(pack).items()}
    if update_golden:
        file.write_text("".join(f"{line}\n" for line in made.values()), "utf-8", newline="\n")
    written = file.read_text("utf-8").split("\n")[:-1]

    assert len(made) == len(cases()) == len(written)
    for (name, line), expected in zip(made.items(), written, strict=True):
        assert line == expected, name


@pytest.mark.parametrize(("source", "pack"), BOTH)
def test_the_tests_inside_a_mapping_pass_and_its_fields_exist(source: SearchSource, pack: str) -> None:
    loaded = Library().of_source(source).load(PACKS[pack])

    assert len(loaded.tests) >= 3
    assert [outcome for outcome in run_tests(loaded) if not outcome.passed] == []
    odd = [str(problem) for problem in lint(loaded) if "documents no record field" not in str(problem)]
    assert odd == []


@pytest.mark.parametrize(("source", "pack"), BOTH)
def test_the_compiled_mapping_does_what_the_rules_say(source: SearchSource, pack: str) -> None:
    loaded = Library().of_source(source).load(PACKS[pack])
    compiled, walked = build_map(loaded, accounts=ACCOUNTS), build_interpreter(loaded, accounts=ACCOUNTS)

    for name, revision in cases():
        if name.startswith(source):
            assert compiled(revision) == walked(revision), name


@pytest.mark.parametrize("pack", PACKS)
def test_time_severity_and_code_are_the_same_in_every_format(pack: str) -> None:
    for name, event in events(pack).items():
        assert (event.time, event.severity, event.code) == (
            (raw := events("raw")[name]).time,
            raw.severity,
            raw.code,
        ), name
        assert b"\n" not in event.payload
        assert b"\r" not in event.payload


def test_the_time_of_a_row_is_that_of_the_event() -> None:
    times = {name: event.time for name, event in events("ecs").items()}

    assert times["submissions: a user reports a message"] == datetime(2026, 11, 18, 9, 41, 7, tzinfo=UTC)
    assert times["submissions: by the team, the retired time"] == datetime(2026, 11, 18, 9, 41, 7, tzinfo=UTC)
    assert times["audit_logs: a token that was refused"].hour == 7
    assert times["audit_logs: nothing but an id"] == COLLECTED


@pytest.mark.parametrize("source", SOURCES)
def test_an_ecs_document_keeps_the_rules_of_the_schema(source: SearchSource) -> None:
    schema = ecs_check.load()
    if schema is None:
        pytest.skip("ecs-fields.json is not here to check against")

    for name, document in documents("ecs", source):
        assert ecs_check.problems(document, schema) == [], name


def test_submissions_keep_the_rules_of_ocsf() -> None:
    schema = ocsf_check.load()
    if schema is None:
        pytest.skip("ocsf-email.json is not here to check against")

    for name, document in documents("ocsf", SearchSource.SUBMISSIONS):
        assert ocsf_check.problems(document, schema) == [], name


def test_audit_logs_have_what_api_activity_requires_and_nothing_empty() -> None:
    """https://schema.ocsf.io/1.9.0/classes/api_activity; shared objects by the attributes that are known."""
    required = {
        *("activity_id", "actor", "api", "category_uid", "class_uid", "metadata", "severity_id"),
        *("src_endpoint", "time", "type_uid"),
    }
    optional = {
        *("activity_name", "category_name", "class_name", "http_request", "message", "resources", "severity"),
        *("status", "status_code", "status_detail", "status_id", "timezone_offset", "type_name", "unmapped"),
    }
    for name, document in documents("ocsf", SearchSource.AUDIT_LOGS):
        assert required <= document.keys(), name
        assert document.keys() <= required | optional, name
        assert document["type_uid"] == document["class_uid"] * 100 + document["activity_id"]
        assert isinstance(document["api"]["operation"], str)
        assert document["api"]["request"]["uid"], name
        assert document["actor"]["user"]["name"], name
        assert document["src_endpoint"].keys() <= {"ip", "name"}
        assert document["metadata"].keys() <= ocsf.attributes()["metadata"].keys(), name
        assert all(value not in (None, "", [], {}) for value in document.values()), name


def test_lines_are_read_back_by_what_reads_the_format() -> None:
    for name, event in events("cef").items():
        read = parse(event.payload)
        kept = read.extension["devicePayloadId"]
        assert f"{name.partition(':')[0]}:{kept}" == event.revision.record.id, name
        assert "fake" not in read.extension.get("deviceVendor", "")
    for name, event in events("leef").items():
        attributes = leef_parser.parse(event.payload).attributes
        assert attributes["sev"] == str(max(1, event.severity)), name
        assert leef_parser.gateway_fields(event.payload) == attributes, name


@pytest.mark.parametrize("source", SOURCES)
def test_a_row_of_asim_fills_no_column_that_the_table_lacks(source: SearchSource) -> None:
    known = {*columns(), *AUDIT_COLUMNS}
    for name, document in documents("asim", source):
        assert document.keys() <= known, name


@pytest.mark.parametrize("pack", ["ecs", "ocsf", "cim", "asim", "raw"])
@pytest.mark.parametrize("source", SOURCES)
def test_what_nobody_knows_yet_is_kept(source: SearchSource, pack: str) -> None:
    document = dict(documents(pack, source))[f"{source}: members that nobody knows yet"]

    assert '"new_member":{"deep":[1,"two"' in json.dumps(document, separators=(",", ":"))


@pytest.mark.parametrize("source", SOURCES)
def test_no_row_is_an_alert(source: SearchSource) -> None:
    assert {document["event"]["kind"] for _, document in documents("ecs", source)} == {"event"}
