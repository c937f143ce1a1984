"""Escaping and defanging text of a message for the place where people read it (chat, ticket, page).

A sender chooses subject, names and addresses. In a chat or a ticket such text must not become a mention,
markup, a link or another line.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

Escaping: TypeAlias = Literal["plain", "slack", "markdown", "html", "none"]
Escape: TypeAlias = Callable[[str], str]

_GAP = "\u200b"
"""Zero width space: splits a word for programs, invisible to readers."""

# Controls, line and paragraph separators; then what changes the direction of the text that follows.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_DIRECTIONS = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# Schemes that programs turn into links, with and without slashes; http becomes hxxp as analysts write it.
_WEB = re.compile(r"(h)tt(ps?):(?=\S)", re.IGNORECASE)
_OTHER = re.compile(
    r":(?:(?<!hxxp:)(?<!hxxps:)(?=[/\\]{2})"
    r"|(?:(?<=\bmailto:)|(?<=\btel:)|(?<=\bsms:)|(?<=\bjavascript:)|(?<=\bvbscript:)|(?<=\bdata:)"
    r"|(?<=\bfile:)|(?<=\bcallto:)|(?<=\bskype:)|(?<=\bslack:)|(?<=\bmsteams:)|(?<=\bsearch-ms:))(?=\S))",
    re.IGNORECASE,
)
# Browsers read the three ideographic ones as dots of a host name too (UTS 46).
_DOT = re.compile(r"[.\u3002\uff0e\uff61](?<=[^\s.].)(?=[^\W\d_])")
_QUAD = re.compile(r"\d(?<![\d.].)\d{0,2}(?:\.\d{1,3}){3}(?![\d.])")
# Constants of the connector: event codes, its dataset, and the dashboard link of the shipped mappings. No
# verdict is a top-level domain, and nothing may stand before or after that would make another host of it.
_OWN = re.compile(
    r"(?<![\w.@/:-])("
    r"email\.(?:malicious(?:-bec)?|suspicious|spoof|spam|bulk|encrypted|external|unknown|none)"
    r"|connector\.heartbeat|cloudflare\.email_security"
    r"|https://one\.dash\.cloudflare\.com/[0-9a-f]{32}/email-security/investigation"
    r")(?![\w@/?#:-]|\.\w)"
)
_SHARE = re.compile(r"\\\\(?=\w)")

_MENTION = re.compile(r"([@#])(?<![^\W_].)(?=\w)")
# Not the colons of a time: 12:30:45.
_EMOJI = re.compile(r":(?=[^\W\d][\w+'-]*:|[+-]1:|100:|1234:)")
# Slack's mrkdwn has no escape for these characters; inside a word they have no effect.
_SLACK_MARKS = MappingProxyType({"*": "\u2217", "_": "\uff3f", "~": "\u223c", "`": "\u02cb"})
_SLACK_MARK = re.compile(r"`|[*_~](?:(?<![^\W_].)|(?![^\W_]))")
_MARKDOWN = MappingProxyType({ord(mark): f"\\{mark}" for mark in "\\`*_{}[]()|~!$^"})
# Starts a heading, a list, a rule or a quotation at the beginning of a line.
_MARKDOWN_START = re.compile(r"\s*(?:[#+=-]|\d{1,9}(?=[.)]))")


def escape(kind: Escaping, *, defang: bool = True) -> Escape:
    """Return the function that escapes text.

    Args:
        kind: what displays the text. ``plain`` keeps text on one line and in one direction; ``slack``,
            ``markdown`` and ``html`` also escape the markup of that place; ``none`` changes nothing.
        defang: break links so that nothing can be clicked: ``hxxps://evil[.]example``.
    """
    steps = [*([] if kind == "none" else [one_line]), *([defanged] if defang else []), *_STEPS[kind]]

    def run(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return run


def one_line(text: str) -> str:
    """*text* without line breaks, control characters and bidirectional overrides."""
    return _DIRECTIONS.sub("", _BREAKS.sub(" ", text))


def defanged(text: str) -> str:
    """*text* in which no program detects a link, host name, IP address or file share. Idempotent.

    Constants of the connector (``email.malicious``) stay as they are: people search for them.
    """
    pieces = _OWN.split(text)  # constants are at the odd places
    pieces[::2] = [_without_links(piece) for piece in pieces[::2]]
    return "".join(pieces)


def _without_links(text: str) -> str:
    if ":" in text:
        text = _OTHER.sub("[:]", _WEB.sub(r"\1xx\2:", text))
    if "\\\\" in text:
        text = _SHARE.sub(r"[\\\\]", text)
    return _DOT.sub("[.]", _QUAD.sub(lambda match: match[0].replace(".", "[.]"), text))


def _slack(text: str) -> str:
    """For Slack's mrkdwn: entities as its documentation asks, no formatting, no mentions."""
    text = _SLACK_MARK.sub(lambda match: _SLACK_MARKS[match[0]], _entities(text))
    # Even as an entity, > at the beginning of a line starts a quotation.
    return _without_mentions(f"{_GAP}{text}" if text.lstrip().startswith("&gt;") else text)


def _markdown(text: str) -> str:
    """For CommonMark and its relatives; HTML becomes entities, because many renderers pass it through."""
    start = _MARKDOWN_START.match(text)
    text = text.translate(_MARKDOWN)
    if start:
        end = len(start[0])
        mark = end if start[0][-1].isdigit() else end - 1
        text = f"{text[:mark]}\\{text[mark:]}"
    return _without_mentions(_entities(text))


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _without_mentions(text: str) -> str:
    """*text* without mentions of people or channels and without emoji codes."""
    return _EMOJI.sub(f":{_GAP}", _MENTION.sub(rf"\1{_GAP}", text))


_STEPS: Mapping[Escaping, tuple[Escape, ...]] = MappingProxyType(
    {"plain": (), "slack": (_slack,), "markdown": (_markdown,), "html": (html.escape,), "none": ()}
)
