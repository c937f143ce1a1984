"""What a heartbeat says, in every format; the documentation shows exactly these."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.app.heartbeats import build_heartbeat, heartbeat_mapper
from connector.errors import ConfigurationError
from connector.mapping import Library, lint, run_tests
from connector.model import Event, JsonObject
from tests.support import ecs_check
from tests.support.cef_parser import parse
from tests.support.leef_parser import parse as parse_leef

NOW = datetime(2026, 11, 18, 9, 41, 7, 250_000, UTC)
FORMATS = ("ecs", "cef", "leef", "ocsf", "cim", "asim", "json")
PAGE = Path(__file__).parents[3] / "docs" / "heartbeats.md"


def status(*reasons: JsonObject) -> JsonObject:
    feed = {"account": "a1", "search": "detections", "state": "fresh"}
    return {
        "version": "1.0.0",
        "ready": not reasons,
        "reasons": list(reasons),
        "feeds": [feed, {**feed, "search": "clean", "state": "behind"}],
        "outputs": [
            {"output": "other", "sent": 1, "backlog": 9, "dead_letters": 9, "newest_event": None},
            {
                "output": "siem",
                "sent": 1250,
                "backlog": 0,
                "dead_letters": 4,
                "newest_event": "2026-11-18T09:40:00+00:00",
            },
        ],
    }


BEHIND: JsonObject = {"what": "feed", "account": "a1", "search": "clean", "reason": "not fresh"}


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "soc-1")


def made(
    form: str, reported: Callable[[], JsonObject] = lambda: status(BEHIND), event_bytes: int | None = None
) -> Event:
    mapper = heartbeat_mapper(Library(), Library().load("raw" if form == "json" else form))
    return build_heartbeat(
        "siem", timedelta(minutes=5), mapper, reported, lambda: NOW, event_bytes=event_bytes
    ).make()


@pytest.mark.parametrize("form", FORMATS)
def test_mappings_of_heartbeats_pass_their_own_tests_and_name_fields_that_exist(form: str) -> None:
    pack = Library().heartbeats().load(form)

    assert pack.tests
    assert [outcome for outcome in run_tests(pack) if not outcome.passed] == []
    odd = [str(problem) for problem in lint(pack) if "documents no record field" not in str(problem)]
    assert odd == []


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_who_and_when_with_its_own_code(form: str) -> None:
    event = made(form)

    assert event.code == "connector.heartbeat"
    assert event.severity == 0
    assert event.time == NOW
    assert event.notes == ()
    assert b"siem" in event.payload
    assert b"not fresh" in event.payload
    assert b"\n" not in event.payload


def test_a_document_of_ecs_keeps_the_rules_of_the_schema() -> None:
    schema = ecs_check.load()
    if schema is None:
        pytest.skip("ecs-fields.json is not here to check against")

    assert ecs_check.problems(json.loads(made("ecs").payload), schema) == []


def test_lines_are_read_by_what_reads_the_format() -> None:
    line = parse(made("cef").payload)
    assert line.extension["cn2"] == "4"
    assert line.extension["cn2Label"] == "DeadLetters"
    assert parse_leef(made("leef").payload).attributes["deadLetters"] == "4"


def test_each_one_has_an_identity_of_its_own() -> None:
    moments = iter((NOW, NOW + timedelta(minutes=5)))
    mapper = heartbeat_mapper(Library(), Library().load("ecs"))
    beats = build_heartbeat("siem", timedelta(minutes=5), mapper, status, lambda: next(moments))

    assert beats.make().revision.identity != beats.make().revision.identity


def test_problems_give_way_where_an_event_must_be_small() -> None:
    many = [{**BEHIND, "reason": "x" * 500}] * 50
    whole, small = made("ecs", lambda: status(*many)), made("ecs", lambda: status(*many), event_bytes=1500)

    said = json.loads(whole.payload)["cloudflare"]["email_security"]["heartbeat"]["problems"]
    assert len(said) == 5
    assert all(len(problem) == 200 for problem in said)
    assert len(small.payload) <= 1500
    assert json.loads(small.payload)["event"]["outcome"] == "failure"
    with pytest.raises(ValueError, match="fits"):
        made("ecs", event_bytes=100)


def test_what_another_collector_answered_stays_with_its_output() -> None:
    """It may quote a mail, and the output of the heartbeat may be one that redacts."""
    quoting: JsonObject = {"what": "output", "reason": "hold: failed to parse [subject]: 'Payroll: Alice'"}
    event = made(
        "ecs",
        lambda: status({**quoting, "output": "other"}, {**quoting, "output": "siem", "reason": "hold: own"}),
    )

    said = json.loads(event.payload)["cloudflare"]["email_security"]["heartbeat"]["problems"]
    assert said == ["output other: hold", "output siem: hold: own"]


def test_a_file_of_the_users_own_takes_the_place_of_one_that_ships(tmp_path: Path) -> None:
    (tmp_path / "heartbeat").mkdir()
    file = tmp_path / "heartbeat" / "ecs.yaml"
    file.write_text("mapping: 1\nextends: ecs\nfields: {data_stream.namespace: {const: prod}}\n")
    mapper = heartbeat_mapper(Library([tmp_path]), Library().load("ecs"))
    event = build_heartbeat("siem", timedelta(minutes=5), mapper, status, lambda: NOW).make()
    document = json.loads(event.payload)
    assert document["data_stream"]["namespace"] == "prod"
    assert document["event"]["action"] == "heartbeat"

    file.write_text("mapping: 1\nextends: ecs\nfields: {message: $nothing}\n")
    with pytest.raises(ConfigurationError, match=r"heartbeat/ecs\.yaml:3"):
        heartbeat_mapper(Library([tmp_path]), Library().load("ecs"))


@pytest.mark.parametrize("form", FORMATS)
def test_the_page_shows_what_is_sent(form: str) -> None:
    shown = re.findall(rf"<!-- heartbeat: {form} -->\n```\w+\n(.*?)\n```", PAGE.read_text(), re.DOTALL)

    assert len(shown) == 1
    said: Any = made(form).payload.decode()
    if said.startswith("{"):
        assert json.loads(shown[0]) == json.loads(said)
    else:
        assert shown[0] == said
