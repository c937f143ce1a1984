"""What is explained is what happens: the same values as in the event, and a reason for everything missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.mapping import Library, build_map, explain
from connector.mapping.schemas.encoding import SHAPES
from connector.model import JsonObject
from tests.golden.revisions import ACCOUNTS, cases
from tests.unit.mapping.packs import pack_of, revision


def value_at(document: JsonObject, target: str, *, nested: bool) -> object:
    value: object = document
    for step in target.split(".") if nested else (target,):
        value = value.get(step) if isinstance(value, dict) else None
    return value


@pytest.mark.parametrize("name", Library().names())
def test_the_values_are_those_of_the_event(name: str) -> None:
    pack = Library().load(name)
    mapping = build_map(pack, accounts=ACCOUNTS)

    for case in cases()[::3]:
        reported, mapped = explain(pack, case.revision, accounts=ACCOUNTS), mapping(case.revision)
        assert reported.mapped == mapped
        for one in reported.targets:
            found = value_at(mapped.document, one.target, nested=SHAPES[pack.format].nested)
            assert one.value == found, one.target
            assert (one.value is None) == bool(one.why), one.target
        if pack.rest is not None and not SHAPES[pack.format].nested:
            assert reported.rest.items() <= mapped.document.items()


def test_a_choice_says_what_was_taken(tmp_path: Path) -> None:
    pack = pack_of(
        tmp_path, "fields:\n  a: {from: x_originating_ip, as: ip, else: {first_of: [to, subject]}}\n"
    )
    [reported] = explain(pack, revision({"x_originating_ip": "no", "subject": "s"})).targets

    assert reported.value == "s"
    assert [rule for rule, _ in reported.taken] == ["{first_of: [to, subject]}", "subject"]
    assert [place.column for _, place in reported.taken] == [45, 61]
    assert reported.notes == ("not an IP address",)
    assert reported.sources == {"x_originating_ip": "no", "subject": "s"}


def test_what_a_rule_reads_inside_each_and_through_names_is_reported(tmp_path: Path) -> None:
    derive = "derive: {d: {from: findings, as: {each: {n: name, i: $record.id}}}, e: $d.n}"
    pack = pack_of(tmp_path, f"{derive}\nfields: {{a: {{template: '<{{$e}}>'}}}}\n")
    [reported] = explain(pack, revision({"id": "r", "findings": [{"name": "F"}]})).targets

    assert reported.value == "<F>"
    assert [made.name for made in reported.derived] == ["$e", "$d"]
    assert reported.sources == {"findings": [{"name": "F"}], "id": "r"}


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("subject", "there is no value"),
        ("{const: x, when: {id: other}}", "{id: other} does not hold"),
        ("{from: from, as: ip}", "what there is does not fit: not an IP address"),
        ("{from: to, as: {only: z}}", "nothing is left"),
        ("{first_of: [subject, replyto]}", "none of its rules has a value"),
    ],
)
def test_it_says_why_there_is_nothing(tmp_path: Path, rule: str, why: str) -> None:
    [reported] = explain(
        pack_of(tmp_path, f"fields:\n  a: {rule}\n"), revision({"from": "x", "to": ["y"]})
    ).targets

    assert reported.value is None
    assert reported.why == why


def test_what_went_back_to_the_rest_and_what_was_cut_is_reported(tmp_path: Path) -> None:
    rest = "rest: {into: CloudflareEmailSecurity, without: [x_originating_ip, subject]}"
    pack = pack_of(tmp_path, f"fields: {{src: x_originating_ip, msg: subject}}\n{rest}", "cef")
    reported = explain(pack, revision({"x_originating_ip": "no", "subject": "s" * 2000}))

    assert reported.rest == {"CloudflareEmailSecurityXOriginatingIp": "no"}
    assert "src: not an IP address" in reported.notes
    assert any(note.startswith("msg") for note in reported.notes)
