"""Which part of a LEEF line goes first when the line is too long, and how a text is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from connector.formats import leef_attributes, shortening

_SEPARATORS: Mapping[str, str] = MappingProxyType(
    {
        "actions": "; ",
        "attachments": ",",
        "clientRecipients": ",",
        "envelopeTo": ",",
        "fileHashes": ",",
        "findings": "; ",
        "links": " ",
        "reasons": "; ",
        "recipients": ",",
        "threatCategories": ",",
        "toNames": ",",
    }
)
"""Keys whose text is a list: whole items go."""

_ORDER = ("enrichment", "links", "actions", "findings", "changePrevious", "toNames", "reasons", "envelopeTo",
          "clientRecipients", "recipients", "subject")  # fmt: skip
_REST = "cloudflare"
"""Keys of this product that hold what nobody named start with this."""

_KEPT = frozenset({"accountName", "cat", "devTime", "devTimeFormat", "dispositionRaw", "revision", "sev"})
_KEPT_ENDINGS = ("Id",)
_BY_THE_SENDER = "messageId"
"""An identifier that its author may have made as long as it takes to crowd out the verdict."""


def cut(key: str, text: str, limit: int) -> str:
    """*text* in at most *limit* characters: whole items of lists, a mark where anything else was cut.

    Identifiers get no mark: their beginning is worth more.
    """
    mark = "" if _kept(key) else shortening.MARK
    return shortening.cut(text, limit, separator=_SEPARATORS.get(key), mark=mark)


def shorten(texts: Mapping[str, str], excess: int, notes: list[str]) -> dict[str, str]:
    """*texts* with at least *excess* bytes fewer, what matters least taken first.

    Args:
        texts: clean values by key.
        excess: how many bytes the line is too long.
        notes: takes one line per key on what was done.
    """
    left = dict(texts)
    for key in _victims(texts):
        if excess <= 0:
            break
        size = _size(key, left[key])
        text = _fit(key, left[key], size - excess - len(key) - 2) if _may_be_cut(key) else ""
        if text:
            notes.append(f"{key} cut from {len(left[key])} to {len(text)} characters: the line was too long")
            left[key] = text
            return left
        notes.append(f"{key} left out: the line was too long")
        del left[key]
        excess -= size
    kept = [key for key in left if _kept(key)]
    shortening.curtail(left, kept, excess, notes, size=_size, fit=_fit)
    return left


def _victims(texts: Mapping[str, str]) -> Iterator[str]:
    yield from (key for key in reversed(list(texts)) if key.startswith(_REST) and not _kept(key))
    yield from (key for key in _ORDER if key in texts)
    rest = [key for key in texts if not (_kept(key) or key in _ORDER or key.startswith(_REST))]
    yield from sorted(rest, key=lambda key: len(texts[key]), reverse=True)


def _kept(key: str) -> bool:
    return key in _KEPT or (key.endswith(_KEPT_ENDINGS) and key != _BY_THE_SENDER)


def _may_be_cut(key: str) -> bool:
    """Texts; half a number or address would be a lie, and what nobody named goes whole."""
    known = leef_attributes.attributes().get(key)
    return not key.startswith(_REST) and (known is None or known.type == "string")


def _size(key: str, text: str) -> int:
    """Bytes of the pair and what stands before it."""
    return len(key) + 2 + len(text.encode())


def _fit(key: str, text: str, room: int) -> str:
    """The longest cut of *text* that takes at most *room* bytes."""
    return shortening.longest(
        text, room, lambda whole, limit: cut(key, whole, limit), lambda made: len(made.encode())
    )
