"""The documentation names every parameter, field and reason that the code knows, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from connector.collect.revisions import WATCHED
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.source.filters import FILTERS, NOT_FILTERS
from connector.source.pages import ANSWER_TOO_LARGE

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "source.md"
SPECIFICATION = ROOT.parent / "shared" / "data" / "cloudflare-email-security-openapi.json"

FIRST_PAGE = """
account_id X-Auth-Email X-Auth-Key
action_log alert_id cursor detections_only domain end exact_subject final_disposition message_action
message_id metric page per_page query recipient sender start subject submissions
errors errors.code errors.message errors.documentation_url errors.source errors.source.pointer messages result
success result_info.count result_info.page result_info.per_page result_info.total_count result_info.next
result_info.previous
id client_recipients detection_reasons is_phish_submission is_quarantined postfix_id properties ts
properties.allowlisted_pattern properties.allowlisted_pattern_type properties.blocklisted_message
properties.blocklisted_pattern properties.whitelisted_pattern_type
delivery_mode edf_hash envelope_from envelope_to findings findings.attachment findings.detail
findings.detection findings.field findings.name findings.portion findings.reason findings.score findings.value
from from_name htmltext_structure_hash post_delivery_operations postfix_id_outbound replyto scanned_at sent_at
sent_date threat_categories to to_name validation validation.comment validation.dkim validation.dmarc
validation.spf
"""
"""What the first published description of the endpoint names, of the request and of the answer."""


def _tables() -> dict[str, list[list[str]]]:
    """The rows of each table by the text of its first heading cell; later tables of a name add rows."""
    tables: dict[str, list[list[str]]] = {}
    current: list[list[str]] | None = None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            current = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if current is None:
            current = tables.setdefault("/".join(cells[:2]), [])
        elif not set(cells[0]) <= {"-"}:
            current.append(cells)
    return tables


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_filter_stands_in_the_documentation_as_the_code_has_it() -> None:
    table = {_names(row[0])[0]: row for row in _tables()["parameter/values"]}
    assert list(table) == list(FILTERS)
    for name, (_, values, offered, text) in table.items():
        row = FILTERS[name]
        assert text == row.help
        assert ("removed" in offered) == (row.era == "seed")
        assert ("since" in offered) == (row.era == "now")
        if row.allowed:
            assert tuple(_names(values)) == row.allowed


def test_what_is_no_filter_stands_there_with_its_reason() -> None:
    assert {_names(row[0])[0]: row[1] for row in _tables()["parameter/instead"]} == NOT_FILTERS


def test_every_field_of_a_record_stands_in_the_documentation_with_all_its_parts() -> None:
    paths = {path.replace("[]", "") for path in RECORD_FIELDS}
    beyond = "what the connector does with it beyond that"
    fields = {_names(row[0])[0] for row in _tables()[f"field/{beyond}"]}
    parts = {_names(row[0])[0] for row in _tables()[f"part of a field/{beyond}"]}
    assert fields == {path for path in paths if "." not in path}
    assert parts == {path for path in paths if "." in path}


def test_the_fields_are_those_of_the_specification() -> None:
    if not SPECIFICATION.exists():
        pytest.skip("the API's specification is not part of this checkout")
    schemas = json.loads(SPECIFICATION.read_text())["components"]["schemas"]
    fields = set(schemas["email-security_MessageDetails"]["properties"])
    assert {path.partition(".")[0].removesuffix("[]") for path in RECORD_FIELDS} == fields


def test_what_the_documentation_calls_watched_is_watched() -> None:
    rows = _tables()["field/what the connector does with it beyond that"]
    watched = {_names(row[0])[0] for row in rows if re.search(r"\bWatched\b", row[1])}
    assert watched == {path.partition(".")[0] for path in WATCHED}


def test_everything_that_the_first_published_page_names_has_its_row() -> None:
    rows = [row for table in _tables().values() for row in table]
    named = {name for row in rows for name in _names(row[0])}
    assert not set(FIRST_PAGE.split()) - named


def test_every_reason_of_an_aborted_walk_stands_in_the_documentation() -> None:
    code = "".join(path.read_text() for path in (ROOT / "connector" / "source").glob("*.py"))
    code = code.replace("ANSWER_TOO_LARGE,", f'"{ANSWER_TOO_LARGE}",')
    raised = set(re.findall(r'SearchIncomplete\(\s*"(\w+)"', code))
    documented = {name for row in _tables()["reason/meaning"] for name in _names(row[0])}
    assert documented == raised
