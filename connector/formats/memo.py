"""What pure functions on text made of recent texts; mail repeats its addresses, domains and categories."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST = 256
"""Characters of a text that is worth keeping; whoever writes the mail chooses its length."""

MOST = 4096
"""Texts that are kept at once."""


class Memo(dict[str, T]):
    """A function on text as a dictionary: ``memory[text]``. It forgets everything when it is full.

    A dictionary, since no call from Python is as quick as a look-up.
    """

    def __init__(self, function: Callable[[str], T], *, most: int = MOST, longest: int = LONGEST) -> None:
        super().__init__()
        self._function = function
        self._most = most
        self._longest = longest

    def __missing__(self, text: str) -> T:
        made = self._function(text)
        if len(text) <= self._longest:
            if len(self) >= self._most:
                self.clear()
            self[text] = made
        return made
