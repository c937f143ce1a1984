"""What does not fit its target goes back to the rest and is noted; a record is never lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.mapping import Pack, build_mapper
from tests.unit.mapping.packs import mapped, pack_of, revision

TIMED = {"id": "r1", "scanned_at": "2026-11-18T09:41:07Z"}


def ecs(directory: Path, body: str) -> Pack:
    return pack_of(directory, f"{body}\nrest: {{into: v.r, without: [x, y]}}\n", "ecs")


@pytest.mark.parametrize(
    ("target", "value", "expected", "note"),
    [
        ("source.ip", "198.51.100.23", "198.51.100.23", None),
        ("source.ip", "198.51.100", None, "source.ip: not an IP address"),
        ("related.ip", ["::1", "x"], ["::1"], "related.ip: not an IP address"),
        ("related.ip", "::1", ["::1"], None),
        ("event.severity", "8", 8, None),
        ("event.severity", "high", None, "event.severity: not a number"),
        ("event.severity", 2.5, 2, None),
        ("event.risk_score", 0.71, 0.71, None),
        ("event.risk_score", True, None, "event.risk_score: not a number"),
        ("event.created", "2026-11-18 09:41:07", "2026-11-18T09:41:07.000Z", None),
        ("event.created", "yesterday", None, "event.created: not a date"),
        ("event.kind", "alert", "alert", None),
        ("event.kind", "alarm", None, "event.kind: not an allowed value"),
        ("event.category", ["email", "post"], ["email"], "event.category: not an allowed value"),
        ("email.subject", 5, "5", None),
        ("email.subject", {"a": 1}, None, "email.subject: not text"),
        ("email.sender.address", ["a", "b"], "a", "email.sender.address: more than one value"),
        ("email.to.address", "a", ["a"], None),
        ("email.attachments", [{"file": {"name": "x", "size": None}}], [{"file": {"name": "x"}}], None),
        ("email.attachments", ["x"], None, "email.attachments: not an object"),
    ],
)
def test_a_value_is_fitted_to_its_ecs_field_or_goes_back(
    tmp_path: Path, target: str, value: object, expected: object, note: str | None
) -> None:
    made = mapped(ecs(tmp_path, f"fields: {{{target}: x}}"), {**TIMED, "x": value})

    found: Any = made.document
    for step in target.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    assert found == expected
    assert made.notes == ((note,) if note else ())
    assert ("x" in made.document["v"]["r"]) is (note is not None or value == 2.5)


def test_only_the_field_that_the_lost_value_came_from_goes_back(tmp_path: Path) -> None:
    pack = ecs(tmp_path, "fields: {related.user: {all_of: [x, y], as: [addresses, unique]}}")

    made = mapped(pack, {**TIMED, "x": "junk", "y": ["a@b.example"]})

    assert made.document["v"]["r"] == {**TIMED, "x": "junk"}
    assert made.notes == ("related.user: not an address",)


def test_very_many_recipients_that_are_one_text_cost_no_more_than_their_number(tmp_path: Path) -> None:
    """Would not end within a test's patience if each were compared with all."""
    pack = ecs(tmp_path, "fields: {related.user: {all_of: [x, y], as: [addresses, unique]}}")

    made = mapped(pack, {**TIMED, "x": ["?"] * 100_000, "y": ["a@b.example"]})

    assert made.document["related"]["user"] == ["a@b.example"]
    assert len(made.document["v"]["r"]["x"]) == 100_000
    assert "y" not in made.document["v"]["r"]


def test_a_display_name_goes_back_without_a_note(tmp_path: Path) -> None:
    made = mapped(
        ecs(tmp_path, "fields: {email.from.address: {from: x, as: addresses}}"),
        {**TIMED, "x": '"Boss" <a@b.example>'},
    )

    assert made.document["email"]["from"]["address"] == ["a@b.example"]
    assert made.document["v"]["r"]["x"] == '"Boss" <a@b.example>'
    assert made.notes == ()


def test_losses_of_derived_values_go_back_too(tmp_path: Path) -> None:
    pack = ecs(tmp_path, "derive: {who: {from: x, as: addresses}}\nfields: {related.user: $who}")

    made = mapped(pack, {**TIMED, "x": "junk"})

    assert made.document["v"]["r"]["x"] == "junk"
    assert made.notes == ("$who: not an address",)


def test_notes_never_hold_the_value(tmp_path: Path) -> None:
    made = mapped(
        ecs(tmp_path, "fields: {source.ip: x, event.kind: y}"), {**TIMED, "x": "SECRET", "y": "SECRET"}
    )

    assert len(made.notes) == 2
    assert "SECRET" not in str(made.notes)


