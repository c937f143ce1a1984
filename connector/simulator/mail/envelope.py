"""Generates the envelope of a message: addresses, recipients, relay hosts, sending time."""

from __future__ import annotations

import random
from typing import Final

from connector.simulator.mail import vocabulary as words
from connector.simulator.mail.verdicts import Verdict
from connector.simulator.values import SECOND, Body, likely

_HOUR: Final = 3600 * SECOND
_WRONG: Final = (_HOUR, -6 * _HOUR, -40 * 24 * _HOUR, 3 * 24 * _HOUR, -20_000 * 24 * _HOUR)
_LOCALS: Final = (
    "news", "billing", "no-reply", "dana.chief.ceo", "it-support", "bounce-7781", "o'brien", "user+tag",
    "почта", "contact",
)  # fmt: skip


def addresses(rng: random.Random, verdict: Verdict) -> Body:
    """Generate sender fields: header, envelope and reply-to address, consistent or not."""
    domain = rng.choice(verdict.senders)
    if domain in words.COMPANY:
        local, name = rng.choice(words.PEOPLE)
    else:
        local, name = rng.choice(_LOCALS), rng.choice([*(name for _, name in words.PEOPLE), "Dana Chief", ""])
    address = f"{local}@{domain}"
    return {
        "from": f'"{name}" <{address}>' if name.isascii() and likely(rng, 0.03) else address,
        "from_name": name if likely(rng, 0.95) else None,
        "envelope_from": rng.choice(
            (address, address, f"bounce-{rng.randint(1, 9999)}@{domain}", "<>", None)
        ),
        "replyto": rng.choice((None, None, address, "reset@example.org", "")),
    }


def recipients(rng: random.Random) -> Body:
    """Generate recipients: mostly one, sometimes several, rarely many."""
    count = rng.choices((1, 2, 3, 25), (80, 12, 6, 2))[0]
    people = rng.sample([*words.PEOPLE, *words.GROUPS], min(count, len(words.PEOPLE)))
    to = [f"{local}@{rng.choice(words.COMPANY)}" for local, _ in people]
    return {
        "client_recipients": to,
        "to": to if likely(rng, 0.98) else None,
        "envelope_to": rng.choice((to, to, to, None, [])),
        "to_name": [name for _, name in people] if likely(rng, 0.8) else rng.choice(([""], None)),
    }


def network(rng: random.Random) -> Body:
    """Generate relay hosts: IPv4, IPv6, or unknown."""
    return {
        "smtp_helo_server_ip": rng.choice(
            (_ipv4(rng, "192.0.2"), _ipv4(rng, "198.51.100"), _ipv6(rng), None)
        ),
        "smtp_previous_hop_ip": rng.choice((_ipv4(rng, "198.51.100"), _ipv6(rng), None)),
        "x_originating_ip": rng.choice((_ipv4(rng, "203.0.113"), f"[{_ipv4(rng, '203.0.113')}]", None, None)),
    }


def sending(rng: random.Random, skewed: float) -> int | None:
    """Generate the offset from scanning to sending in microseconds; senders' clocks can be wrong."""
    if likely(rng, skewed):
        return rng.choice(_WRONG)
    if likely(rng, 0.02):
        return None
    return -rng.choice((1, 2, 3, 5, 8, 9, 30, 120)) * SECOND


def _ipv4(rng: random.Random, network: str) -> str:
    return f"{network}.{rng.randint(1, 254)}"


def _ipv6(rng: random.Random) -> str:
    return f"2001:db8::{rng.randint(1, 0xFFFF):x}"
