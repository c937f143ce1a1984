"""The Sigma rules of ``deploy/content`` match what they should, and the queries beside them are theirs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from sigma.collection import SigmaCollection
from sigma.rule import SigmaRule
from sigma.validation import SigmaValidator
from sigma.validators.core import validators

from connector.mapping import Library, build_mapper
from connector.model import Body, Feed, Record, Revision
from tests.golden.revisions import COLLECTED, cases
from tests.support.hostile_day import hostile_day
from tools.content import CONTENT, files, rules

Document = Mapping[str, Any]


def revision(number: int = 1, previous: Body | None = None, **body: object) -> Revision:
    record = Record("rare", {"id": "rare", "scanned_at": "2026-11-18T09:41:07Z", **body})
    return Revision(Feed("a" * 32, "all"), record, "d", number, COLLECTED, previous=previous)


# What a day of generated messages does not have.
RARE = (
    revision(final_disposition="MALICIOUS", delivery_status=["delivered"], is_quarantined=False),
    revision(final_disposition="SPOOF", properties={"allowlisted_pattern_type": "acceptable_sender"}),
    revision(2, {"final_disposition": "NONE"}, final_disposition="MALICIOUS", is_quarantined=True),
)


@functools.cache
def corpus() -> tuple[Document, ...]:
    """ECS documents: a day of messages, and the golden revisions, updates among them."""
    mapper = build_mapper(Library().load("ecs"))
    revisions = [*(case.revision for case in cases()), *RARE]
    mapped = [event for revision in revisions if (event := mapper(revision)) is not None]
    return tuple(orjson.loads(event.payload) for event in (*mapped, *hostile_day("ecs", 400)))


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
