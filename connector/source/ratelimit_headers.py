"""Reads what the API says about its own limits: ``Ratelimit`` and ``Ratelimit-Policy``, lists of items."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

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
    """Read ``Ratelimit``; items that make no sense are left out."""
    pairs = _pairs(headers.get("ratelimit", ""), "r", "t")
    return tuple(Remaining(requests, seconds) for requests, seconds in pairs)


def parse_policy(headers: Mapping[str, str]) -> tuple[Policy, ...]:
    """Read ``Ratelimit-Policy``; items that make no sense are left out."""
    pairs = _pairs(headers.get("ratelimit-policy", ""), "q", "w")
    return tuple(Policy(requests, seconds) for requests, seconds in pairs if requests and seconds)


def _pairs(header: str, first: str, second: str) -> list[tuple[int, int]]:
    found = []
    for item in _split(header):
        if not _ITEM.match(item.strip()):
            continue
        values = {match["key"]: int(match["value"]) for match in _PARAMETER.finditer(item)}
        if first in values and second in values:
            found.append((values[first], values[second]))
    return found


def _split(header: str) -> list[str]:
    """Split at commas outside of quotes."""
    return re.findall(r'(?:"[^"]*"|[^,"])+', header[:2000])
