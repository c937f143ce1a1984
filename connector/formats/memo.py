"""A cache for pure functions on text: messages repeat addresses, domains and categories."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST = 256
"""Longest text that is cached, in characters: the sender of a message controls the length of its texts."""

MOST = 4096
"""Most entries: with LONGEST it bounds one cache to a few megabytes."""


class Memo(dict[str, T]):
    """A memoized function on text, used as a dictionary: ``memo[text]``. It is cleared when it is full.

    A dictionary, because a look-up is faster than any function call (``lru_cache`` included).
    """

    def __init__(self, function: Callable[[str], T], *, most: int = MOST, longest: int = LONGEST) -> None:
        super().__init__()
        self._function = function
        self._most = most
        self._longest = longest

    def __missing__(self, text: str) -> T:
        result = self._function(text)
        if len(text) <= self._longest:
            if len(self) >= self._most:
                self.clear()
            self[text] = result
        return result
