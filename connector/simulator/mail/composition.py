"""Generates message templates: sender, recipients, subject, verdict and findings."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from connector.simulator.mail import hostile
from connector.simulator.mail import vocabulary as words
from connector.simulator.mail.envelope import addresses, network, recipients, sending
from connector.simulator.mail.template import MessageTemplate
from connector.simulator.mail.verdicts import Verdict, finding, reason
from connector.simulator.values import SECOND, Body, chance, likely


@dataclass(frozen=True, slots=True)
class Recipe:
    """Share of hostile and odd messages.

    Args:
        hostile: share of messages with text that attacks parsers.
        surrogates: whether that text may contain lone surrogates, which only JSON escapes can carry.
        skewed: share of messages with a wrong ``sent_at``: hours ahead, days late, or years ago.
    """

    hostile: float = 0.03
    surrogates: bool = False
    skewed: float = 0.03


@lru_cache(maxsize=2_048)
def compose(seed: int, number: int, verdict: Verdict, recipe: Recipe) -> MessageTemplate:
    """Generate template *number* of *seed*."""
    rng = chance(seed, "template", number)
    sender = addresses(rng, verdict)
    reached = recipients(rng)
    hops = network(rng)
    files = _attachments(rng, verdict)
    links = _links(rng, verdict)
    domain = sender["from"].rpartition("@")[2]
    body: Body = {
        "id": "", "postfix_id": "", "message_id": "", "scanned_at": "", "ts": "",
        "edf_hash": _hex(rng, 40, 0.6), "htmltext_structure_hash": _hex(rng, 32, 0.5),
        "postfix_id_outbound": rng.choice((None, None, None, "4Wx1Sb7T9Pz3dEG")),
        "subject": rng.choice(verdict.subjects), "validation": _validation(rng, verdict),
        **sender, **reached, **hops, **_verdict_fields(rng, verdict, sender, hops, links, files),
    }  # fmt: skip
    if likely(rng, recipe.hostile):
        _poison(rng, body, surrogates=recipe.surrogates)
    offset = sending(rng, recipe.skewed)
    body["sent_at"] = body["sent_date"] = "" if offset is not None else None
    details = {
        "attachments": files,
        "links": links,
        "headers": [
            {
                "name": "Received",
                "value": f"from {hops['smtp_helo_server_ip'] or 'unknown'} by mx.corp.example",
            },
            {"name": "X-Mailer", "value": rng.choice(("mailer 1.0", "", "phpmailer"))},
        ],
        "sender_info": {
            "as_name": rng.choice(("EXAMPLE-NET", None)),
            "as_number": rng.choice((64_496, 65_551, None)),
            "geo": rng.choice(("NL/-/-", "US/CA/-", None)),
            "ip": hops["smtp_helo_server_ip"],
            "pld": domain or None,
        },
    }
    ascii_domain = domain.encode() if domain.isascii() else b"mail.example.org"
    return MessageTemplate(number=number, body=body, offset=offset, domain=ascii_domain, details=details)


def _verdict_fields(
    rng: random.Random, verdict: Verdict, sender: Body, hops: Body, links: list[Body], files: list[Body]
) -> Body:
    """Generate the verdict fields."""
    signals = rng.sample(verdict.signals, min(len(verdict.signals), rng.randint(1, 3)))
    url: str = links[0]["href"] if links else "https://login.example.net/o365"
    file: str = files[0]["filename"] if files else "invoice_88213.html"
    host: str = hops["smtp_helo_server_ip"] or "192.0.2.186"
    value: dict[str, str] = {
        "CredentialHarvester": url, "LinkMismatch": url, "Dropper": file, "EncryptedContent": file,
        "IPReputation": host, "ASNReputation": host, "NameSpoof": sender["from_name"] or "Dana Chief",
    }  # fmt: skip
    evidence = [(name, value.get(name) or str(sender["from"])) for name in signals]
    findings = [finding(rng, name, verdict.disposition, about) for name, about in evidence]
    held = rng.random() < verdict.quarantined
    detection = verdict.disposition not in {None, "NONE"}
    return {
        "final_disposition": verdict.disposition,
        "findings": findings or rng.choice((None, [])),
        "detection_reasons": [reason(name, about) for name, about in evidence],
        "threat_categories": signals or rng.choice((None, [])),
        "alert_id": "" if detection else None,
        "is_quarantined": held,
        "is_phish_submission": verdict.disposition is None,
        "delivery_mode": rng.choice(verdict.modes) if likely(rng, 0.99) else None,
        "delivery_status": ["quarantined"] if held else rng.choice((["delivered"], ["queued"], None)),
        "post_delivery_operations": rng.choice((None, None, [])),
        "action_log": [],
        "properties": _properties(rng, sender, detection=detection),
    }


def _properties(rng: random.Random, sender: Body, *, detection: bool) -> Body:
    """Generate matched allow and block list entries; mostly none."""
    domain = sender["from"].rpartition("@")[2]
    allowed = not detection and likely(rng, 0.1)
    blocked = detection and likely(rng, 0.08)
    kind = rng.choice(("acceptable_sender", "allowed_sender", "allowed_recipient", "domain_similarity"))
    return {
        "allowlisted_pattern": domain if allowed else None,
        "allowlisted_pattern_type": kind if allowed else None,
        "blocklisted_message": True if blocked else rng.choice((None, False)),
        "blocklisted_pattern": f".*@{domain}$".replace(".", "\\.") if blocked else None,
        "whitelisted_pattern_type": kind if allowed else None,
    }


def _validation(rng: random.Random, verdict: Verdict) -> Body | None:
    """Generate the results of SPF, DKIM and DMARC; null for a few."""
    if likely(rng, 0.03):
        return None
    if verdict.disposition in {"MALICIOUS", "SPOOF", "SUSPICIOUS", "SPAM"}:
        results: tuple[str | None, ...] = ("fail", "none", "neutral", "pass", "error", None)
    else:
        results = ("pass", "pass", "pass", "neutral", "none")
    comment = rng.choice((None, None, "header.from aligned", ""))
    return {"comment": comment, **{name: rng.choice(results) for name in ("dkim", "dmarc", "spf")}}


def _attachments(rng: random.Random, verdict: Verdict) -> list[Body]:
    """Generate zero to three attachments."""
    files = []
    for name in rng.sample(words.FILES, rng.choice((0, 0, 0, 1, 1, 2, 3))):
        content = words.TYPES.get(name.rpartition(".")[2])
        files.append({
            "content_type": content, "detection": verdict.disposition, "encrypted": rng.choice((False, None)),
            "filename": name, "name": name, "md5": _hex(rng, 32), "sha1": _hex(rng, 40),
            "sha256": _hex(rng, 64), "size": rng.randint(0, 5 * SECOND),
        })  # fmt: skip
    return files


def _links(rng: random.Random, verdict: Verdict) -> list[Body]:
    """Generate zero to three links."""
    hosts = rng.sample(verdict.senders, min(len(verdict.senders), rng.randint(0, 3)))
    return [
        {
            "href": f"https://{host}/{rng.choice(('login', 'o365?u=1&x=2', 'news', ''))}",
            "text": rng.choice((None, "here")),
        }
        for host in hosts
    ]


def _poison(rng: random.Random, body: Body, *, surrogates: bool) -> None:
    """Put hostile text into fields that a sender controls."""
    texts = hostile.TEXTS + (hostile.SURROGATES if surrogates else ())
    body["subject"] = rng.choice(texts)
    places = rng.sample(("from_name", "from", "replyto", "to_name", "findings", "detection_reasons"), 2)
    if "from_name" in places:
        body["from_name"] = rng.choice(texts)
    if "from" in places:
        body["from"] = rng.choice(hostile.ADDRESSES)
    if "replyto" in places:
        body["replyto"] = rng.choice(hostile.ADDRESSES)
    if "to_name" in places:
        body["to_name"] = [rng.choice(texts), "", rng.choice(texts)]
    if "findings" in places and body["findings"]:
        body["findings"][0]["value"] = rng.choice(texts)
    if "detection_reasons" in places:
        body["detection_reasons"] = [*body["detection_reasons"], rng.choice(texts)]


def _hex(rng: random.Random, length: int, share: float = 1.0) -> str | None:
    """Generate a hash of *length* hexadecimal digits, or none."""
    return f"{rng.getrandbits(length * 4):0{length}x}" if likely(rng, share) else None
