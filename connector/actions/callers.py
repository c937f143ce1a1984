"""Callers and what each may do. Pure: a check returns why something is not allowed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from connector.actions.action import Kind
from connector.api_values import DESTINATIONS, PATTERN_TYPES
from connector.model import Body

Approval: TypeAlias = Literal["none", "second_caller", "operator"]
Permission: TypeAlias = Literal[
    "search", "get", "preview", "raw", "events", "move", "release", "submit", "block", "approve"
]
HARD_DELETE = "RecoverableItemsPurges"
"""The destination from which nothing comes back: a dry run unless the caller says otherwise."""

OPERATOR = "operator:"
"""Begins the names of people who use the command line."""

_DOMAIN = re.compile(r"[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)+")
"""A domain that means the same to everybody.

``*`` may be a wildcard elsewhere, and an ideographic full stop is a dot to whoever applies IDNA (RFC 3490,
section 3.1): what must never be blocked would pass the check.
"""

_LOCAL_PART = re.compile(r"[^\s*?<>()\[\],;:\\\"@]+")
"""What may stand before the ``@``: neither what may be a wildcard elsewhere, nor what needs quotes."""

_EVERYONE = ("*",)
_WIDEST = {4: 16, 6: 32}
"""Shortest prefix of a network that can be blocked, by IP version."""
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""The addresses of IPv6 that are mapped from IPv4."""


