"""Pulls events from the journal for platforms that fetch: a cursor, a filter, a long poll."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import orjson

from connector.actions.callers import Caller
from connector.actions.refusals import conflict, unprocessable
from connector.interfaces import Mapper
from connector.model import ACTIONS, Entry, JsonObject, Outline, Revision, source_of

_READER = "$events"
"""The name under which events are read: of no output, so that it pins nothing."""

_JSON = b"{"
_BYTES = 8 << 20
"""Most bytes of the events of one answer, beyond which it ends early."""

_SECONDS = 15.0
"""Longest look past events that are not wanted, after which an answer ends early."""


class EventLog(Protocol):
    """The journal as pulling sees it."""

    async def read(self, output: str, after: int) -> Entry:
        """See ``OutputLog``."""
        ...

    async def outline(self) -> Outline:
        """See ``OperatorLog``."""
        ...


class Events:
    """Answers pulls.

    Args:
        log: the journal.
        accounts: names of accounts by id.
        mapper: makes the mapper of a mapping by its name; ``None`` for one that does not exist.
    """

    def __init__(
        self, log: EventLog, accounts: Mapping[str, str], mapper: Callable[[str], Mapper | None]
    ) -> None:
        self._log = log
        self._accounts = accounts
        self._mapper = mapper
        self._mappers: dict[str, Mapper] = {}

    async def pull(self, caller: Caller, query: JsonObject, wait: float) -> JsonObject:
        """Return events after the cursor; where there are none, wait for one, *wait* seconds at most."""
        outline = await self._log.outline()
        head, floor = outline.head, outline.floor
        after = query.get("after")
        if after is None:
            after = head if query.get("from") == "head" else floor
        if after > head:
            why = f"after is {after}, but the newest event is {head}: the journal is another one"
            raise conflict("cursor_ahead", why)
        mapper = self._chosen(query)
        clock = asyncio.get_running_loop().time
        limit, ends, deadline = query.get("limit", 100), clock() + _SECONDS, clock() + wait
        events: list[JsonObject] = []
        skipped, withheld, size = max(0, floor - after), 0, 0
        position = max(after, floor)
        while len(events) < limit and size < _BYTES and (position >= head or clock() < ends):
            entry = await self._next(position, head, None if events or withheld else deadline)
            if entry is None:
                break
            skipped += entry.first - 1 - position
            for number, revision in enumerate(entry.revisions, entry.first):
                position = number
                if entry.only is not None or not self._is_wanted(caller, revision, query):
                    continue
                if not self._may_see(caller, revision):
                    withheld += 1
                    continue
                event = self._event(number, revision, mapper)
                if event is not None:
                    events.append(event)
                    size += len(orjson.dumps(event, default=str))
                if len(events) >= limit:
                    break
        return {
            "events": events,
            "next": position,
            "head": max(head, position),
            "skipped": skipped,
            "withheld": withheld,
        }

    async def _next(self, position: int, head: int, deadline: float | None) -> Entry | None:
        """The next entry: what is there already, or with a *deadline* what comes until then."""
        if position < head:
            return await self._log.read(_READER, position)
        if deadline is None:
            return None
        try:
            async with asyncio.timeout_at(deadline):
                return await self._log.read(_READER, position)
        except TimeoutError:
            return None

    def _chosen(self, query: JsonObject) -> Mapper | None:
        name = query.get("output-mapping")
        if name is None:
            return None
        if name not in self._mappers:
            mapper = self._mapper(name)
            if mapper is None:
                raise unprocessable("output-mapping", "there is no such mapping")
            self._mappers[name] = mapper
        return self._mappers[name]

    def _is_wanted(self, caller: Caller, revision: Revision, query: JsonObject) -> bool:
        search = query.get("search")
        if revision.feed.search == ACTIONS and search != ACTIONS:
            return False
        name = self._accounts.get(revision.feed.account)
        in_account = caller.accounts is None or name in caller.accounts
        return in_account and search in {None, revision.feed.search}

    def _may_see(self, caller: Caller, revision: Revision) -> bool:
        # An audit event names recipients only where an action on their messages was requested.
        return caller.sees_everyone or caller.sees(revision.record.body)

    def _event(self, number: int, revision: Revision, mapper: Mapper | None) -> JsonObject | None:
        event: JsonObject = {
            "sequence": number,
            "account": self._accounts.get(revision.feed.account, revision.feed.account),
            "search": revision.feed.search,
            "source": "actions" if revision.feed.search == ACTIONS else source_of(revision.record.id),
            "id": revision.record.id,
            "revision": revision.number,
            "identity": revision.identity,
            "collected_at": revision.collected.isoformat(),
            "gone": revision.gone,
            "event": {},
        }
        if mapper is None:
            return {**event, "event": dict(revision.record.body)}
        mapped = mapper(revision)
        if mapped is None:
            return None
        if mapped.payload.startswith(_JSON):
            return {**event, "event": orjson.loads(mapped.payload)}
        return {**event, "line": mapped.payload.decode("utf-8", "replace")}
