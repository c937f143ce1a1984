"""``Timeline``: an index of messages sorted by one of their times."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable

from connector.simulator.message import Message


class Timeline:
    """A sorted list with a parallel list of keys; appending is cheap, inserting is linear."""

    def __init__(self, key: Callable[[Message], int]) -> None:
        self._key = key
        self._times: list[int] = []
        self._messages: list[Message] = []

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Message) -> None:
        """Insert *message*, after others of the same time."""
        time = self._key(message)
        if not self._times or time >= self._times[-1]:
            self._times.append(time)
            self._messages.append(message)
            return
        place = bisect_right(self._times, time)
        self._times.insert(place, time)
        self._messages.insert(place, message)

    def fill(self, messages: Iterable[Message]) -> None:
        """Replace everything by *messages*, in any order."""
        self._messages = sorted(messages, key=self._key)
        self._times = [self._key(message) for message in self._messages]

    def between(self, start: int, end: int) -> list[Message]:
        """Return the messages with ``start <= time < end``, oldest first."""
        return self._messages[bisect_left(self._times, start) : bisect_left(self._times, end)]

    def all(self) -> list[Message]:
        """Return every message, oldest first."""
        return self._messages.copy()