@dataclass(frozen=True, slots=True)
class BlockRules:
    """Which senders a caller may block.

    Args:
        types: kinds of patterns.
        never: addresses, domains (with everything below), networks, or globs that are never blocked.
        expires_max: longest time; ``None``: any, or for ever.
        regex: whether patterns may be regular expressions.
    """

    types: frozenset[str] = frozenset(PATTERN_TYPES)
    never: tuple[str, ...] = ()
    expires_max: timedelta | None = None
    regex: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who may ask for what.

    Args:
        name: shown in audit events.
        may: permissions.
        accounts: names of accounts; ``None``: all.
        destinations: where messages may be moved to.
        recipients: globs that every recipient of a message must match.
        block: senders that may be blocked.
        ids_per_call: most messages of one request.
        per_hour: most actions in an hour.
        approval: who has to approve its actions.
        approval_for: which actions need that.
    """

    name: str
    may: frozenset[str]
    accounts: frozenset[str] | None = None
    destinations: frozenset[str] = frozenset(DESTINATIONS)
    recipients: tuple[str, ...] = _EVERYONE
    block: BlockRules = BlockRules()
    ids_per_call: int = 100
    per_hour: int = 500
    approval: Approval = "none"
    approval_for: frozenset[str] = frozenset(map(str, Kind))

    @property
    def is_operator(self) -> bool:
        """Whether it is a person at the command line."""
        return self.name.startswith(OPERATOR)

    @property
    def sees_everyone(self) -> bool:
        """Whether messages to any recipient are in its scope."""
        return "*" in self.recipients

    def sees(self, record: Body) -> bool:
        """Whether every recipient of *record* is in its scope; without recipients only if all are."""
        if self.sees_everyone:
            return True
        recipients = record.get("client_recipients")
        if not isinstance(recipients, list) or not recipients:
            return False
        return all(
            isinstance(one, str) and _matches(one.strip().casefold(), self.recipients) for one in recipients
        )

    def needed_approval(self, kind: Kind) -> Approval:
        """Who has to approve an action of that kind."""
        return self.approval if kind in self.approval_for else "none"


def operator(user: str) -> Caller:
    """The caller for a person at the command line: everything is allowed."""
    permissions = ("search", "get", "move", "release", "submit", "block", "approve")
    rules = BlockRules(regex=True)
    return Caller(OPERATOR + user, frozenset(permissions), block=rules, ids_per_call=1000, per_hour=100_000)


def refuse_account(caller: Caller, account: str, known: Iterable[str]) -> str:
    """Why *caller* may not use *account*; empty if it may."""
    if account not in known or (caller.accounts is not None and account not in caller.accounts):
        # The same words for both: a caller learns nothing of accounts that are not its own.
        return f"the account {account!r} is not in your scope"
    return ""


def refuse_action(caller: Caller, kind: Kind, parameters: Body, count: int) -> str:
    """Why *caller* may not do that to *count* targets; empty if it may. The records are checked elsewhere."""
    permission = "block" if kind is Kind.UNBLOCK else str(kind)
    if permission not in caller.may:
        return f"{permission} is not in your scope"
    if count > caller.ids_per_call:
        return f"{count} ids in one request, and your limit is {caller.ids_per_call}"
    if kind is Kind.MOVE and parameters["destination"] not in caller.destinations:
        return f"the destination {parameters['destination']} is not in your scope"
    if kind is Kind.BLOCK:
        return refuse_block(caller.block, parameters)
    return ""


def refuse_block(rules: BlockRules, parameters: Body) -> str:
    """Why the sender may not be blocked; empty if it may."""
    kind, pattern = parameters["pattern_type"], parameters["pattern"].strip().casefold()
    seconds = parameters.get("expires_in")
    why = ""
    if kind not in rules.types:
        why = f"blocking by {kind} is not in your scope"
    elif parameters["is_regex"] and not rules.regex:
        why = "regular expressions are not in your scope"
    elif rules.expires_max is not None and seconds is None:
        why = f"expires_in is required, and at most {int(rules.expires_max.total_seconds())} seconds"
    elif (
        rules.expires_max is not None and seconds is not None and seconds > rules.expires_max.total_seconds()
    ):
        why = f"expires_in must be at most {int(rules.expires_max.total_seconds())} seconds"
    elif not parameters["is_regex"]:
        why = _refuse_ip(pattern, rules.never) if kind == "IP" else _refuse_name(pattern, rules.never)
    return why


def malformed_pattern(kind: str, pattern: str) -> str:  # noqa: PLR0911, one line per mistake
    """Why *pattern* cannot be blocked by anyone; empty if it can."""
    if kind == "IP":
        try:
            network = _network(pattern)
        except ValueError:
            return "expected an IP address or network"
        if network.prefixlen < _WIDEST[network.version]:
            return f"the network is too large: at most /{_WIDEST[network.version]}"
        if network.version == _MAPPED.version and network.overlaps(_MAPPED):
            return f"the network is too large: it has every address of IPv4, as {_MAPPED}"
        return ""
    domain = pattern.rpartition("@")[2]
    if kind == "EMAIL" and not (pattern.count("@") == 1 and _LOCAL_PART.fullmatch(pattern.partition("@")[0])):
        return "expected an email address without wildcards and quotes"
    if kind == "DOMAIN" and "@" in pattern:
        return "expected a domain, got an email address"
    if not _DOMAIN.fullmatch(domain):
        return "expected a domain in ASCII with a dot, such as example.com or xn--bcher-kva.example"
    return ""


def _refuse_name(pattern: str, never: Sequence[str]) -> str:
    domain = pattern.rpartition("@")[2]
    for rule in never:
        name = rule.casefold()
        covered = domain == name or domain.endswith(f".{name}") or fnmatchcase(pattern, name)
        # Blocking a domain blocks what is below it.
        parent = "@" not in pattern and name.rpartition("@")[2].endswith((f".{pattern}", f"@{pattern}"))
        same = "@" in name and "@" not in pattern and name.rpartition("@")[2] == pattern
        if covered or parent or same or fnmatchcase(domain, name):
            return f"{pattern} must never be blocked (rule {rule})"
    return ""


def _refuse_ip(pattern: str, never: Sequence[str]) -> str:
    try:
        network = _network(pattern)
    except ValueError:
        return "expected an IP address or network"
    for rule in never:
        try:
            kept = _network(rule)
        except ValueError:
            continue
        if kept.version == network.version and network.overlaps(kept):
            return f"{pattern} must never be blocked (rule {rule})"
    return ""


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network; of IPv4 also where it is written as one of IPv6 (RFC 4291, section 2.5.5.2)."""
    if "%" in text:  # a zone: it means something on one host only
        raise ValueError(text)
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv4Network):
        return network
    mapped = network.network_address.ipv4_mapped
    if mapped is None or network.prefixlen < _MAPPED.prefixlen:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - _MAPPED.prefixlen))


def _matches(address: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(address, pattern.casefold()) for pattern in patterns)
