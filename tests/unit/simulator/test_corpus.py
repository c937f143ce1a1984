"""The invented mail looks like mail, is the same for everybody, and follows the published schema."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.simulator import Corpus, Recipe
from connector.simulator.eras import CURRENT, FIELDS, REFERENCE, SUNSET, project
from connector.simulator.mail.hostile import SURROGATES, TEXTS
from connector.simulator.mail.verdicts import VERDICTS
from connector.simulator.values import SECOND, Body, Era, micros
from tests.support.examples import examples
from tests.unit.simulator.client import START

_NOON = micros(START)
_DATA = Path(__file__).parents[3].parent / "shared" / "data"


def _record(corpus: Corpus, index: int, scanned: int = _NOON) -> Body:
    key = corpus.key(index)
    template = corpus.template(key)
    return template.fill(corpus.values(index, key, template, scanned))


def test_a_message_depends_on_seed_and_number_alone() -> None:
    one, other = Corpus(5), Corpus(5)
    expected = [_record(one, index) for index in range(50)]

    actual = [_record(other, index) for index in reversed(range(50))][::-1]

    assert actual == expected
    assert _record(Corpus(6), 3) != expected[3]


def test_all_ten_dispositions_and_null_come_in_the_shares_of_a_company() -> None:
    corpus = Corpus(1)
    count = Counter(_record(corpus, index)["final_disposition"] for index in range(20_000))

    assert set(count) == {verdict.disposition for verdict in VERDICTS}
    assert len(count) == 11
    for verdict in VERDICTS:
        assert count[verdict.disposition] / 20_000 == pytest.approx(verdict.share / 1000, rel=0.6, abs=0.004)


def test_the_eras_have_31_35_and_32_fields() -> None:
    assert (len(REFERENCE), len(CURRENT), len(SUNSET)) == (31, 35, 32)
    assert set(CURRENT) - set(SUNSET) == {"ts", "action_log", "findings"}
    assert set(CURRENT) - set(REFERENCE) == {
        "delivery_status", "smtp_helo_server_ip", "smtp_previous_hop_ip", "x_originating_ip",
    }  # fmt: skip


def test_the_fields_are_those_of_the_published_examples() -> None:
    if not _DATA.exists():
        pytest.skip("the published examples are not beside the checkout")
    now = json.loads((_DATA / "example-messages.json").read_text())
    spring = json.loads((_DATA / "seed-example-message.json").read_text())

    assert {frozenset(message) for message in now} == {frozenset(CURRENT)}
    assert set(spring.get("result", [spring])[0]) == set(REFERENCE)


@given(
    index=st.integers(0, 2**31),
    era=st.sampled_from(("reference", "current", "sunset")),
    fraction=st.booleans(),
)
@settings(max_examples=examples(150), deadline=None)
def test_the_fast_writing_equals_the_slow_one(index: int, era: Era, fraction: bool) -> None:
    """A stamped template and the projected record are the same JSON, hostile text included."""
    corpus = Corpus(3, Recipe(hostile=0.5, surrogates=True), templates=60)
    key = corpus.key(index)
    template = corpus.template(key)
    stamp = corpus.values(index, key, template, _NOON + index % 9 * SECOND + (123_456 if fraction else 0))

    rendered = json.loads(template.render(stamp, era))

    assert rendered == project(template.fill(stamp), era)
    assert tuple(rendered) == FIELDS[era]


@given(index=st.integers(0, 2**32 - 1), seed=st.integers(0, 2**70))
def test_an_id_leads_back_to_its_message(index: int, seed: int) -> None:
    corpus = Corpus(seed, templates=11)

    assert corpus.index(_record(corpus, index)["id"]) == index


def test_ids_have_the_published_form_and_never_repeat() -> None:
    corpus = Corpus(1)
    records = [_record(corpus, index, _NOON + index // 500 * SECOND) for index in range(20_000)]

    assert all(
        re.fullmatch(r"4W\w{13}-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-[0-9a-f]{8}", one["id"]) for one in records
    )
    assert len({one["id"] for one in records}) == len({one["message_id"] for one in records}) == 20_000
    assert any(not one["id"].startswith(one["postfix_id"]) for one in records)


def test_only_reserved_names_and_addresses_appear() -> None:
    """Nobody's real domain or host may be in there: people paste simulated events into tickets."""
    corpus = Corpus(1, Recipe(hostile=1.0))
    text = json.dumps([_record(corpus, index) for index in range(1_500)], ensure_ascii=False)

    for domain in re.findall(r"@([\w.-]+\.[a-z]{2,})", text):
        assert domain.endswith(".example") or re.search(r"(^|\.)example\.(com|net|org)$", domain), domain
    for address in re.findall(r"\d+\.\d+\.\d+\.\d+", text):
        assert address.startswith(("192.0.2.", "198.51.100.", "203.0.113.")), address


