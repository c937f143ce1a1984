"""Which text of a collector's response may be shown in errors, logs and status: none that the request held.

Collectors quote in a refusal what they refuse: subjects, addresses, tokens. An error's reason is visible in
the log, on the status page and to readiness probes, so the excerpt of a response is stripped of credentials
and of every word that occurs in a value of the events that were sent.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

import orjson

from connector.masking import mask_secrets
from connector.model import Event

REMOVED = "[...]"
"""Stands for words of the request."""

# Longest excerpt, in characters: one line of a log that a person still reads.
_LONGEST = 300
# How much of a response is looked at, in bytes; an explanation further down would not be shown anyway.
_READ = 16 << 10
# Words of this length are searched anywhere in the values sent, so that parts of longer words match too;
# shorter ones must match a whole word.
_SUBSTRING_LENGTH = 4
# Words without which a refusal is unreadable, and that identify nothing.
_STOP_WORDS = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "in", "is", "it", "no", "not",
    "of", "on", "or", "the", "to", "too", "was", "with",
})  # fmt: skip

_MARKUP = re.compile(r"<(script|style)\b[^>]*>.{0,4000}?</\1\s*>|<[^<>]*>", re.IGNORECASE | re.DOTALL)
# From the first backslash of a run only, so that long runs take linear time.
_UNICODE_ESCAPE = re.compile(r"(?<!\\)\\+u([0-9A-Fa-f]{4})")
_ESCAPE = re.compile(r"\\+[A-Za-z\"'/=|\\]?")
_WORD = re.compile(r"[^\W_]+")
# Identifiers and encodings (Base64, hashes): letters and digits mixed, or longer than any word.
_OPAQUE = re.compile(r"(?=[^\W\d]*\d)(?=\d*[^\W\d]).{12,}|.{32,}")


def excerpt(body: bytes, secrets: Iterable[str], sent: Sequence[Event] = (), longest: int = _LONGEST) -> str:
    """Return the beginning of *body* on one line of at most *longest* characters.

    Args:
        body: of the response.
        secrets: texts to mask.
        sent: the events of the request; words of their payloads become ``[...]``.
        longest: most characters to return.
    """
    if not body:
        return ""
    text = mask_secrets(body[:_READ].decode("utf-8", "replace"), secrets)
    if sent:
        text = _without_request(text, sent)
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def is_page(body: bytes) -> bool:
    """Whether *body* is a page or a document with markup, such as a proxy answers in place of a collector."""
    return body.lstrip()[:1] == b"<"


def says(body: bytes, text: str, sent: Sequence[Event]) -> bool:
    """Whether *body* contains *text*, in any case, and not because it quotes the events *sent*.

    A sender could otherwise write *text* into a subject and decide what a refusal means.
    """
    wanted = _normalized(text)
    if wanted not in _normalized(body.decode("utf-8", "replace")):
        return False
    return not any(wanted in _normalized(value) for event in sent for value in _values(event.payload))


def _without_request(text: str, sent: Sequence[Event]) -> str:
    """*text*, decoded and without markup, every word of the request replaced."""
    text = _decoded(_MARKUP.sub(" ", text))
    values = _normalized(" ".join(value for event in sent for value in _values(event.payload)))
    words = frozenset(_WORD.findall(values))
    parts: list[str] = []
    end = 0
    for match in _WORD.finditer(text):
        word = _normalized(match[0])
        between = text[end : match.start()]
        end = match.end()
        if word not in _STOP_WORDS and (
            word in words or (len(word) >= _SUBSTRING_LENGTH and word in values) or _OPAQUE.fullmatch(word)
        ):
            if parts[-1:] != [REMOVED]:
                parts += [_ascii(between), REMOVED]
        else:
            # What separates removed words belongs to the quotation: only the last space remains.
            parts += [" " if parts[-1:] == [REMOVED] and " " in between else _ascii(between), match[0]]
    parts.append(_ascii(text[end:]))
    return "".join(parts)


def _values(payload: bytes) -> Iterator[str]:
    """The texts that a payload holds: values of a JSON document, or the whole line of any other format."""
    try:
        yield from _leaves(orjson.loads(payload))
    except orjson.JSONDecodeError:
        yield _decoded(payload.decode("utf-8", "replace"))


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str):
        yield _decoded(value)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _decoded(text: str) -> str:
    """*text* with entities, percent encoding and backslash escapes decoded, as far as they hide words."""
    text = unquote(html.unescape(text), errors="replace")
    text = _UNICODE_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return _ESCAPE.sub(" ", text)


def _normalized(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _ascii(text: str) -> str:
    """Punctuation; anything else (emoji, symbols) may be part of a quoted subject."""
    return "".join(letter if letter.isascii() else " " for letter in text)
