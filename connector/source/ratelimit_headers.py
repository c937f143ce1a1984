"""Parses the headers ``Ratelimit`` and ``Ratelimit-Policy`` of the API; both are lists."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connector.values import dataclass

_ITEM = re.compile(r'"(?P<quoted>[^"]*)"|(?P<bare>[A-Za-z][\w-]*)')
_PARAMETER = re.compile(r";\s*(?P<key>[a-z]+)\s*=\s*(?P<value>\d{1,9})(?![\w.])")


@dataclass(frozen=True, slots=True)
class Remaining:
    """*requests* are left for the next *seconds*."""

    requests: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Policy:
    """At most *requests* per *seconds*."""

    requests: int
    seconds: int


def parse_remaining(headers: Mapping[str, str]) -> tuple[Remaining, ...]:
    """Parse ``Ratelimit``; invalid items are ignored."""
    pairs = _pairs(headers.get("ratelimit", ""), "r", "t")
    return tuple(Remaining(requests, seconds) for requests, seconds in pairs)


def parse_policy(headers: Mapping[str, str]) -> tuple[Policy, ...]:
    """Parse ``Ratelimit-Policy``; invalid items are ignored."""
    pairs = _pairs(headers.get("ratelimit-policy", ""), "q", "w")
    return tuple(Policy(requests, seconds) for requests, seconds in pairs if requests and seconds)


def _pairs(header: str, first: str, second: str) -> list[tuple[int, int]]:
    pairs = []
    for item in _split(header):
        if not _ITEM.match(item.strip()):
            continue
        values = {match["key"]: int(match["value"]) for match in _PARAMETER.finditer(item)}
        if first in values and second in values:
            pairs.append((values[first], values[second]))
    return pairs


def _split(header: str) -> list[str]:
    """Split at commas outside of quotes; 2000 characters are far more than any real header."""
    return re.findall(r'(?:"[^"]*"|[^,"])+', header[:2000])
