"""Paged searches, followed from page to page, behind opaque cursors.

A search sees the messages as they were when it started, so its pages are consistent however long it takes.
The order ``shifting`` is the exception: it evaluates every page anew, like an offset into a live list.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connector.simulator.behaviour import Behaviour, Order
from connector.simulator.criteria import Criteria
from connector.simulator.matching import Matcher
from connector.simulator.message import Message
from connector.simulator.values import mix, span
from connector.simulator.world import World

# Searches under way, and messages that they point to together; the bounds are for memory (8 bytes each).
_MOST_SEARCHES: Final = 1_000
_MOST_POINTERS: Final = 4_000_000
_TOKEN = struct.Struct(">QQQ")


class CursorRefused(Exception):
    """A cursor is unknown, expired, or belongs to another search."""


@dataclass(slots=True)
class PagedSearch:
    """One search in progress: its candidates in order, and the time at which it sees them."""

    number: int
    account: str
    criteria: Criteria
    matches: Matcher
    order: Order
    begun: int
    as_of: int
    candidates: Sequence[Message]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Records with the numbers of their versions, and where the next page starts, if there is one."""

    records: list[tuple[Message, int]]
    following: int | None


class PagedSearches:
    """All searches in progress; when there are too many, the oldest are dropped."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._seed = seed
        self._searches: OrderedDict[int, PagedSearch] = OrderedDict()
        self._pointers = 0
        self._count = 0
        self._tokens = 0

    def begin(self, account: str, criteria: Criteria, behaviour: Behaviour, now: int) -> PagedSearch:
        """Start a search."""
        self._count += 1
        include = behaviour.malicious_includes_bec
        matches = Matcher(criteria, self._world.renderer, behaviour.era, include_bec=include)
        search = PagedSearch(self._count, account, criteria, matches, behaviour.order, now, now, ())
        self._choose_candidates(search, behaviour)
        return search

    def resume(
        self, cursor: str, account: str, digest: str, behaviour: Behaviour, now: int
    ) -> tuple[PagedSearch, int]:
        """Return the search of *cursor* and its offset; raises ``CursorRefused``."""
        number, offset = self._read(cursor)
        search = self._searches.get(number)
        lifetime = behaviour.cursor_lifetime
        if search is None or search.account != account:
            raise CursorRefused
        if lifetime is not None and now > search.begun + span(lifetime):
            raise CursorRefused
        if behaviour.cursor_bound and digest != search.criteria.digest:
            raise CursorRefused
        if search.order == "shifting":
            search.as_of = now
            self._choose_candidates(search, behaviour)
        return search, offset

    def page(self, search: PagedSearch, offset: int, size: int) -> SearchPage:
        """Return up to *size* records from *offset*, and whether more follow."""
        records: list[tuple[Message, int]] = []
        now, matches, candidates = search.as_of, search.matches, search.candidates
        skip = offset if search.order == "shifting" else 0
        for place in range(0 if skip else offset, len(candidates)):
            message = candidates[place]
            # Inlined message.visible(now): a call per candidate would dominate the cost of a page.
            if message.searchable > now or (message.gone is not None and message.gone <= now):
                continue
            version = message.at(now)
            if not matches(message, version):
                continue
            if skip:
                skip -= 1
                continue
            if len(records) == size:
                return SearchPage(records, offset + size if search.order == "shifting" else place)
            records.append((message, version))
        return SearchPage(records, None)

    def end(self, search: PagedSearch) -> int:
        """Return the offset after the last record: a page from there is empty."""
        return len(search.candidates)

    def cursor(self, search: PagedSearch, offset: int) -> str:
        """Keep *search* and return a cursor to *offset*; no two are equal."""
        if search.number not in self._searches:
            self._searches[search.number] = search
            self._pointers += len(search.candidates)
            while len(self._searches) > _MOST_SEARCHES or (
                self._pointers > _MOST_POINTERS and len(self._searches) > 1
            ):
                _, dropped = self._searches.popitem(last=False)
                self._pointers -= len(dropped.candidates)
        self._tokens += 1
        salt = mix(self._seed, self._tokens)
        packed = _TOKEN.pack(salt, search.number ^ salt, offset ^ mix(self._seed, salt))
        return base64.urlsafe_b64encode(packed).decode("ascii")

    def _read(self, cursor: str) -> tuple[int, int]:
        try:
            salt, number, offset = _TOKEN.unpack(base64.urlsafe_b64decode(cursor.encode()))
        except (binascii.Error, struct.error, ValueError):
            raise CursorRefused from None
        return number ^ salt, offset ^ mix(self._seed, salt)

    def _choose_candidates(self, search: PagedSearch, behaviour: Behaviour) -> None:
        criteria = search.criteria
        candidates = self._world.between(behaviour.filter_on, criteria.start, criteria.end)
        if search.order in {"newest", "shifting"}:
            candidates.reverse()
        elif search.order == "unordered":
            candidates.sort(key=lambda message: mix(message.key, 7))
        search.candidates = candidates
