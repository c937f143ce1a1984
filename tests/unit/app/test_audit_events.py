"""Audit events of response actions, in the format of every output that asks for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from connector.app.source_mappers import audit_mapper, with_audit
from connector.mapping import Library, build_mapper, lint, run_tests
from connector.model import ACTIONS, Feed, Record, Revision
from tests.support import ecs_check
from tests.support.cef_parser import parse
from tests.support.leef_parser import parse as parse_leef

FORMATS = ("ecs", "cef", "leef", "cim", "ocsf", "asim", "json")
NOW = datetime(2026, 11, 18, 9, 41, 7, tzinfo=UTC)
EVENT = {
    "id": "a1-3", "time": NOW.isoformat(), "action_id": "a1", "action": "move", "state": "partial",
    "previous_state": "running", "outcome": "failure", "caller": "tines", "actor": "connector",
    "reason": "SOC-1|x=y\nCEF:0", "request_id": "run-1", "dry_run": False, "account": "prod",
    "ids": ["m1", "m2"], "targets": 2, "succeeded": 1, "failed": 1, "unknown": 0,
    "client_recipients": ["alice@corp.example"], "destination": "JunkEmail", "host": "soc-1",
}  # fmt: skip


def audit(form: str) -> bytes:
    library = Library()
    pack = library.load("raw" if form == "json" else form)
    mapper = with_audit(build_mapper(pack), audit_mapper(library, pack, {}))
    event = mapper(Revision(Feed("acc", ACTIONS), Record("a1-3", EVENT), "action", 1, NOW))
    assert event is not None
    assert (event.time, event.severity, event.code) == (NOW, 5, "connector.action.partial")
    assert b"\n" not in event.payload
    return event.payload


@pytest.mark.parametrize("form", FORMATS)
def test_mappings_of_audit_events_pass_their_own_tests_and_name_fields_that_exist(form: str) -> None:
    pack = Library().actions().load(form)

    assert pack.tests
    assert [outcome for outcome in run_tests(pack) if not outcome.passed] == []
    odd = [str(problem) for problem in lint(pack) if "documents no record field" not in str(problem)]
    assert odd == []


def test_a_document_of_ecs_keeps_the_rules_of_the_schema_and_says_who_did_what_and_why() -> None:
    document = json.loads(audit("ecs"))

    assert document["event"]["action"] == "move"
    assert document["event"]["outcome"] == "failure"
    assert document["event"]["reason"].startswith("SOC-1")
    assert document["user"]["name"] == "tines"
    schema = ecs_check.load()
    if schema is None:
        pytest.skip("ecs-fields.json is not here to check against")
    assert ecs_check.problems(document, schema) == []


def test_lines_are_read_by_what_reads_the_format() -> None:
    extension = parse(audit("cef")).extension
    told = [extension[name] for name in ("act", "suser", "outcome", "cs3", "cn2")]
    assert told == ["move", "tines", "failure", "JunkEmail", "1"]
    assert extension["reason"].startswith("SOC-1|x=y")
    attributes = parse_leef(audit("leef")).attributes
    assert (attributes["usrName"], attributes["action"], attributes["outcome"]) == (
        "tines",
        "move",
        "failure",
    )


def test_ocsf_calls_it_a_remediation_activity() -> None:
    document = json.loads(audit("ocsf"))

    assert (document["class_uid"], document["type_uid"], document["activity_name"]) == (7001, 700102, "Evict")
    assert (document["status"], document["command_uid"]) == ("Partial", "a1")
    assert document["actor"]["user"]["name"] == "tines"


def test_an_output_that_does_not_ask_for_them_gets_none() -> None:
    mapper = with_audit(build_mapper(Library().load("ecs")), None)

    assert mapper(Revision(Feed("acc", ACTIONS), Record("a1-3", EVENT), "action", 1, NOW)) is None
    assert mapper(Revision(Feed("acc", "detections"), Record("m", {"id": "m"}), "d", 1, NOW)) is not None
