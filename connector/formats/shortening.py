"""How a text is cut so that a reader sees that it was: lists by whole items, anything else with a mark."""

from __future__ import annotations

from collections.abc import Callable

MARK = "..."


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


def _cut_list(items: list[str], separator: str, limit: int) -> str:
    """As many whole items as fit beside the count of the others; empty when not even one does."""
    lengths = len(separator.join(items))
    for count in range(len(items) - 1, 0, -1):
        lengths -= len(items[count]) + len(separator)
        tail = f"{MARK}(+{len(items) - count})"
        if lengths + len(tail) <= limit:
            return separator.join(items[:count]) + tail
    return ""
