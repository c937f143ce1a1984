"""From a revision to an event: the envelope, what is provided, and errors that can be read."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.mapping import build_map, build_mapper
from tests.unit.mapping.packs import COLLECTED, mapped, pack_of, revision, write

MINE = "mapping: 1\nformat: json\nfields: {id: id}\n"


def test_an_event_carries_payload_time_severity_and_code(tmp_path: Path) -> None:
    one = revision({"id": "r1", "final_disposition": "MALICIOUS", "scanned_at": "2026-11-18T09:41:07Z"})

    event = build_mapper(write(tmp_path, mine=MINE).load("mine"))(one)

    assert event is not None
    assert (event.revision, event.payload, event.notes) == (one, b'{"id":"r1"}', ())
    assert (event.severity, event.code) == (8, "email.malicious")
    assert event.time == datetime(2026, 11, 18, 9, 41, 7, tzinfo=UTC)


@pytest.mark.parametrize("scanned", [None, "", "soon", 5, {"a": 1}])
def test_the_time_of_collection_stands_in_for_a_missing_one_and_is_noted(
    tmp_path: Path, scanned: object
) -> None:
    made = mapped(pack_of(tmp_path, "fields: {at: $time}"), {"id": "r1", "scanned_at": scanned})

    assert made.time == COLLECTED
    assert made.document == {"at": "2026-11-18T12:00:00.250Z"}
    assert "$time: no usable time in the record, the time of collection is used" in made.notes


@pytest.mark.parametrize(
    ("prelude", "severity", "code"),
    [
        ("derive: {severity: {const: 99}, code: {const: x}}", 10, "x"),
        ("derive: {severity: {const: -1}, code: {const: 5}}", 0, "email.unknown"),
        ("derive: {severity: {const: high}}", 1, "email.unknown"),
        ("derive: {severity: {const: true}}", 1, "email.unknown"),
    ],
)
def test_an_envelope_is_sound_whatever_a_prelude_derives(
    tmp_path: Path, prelude: str, severity: int, code: str
) -> None:
    made = mapped(write(tmp_path, common=f"mapping: 1\n{prelude}\n", mine=MINE).load("mine"), {"id": "r1"})

    assert (made.severity, made.code, made.time) == (severity, code, COLLECTED)


def test_what_is_provided_beside_the_record(tmp_path: Path) -> None:
    pack = pack_of(
        tmp_path,
        "fields: {a: $account, s: $search, c: $collected, n: $revision, i: $identity, "
        "e: $enrichment.detections.x, ch: $change, r: $record}",
    )
    one = revision({"id": "r1"}, number=3, enrichment={"detections": {"x": 1}})

    made = build_map(pack, accounts={one.feed.account: "prod"})(one).document

    assert made == {
        "a": {"id": one.feed.account, "name": "prod"},
        "s": "detections",
        "c": "2026-11-18T12:00:00.250Z",
        "n": 3,
        "i": one.identity,
        "e": 1,
        "r": {"id": "r1"},
    }


def test_a_change_names_the_fields_and_their_former_values(tmp_path: Path) -> None:
    pack = pack_of(tmp_path, "fields: {ch: $change}")
    body = {
        "id": "r1",
        "final_disposition": "NONE",
        "delivery_status": ["moved", "delivered"],
        "is_quarantined": False,
    }
    before = {"final_disposition": "SPAM", "delivery_status": ["delivered", "moved"], "is_quarantined": True}

    changed = mapped(pack, body, number=2, previous=before).document
    gone = mapped(pack, body, number=3, previous={}, gone=True).document

    assert changed == {
        "ch": {
            "fields": ["final_disposition", "is_quarantined"],
            "previous": {"final_disposition": "SPAM", "is_quarantined": True},
        }
    }
    assert gone == {"ch": {"gone": True}}
    assert mapped(pack, body).document == {}


def test_a_traceback_out_of_a_mapping_shows_the_file_and_the_rule(tmp_path: Path) -> None:
    mapping = build_map(pack_of(tmp_path, "fields: {out: {from: id, as: date}}"))

    class Broken:
        """A value that no decoder makes, and that fails when it is written out."""

        def __str__(self) -> str:
            raise RuntimeError("broken on purpose")

    with pytest.raises(RuntimeError) as caught:
        mapping(revision({"id": "r1", "final_disposition": Broken()}))

    shown = "".join(traceback.format_exception(caught.value))
    assert 'File "<mapping mine.yaml>"' in shown
    assert "common.yaml:" in shown
    assert " $code" in shown
