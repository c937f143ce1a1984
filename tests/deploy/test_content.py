"""The Sigma rules of ``deploy/content`` match what they should, and the queries beside them are theirs."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from sigma.collection import SigmaCollection
from sigma.rule import SigmaRule
from sigma.validation import SigmaValidator
from sigma.validators.core import validators

from connector.mapping import Library, build_mapper
from connector.model import Body, Event, Feed, Record, Revision
from tests.golden.revisions import COLLECTED, cases
from tests.support.hostile_day import hostile_day
from tools.content import CONTENT, LISTS, aggregations, correlations, files, rules

Document = Mapping[str, Any]


def revision(number: int = 1, previous: Body | None = None, name: str = "rare", **body: object) -> Revision:
    record = Record(name, {"id": name, "scanned_at": "2026-11-18T09:41:07Z", **body})
    return Revision(Feed("a" * 32, "all"), record, "d", number, COLLECTED, previous=previous)


def sender(address: str) -> dict[str, Any]:
    """The field that Python has a word of its own for."""
    return {"from": address}


# What a day of generated messages does not have.
RARE = (
    revision(
        name="rare-1", final_disposition="MALICIOUS", delivery_status=["delivered"], is_quarantined=False
    ),
    revision(
        name="rare-2", final_disposition="SPOOF", properties={"allowlisted_pattern_type": "acceptable_sender"}
    ),
    revision(2, {"final_disposition": "NONE"}, "rare-3", final_disposition="MALICIOUS", is_quarantined=True),
    # Twelve within an hour from a new domain, and as many from another, spread over two hours.
    *(
        revision(
            name=f"burst-{domain}-{minute}",
            scanned_at=f"2026-11-17T{8 + minute * apart // 60:02}:{minute * apart % 60:02}:30Z",
            **sender(f"offer{minute}@{domain}.example"),
            threat_categories=["DomainAge", "Content"],
            final_disposition="SPAM",
        )
        for domain, apart in (("fresh", 4), ("slow", 10))
        for minute in range(12)
    ),
    # Twenty alerts within ten minutes by one envelope sender.
    *(
        revision(
            name=f"campaign-{second}",
            scanned_at=f"2026-11-17T11:2{second // 5}:{second % 5 * 11:02}Z",
            envelope_from="bounce@campaign.example",
            final_disposition="SUSPICIOUS",
        )
        for second in range(24)
    ),
)


@functools.cache
def corpus_events() -> tuple[Event, ...]:
    """ECS events: a day of messages, and the golden revisions, updates among them."""
    mapper = build_mapper(Library().load("ecs"))
    revisions = [*(case.revision for case in cases()), *RARE]
    mapped = [event for revision in revisions if (event := mapper(revision)) is not None]
    return (*mapped, *hostile_day("ecs", 400))


@functools.cache
def corpus() -> tuple[Document, ...]:
    """The documents of these events."""
    return tuple(orjson.loads(event.payload) for event in corpus_events())


def vendor(document: Document) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = document["cloudflare"]["email_security"]
    return fields


def part(document: Document, name: str) -> Mapping[str, Any]:
    """A map among the vendor's fields; what an odd record has in its place is none."""
    value = vendor(document).get(name)
    return value if isinstance(value, dict) else {}


def listed(document: Document, name: str) -> list[object]:
    value = vendor(document).get(name, [])
    return value if isinstance(value, list) else [value]


def is_alert(document: Document) -> bool:
    return bool(document["event"].get("kind") == "alert")


def action(document: Document) -> object:
    return document["event"].get("action")


def extensions(document: Document) -> set[object]:
    attachments = document.get("email", {}).get("attachments", [])
    return {attachment.get("file", {}).get("extension") for attachment in attachments}


RUNS = {
    "exe",
    "scr",
    "js",
    "jse",
    "vbs",
    "vbe",
    "hta",
    "lnk",
    "chm",
    "msi",
    "jar",
    "ps1",
    "bat",
    "html",
    "htm",
}
HIDES = {"iso", "img", "vhd", "one", "zip"}
MALICIOUS = {"email.malicious", "email.malicious-bec", "email.spoof"}

