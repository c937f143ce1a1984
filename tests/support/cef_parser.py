"""A reader of CEF lines, written from the rules of the format and as strict as its strictest receivers.

It shares nothing with the encoder. ``parse`` refuses what a strict receiver refuses and gives back the
exact values; ``splunk_fields`` reads a line the way the common syslog gateway of Splunk does.
"""

import re
from dataclasses import dataclass

_HEADER = re.compile(r"CEF:(\d+)\|" + r"((?:\\\\|\\\||[^|\\])*)\|" * 5 + r"([A-Za-z0-9-]*)\|")
_KEY = r"[A-Za-z0-9_][A-Za-z0-9_.,\[\]]*"
_VALUE = r"(?:\\[=\\nr]|[^=\\])*"
_EXTENSION = re.compile(rf"{_KEY}={_VALUE}(?: +{_KEY}={_VALUE})*")
_STARTS = re.compile(rf"(?:^| )({_KEY})=")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANING = {"n": "\n", "r": "\r", "=": "=", "\\": "\\", "|": "|"}
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HEADER_NAMES = ("deviceVendor", "deviceProduct", "deviceVersion", "deviceEventClassId", "name", "severity")
_GATEWAY_PAIR = re.compile(r"([^=\s]+)=((?:\\=|[^=])+)(?:\s|$)")


@dataclass(frozen=True)
class CefLine:
    """A line taken apart: header fields by name, extension values unescaped."""

    version: str
    header: dict[str, str]
    extension: dict[str, str]


class NotCef(ValueError):
    """A strict receiver would refuse this line."""


def parse(line: bytes) -> CefLine:
    """Take *line* apart; raises ``NotCef`` with the reason."""
    text = line.decode("utf-8")
    found = _FORBIDDEN.search(text)
    if found:
        raise NotCef(f"control character {found[0]!r} at {found.start()}")
    head = _HEADER.match(text)
    if head is None:
        raise NotCef(f"no CEF header: {text[:80]!r}")
    rest = text[head.end() :]
    if rest and _EXTENSION.fullmatch(rest) is None:
        raise NotCef(f"not a list of pairs: {rest!r}")
    values = [_unescape(value) for value in head.groups()[1:]]
    return CefLine(head[1], dict(zip(_HEADER_NAMES, values, strict=True)), _pairs(rest))


def splunk_fields(line: bytes) -> dict[str, str]:
    """The extension as the gateway's one expression sees it; escapes stay as they are."""
    text = line.decode("utf-8")
    head = _HEADER.match(text)
    if head is None or head[1] != "0":
        raise NotCef("the gateway takes CEF:0 only")
    return dict(_GATEWAY_PAIR.findall(text[head.end() :]))


def _pairs(extension: str) -> dict[str, str]:
    """Pairs of an extension that is known to be well formed; a key twice is refused."""
    starts = [found for found in _STARTS.finditer(extension) if not _escaped(extension, found.end() - 1)]
    pairs: dict[str, str] = {}
    for index, start in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(extension)
        if start[1] in pairs:
            raise NotCef(f"the key {start[1]} stands twice")
        pairs[start[1]] = _unescape(extension[start.end() : end])
        if not pairs[start[1]]:
            raise NotCef(f"the key {start[1]} is empty")
    return pairs


def _escaped(text: str, index: int) -> bool:
    """Whether an odd number of backslashes stands before *index*."""
    before = text[:index]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: _MEANING[found[1]], text)
