"""Which part of a CEF line goes first when the line is too long, and how a text is cut.

Receivers cut or split long lines blindly; cutting here keeps every key whole and the verdict in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from connector.formats import cef_dictionary, shortening
from connector.formats.cef_text import escape

_SEPARATORS: Mapping[str, str] = MappingProxyType(
    {"cat": ",", "cs4": ",", "cs6": "; ", "duser": ",", "fileHash": ",", "fname": ",", "reason": "; "}
)
"""Keys whose text is a list: whole items go."""

_ORDER = ("cs6", "reason", "duser", "cs4", "msg")
_CUSTOM = "CloudflareEmailSecurity"
_KEPT = frozenset(
    {"rt", "start", "end", "externalId", "devicePayloadId", "deviceExternalId", "cat", "act", "cs2"}
)
"""What Cloudflare says. The message id, cs1, is the sender's: kept, it could crowd out the whole event."""
_KEPT_ENDINGS = ("Id", "Revision")


def cut(key: str, text: str, limit: int) -> str:
    """*text* in at most *limit* characters: whole items of lists, a mark where anything else was cut.

    Identifiers get no mark: their beginning is worth more.
    """
    mark = "" if _kept(key) else shortening.MARK
    return shortening.cut(text, limit, separator=_SEPARATORS.get(key), mark=mark)


def shorten(texts: Mapping[str, str], excess: int, notes: list[str]) -> dict[str, str]:
    """*texts* with at least *excess* bytes fewer, what matters least taken first.

    Args:
        texts: cleaned values by key, labels included.
        excess: how many bytes the line is too long.
        notes: takes one line per key on what was done.
    """
    left = dict(texts)
    for key in _victims(texts):
        if excess <= 0:
            break
        size = _size(key, left[key])
        room = size - excess - len(key) - 2
        text = _fit(key, left[key], room) if _may_be_cut(key) else ""
        if text:
            notes.append(f"{key} cut from {len(left[key])} to {len(text)} characters: the line was too long")
            left[key] = text
            return left
        notes.append(f"{key} left out: the line was too long")
        del left[key]
        excess -= size
        label = f"{key}Label"
        if label in left:
            excess -= _size(label, left.pop(label))
    kept = [key for key in left if _kept(key)]
    shortening.curtail(left, kept, excess, notes, size=_size, fit=_fit)
    return left


def _victims(texts: Mapping[str, str]) -> Iterator[str]:
    yield from (key for key in reversed(list(texts)) if key.startswith(_CUSTOM) and not _kept(key))
    yield from (key for key in _ORDER if key in texts)
    rest = [
        key
        for key in texts
        if not (_kept(key) or key in _ORDER or key.startswith(_CUSTOM) or key.endswith("Label"))
    ]
    yield from sorted(rest, key=lambda key: len(texts[key]), reverse=True)


def _kept(key: str) -> bool:
    return key in _KEPT or (key.startswith(_CUSTOM) and key.endswith(_KEPT_ENDINGS))


def _may_be_cut(key: str) -> bool:
    """Texts of the dictionary; half a number or address would be a lie, custom keys go whole."""
    known = cef_dictionary.keys().get(key)
    return known is not None and known.type == "string"


def _size(key: str, text: str) -> int:
    """Bytes of the pair and the blank before it."""
    return len(key) + 2 + len(escape(text).encode())


def _fit(key: str, text: str, room: int) -> str:
    """The longest cut of *text* whose escaped form takes at most *room* bytes."""
    return shortening.longest(
        text, room, lambda whole, limit: cut(key, whole, limit), lambda made: len(escape(made).encode())
    )
