"""Records of a size that nobody sends in good faith become one sound event, and what was cut is noted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector.formats import cef, leef
from connector.mapping import Library, build_map, build_mapper
from connector.mapping.schemas.fields import RECORD_FIELDS
from tests.support import cef_parser, leef_parser
from tests.support.sampling import slow
from tests.unit.mapping.packs import revision

HUGE = "x|=\\^\u2028\r\n" * (1 << 17)
"""A mebibyte of what formats of text have to escape or clean."""

PEOPLE = [f'"Person {number}" <p{number}@corp.example>' for number in range(10_000)]
FINDINGS = [{"name": f"n{number}", "score": number, "attachment": f"{number}.x"} for number in range(10_000)]
BASE: dict[str, Any] = {"id": "r1", "final_disposition": "MALICIOUS", "from": "a@b.example"}
TOP = {path.split(".")[0].removesuffix("[]") for path in RECORD_FIELDS} - {"id", "final_disposition"}
RECORDS: dict[str, dict[str, Any]] = {
    "a subject of a mebibyte": {**BASE, "subject": HUGE},
    "ten thousand recipients": {**BASE, "to": PEOPLE, "envelope_to": PEOPLE, "to_name": PEOPLE},
    "ten thousand findings": {**BASE, "findings": FINDINGS},
    "fifty long fields": {**BASE, **{f"new_{number}": {"deep": HUGE[:5000]} for number in range(50)}},
    "a long text in every field": {**BASE, **dict.fromkeys(TOP, HUGE[: 1 << 15])},
}
CHARACTERS = 100_000
"""More than any line of text has left after its fields are cut, and less than what was sent."""


@pytest.mark.parametrize("pack", ["ecs", slow("raw"), slow("cim"), slow("ocsf")])
@pytest.mark.parametrize("name", RECORDS)
def test_a_document_holds_all_of_it(pack: str, name: str) -> None:
    event = build_mapper(Library().load(pack))(revision(RECORDS[name]))
    assert event is not None

    assert b"\n" not in event.payload
    assert event.severity == 8
    assert isinstance(json.loads(event.payload), dict)
    assert len(event.payload) > CHARACTERS


@pytest.mark.parametrize("name", RECORDS)
def test_a_row_of_log_analytics_keeps_each_column_within_its_limit(name: str) -> None:
    event = build_mapper(Library().load("asim"))(revision(RECORDS[name]))
    assert event is not None

    row = json.loads(event.payload)
    texts = {key: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for key, v in row.items()}
    assert all(len(text.encode()) <= 1 << 16 for text in texts.values())
    assert any(note.endswith("shortened to 64 KiB") for note in event.notes)


@pytest.mark.parametrize("name", RECORDS)
def test_a_line_is_cut_field_by_field_and_says_so(name: str) -> None:
    one = revision(RECORDS[name])
    for pack, encode in (("cef", cef.encode), ("leef", leef.encode)):
        document = build_map(Library().load(pack))(one).document
        for limit in (None, 8192, 2048):
            line, notes = encode(document) if limit is None else encode(document, max_bytes=limit)

            assert notes, "what is cut is noted"
            assert not any("x|=" in note or "person" in note.lower() for note in notes)
            assert limit is None or len(line) <= limit
            if pack == "cef":
                read = cef_parser.parse(line).extension
                assert (read["devicePayloadId"], read["cs2"][:9]) == (
                    "r1",
                    document["cs2"][:9].rstrip("\r\n"),
                )
            else:
                attributes = leef_parser.parse(line).attributes
                assert attributes["investigateId"] == "r1"
                assert leef_parser.gateway_fields(line) == leef_parser.escaping_fields(line) == attributes
