"""Making a CEF or LEEF line fit its size limit: values are cut or dropped, the least important first.

A list loses whole items and gains their count (``a@x,b@x...(+7)``), other text ends with a mark, required
values (identifiers, the verdict) are cut last and never below ``LEAST`` bytes. What a format considers
required, cuttable or a list is its ``ShorteningPolicy``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from connector.values import dataclass

MARK = "..."
LEAST = 64
"""Bytes that a required value keeps: a UUID or a SHA-256 in hexadecimal stays whole."""

# In bytes: the "=" after a key and the separator before it.
_PAIR_OVERHEAD = 2


@dataclass(frozen=True, slots=True)
class ShorteningPolicy:
    """What one line format gives up first, and what it keeps.

    Args:
        separators: by key, what stands between items of keys whose text is a list.
        order: named keys in the order in which they are cut or dropped.
        overflow: prefix of the keys for fields that the mapping does not name; they go before all others.
        is_required: whether a key must stay.
        can_cut: whether part of a key's value still means something; otherwise the pair is dropped.
        written: a value as it is written, escapes included.
        label_suffix: a key that ends with this labels the key before it and goes together with it.
    """

    separators: Mapping[str, str]
    order: tuple[str, ...]
    overflow: str
    is_required: Callable[[str], bool]
    can_cut: Callable[[str], bool]
    written: Callable[[str], str] = str
    label_suffix: str | None = None

    def cut(self, key: str, text: str, limit: int) -> str:
        """*text* in at most *limit* characters. Identifiers get no mark: their beginning is worth more."""
        mark = "" if self.is_required(key) else MARK
        return cut(text, limit, separator=self.separators.get(key), mark=mark)

    def shorten(self, texts: Mapping[str, str], excess: int, notes: list[str]) -> dict[str, str]:
        """*texts* with at least *excess* bytes fewer, as far as required values allow.

        Args:
            texts: cleaned values by key, labels included.
            excess: bytes by which the line is too long.
            notes: receives one line per key that was cut or dropped.
        """
        left = dict(texts)
        for key in self._removal_order(texts):
            if excess <= 0:
                return left
            size = self._size(key, left[key])
            room = size - excess - len(key) - _PAIR_OVERHEAD
            text = self._longest_cut(key, left[key], room) if self.can_cut(key) else ""
            if text:
                notes.append(_cut_note(key, left[key], text))
                left[key] = text
                return left
            notes.append(f"{key} left out: the line was too long")
            del left[key]
            excess -= size
            label = f"{key}{self.label_suffix}"
            if self.label_suffix and label in left:
                excess -= self._size(label, left.pop(label))
        self._cut_required(left, excess, notes)
        return left

    def _removal_order(self, texts: Mapping[str, str]) -> Iterator[str]:
        optional = [key for key in texts if not self.is_required(key)]
        yield from (key for key in reversed(optional) if key.startswith(self.overflow))
        yield from (key for key in self.order if key in texts)
        rest = [
            key
            for key in optional
            if key not in self.order
            and not key.startswith(self.overflow)
            and not (self.label_suffix and key.endswith(self.label_suffix))
        ]
        yield from sorted(rest, key=lambda key: len(texts[key]), reverse=True)

    def _cut_required(self, left: dict[str, str], excess: int, notes: list[str]) -> None:
        """Cut required values, the longest first, none below ``LEAST`` bytes."""
        required = [key for key in left if self.is_required(key)]
        for key in sorted(required, key=lambda key: len(left[key]), reverse=True):
            size = self._size(key, left[key])
            if excess <= 0 or size <= LEAST:
                return
            room = size - excess - self._size(key, "")
            text = self._longest_cut(key, left[key], max(room, LEAST))
            if text and text != left[key]:
                notes.append(_cut_note(key, left[key], text))
                left[key] = text
                excess -= size - self._size(key, text)

    def _size(self, key: str, text: str) -> int:
        """Bytes of the pair and of the separator before it."""
        return len(key) + _PAIR_OVERHEAD + len(self.written(text).encode())

    def _longest_cut(self, key: str, text: str, room: int) -> str:
        return longest_cut(
            text,
            room,
            lambda whole, limit: self.cut(key, whole, limit),
            lambda part: len(self.written(part).encode()),
        )


def cut(text: str, limit: int, *, separator: str | None = None, mark: str = MARK) -> str:
    """*text* in at most *limit* characters.

    Args:
        text: what to cut.
        limit: the most characters.
        separator: separates the items of a list, if *text* is one: whole items are removed, because half an
            address would be another address.
        mark: appended to show that something is missing.
    """
    if len(text) <= limit:
        return text
    if separator is not None:
        whole_items = _cut_list(text.split(separator), separator, limit)
        if whole_items:
            return whole_items
    if limit <= len(MARK):
        mark = ""
    return text[: limit - len(mark)].rstrip() + mark


def longest_cut(text: str, room: int, cutter: Callable[[str, int], str], size: Callable[[str], int]) -> str:
    """The longest cut of *text* whose *size* is at most *room*; empty where only the mark would be left."""
    low, high = 0, min(len(text), max(room, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if size(cutter(text, middle)) <= room:
            low = middle
        else:
            high = middle - 1
    fitting = cutter(text, low) if low else ""
    return "" if fitting == MARK else fitting


def _cut_list(items: list[str], separator: str, limit: int) -> str:
    """As many whole items as fit beside the count of the others; empty when not even one does."""
    length = len(separator.join(items))
    for count in range(len(items) - 1, 0, -1):
        length -= len(items[count]) + len(separator)
        suffix = f"{MARK}(+{len(items) - count})"
        if length + len(suffix) <= limit:
            return separator.join(items[:count]) + suffix
    return ""


def _cut_note(key: str, before: str, after: str) -> str:
    return f"{key} cut from {len(before)} to {len(after)} characters: the line was too long"
