"""Resend buffer: the frames last sent over syslog, which has no acknowledgements, in case they were lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from connector.model import Event, LateFailure

# How often a frame may break its connection, while others pass, before it is given up. As many as delivery
# takes before it dead-letters an event for failing requests.
_ATTEMPTS = 5


@dataclass(slots=True)
class Frame:
    """One framed message, and its event: whole, in case it has to become a dead letter.

    Nobody changes one; it is not frozen because one is made for every event.
    """

    data: bytes
    event: Event


Group: TypeAlias = tuple[Frame, ...]
"""Frames that are sent again together."""


@dataclass(slots=True)
class SuspectFrame:
    """A frame that broke the connection on which it was sent again alone, *breaks* times; why the last."""

    frame: Frame
    reason: str
    breaks: int = 1

    def failure(self) -> LateFailure:
        """What delivery needs to know."""
        return LateFailure(self.frame.event, self.reason, self.breaks)


class ResendBuffer:
    """Keeps the last frames sent: at most *limit* bytes and *age* seconds.

    A frame counts as delivered once its connection outlived it by *age*. Younger frames are unconfirmed when
    the connection breaks, until they were sent again. Frames on which a connection breaks again are
    halved, until the one that breaks it is alone: a suspect, which waits apart from all others.
    """

    def __init__(self, limit: int, age: float) -> None:
        self._limit = limit
        self._age = age
        self._sent: deque[tuple[float, Frame]] = deque()
        self._size = 0
        self.last_sent = float("-inf")
        self._groups: deque[Group] = deque()
        self.suspects: deque[SuspectFrame] = deque()

    @property
    def unconfirmed(self) -> Sequence[Frame]:
        """Frames to send again before anything else; suspects are not among them."""
        return tuple(chain.from_iterable(self._groups))

    @property
    def group(self) -> Group:
        """The frames to send again next; empty where none are unconfirmed."""
        return self._groups[0] if self._groups else ()

    def sent(self, frames: Sequence[Frame], now: float) -> None:
        """Record that *frames* were sent at *now* (loop time)."""
        self.last_sent = now
        self._sent.extend([(now, frame) for frame in frames])
        self._size += sum([len(frame.data) for frame in frames])
        while self._sent and (self._size > self._limit or self._sent[0][0] < now - self._age):
            self._size -= len(self._sent.popleft()[1].data)

    def connection_lost(self, at: float) -> None:
        """Record that the connection broke at *at* (loop time)."""
        lost = tuple(frame for sent, frame in self._sent if sent >= at - self._age)
        if lost and len(self._groups) == 1:
            # The usual case: what was unconfirmed already has not been halved.
            self._groups[0] += lost
        elif lost:
            self._groups.append(lost)
        self._sent.clear()
        self._size = 0

    def resent(self) -> None:
        """Record that the collector read the next group."""
        self._groups.popleft()

    def broke(self, reason: str) -> None:
        """Record that the connection broke on the next group: halve it, and try others before its halves."""
        group = self._groups.popleft()
        if len(group) == 1:
            self._suspect(group[0], reason)
            return
        middle = len(group) // 2
        self._groups.extend((group[:middle], group[middle:]))

    def _suspect(self, frame: Frame, reason: str) -> None:
        """Add a suspect, unless its event is one: a rewind may have sent it a second time."""
        sequence = frame.event.sequence
        if not sequence or all(suspect.frame.event.sequence != sequence for suspect in self.suspects):
            self.suspects.append(SuspectFrame(frame, reason))

    def suspect_broke(self, reason: str) -> SuspectFrame | None:
        """Record that the first suspect broke another connection; return it if it was dropped."""
        suspect = self.suspects.popleft()
        suspect.breaks += 1
        suspect.reason = reason
        if suspect.breaks >= _ATTEMPTS:
            return suspect
        self.suspects.append(suspect)
        return None
