"""How a text is cut so that a reader sees that it was: lists by whole items, anything else with a mark."""

from __future__ import annotations

from collections.abc import Callable, Iterable

MARK = "..."
LEAST = 64
"""Bytes that remain of a value that must stay."""


def cut(text: str, limit: int, *, separator: str | None = None, mark: str = MARK) -> str:
    """*text* in at most *limit* characters.

    Args:
        text: what to cut.
        limit: the most characters.
        separator: what stands between the items of a list, if it is one: whole items go, half an address
            would be another address.
        mark: what says that something is missing.
    """
    if len(text) <= limit:
        return text
    if separator is not None:
        whole = _cut_list(text.split(separator), separator, limit)
        if whole:
            return whole
    if limit <= len(MARK):
        mark = ""
    return text[: limit - len(mark)].rstrip() + mark


def longest(text: str, room: int, cutter: Callable[[str, int], str], size: Callable[[str], int]) -> str:
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


def curtail(
    left: dict[str, str],
    keys: Iterable[str],
    excess: int,
    notes: list[str],
    *,
    size: Callable[[str, str], int],
    fit: Callable[[str, str, int], str],
) -> None:
    """Cut what must stay, the longest first, once all else is gone and the line is still too long.

    Args:
        left: values by key; those of *keys* are cut in place, never below some characters.
        keys: what may be cut.
        excess: how many bytes the line is too long.
        notes: takes one line per key on what was done.
        size: the bytes of a key with its value.
        fit: the longest cut of the value of a key in so many bytes.
    """
    for key in sorted(keys, key=lambda key: len(left[key]), reverse=True):
        whole = size(key, left[key])
        if excess <= 0 or whole <= LEAST:
            return
        beside = whole - excess - size(key, "")
        text = fit(key, left[key], max(beside, LEAST))
        if text and text != left[key]:
            notes.append(f"{key} cut from {len(left[key])} to {len(text)} characters: the line was too long")
            left[key] = text
            excess -= whole - size(key, text)


def _cut_list(items: list[str], separator: str, limit: int) -> str:
    """As many whole items as fit beside the count of the others; empty when not even one does."""
    lengths = len(separator.join(items))
    for count in range(len(items) - 1, 0, -1):
        lengths -= len(items[count]) + len(separator)
        tail = f"{MARK}(+{len(items) - count})"
        if lengths + len(tail) <= limit:
            return separator.join(items[:count]) + tail
    return ""
