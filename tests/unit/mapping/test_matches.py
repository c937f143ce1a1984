"""Conditions: what a match holds for, and how an update passes by either of its states."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from connector.errors import ConfigurationError
from connector.mapping import Library, build_mapper, compile_matcher, matches_either_state
from connector.yaml_nodes import parse
from tests.unit.mapping.packs import mapped, pack_of, revision, write

RECORD: dict[str, Any] = {
    "id": "r1",
    "final_disposition": "MALICIOUS",
    "subject": "Your Invoice 17",
    "from": "a@x.example",
    "to": ["b@y.example", "c@z.example"],
    "delivery_status": ["delivered", "moved"],
    "findings": [{"score": 0.4, "name": "A"}, {"score": 0.9, "name": None}],
    "is_quarantined": False,
    "scanned_at": "2026-11-18T09:41:07Z",
    "replyto": "",
    "cost": "$5",
    "n": 5,
    "open": False,
}

HOLDS = [
    ("{final_disposition: MALICIOUS}", True),
    ("{final_disposition: malicious}", True),
    ("{subject: your invoice 17}", False),
    ("{final_disposition: [SPAM, MALICIOUS]}", True),
    ("{delivery_status: moved}", True),
    ("{delivery_status: [queued, moved]}", True),
    ("{findings.name: B}", False),
    ("{n: 5}", True),
    ("{n: 5.0}", True),
    ("{n: '5'}", False),
    ("{n: [4, 5]}", True),
    ("{is_quarantined: false}", True),
    ("{open: 0}", False),
    ("{is_quarantined: [true, false]}", True),
    ("{replyto: null}", True),
    ("{replyto: ''}", True),
    ("{subject: null}", False),
    ("{absent.path: null}", True),
    ("{n: {gte: 5, lte: 5}}", True),
    ("{n: {gte: 6}}", False),
    ("{n: {gte: '5'}}", False),
    ("{findings.score: {gte: 0.8}}", True),
    ("{findings.score: {lte: 0.1}}", False),
    ("{open: {gte: 0}}", False),
    ("{$time: {gte: '2026-11-18T09'}}", True),
    ("{subject: {contains: invoice}}", True),
    ("{subject: {contains: [bill, INVOICE]}}", True),
    ("{n: {contains: '5'}}", False),
    ("{to: {contains: y.example}}", True),
    ("{from: {matches: '*@X.example'}}", True),
    ("{from: {matches: x.example}}", False),
    ("{to: {matches: ['q*', '?@z.*']}}", True),
    ("{n: {matches: '*'}}", False),
    ("{subject: {exists: true}}", True),
    ("{replyto: {exists: true}}", False),
    ("{replyto: {exists: false}}", True),
    ("{findings.name: A}", True),
    ("{cost: $$5}", True),
    ("{from: $record.from}", True),
    ("{from: [$record.to, a]}", False),
    ("{to: [c@z.example, $record.from]}", True),
    ("{replyto: $record.replyto}", False),
    ("{subject: {contains: $record.n}}", False),
    ("{n: {gte: $record.n}}", True),
    ("{$severity: {gte: 7}}", True),
    ("{$severity: 8, $code: email.malicious}", True),
    ("{$account.id: x}", False),
    ("{$revision: 1}", True),
    ("{any: [{n: 1}, {n: 5}]}", True),
    ("{all: [{n: 5}, {n: 1}]}", False),
    ("{not: {n: 1}, any: [{n: 5}]}", True),
    ("{not: {any: [{n: 1}, {n: 5}]}}", False),
    ("{$change: {exists: false}}", True),
    ("{$search: detections}", True),
]


@pytest.mark.parametrize(("text", "expected"), HOLDS)
def test_a_match_holds_for_what_the_manual_says(tmp_path: Path, text: str, expected: bool) -> None:
    scope = write(tmp_path).prelude()

    assert compile_matcher(parse(text, "when"), scope)(revision(RECORD)) is expected


def test_a_match_of_an_output_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"connector.yaml:1:2: there is no \$sevrity"):
        compile_matcher(parse("{$sevrity: 1}", "connector.yaml"), Library().prelude())


def test_a_pattern_for_anything_takes_no_empty_text_for_a_value(tmp_path: Path) -> None:
    pack = pack_of(
        tmp_path,
        "fields:\n"
        "  named: {from: findings, as: [{only: {name: {matches: '*'}}}, count]}\n"
        "  inner: {from: to, as: {only: {matches: '*'}}}\n",
    )

    made = mapped(pack, {"findings": [{"name": ""}, {"name": "x"}, {"name": [""]}], "to": [["", 1], ["a"]]})

    assert made.document == {"named": 1, "inner": [["a"]]}


def test_a_traceback_out_of_a_match_shows_where_it_is_written() -> None:
    matches = compile_matcher(parse("{subject: {contains: x}}", "connector.yaml"), Library().prelude())

    with pytest.raises(AttributeError) as caught:
        matches(None)  # type: ignore[arg-type]

    shown = "".join(traceback.format_exception(caught.value))
    assert 'File "<match connector.yaml:1:2>"' in shown
    assert "body = revision.record.body" in shown


def test_an_update_passes_if_its_new_or_its_previous_state_matches(tmp_path: Path) -> None:
    alerts = compile_matcher(parse("{$severity: {gte: 7}}", "when"), write(tmp_path).prelude())
    corrected = revision(
        {**RECORD, "final_disposition": "NONE"}, number=2, previous={"final_disposition": "MALICIOUS"}
    )
    unrelated = revision({**RECORD, "final_disposition": "NONE"}, number=2, previous={"is_quarantined": True})

    assert not alerts(corrected)
    assert matches_either_state(alerts)(corrected)
    assert not matches_either_state(alerts)(unrelated)
    assert matches_either_state(alerts)(revision(RECORD))
    assert corrected.record.body["final_disposition"] == "NONE"


def test_a_mapper_leaves_out_what_an_output_does_not_want(tmp_path: Path) -> None:
    library = write(tmp_path, mine="mapping: 1\nformat: json\nfields: {id: id}\n")
    wanted = compile_matcher(parse("{final_disposition: SPAM}", "when"), library.prelude())
    mapper = build_mapper(library.load("mine"), when=wanted)

    assert mapper(revision(RECORD)) is None
    assert mapper(revision({"id": "r", "final_disposition": "SPAM"})) is not None