def test_hostile_text_reaches_the_fields_a_sender_controls() -> None:
    corpus = Corpus(2, Recipe(hostile=1.0))
    records = [_record(corpus, index) for index in range(3_000)]

    assert {one["subject"] for one in records} == set(TEXTS)
    assert {one["from_name"] for one in records} >= set(TEXTS)
    assert any("\r\n" in one["from"] for one in records)
    assert any(one["from"] == "" for one in records)


def test_lone_surrogates_are_sent_as_escapes_and_only_when_asked_for() -> None:
    def pages(recipe: Recipe) -> bytes:
        corpus = Corpus(2, recipe)
        keys = [corpus.key(index) for index in range(2_000)]
        templates = [corpus.template(key) for key in keys]
        return b"".join(
            template.render(corpus.values(index, key, template, _NOON), "current")
            for index, (key, template) in enumerate(zip(keys, templates, strict=True))
        )

    mean = pages(Recipe(hostile=1.0, surrogates=True))
    assert b"half an emoji \\ud83d here" in mean
    mean.decode("utf-8")
    tame = pages(Recipe(hostile=1.0)).decode("utf-8")
    assert not any(json.dumps(text)[1:-1] in tame for text in SURROGATES)


def test_there_are_nulls_and_empty_values_where_the_schema_allows_them() -> None:
    corpus = Corpus(1)
    records = [_record(corpus, index) for index in range(5_000)]

    for name in ("to", "to_name", "envelope_to", "sent_at", "validation", "findings", "threat_categories"):
        assert any(one[name] is None for one in records), name
    for name in ("findings", "threat_categories", "envelope_to", "subject", "replyto", "from_name"):
        assert any(one[name] in ("", []) for one in records), name
    for name in (
        "client_recipients",
        "detection_reasons",
        "is_quarantined",
        "properties",
        "postfix_id",
        "ts",
    ):
        assert all(one[name] is not None for one in records), name
    assert any(len(one["to"] or ()) > 10 for one in records)
    assert any("2001:db8::" in (one["smtp_helo_server_ip"] or "") for one in records)
    assert any("bücher" in (one["from"] or "") for one in records)
    assert any((one["sent_at"] or "") > one["scanned_at"] for one in records)


def test_enumerated_values_are_those_of_the_schema() -> None:
    if not _DATA.exists():
        pytest.skip("the published schema is not beside the checkout")
    schemas = json.loads((_DATA / "cloudflare-email-security-openapi.json").read_text())["components"][
        "schemas"
    ]
    modes = schemas["email-security_MessageDetails"]["properties"]["delivery_mode"]["enum"]
    corpus = Corpus(1)
    records = [_record(corpus, index) for index in range(5_000)]

    assert {one["delivery_mode"] for one in records} <= set(modes)
    results = {value for one in records if (found := one["validation"]) for value in list(found.values())[1:]}
    assert results <= {"pass", "neutral", "fail", "error", "none", None}
