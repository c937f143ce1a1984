"""The verdicts of generated messages: shares, findings, detection reasons, threat categories."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from connector.simulator.mail import vocabulary as words
from connector.simulator.values import Body, likely


@dataclass(frozen=True, slots=True)
class Verdict:
    """One class of messages.

    Args:
        disposition: as the API spells it; ``None`` where the API says null.
        share: share of all messages, in thousandths.
        subjects: subjects of such messages.
        senders: sender domains.
        signals: names of the findings behind it.
        quarantined: share held back before delivery.
        modes: delivery modes, the usual one first.
    """

    disposition: str | None
    share: int
    subjects: tuple[str, ...]
    senders: tuple[str, ...]
    signals: tuple[str, ...] = ()
    quarantined: float = 0.0
    modes: tuple[str, ...] = ("DIRECT", "DIRECT", "DIRECT", "API", "JOURNAL", "BCC")


_DMARC = ("DMARC_UNVERIFIED", "DMARC_FAILURE_REPORT", "DMARC_AGGREGATE_REPORT")
_SUBMITTED = ("REVIEW_SUBMISSION", "THREAT_INTEL_SUBMISSION", "SIMULATION_SUBMISSION")
_HELD = ("DIRECT", "DIRECT", "API", "RETRO_SCAN")

VERDICTS: Final = (
    Verdict("NONE", 560, words.WORK, words.COMPANY + words.PARTNERS),
    Verdict("SPAM", 150, words.JUNK, words.STRANGERS, ("Content", "IPReputation")),
    Verdict("BULK", 130, words.NEWS, words.PARTNERS, ("BulkSender",)),
    Verdict("MALICIOUS", 40, words.PHISH, words.ATTACKERS, ("CredentialHarvester", "Dropper", "IPReputation",
            "ASNReputation", "DomainAge"), 0.8, _HELD),
    Verdict("SUSPICIOUS", 35, words.PHISH, words.STRANGERS, ("DomainAge", "LinkMismatch", "IPReputation"),
            0.3),
    Verdict("SPOOF", 25, words.FRAUD + words.WORK, words.COMPANY, ("Spoof", "NameSpoof"), 0.4),
    Verdict("MALICIOUS-BEC", 8, words.FRAUD, words.STRANGERS, ("NameSpoof", "BEC"), 0.6, ("API", "DIRECT")),
    Verdict("ENCRYPTED", 12, words.SHARED, words.PARTNERS, ("EncryptedContent",)),
    Verdict("EXTERNAL", 25, words.WORK, words.PARTNERS, ("ExternalSender",)),
    Verdict("UNKNOWN", 8, words.WORK, words.PARTNERS, (), 0.0, _DMARC),
    Verdict(None, 7, words.PHISH, words.COMPANY, (), 0.0, _SUBMITTED),
)  # fmt: skip
"""Every verdict of the API, with the shares of a typical company."""

_REASONS: Final = {
    "Content": ("Content-based spam", "subject", "body"),
    "IPReputation": ("Selector is a source of spam/uce", "smtp_helo_server_ip", "headers"),
    "ASNReputation": ("Network is a source of spam/uce", "smtp_helo_server_ip", "headers"),
    "BulkSender": ("List-Unsubscribe present", "header", "headers"),
    "CredentialHarvester": ("Credential Harvester link", "url", "body"),
    "Dropper": ("Attachment drops a program", "attachment", "attachment"),
    "DomainAge": ("Domain was registered lately", "from", "headers"),
    "LinkMismatch": ("Link text and target differ", "url", "body"),
    "Spoof": ("Sender fails the policy of its domain", "envelope_from", "headers"),
    "NameSpoof": ("Display name matches impersonation registry", "from_name", None),
    "BEC": ("Payment request with urgency", "body", "body"),
    "EncryptedContent": ("Content cannot be inspected", "attachment", "attachment"),
    "ExternalSender": ("Sender is outside the organisation", "from", "headers"),
}


def defang(text: str) -> str:
    """Write *text* as detection reasons show it: dots in brackets, no live scheme."""
    return text.replace(".", "[dot]").replace("http", "hxxp")


def finding(rng: random.Random, signal: str, disposition: str | None, value: str) -> Body:
    """Build one finding about *value*, with the nulls that real ones have."""
    reason, field, portion = _REASONS[signal]
    return {
        "attachment": value if field == "attachment" else None,
        "detail": f"{field.title()}=<b>{defang(value)}</b>" if likely(rng, 0.8) else None,
        "detection": disposition if likely(rng, 0.7) else rng.choice(("SUSPICIOUS", "NONE", None)),
        "field": field,
        "name": signal,
        "portion": portion,
        "reason": reason,
        "score": round(rng.random(), 2) if likely(rng, 0.9) else None,
        "value": value if likely(rng, 0.9) else None,
    }


def reason(signal: str, value: str) -> str:
    """Write one detection reason: HTML and defanged, as the API has it."""
    text, field, _ = _REASONS[signal]
    label = "-".join(part.title() for part in field.split("_"))
    return f"{text} : {label}=<b>{defang(value)}</b>"


def category(number: int, name: str) -> Body:
    """Build a threat category as the detections of one message list it."""
    return {"id": number, "name": name, "description": _REASONS[name][0] if name in _REASONS else None}
