"""What is older than what, when several sweeps read the same record at the same time.

A walk of many pages shows records as they were when it began, or as they are when a page is read: the API
does not say. So a walk counts as old as its beginning. What a walk that began later has learned of a record
is not taken back by an older one; otherwise a message would seem to change its state and change it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Order:
    """Numbers the walks of one feed by their beginning and remembers what might be overtaken."""

    def __init__(self) -> None:
        self._last = 0
        self._walking: set[int] = set()
        self._learned: dict[str, int] = {}

    @contextmanager
    def walk(self) -> Iterator[int]:
        """One walk, for as long as the block runs; gives its number."""
        number = self._next()
        self._walking.add(number)
        try:
            yield number
        finally:
            self._walking.remove(number)
            oldest = min(self._walking, default=self._last)
            self._learned = {name: at for name, at in self._learned.items() if at > oldest}

    def learn(self, names: Iterable[str], number: int | None = None) -> None:
        """Note that walk *number* (``None``: a look-up just now) found something new of *names*."""
        at = self._next() if number is None else number
        if any(walking < at for walking in self._walking):
            self._learned.update((name, max(at, self._learned.get(name, 0))) for name in names)

    def is_overtaken(self, name: str, number: int) -> bool:
        """Whether somebody who looked later than walk *number* began has learned something of *name*."""
        return self._learned.get(name, 0) > number

    def _next(self) -> int:
        self._last += 1
        return self._last
