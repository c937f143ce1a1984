"""From the configuration to what an output gets: redacted, also where an event is written anew."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.app.routes import Route, build_routes
from connector.errors import ConfigurationError
from connector.model import Feed, Record, Revision
from connector.settings import load

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
BASE = f"accounts: {{prod: {{account_id: {ACCOUNT}, api_token: t0ken}}}}\n"
OUTPUT = "outputs:\n  siem: {type: file, path: x, mapping: cef, when: {subject: Payroll}, redact: %s}\n"
KEY = "k" * 32
BODY = {
    "id": "r1",
    "subject": "Payroll",
    "to": ["alice@corp.example"],
    "detection_reasons": ["Payroll " * 400],
}
REVISION = Revision(Feed(ACCOUNT, "s"), Record("r1", BODY), "d", 1, datetime(2026, 1, 1, tzinfo=UTC))


def route(directory: Path, redact: str, *, top: str = "", **environ: str) -> Route:
    file = directory / "connector.yaml"
    file.write_text(BASE + OUTPUT % redact + top)
    return build_routes(load(file, environ), lambda _: None, {})[0]


def test_an_output_gets_events_without_what_it_redacts_while_when_sees_everything(tmp_path: Path) -> None:
    made = route(tmp_path, "{subject: drop, to: hash}", CONNECTOR_REDACTION__KEY=KEY)
    event = made.mapper(REVISION)
    assert event is not None
    assert made.shrink is not None
    shrunk = made.shrink(event, 900)
    assert shrunk is not None

    for payload in (event.payload, shrunk.payload):
        assert b"Payroll" not in payload
        assert b"alice" not in payload
        assert b".invalid" in payload
    assert event.revision == REVISION, "a dead letter keeps it whole"


def test_hashes_stay_the_same_over_restarts_and_change_with_the_key(tmp_path: Path) -> None:
    payloads = []
    for key in (KEY, KEY, KEY + "x"):
        (tmp_path / "key").write_text(f"{key}\n")
        event = route(tmp_path, "{to: hash}", top="redaction: {key: '${file:key}'}\n").mapper(REVISION)
        assert event is not None
        payloads.append(event.payload)

    assert payloads[0] == payloads[1] != payloads[2]


def test_a_body_of_templates_gets_no_more_than_the_mapping(tmp_path: Path) -> None:
    file = tmp_path / "connector.yaml"
    body = 'body: {text: "{to}: {subject}", all: "{$record}", e: "{$event}"}'
    chat = f"{{type: http, url: https://hooks.example/x, redact: {{subject: drop, to: hash}}, {body}}}"
    file.write_text(f"{BASE}outputs: {{chat: {chat}}}\n")
    [made] = build_routes(load(file, {"CONNECTOR_REDACTION__KEY": KEY}), lambda _: None, {})
    event = made.mapper(REVISION)
    assert event is not None

    assert b"Payroll" not in event.payload
    assert b"alice" not in event.payload
    assert b".invalid" in event.payload


WRONG = [
    (
        "{subjct: drop}",
        "",
        "outputs.siem.redact: the API documents no record field subjct (did you mean subject?)",
    ),
    ("{to: hash}", "", "connector.yaml:3:84: outputs.siem.redact: hash requires a key (set redaction.key"),
    ("{to: hsh}", "", "outputs.siem.redact.to: expected drop or hash"),
    ("{to: drop}", "redaction: {key: short}\n", "redaction.key: expected a key of at least 16 characters"),
]


@pytest.mark.parametrize(("redact", "top", "message"), WRONG)
def test_what_would_redact_nothing_is_refused_with_its_place(
    tmp_path: Path, redact: str, top: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        route(tmp_path, redact, top=top)

    assert message in str(caught.value)
    assert "short" not in str(caught.value)
