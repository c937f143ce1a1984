"""Text of a mail, made harmless for the place where people will read it.

A sender chooses subject, names and addresses. In a chat or a ticket such text must not become a mention,
markup, a link or a further line.
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
"""Zero width space: breaks a word for a program, not for a reader."""

# Controls, line and paragraph separators; then what changes the direction of the text that follows.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_DIRECTIONS = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# A scheme that programs make links of, with and without slashes; HTTP by the custom of the trade.
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
_SHARE = re.compile(r"\\\\(?=\w)")

_MENTION = re.compile(r"([@#])(?<![^\W_].)(?=\w)")
# A clock's colons are none: 12:30:45.
_EMOJI = re.compile(r":(?=[^\W\d][\w+'-]*:|[+-]1:|100:|1234:)")
# Slack knows no way to write these characters as themselves; inside a word they mean nothing.
_SLACK_MARKS = MappingProxyType({"*": "\u2217", "_": "\uff3f", "~": "\u223c", "`": "\u02cb"})
_SLACK_MARK = re.compile(r"`|[*_~](?:(?<![^\W_].)|(?![^\W_]))")
_MARKDOWN = MappingProxyType({ord(mark): f"\\{mark}" for mark in "\\`*_{}[]()|~!$^"})
# What begins a heading, a list, a rule or a quotation where a line begins with it.
_MARKDOWN_START = re.compile(r"\s*(?:[#+=-]|\d{1,9}(?=[.)]))")


def escape(kind: Escaping, *, defang: bool = True) -> Escape:
    """The function that makes text harmless.

    Args:
        kind: what will read it. ``plain`` keeps text on one line and in one direction; ``slack``,
            ``markdown`` and ``html`` also take the markup of their place out of it; ``none`` leaves it.
        defang: break links so that nothing can be clicked: ``hxxps://evil[.]example``.
    """
    steps = [*([] if kind == "none" else [one_line]), *([defanged] if defang else []), *_STEPS[kind]]

    def run(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return run


def one_line(text: str) -> str:
    """*text* without line breaks, other controls, and without what turns the direction of reading."""
    return _DIRECTIONS.sub("", _BREAKS.sub(" ", text))


def defanged(text: str) -> str:
    """*text* in which no program finds a link, a host, an address or a share; safe to repeat."""
    if ":" in text:
        text = _OTHER.sub("[:]", _WEB.sub(r"\1xx\2:", text))
    if "\\\\" in text:
        text = _SHARE.sub(r"[\\\\]", text)
    return _DOT.sub("[.]", _QUAD.sub(lambda found: found[0].replace(".", "[.]"), text))


def _slack(text: str) -> str:
    """For Slack's mrkdwn: entities as its documentation asks, and nothing that formats or calls."""
    text = _SLACK_MARK.sub(lambda found: _SLACK_MARKS[found[0]], _entities(text))
    # Also written as an entity, this one begins a quotation where a line begins with it.
    return _quiet(f"{_GAP}{text}" if text.lstrip().startswith("&gt;") else text)


def _markdown(text: str) -> str:
    """For CommonMark and its relatives; HTML is written as entities, since many of them let it through."""
    start = _MARKDOWN_START.match(text)
    text = text.translate(_MARKDOWN)
    if start:
        end = len(start[0])
        mark = end if start[0][-1].isdigit() else end - 1
        text = f"{text[:mark]}\\{text[mark:]}"
    return _quiet(_entities(text))


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _quiet(text: str) -> str:
    """*text* that names no person, channel or emoji."""
    return _EMOJI.sub(f":{_GAP}", _MENTION.sub(rf"\1{_GAP}", text))


_STEPS: Mapping[Escaping, tuple[Escape, ...]] = MappingProxyType(
    {"plain": (), "slack": (_slack,), "markdown": (_markdown,), "html": (html.escape,), "none": ()}
)
