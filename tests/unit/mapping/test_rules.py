"""Sources, conditions, templates and paths: what one rule makes of one record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.mapping.packs import mapped, pack_of, value_of

RECORD: dict[str, Any] = {
    "id": "r1",
    "subject": "Pay now",
    "from": "",
    "to": ["a@x.example", "", None, "b@x.example"],
    "envelope_to": [],
    "is_quarantined": False,
    "count": 0,
    "properties": {},
    "validation": {"spf": "fail", "dkim": None},
    "findings": [{"name": "A", "score": 0.5}, {"name": "", "score": 2}, "odd", {"name": ["B", "C"]}],
}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("subject", "Pay now"),
        ("from", None),
        ("envelope_to", None),
        ("properties", None),
        ("absent.path", None),
        ("subject.inner", None),
        ("to", ["a@x.example", "b@x.example"]),
        ("is_quarantined", False),
        ("count", 0),
        ("validation.spf", "fail"),
        ("validation.dkim", None),
        ("findings.name", ["A", "B", "C"]),
        ("findings.score", [0.5, 2]),
        ("$record.subject", "Pay now"),
        ("{from: from, else: nobody}", "nobody"),
        ("{from: from, else: {from: subject}}", "Pay now"),
        ("{from: from, else: $search}", "detections"),
        ("{from: from, else: $$search}", "$search"),
        ("{first_of: [from, absent, subject, id]}", "Pay now"),
        ("{first_of: [from, absent]}", None),
        ("{all_of: [subject, from, to]}", ["Pay now", "a@x.example", "b@x.example"]),
        ("{all_of: [from, absent]}", None),
        (
            "{all_of: [{const: x}, {const: y, when: {subject: Pay now}}, {const: z, when: {subject: no}}]}",
            ["x", "y"],
        ),
        ("{const: [a, b]}", ["a", "b"]),
        ("{const: {a: {b: 1}}}", {"a": {"b": 1}}),
        ("{const: ''}", None),
        ("{const: yes, when: {subject: Pay now}}", "yes"),
        ("{const: yes, when: {subject: no}, else: other}", "other"),
        (
            "{template: '{subject} to {to}, {{{validation.spf}}}'}",
            "Pay now to a@x.example,b@x.example, {fail}",
        ),
        ("{template: '{from}{absent}'}", None),
        ("{template: 'x{from}'}", None),
        ("{template: 'x'}", "x"),
        ("{template: '{is_quarantined}/{count}/{from}'}", "false/0/"),
        (
            "{from: findings, as: {each: {a.b: name, s: {from: score, when: {score: {gte: 1}}}}}}",
            [{"a": {"b": "A"}}, {"s": 2}, {"a": {"b": ["B", "C"]}}],
        ),
        (
            "{from: to, as: {each: {it: ., who: $account.id, of: $record.id}}}",
            [
                {"it": "a@x.example", "who": "023e105f4ecef8ad9ca31a8372d0c353", "of": "r1"},
                {"it": "b@x.example", "who": "023e105f4ecef8ad9ca31a8372d0c353", "of": "r1"},
            ],
        ),
    ],
)
def test_a_rule_makes_what_the_manual_says(tmp_path: Path, rule: str, expected: object) -> None:
    assert value_of(tmp_path, rule, RECORD) == expected


def test_else_takes_the_place_of_a_value_that_does_not_fit_its_target(tmp_path: Path) -> None:
    pack = pack_of(tmp_path, "fields: {event.severity: {from: subject, else: 3}}", "ecs")

    made = mapped(pack, {**RECORD, "scanned_at": "2026-11-18T09:41:07Z"})

    assert made.document == {"event": {"severity": 3}}
    assert made.notes == ("event.severity: not a number",)


def test_derived_values_build_on_each_other_in_any_order_of_the_file(tmp_path: Path) -> None:
    pack = pack_of(
        tmp_path,
        "derive: {c: {template: '{$b}!'}, b: {from: $a, as: upper}, a: subject}\n"
        "fields: {out: $c, deep: $d.spf}\n",
        common="mapping: 1\nderive: {d: validation}\n",
    )

    assert mapped(pack, RECORD).document == {"out": "PAY NOW!", "deep": "fail"}


def test_nothing_in_a_file_can_become_code(tmp_path: Path) -> None:
    evil = "x'); raise SystemExit('\\n\\\")#{{"
    quoted = '"' + evil.replace("\\", "\\\\").replace('"', '\\"') + '"'
    body = (
        f"tables: {{t: {{{quoted}: {quoted}}}}}\n"
        f"fields: {{a: {{const: {quoted}}}, "
        f"{quoted}: {{from: id, as: [{{prefix: {quoted}}}, {{table: t}}]}}, "
        f"b: {{const: 1, when: {{id: [{quoted}, z]}}, else: {quoted}}}, c: {{template: {quoted}}}}}\n"
    )
    literal = evil.encode().decode("unicode_escape")
    made = mapped(pack_of(tmp_path, body, "json"), {"id": "i"})

    assert made.document["b"] == made.document["a"]
    assert made.document["c"] == made.document["a"].replace("{{", "{")
    assert literal[:5] == made.document["a"][:5]
