"""Outputs and records of other sources: each has its mapping, and conditions mean the same for all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector.app.routes import Route, build_routes, expression_warnings
from connector.errors import ConfigurationError
from connector.model import Feed, Record, Revision, SearchSource, mark_source, source_of
from tests.unit.settings.support import ACCOUNT, read

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
HEAD = f"""\
accounts: {{prod: {{account_id: {ACCOUNT}, api_token: abc}}}}
searches:
  mail: {{}}
  reports: {{source: submissions}}
  changes: {{source: audit_logs}}
"""
BODIES: dict[str, dict[str, Any]] = {
    "mail": {"id": "m1", "final_disposition": "MALICIOUS", "subject": "Invoice", "from": "a@x.example"},
    "reports": {
        "submission_id": "s1", "requested_at": "2026-11-18T09:00:00Z", "type": "User", "subject": "Invoice",
        "requested_disposition": "MALICIOUS", "requested_by": "alice@corp.example",
    },
    "changes": {
        "id": "a1", "action": {"type": "delete", "time": "2026-11-18T09:00:00Z", "result": "success"},
        "actor": {"email": "admin@corp.example"},
    },
}  # fmt: skip
SOURCES = {
    "mail": SearchSource.INVESTIGATE, "reports": SearchSource.SUBMISSIONS, "changes": SearchSource.AUDIT_LOGS,
}  # fmt: skip


def route(directory: Path, output: str, head: str = HEAD) -> Route:
    loaded = read(directory, f"{head}outputs: {{out: {output}}}\n")
    [built] = build_routes(loaded, lambda fact: None, {})
    return built


def revision(search: str, previous: dict[str, Any] | None = None, **more: object) -> Revision:
    body, source = {**BODIES[search], **more}, SOURCES[search]
    name = str(body.get("submission_id") or body["id"])
    marked = name if source is SearchSource.INVESTIGATE else mark_source(source, name)
    return Revision(Feed(ACCOUNT, search), Record(marked, body), "d", 1, NOW, previous)


def delivered(built: Route) -> dict[str, Any]:
    events = {search: built.mapper(revision(search)) for search in BODIES}
    return {search: event.code for search, event in events.items() if event is not None}


def test_the_source_of_a_record_is_in_its_id() -> None:
    assert [source_of(revision(search).record.id) for search in BODIES] == list(SOURCES.values())
    assert source_of("4Wx1Qp7mK2z9sNH-2026-11-18T09:41:07-2a539d65") is SearchSource.INVESTIGATE
    assert source_of("submissions") is SearchSource.INVESTIGATE


@pytest.mark.parametrize("mapping", ["ecs", "cef", "leef", "cim", "ocsf", "asim", "raw"])
def test_every_output_takes_them_by_itself(tmp_path: Path, mapping: str) -> None:
    assert delivered(route(tmp_path, f"{{type: stdout, mapping: {mapping}}}")) == {
        "mail": "email.malicious",
        "reports": "submission.user",
        "changes": "audit.delete",
    }


def test_a_revision_that_outlived_its_search_is_mapped_as_what_it_is(tmp_path: Path) -> None:
    head = HEAD.replace("  reports: {source: submissions}\n", "  reports: {}\n").replace(
        "  changes: {source: audit_logs}\n", ""
    )

    assert delivered(route(tmp_path, "{type: stdout}", head))["changes"] == "audit.delete"
    assert delivered(route(tmp_path, "{type: stdout}", head))["reports"] == "submission.user"


@pytest.mark.parametrize(
    ("when", "searches"),
    [
        ("{$search: [mail]}", ["mail"]),
        ("{$search: [reports, changes]}", ["reports", "changes"]),
        ("{$alert: true}", ["mail"]),
        ("{$severity: {gte: 8}}", ["mail", "reports"]),
        ("{$severity: 5}", ["changes"]),
        ("{final_disposition: MALICIOUS}", ["mail"]),
        ("{requested_disposition: MALICIOUS}", ["reports"]),
        ("{$code: audit.delete}", ["changes"]),
        ("{actor.email: admin@corp.example}", ["changes"]),
        ("{any: [{$alert: true}, {$search: [changes]}]}", ["mail", "changes"]),
    ],
)
def test_a_condition_reads_what_the_record_has(tmp_path: Path, when: str, searches: list[str]) -> None:
    assert list(delivered(route(tmp_path, f"{{type: stdout, when: {when}}}"))) == searches


@pytest.mark.parametrize("when", ["{$code: audit.delete}", "{$action: submitted}"])
def test_a_condition_that_no_record_of_the_configured_sources_satisfies_is_refused(
    tmp_path: Path, when: str
) -> None:
    messages_only = HEAD.partition("  reports")[0]

    route(tmp_path, f"{{type: stdout, when: {when}}}")
    if "$code" in when:
        with pytest.raises(ConfigurationError, match="code"):
            route(tmp_path, f"{{type: stdout, when: {when}}}", messages_only)
    with pytest.raises(ConfigurationError, match="final_disposition"):
        route(tmp_path, "{type: stdout, when: {final_disposition: MALCIOUS}}")


def test_fields_of_every_source_are_known(tmp_path: Path) -> None:
    when = "{any: [{requested_by: a@x.example}, {actor.email: a@x.example}, {requested_bye: x}]}"
    loaded = read(tmp_path, f"{HEAD}outputs: {{out: {{type: stdout, when: {when}}}}}\n")

    [warning] = expression_warnings(loaded)
    assert "requested_bye" in warning
    assert "did you mean requested_by?" in warning


def test_whoever_received_a_report_receives_its_review(tmp_path: Path) -> None:
    built = route(tmp_path, "{type: stdout, when: {customer_status: unreviewed}}")
    review = revision("reports", {"customer_status": "unreviewed"}, customer_status="reviewed")

    assert built.mapper(review) is not None
    assert built.mapper(revision("reports", {"status": "x"}, customer_status="reviewed")) is None


def test_a_template_reads_what_the_record_has(tmp_path: Path) -> None:
    built = route(
        tmp_path,
        '{type: http, url: "https://x.example", body: {text: "{$code}: {$message}", from: "{from}"}}',
    )
    shown = {}
    for search in BODIES:
        event = built.mapper(revision(search))
        assert event is not None
        shown[search] = json.loads(event.payload)

    assert shown["mail"]["from"] == "a@x[.]example"
    assert shown["reports"]["text"].startswith(
        "submission[.]user: Submission of alice@corp[.]example submitted"
    )
    assert shown["changes"]["text"].startswith("audit[.]delete: delete by admin@corp[.]example")


def test_records_of_two_sources_are_never_one_group(tmp_path: Path) -> None:
    built = route(tmp_path, "{type: stdout, group_by: {fields: [subject], within: 30m}}")
    assert built.group_key is not None
    keys = {search: built.group_key(revision(search)) for search in BODIES}

    assert keys["mail"] is not None
    assert keys["reports"] is not None
    assert keys["mail"] != keys["reports"]
    assert keys["changes"] is None


def test_redaction_applies_to_them_too(tmp_path: Path) -> None:
    built = route(tmp_path, "{type: stdout, mapping: raw, redact: {requested_by: drop, subject: drop}}")
    event = built.mapper(revision("reports"))

    assert event is not None
    assert b"alice" not in event.payload
    assert b"Invoice" not in event.payload


def test_a_long_line_is_shortened_by_the_mapping_of_its_own(tmp_path: Path) -> None:
    built = route(tmp_path, '{type: syslog, address: "tcp://127.0.0.1:9", mapping: cef}')
    assert built.shrink is not None
    event = built.mapper(revision("changes", new={"text": "x" * 3000}))
    assert event is not None

    short = built.shrink(event, 1024)

    assert short is not None
    assert len(short.payload) <= 1024
    assert b"audit.delete" in short.payload


def test_a_mapping_of_ones_own_replaces_the_one_that_ships(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "audit_logs").mkdir(parents=True)
    (own / "other.yaml").write_text("mapping: 1\nextends: ecs\n")
    file = own / "audit_logs" / "ecs.yaml"
    file.write_text("mapping: 1\nextends: ecs\nfields: {message: {const: mine}}\n")
    head = f"{HEAD}mappings: {{directory: {own}}}\n"

    event = route(tmp_path, "{type: stdout, mapping: other}", head).mapper(revision("changes"))
    assert event is not None
    assert json.loads(event.payload)["message"] == "mine"
    assert json.loads(event.payload)["event"]["outcome"] == "success"

    file.write_text("mapping: 1\nextends: ecs\nfields: {message: {from: [1]}}\n")
    with pytest.raises(ConfigurationError, match=r"audit_logs/ecs\.yaml"):
        route(tmp_path, "{type: stdout, mapping: other}", head)