# The same questions in plain Python, written without looking at the rules' syntax.
EXPECTED: Mapping[str, Callable[[Document], bool]] = {
    "Allow List Matched a Malicious Message": lambda d: (
        is_alert(d) and part(d, "properties").get("allowlisted_pattern_type") is not None
    ),
    "Business Email Compromise Detected": lambda d: d["event"].get("code") == "email.malicious-bec",
    "Credential Harvesting Link": lambda d: d.get("rule", {}).get("name") == "CredentialHarvester",
    "Delivered Message Failed SPF and DMARC": lambda d: (
        action(d) == "delivered"
        and part(d, "validation").get("spf") == "fail"
        and part(d, "validation").get("dmarc") == "fail"
    ),
    "Malicious Message Reached a Mailbox": lambda d: (
        d["event"].get("code") in MALICIOUS
        and "delivered" in listed(d, "delivery_status")
        and action(d) not in {"quarantined", "moved", "rejected"}
    ),
    "Malicious Message Released from Quarantine": lambda d: is_alert(d) and action(d) == "released",
    "Message Released from Quarantine": lambda d: action(d) == "released",
    "Message Reported as Phishing": lambda d: vendor(d).get("is_phish_submission") is True,
    "Message with an Executable or Container Attachment": lambda d: (
        is_alert(d) and bool(extensions(d) & (RUNS | HIDES))
    ),
    "Verdict Corrected to Malicious after Delivery": lambda d: (
        is_alert(d)
        and "update" in d.get("tags", [])
        and "final_disposition" in part(d, "change").get("fields", [])
    ),
}


def _span(document: Document, minutes: int) -> datetime:
    """The start of the span of time that a message is in."""
    time = datetime.fromisoformat(document["@timestamp"])
    seconds = int(time.timestamp())
    return datetime.fromtimestamp(seconds - seconds % (60 * minutes), UTC)


def _many(spans: Iterable[tuple[datetime, object]], least: int) -> set[tuple[datetime, object]]:
    return {span for span, count in Counter(spans).items() if count >= least}


# Likewise: in which span of time whose messages were too many.
BURSTS: Mapping[str, Callable[[Iterable[Document]], set[tuple[datetime, object]]]] = {
    "Burst of Alerts from One Sender": lambda documents: _many(
        (
            (_span(d, 10), sender)
            for d in documents
            if is_alert(d) and (sender := d.get("email", {}).get("sender", {}).get("address"))
        ),
        20,
    ),
    "Burst of Messages from a New Sender Domain": lambda documents: _many(
        (
            (_span(d, 60), domain)
            for d in documents
            if "DomainAge" in listed(d, "threat_categories")
            for domain in listed(d, "sender_domain")
        ),
        10,
    ),
}


def test_the_corpus_has_bursts_and_counts_that_are_none() -> None:
    bursts = {title: find(corpus()) for title, find in BURSTS.items()}

    assert {who for _, who in bursts["Burst of Messages from a New Sender Domain"]} == {"fresh.example"}
    assert "bounce@campaign.example" in {who for _, who in bursts["Burst of Alerts from One Sender"]}


def test_every_correlation_has_its_question_in_plain_python() -> None:
    assert {str(one.rule.title) for one in correlations()} == set(BURSTS) == set(aggregations())


def test_a_value_among_several_is_found_by_esql() -> None:
    """``==`` and ``in`` are null where a field has more than one value, as tags always have."""
    text = (CONTENT / "elasticsearch" / "queries.esql").read_text("utf-8")

    for name in LISTS:
        assert not re.search(rf"(?<![\w.]){re.escape(str(name))}( in |==)", text), name
    assert 'tags:"update"' in text


def test_every_rule_is_valid_sigma() -> None:
    collection = SigmaCollection.load_ruleset([CONTENT / "sigma"])
    names = ("identifier_existence", "identifier_uniqueness", "dangling_detection")

    issues = SigmaValidator({validators[name] for name in names}).validate_rules(
        rule for rule in collection.rules if isinstance(rule, SigmaRule)
    )

    assert issues == []
    assert collection.errors == []


def test_the_queries_are_those_of_the_rules() -> None:
    stale = [path.name for path, text in files().items() if not path.exists() or path.read_text() != text]

    assert stale == [], "run make content"


def test_every_rule_has_its_question_in_plain_python() -> None:
    assert {str(rule.title) for rule in rules()} == set(EXPECTED)


@pytest.mark.parametrize("title", EXPECTED)
def test_the_corpus_has_messages_that_match_and_messages_that_do_not(title: str) -> None:
    hits = sum(map(EXPECTED[title], corpus()))

    assert 0 < hits < len(corpus())
