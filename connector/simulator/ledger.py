"""Test oracle: which records exist and which were served, to compare with what a collector delivered."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from connector.simulator.behaviour import Behaviour
from connector.simulator.criteria import Criteria, parse
from connector.simulator.eras import project
from connector.simulator.exchange import Effect
from connector.simulator.matching import Matcher
from connector.simulator.message import Message
from connector.simulator.values import Body, Fields, micros, moment, zoned
from connector.simulator.world import World

_MOST_REQUESTS: Final = 100_000
"""Requests that are remembered: a day of one a second."""

Filters = Mapping[str, object]
"""Search parameters by name; texts, booleans and numbers are formatted for the API."""

Range = tuple[datetime, datetime]
"""A half-open range of time."""


@dataclass(frozen=True, slots=True)
class RecordState:
    """One state of a record, from *since* until *until* (``None``: still).

    *changed* holds the fields that differ from the record's first version.
    """

    number: int
    since: datetime
    until: datetime | None
    changed: Fields


@dataclass(frozen=True, slots=True)
class Issued:
    """A record and its states. *gone* is when it was deleted."""

    id: str
    scanned_at: datetime
    searchable_at: datetime
    gone: datetime | None
    states: tuple[RecordState, ...]


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """One request the simulator answered. Credentials are not kept."""

    at: datetime
    kind: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    fault: str | None
    records: int


@dataclass(frozen=True, slots=True)
class ServedWrite:
    """One request to change something: what was asked, its body as received, and what it changed."""

    request: ServedRequest
    content: bytes
    effects: tuple[Effect, ...]

    @property
    def document(self) -> Any:
        """The body as JSON; ``None`` without one."""
        return orjson.loads(self.content) if self.content else None


_Asked = frozenset[tuple[str, str]] | None
"""The filters of a search as parameters; ``None`` for other requests."""

_NO_FILTERS: Final = frozenset({"start", "end", "per_page", "cursor"})


class Ledger:
    """Reports which records exist, which were ever searchable, and which were served."""

    def __init__(self, world: World, behaviour: Behaviour) -> None:
        self._world = world
        self._behaviour = behaviour
        self._served: dict[_Asked, dict[int, int]] = {}
        self._lock = threading.Lock()
        self.requests: deque[ServedRequest] = deque(maxlen=_MOST_REQUESTS)
        self.answers: Counter[int] = Counter()
        self.writes: deque[ServedWrite] = deque(maxlen=_MOST_REQUESTS)

    def ids(
        self, filters: Filters | None = None, window: Range | None = None, at: datetime | None = None
    ) -> set[str]:
        """Return the ids that a perfect search would find at *at* (default now).

        Without *filters* every record counts. Filters mean what they mean to the API, defaults included
        (``detections_only`` is true unless set).
        """
        now = micros(at) if at else self._world.advance()
        matches = self._matcher(filters, now)
        return {
            self._world.renderer.id(message)
            for message in self._within(window)
            if message.visible(now) and (matches is None or matches(message, message.at(now)))
        }

    def ever(self, filters: Filters | None = None, window: Range | None = None) -> set[str]:
        """Return the ids that were searchable at any time until now, deleted and changed ones included."""
        return {
            self._world.renderer.id(message)
            for message in self._within(window)
            if self._spans(message, filters)
        }

    def matching(
        self, record_id: str, filters: Filters | None = None
    ) -> list[tuple[datetime, datetime | None]]:
        """Return the spans of time, until now, in which a search with *filters* finds the record."""
        message = self._message(record_id)
        return [(moment(a), None if b is None else moment(b)) for a, b in self._spans(message, filters)]

    def issued(self, window: Range | None = None) -> dict[str, Issued]:
        """Return every record that was searchable by now, with every state until now."""
        now = self._world.advance()
        searchable = (message for message in self._within(window) if message.searchable <= now)
        return {record.id: record for record in map(self._issued, searchable)}

    def record(self, record_id: str) -> Issued:
        """Return one record; raises ``KeyError``."""
        return self._issued(self._message(record_id))

    def body(self, record_id: str, state: int | None = None) -> Body:
        """Return the whole record in a state (default: now) as the API's era shows it."""
        message = self._message(record_id)
        number = message.at(self._world.advance()) if state is None else state
        return project(self._world.renderer.body(message, number), self._behaviour.era)

    def served(self, filters: Filters | None = None) -> dict[str, frozenset[int]]:
        """Return the ids that were sent in a readable response, each with the states sent.

        With *filters*, what only searches with other filters returned is left out.
        """
        wanted = (
            None if filters is None else frozenset((name, _text(value)) for name, value in filters.items())
        )
        together: Counter[int] = Counter()
        with self._lock:
            for asked, served in self._served.items():
                if wanted is None or asked is None or asked == wanted:
                    for index, states in served.items():
                        together[index] |= states
        states_by_id: dict[str, frozenset[int]] = {}
        for index, states in together.items():
            message = self._world.get(index)
            if message is not None:
                numbers = frozenset(number for number in range(states.bit_length()) if states >> number & 1)
                states_by_id[self._world.renderer.id(message)] = numbers
        return states_by_id

    def unserved(self, filters: Filters | None = None, window: Range | None = None) -> set[str]:
        """Return the searchable ids that were never sent."""
        return self.ids(filters, window) - self.served().keys()

    def note(self, request: ServedRequest, served: Sequence[tuple[Message, int]]) -> None:
        """Record one response."""
        with self._lock:
            self.requests.append(request)
            self.answers[request.status] += 1
            is_search = request.kind in {"first", "next"}
            asked = (
                frozenset(pair for pair in request.query if pair[0] not in _NO_FILTERS) if is_search else None
            )
            states = self._served.setdefault(asked, {})
            for message, version in served:
                states[message.index] = states.get(message.index, 0) | 1 << version

    def note_write(self, request: ServedRequest, content: bytes, effects: Sequence[Effect]) -> None:
        """Record one request to change something."""
        with self._lock:
            self.writes.append(ServedWrite(request, content, tuple(effects)))

    def effects(self, operation: str) -> Counter[str]:
        """Return how often *operation* (see ``Effect``) was done, by the id of its target."""
        with self._lock:
            made = [effect for write in self.writes for effect in write.effects]
        return Counter(effect.target for effect in made if effect.operation == operation)

    def _within(self, window: Range | None) -> Iterable[Message]:
        if window is None:
            return self._world.messages()
        return self._world.between(self._behaviour.filter_on, *map(micros, window))

    def _matcher(self, filters: Filters | None, now: int) -> Matcher | None:
        if filters is None:
            return None
        criteria = self._criteria(filters, now)
        include = self._behaviour.malicious_includes_bec
        return Matcher(criteria, self._world.renderer, self._behaviour.era, include_bec=include)

    def _criteria(self, filters: Filters, now: int) -> Criteria:
        return parse([(name, _text(value)) for name, value in filters.items()], self._behaviour, now)

    def _spans(self, message: Message, filters: Filters | None) -> list[tuple[int, int | None]]:
        now = self._world.advance()
        matches = self._matcher(filters, now)
        spans: list[tuple[int, int | None]] = []
        last = message.at(now)
        for number in range(last + 1):
            since = max(message.versions[number].since, message.searchable)
            until = message.versions[number + 1].since if number < last else None
            if message.gone is not None and message.gone <= now:
                until = min(until or message.gone, message.gone)
            if since > now or (until is not None and until <= since):
                continue
            if matches is not None and not matches(message, number):
                continue
            if spans and spans[-1][1] == since:
                spans[-1] = (spans[-1][0], until)
            else:
                spans.append((since, until))
        return spans

    def _issued(self, message: Message) -> Issued:
        now = self._world.advance()
        versions = message.versions[: message.at(now) + 1]
        starts = [moment(max(version.since, message.searchable)) for version in versions]
        ends: list[datetime | None] = [*starts[1:], None]
        return Issued(
            id=self._world.renderer.id(message),
            scanned_at=moment(message.scanned),
            searchable_at=moment(message.searchable),
            gone=moment(message.gone) if message.gone is not None and message.gone <= now else None,
            states=tuple(
                RecordState(number, starts[number], ends[number], version.fields)
                for number, version in enumerate(versions)
            ),
        )

    def _message(self, record_id: str) -> Message:
        message = self._world.find(record_id)
        if message is None:
            raise KeyError(f"no message has the id {record_id}")
        return message


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return zoned(micros(value))
    return str(value)
