"""Readers of LEEF lines, written from what receivers do and as strict as the strictest of them.

They share nothing with the encoder. ``parse`` splits where the header says; ``gateway_fields`` also where a
blank is followed by what looks like a key, and takes quotes seriously; ``escaping_fields`` lets a backslash
take away the meaning of what follows it.
"""

import re
from dataclasses import dataclass

_HEADER = re.compile(r"LEEF:2\.0\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]+)\|([^|]+)\|")
_HEADER_NAMES = ("Vendor", "Product", "Version", "EventID", "Delimiter")
_KEY = re.compile(r"[A-Za-z0-9]+")
_HEX = re.compile(r"0?x([0-9A-Fa-f]{1,4})")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_NEXT_KEY = re.compile(r"\s+(?=[A-Za-z0-9_.-]+\s*=)")
_EVENT_ID_LENGTH = 255


@dataclass(frozen=True)
class LeefLine:
    """A line taken apart: header fields by name, attributes by key."""

    header: dict[str, str]
    attributes: dict[str, str]


class NotLeef(ValueError):
    """A strict receiver would refuse this line."""


def parse(line: bytes) -> LeefLine:
    """Take *line* apart; raises ``NotLeef`` with the reason."""
    text = line.decode("utf-8")
    if found := _FORBIDDEN.search(text):
        raise NotLeef(f"control character {found[0]!r} at {found.start()}")
    head = _HEADER.match(text)
    if head is None:
        raise NotLeef(f"no LEEF header: {text[:80]!r}")
    header = dict(zip(_HEADER_NAMES, head.groups(), strict=True))
    if len(header["EventID"]) > _EVENT_ID_LENGTH:
        raise NotLeef("the EventID is too long")
    delimiter = _delimiter(header["Delimiter"])
    rest = text[head.end() :]
    if "|" in rest:
        raise NotLeef("a pipe behind the header")
    if delimiter != "\t" and "\t" in text:
        raise NotLeef("a tab, which receivers rewrite")
    return LeefLine(header, _pairs(rest.split(delimiter)) if rest else {})


def gateway_fields(line: bytes) -> dict[str, str]:
    """The attributes as a gateway sees them that looks for ``key=`` and for quotes."""
    rest = line.decode("utf-8").rpartition("|")[2]
    delimiter = _delimiter(parse(line).header["Delimiter"])
    fields: dict[str, str] = {}
    while rest:
        key, _, rest = rest.partition("=")
        if rest[:1] in {"'", '"'}:
            value, _, rest = rest[1:].partition(rest[0])
        else:
            ends = [found.start() for found in _NEXT_KEY.finditer(rest)] + [rest.find(delimiter)]
            end = min((end for end in ends if end >= 0), default=len(rest))
            value, rest = rest[:end], rest[end:]
        fields[key] = value
        rest = rest.lstrip(f"{delimiter} ")
    return fields


def escaping_fields(line: bytes) -> dict[str, str]:
    """The attributes as a receiver sees them for which a backslash escapes, not unescaped."""
    read = parse(line)
    rest = line.decode("utf-8").rpartition("|")[2]
    delimiter = re.escape(_delimiter(read.header["Delimiter"]))
    parts = re.findall(rf"(?:\\.|[^{delimiter}\\])+", rest)
    return _pairs(parts) if parts else {}


def _delimiter(text: str) -> str:
    found = _HEX.fullmatch(text)
    if found is None and len(text) != 1:
        raise NotLeef(f"{text!r} is no delimiter")
    return chr(int(found[1], 16)) if found else text


def _pairs(parts: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or _KEY.fullmatch(key) is None:
            raise NotLeef(f"not a pair: {part[:80]!r}")
        if key in pairs:
            raise NotLeef(f"the key {key} stands twice")
        if not value.strip():
            raise NotLeef(f"the key {key} is empty")
        pairs[key] = value
    return pairs