def test_the_rest_is_verbatim_without_fields_that_say_nothing(tmp_path: Path) -> None:
    body = {
        **TIMED,
        "a": {"b": None, "c": [{"d": ""}, 0, [None]], "e": {"f": {}}},
        "g": [],
        "h": False,
        "i.j": 1,
    }

    made = mapped(pack_of(tmp_path, "rest: {into: ., without: [scanned_at, a.e]}"), body)

    assert made.document == {"id": "r1", "a": {"b": None, "c": [{"d": ""}, 0, [None]]}, "h": False, "i.j": 1}


def test_parts_of_fields_stay_out_of_the_rest_also_inside_lists(tmp_path: Path) -> None:
    body = {"id": "r1", "p": {"a": 1, "b": {"c": 2, "d": 3}}, "l": [{"a": 1, "b": 2}, 5], "t": "text"}

    made = mapped(pack_of(tmp_path, "rest: {into: r, without: [p.a, p.b.c, l.a, t.x]}"), body)

    assert made.document["r"] == {"id": "r1", "p": {"b": {"d": 3}}, "l": [{"b": 2}, 5], "t": "text"}


def test_a_field_of_the_record_never_collides_with_one_of_the_mapping(tmp_path: Path) -> None:
    pack = pack_of(
        tmp_path, "fields: {r.revision: $revision, r.change.fields: id, r.own: own}\nrest: {into: r}"
    )

    made = mapped(pack, {"id": "r1", "revision": "theirs", "change": 7, "own": "o", "own_": "p"})

    assert made.document["r"] == {
        "id": "r1",
        "revision": 1,
        "revision_": "theirs",
        "change": {"fields": "r1"},
        "change_": 7,
        "own": "o",
        "own_": "p",
    }


def test_the_rest_of_a_flat_format_is_text_by_camel_case_keys(tmp_path: Path) -> None:
    pack = pack_of(tmp_path, "fields: {XOther: id}\nrest: {into: X, without: [id]}", "cef")
    body = {
        "id": "r1",
        "to_name": ["A", "", "B"],
        "properties": {"allow-list": True, "none": None},
        "other": "o",
        "üä": "u",
        "a_b": 1,
        "aB": 2,
        "findings": [{"name": "N"}],
    }

    made = mapped(pack, body)

    assert made.document == {
        "XOther": "r1",
        "XToName": "A,B",
        "XPropertiesAllowList": "true",
        "XOther2": "o",
        "X": "u",
        "XAB": "1",
        "XAB2": "2",
        "XFindings": '{"name":"N"}',
    }


def test_cef_fields_join_lists_take_milliseconds_and_carry_labels(tmp_path: Path) -> None:
    pack = pack_of(
        tmp_path,
        "fields: {deviceEventClassId: $code, rt: $time, duser: to, cn1: {from: to, as: count}, cs1: none}\n"
        "labels: {cn1: Recipients, cs1: Nothing}",
        "cef",
    )
    made = mapped(pack, {**TIMED, "final_disposition": "SPAM", "to": ["a@b", "c@d"]})

    assert list(made.document.items()) == [
        ("deviceEventClassId", "email.spam"),
        ("rt", 1794994867000),
        ("duser", "a@b,c@d"),
        ("cn1", 2),
        ("cn1Label", "Recipients"),
    ]


def test_what_the_encoder_cuts_is_noted_in_the_event(tmp_path: Path) -> None:
    pack = pack_of(tmp_path, "fields: {msg: subject}", "cef")

    event = build_mapper(pack)(revision({**TIMED, "subject": "x=" * 2000}))

    assert event is not None
    assert len(event.notes) == 1
    assert event.notes[0].startswith("msg cut from 4000 to 1023")


def test_records_of_absurd_shape_are_mapped_all_the_same(tmp_path: Path) -> None:
    deep: Any = "end"
    for _ in range(5000):
        deep = [{"name": deep}]
    pack = ecs(
        tmp_path, "fields: {rule.name: {from: findings.name, as: {join: ','}}, message: x, labels: findings}"
    )
    event = build_mapper(pack)(revision({**TIMED, "findings": deep, "x": 10**5000, "k": [deep, deep]}))

    assert mapped(pack, {**TIMED, "findings": deep, "x": 10**5000}).document["message"].startswith("0x")
    assert event is not None
    assert b"nested too deep" in event.payload


def test_of_many_values_that_do_not_fit_only_the_fields_that_held_them_go_back(tmp_path: Path) -> None:
    """A mail may have thousands of recipients in a form that loses something."""
    rest = "rest: {into: rest, without: [from, to, envelope_to]}"
    pack = pack_of(tmp_path, f"fields: {{all: {{all_of: [from, to, envelope_to], as: addresses}}}}\n{rest}")
    people = [f"Person {number} <p{number}@b.example>" for number in range(50)]
    made = mapped(pack, {"from": "a@b.example", "to": people, "envelope_to": ["c@d.example"]})

    assert made.document["rest"] == {"to": people}
    assert made.document["all"] == ["a@b.example", *(f"p{n}@b.example" for n in range(50)), "c@d.example"]
