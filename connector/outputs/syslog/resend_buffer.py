"""Resend buffer: the frames last sent over syslog, which has no acknowledgements, in case they were lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class ResendBuffer:
    """Keeps the last frames sent: at most *limit* bytes and *age* seconds.

    A frame counts as delivered once its connection outlived it by *age*. Younger frames are unconfirmed when
    the connection breaks, until they were sent again.
    """

    def __init__(self, limit: int, age: float) -> None:
        self._limit = limit
        self._age = age
        self._sent: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._unconfirmed: list[bytes] = []

    @property
    def unconfirmed(self) -> Sequence[bytes]:
        """Frames to send again before anything else, oldest first."""
        return self._unconfirmed

    def sent(self, frames: Sequence[bytes], now: float) -> None:
        """Record that *frames* were sent, after the unconfirmed ones."""
        for frame in (*self._unconfirmed, *frames):
            self._sent.append((now, frame))
            self._size += len(frame)
        self._unconfirmed = []
        while self._sent and (self._size > self._limit or self._sent[0][0] < now - self._age):
            self._size -= len(self._sent.popleft()[1])

    def connection_lost(self, at: float) -> None:
        """Record that the connection broke at *at* (loop time)."""
        self._unconfirmed += [frame for sent, frame in self._sent if sent >= at - self._age]
        self._sent.clear()
        self._size = 0
