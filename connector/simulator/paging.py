"""Walks of a search from page to page, behind opaque cursors.

A walk sees the messages as they were when it began, so that it is consistent however long it takes;
except in the order ``shifting``, which looks again for every page, as an offset in a live list does.
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

_MOST_WALKS: Final = 1_000
_MOST_POINTERS: Final = 4_000_000
_TOKEN = struct.Struct(">QQQ")


class Refused(Exception):
    """A cursor that is unknown, expired, or meant for another search."""


@dataclass(slots=True)
class Walk:
    """One search on its way: the candidates in their order, and the moment they are seen at."""

    number: int
    account: str
    criteria: Criteria
    matches: Matcher
    order: Order
    begun: int
    as_of: int
    candidates: Sequence[Message]


@dataclass(frozen=True, slots=True)
class Page:
    """Records with the numbers of their versions, and where the next page begins, if there is one."""

    records: list[tuple[Message, int]]
    following: int | None


class Walks:
    """All walks under way; when there are too many, the oldest are dropped."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._seed = seed
        self._walks: OrderedDict[int, Walk] = OrderedDict()
        self._pointers = 0
        self._count = 0
        self._tokens = 0

    def begin(self, account: str, criteria: Criteria, behaviour: Behaviour, now: int) -> Walk:
        """Start a walk."""
        self._count += 1
        include = behaviour.malicious_includes_bec
        matches = Matcher(criteria, self._world.press, behaviour.era, include_bec=include)
        walk = Walk(self._count, account, criteria, matches, behaviour.order, now, now, ())
        self._look(walk, behaviour)
        return walk

    def resume(
        self, cursor: str, account: str, digest: str, behaviour: Behaviour, now: int
    ) -> tuple[Walk, int]:
        """Return the walk of *cursor* and where it stands; raises ``Refused``."""
        number, offset = self._read(cursor)
        walk = self._walks.get(number)
        lifetime = behaviour.cursor_lifetime
        if walk is None or walk.account != account:
            raise Refused
        if lifetime is not None and now > walk.begun + span(lifetime):
            raise Refused
        if behaviour.cursor_bound and digest != walk.criteria.digest:
            raise Refused
        if walk.order == "shifting":
            walk.as_of = now
            self._look(walk, behaviour)
        return walk, offset

    def page(self, walk: Walk, offset: int, size: int) -> Page:
        """Take up to *size* records from *offset* on, and look whether one more follows."""
        records: list[tuple[Message, int]] = []
        now, matches, candidates = walk.as_of, walk.matches, walk.candidates
        skip = offset if walk.order == "shifting" else 0
        for place in range(0 if skip else offset, len(candidates)):
            message = candidates[place]
            # The same as message.visible(now); a call per candidate is what a page would spend most on.
            if message.searchable > now or (message.gone is not None and message.gone <= now):
                continue
            version = message.at(now)
            if not matches(message, version):
                continue
            if skip:
                skip -= 1
                continue
            if len(records) == size:
                return Page(records, offset + size if walk.order == "shifting" else place)
            records.append((message, version))
        return Page(records, None)

    def end(self, walk: Walk) -> int:
        """Return the place after the last record: a page from there is empty."""
        return len(walk.candidates)

    def cursor(self, walk: Walk, offset: int) -> str:
        """Keep *walk* and return a cursor to *offset*; no two are equal."""
        if walk.number not in self._walks:
            self._walks[walk.number] = walk
            self._pointers += len(walk.candidates)
            while len(self._walks) > _MOST_WALKS or (
                self._pointers > _MOST_POINTERS and len(self._walks) > 1
            ):
                _, dropped = self._walks.popitem(last=False)
                self._pointers -= len(dropped.candidates)
        self._tokens += 1
        salt = mix(self._seed, self._tokens)
        packed = _TOKEN.pack(salt, walk.number ^ salt, offset ^ mix(self._seed, salt))
        return base64.urlsafe_b64encode(packed).decode("ascii")

    def _read(self, cursor: str) -> tuple[int, int]:
        try:
            salt, number, offset = _TOKEN.unpack(base64.urlsafe_b64decode(cursor.encode()))
        except (binascii.Error, struct.error, ValueError):
            raise Refused from None
        return number ^ salt, offset ^ mix(self._seed, salt)

    def _look(self, walk: Walk, behaviour: Behaviour) -> None:
        criteria = walk.criteria
        found = self._world.between(behaviour.filter_on, criteria.start, criteria.end)
        if walk.order in {"newest", "shifting"}:
            found.reverse()
        elif walk.order == "unordered":
            found.sort(key=lambda message: mix(message.key, 7))
        walk.candidates = found
