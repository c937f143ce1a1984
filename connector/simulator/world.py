"""The message store: backlog, live arrivals, late indexing, changes and deletions.

Its own events are a function of the seed and the clock, independent of how often it is queried. Tests add
to it with ``add``, ``change``, ``apply`` and ``remove``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connector.simulator.arrivals import Arrivals
from connector.simulator.changes import CHANGES, Changes, changed, plan
from connector.simulator.mail.corpus import Corpus
from connector.simulator.message import Message, Renderer, Version
from connector.simulator.timeline import Timeline
from connector.simulator.values import SECOND, Body, Clock, Fields, Timestamp, chance, micros, span, zoned

KEEP: Final = 200_000
"""Messages kept by default, at 350 to 450 bytes each. The oldest are dropped when more arrive."""

_ADDED: Final = 1 << 31
_LATE_SHIFT, _CHANGE_SHIFT, _UNIT = 24, 48, 1 << 16


@dataclass(frozen=True, slots=True)
class Late:
    """Delay until a search finds a message.

    Args:
        share: share of late messages.
        shortest: their shortest delay.
        longest: their longest delay.
        always: minimum delay of every message.
    """

    share: float = 0.0
    shortest: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(hours=2)
    always: timedelta = timedelta(0)


def wall_clock() -> datetime:
    """Return the time of this machine, in UTC."""
    return datetime.now(UTC)


class World:
    """The store of messages. Safe to use from several threads."""

    def __init__(
        self,
        corpus: Corpus,
        clock: Clock = wall_clock,
        backlog: int = 0,
        span_of_backlog: timedelta = timedelta(days=1),
        rate: float = 0.0,
        late: Late | None = None,
        changes: Changes | None = None,
        keep: int = KEEP,
        *,
        subsecond: bool = False,
    ) -> None:
        self.renderer = Renderer(corpus)
        self.lock = threading.RLock()
        self._clock = clock
        self._corpus = corpus
        self._late = late or Late()
        self._changes = changes or Changes()
        self._keep = max(keep, backlog)
        self._precision = 1 if subsecond else SECOND
        self._messages: dict[int, Message] = {}
        self._named: dict[str, Message] = {}
        self._added = _ADDED
        self._lines: dict[Timestamp, Timeline] = {
            "scanned_at": Timeline(lambda message: message.scanned),
            "sent_at": Timeline(lambda message: message.sent),
        }
        now = self.now()
        self._arrivals = Arrivals(corpus.key, now, backlog, span(span_of_backlog), rate)
        self._messages = {index: self._make(index, at) for index, at in self._arrivals.backlog()}
        self._fill()

    def now(self) -> int:
        """Return the clock's time in microseconds."""
        return micros(self._clock())

    def advance(self) -> int:
        """Store every message that is due, and return the time."""
        with self.lock:
            now = self.now()
            for index, at in self._arrivals.due(now, self._keep):
                self._store(self._make(index, at))
            if len(self._messages) > self._keep + self._keep // 10 + 100:
                self._forget()
            return now

    @property
    def rate(self) -> float:
        """Messages that arrive per second; can be set at any time, 0 stops arrivals."""
        return self._arrivals.rate

    @rate.setter
    def rate(self, rate: float) -> None:
        with self.lock:
            self._arrivals.change_rate(self.advance(), rate)

    def __len__(self) -> int:
        self.advance()
        return len(self._messages)

    def between(self, by: Timestamp, start: int, end: int) -> list[Message]:
        """Return the messages whose time *by* lies in ``[start, end)``, oldest first, searchable or not."""
        with self.lock:
            self.advance()
            return self._lines[by].between(start, end)

    def messages(self) -> list[Message]:
        """Return every message, oldest first."""
        with self.lock:
            self.advance()
            return self._lines["scanned_at"].all()

    def get(self, index: int) -> Message | None:
        """Return the message with that number, unless it was dropped."""
        return self._messages.get(index)

    def find(self, record_id: str) -> Message | None:
        """Return the message with that id, searchable or not."""
        with self.lock:
            self.advance()
            index = self._corpus.index(record_id)
            message = self._named.get(record_id) or (self._messages.get(index) if index is not None else None)
            return message if message and self.renderer.id(message) == record_id else None

    def add(
        self,
        fields: Fields | None = None,
        *,
        scanned_at: datetime | None = None,
        sent_at: datetime | None = None,
        searchable_at: datetime | None = None,
        **more: Any,
    ) -> str:
        """Add one message and return its id.

        Fields are a mapping (``from`` is a Python keyword) or keyword arguments; missing ones are generated.
        *scanned_at* and *searchable_at* default to now.
        """
        with self.lock:
            now = self.advance()
            own: Body = {**(fields or {}), **more}
            scanned = micros(scanned_at) if scanned_at else now // self._precision * self._precision
            key = self._corpus.key(self._added)
            template = self._corpus.template(key)
            if sent_at is not None:
                own["sent_at"] = zoned(micros(sent_at))
                own["sent_date"] = own["sent_at"][:19]
            sent = micros(sent_at) if sent_at else scanned + (template.offset or 0)
            searchable = micros(searchable_at) if searchable_at else now
            message = Message(self._added, key, template, scanned, sent, searchable)
            message.versions = (Version(0, own),)
            self._added += 1
            if "id" in own:
                self._named[str(own["id"])] = message
            self._store(message)
            return self.renderer.id(message)

    def change(
        self, record_id: str, fields: Fields | None = None, at: datetime | None = None, **more: Any
    ) -> None:
        """Change a message's fields from *at* (default now) on; changes planned for later are dropped."""
        new = {**(fields or {}), **more}
        self.revise(record_id, lambda _body, _at: new, at)

    def apply(self, record_id: str, name: str, at: datetime | None = None) -> None:
        """Apply the change *name* of ``CHANGES``, such as ``release``, ``move`` or ``clear``."""
        self.revise(record_id, CHANGES[name], at)

    def remove(self, record_id: str, at: datetime | None = None) -> None:
        """Delete a message, at *at* (default now)."""
        with self.lock:
            self._known(record_id).gone = micros(at) if at else self.now()

    def revise(self, record_id: str, change: Callable[[Body, int], Fields], at: datetime | None) -> None:
        """Apply *change* to a message, at *at* (default now); changes planned for later are dropped."""
        with self.lock:
            message = self._known(record_id)
            moment = micros(at) if at else self.now()
            past = [version for version in message.versions if version.since <= moment]
            body = message.template.fill(self.renderer.values(message))
            message.versions = (*past, changed(body, past[-1], change, moment))

    def _known(self, record_id: str) -> Message:
        message = self.find(record_id)
        if message is None:
            raise KeyError(f"no message has the id {record_id}")
        return message

    def _make(self, index: int, arrived: int) -> Message:
        key = self._corpus.key(index)
        template = self._corpus.template(key)
        scanned = arrived // self._precision * self._precision
        searchable = arrived + span(self._late.always)
        if (key >> _LATE_SHIFT) % _UNIT < self._late.share * _UNIT:
            shortest, longest = span(self._late.shortest), span(self._late.longest)
            searchable += chance(key, "late").randint(min(shortest, longest), longest)
        message = Message(index, key, template, scanned, scanned + (template.offset or 0), searchable)
        if (key >> _CHANGE_SHIFT) % _UNIT < self._changes.share * _UNIT:
            body = template.fill(self.renderer.values(message))
            message.versions, message.gone = plan(body, chance(key, "changes"), scanned, self._changes)
        return message

    def _store(self, message: Message) -> None:
        self._messages[message.index] = message
        for line in self._lines.values():
            line.add(message)

    def _fill(self) -> None:
        for line in self._lines.values():
            line.fill(self._messages.values())

    def _forget(self) -> None:
        kept = self._lines["scanned_at"].all()[-self._keep :]
        self._messages = {message.index: message for message in kept}
        self._named = {name: named for name, named in self._named.items() if named.index in self._messages}
        self._fill()
