"""What is known of slices that were begun: an interruption then repeats a page, not the slice.

With every page but the last of a slice, the journal stores where the search continues behind it, in the
transaction that stores the page. Whatever ends a sweep (a restart, a reload, a crash, an outage, another
replica), the next one reads what is left. Where the order of the records does not tell what is left, all of
the slice is read again, but half as much at once: a slice that takes longer than the time between two
interruptions would never end.

A revisit asks for records that its slice no longer returned, so the ids of the pages are stored as well.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

import orjson

from connector.collect.feed_writer import FeedWriter
from connector.collect.id_hashes import IdHashSet
from connector.interfaces import KeyValueStore
from connector.model import SearchPosition, Window
from connector.values import dataclass

_QUIET_PAGES = 4
"""Pages with nothing to store after which the position is stored all the same, in a transaction of its own:
an interruption repeats these pages at most."""

Notes: TypeAlias = tuple[tuple[str, str | None], ...]
"""For ``Commit.notes``."""


@dataclass(frozen=True, slots=True)
class PartialSlice:
    """A slice that was read in part.

    Args:
        window: the slice.
        purpose: what else two reads of the window must have in common to be the same slice.
        began: when its first page was asked for.
        position: what of it is left; ``None``: nothing tells, so all of it.
        records: how many were read.
        chunks: how many notes hold their ids.
    """

    window: Window
    purpose: str
    began: datetime
    position: SearchPosition | None = None
    records: int = 0
    chunks: int = 0

    def to_text(self) -> str:
        """The stored form."""
        return orjson.dumps(self).decode()

    @classmethod
    def of_text(cls, text: str) -> PartialSlice:
        """Read what ``to_text`` gave."""
        value = orjson.loads(text)
        position = value["position"] and SearchPosition(
            value["position"]["part"], _window(value["position"]["left"])
        )
        moments = {"window": _window(value["window"]), "began": datetime.fromisoformat(value["began"])}
        return cls(**{**value, **moments, "position": position})


class PartialSlices:
    """The partial slices of one feed, one per sweep: a mirror of the journal."""

    def __init__(self, store: KeyValueStore, writer: FeedWriter, fingerprint: str) -> None:
        self._store = store
        self._writer = writer
        self._fingerprint = fingerprint
        self._known: dict[str, PartialSlice | None] = {}

    def reload(self) -> None:
        """Look into the journal again."""
        self._known.clear()

    async def find(self, sweep: str, task: str = "") -> PartialSlice | None:
        """The slice of *sweep* that was begun for *task* with the present filters and is not complete."""
        if sweep not in self._known:
            text = await self._store.get_value(self._key(sweep))
            self._known[sweep] = None if text is None else PartialSlice.of_text(text)
        found = self._known[sweep]
        return found if found is not None and found.purpose == self._purpose(task) else None

    def drop(self, sweep: str) -> None:
        """Do not continue the slice of *sweep*."""
        partial = self._known.get(sweep)
        if partial is not None:
            self._known[sweep] = replace(partial, purpose="")

    async def delete(self, sweep: str) -> None:
        """Delete what is stored about the slice of *sweep*: it is complete, or will never be."""
        if notes := self.deletion(sweep):
            await self._writer.commit(generation=self._writer.generation, notes=notes)
            self.stored(sweep, None)

    async def begin(
        self, sweep: str, window: Window, now: datetime, *, task: str, keeps_ids: bool
    ) -> SliceNotes:
        """Begin the slice *window* at *now*, or continue it; *keeps_ids*: its ids will be asked for."""
        partial, ids = await self.find(sweep, task), IdHashSet()
        if partial is None or partial.window != window or partial.position is None:
            partial = PartialSlice(window, self._purpose(task), now)
        for chunk in range(partial.chunks):
            ids.restore(b64decode(await self._store.get_value(self._key(sweep, chunk)) or ""))
        return SliceNotes(self, sweep, partial, ids=ids, keeps_ids=keeps_ids)

    def change(self, sweep: str, partial: PartialSlice, ids: bytes) -> Notes:
        """The notes that store *partial*; *ids* is its last chunk of ids, if there is one."""
        known = self._known.get(sweep)
        is_other = known is not None and (known.window, known.began) != (partial.window, partial.began)
        chunk = ((self._key(sweep, partial.chunks - 1), b64encode(ids).decode()),) if ids else ()
        return (*(self.deletion(sweep) if is_other else ()), *chunk, (self._key(sweep), partial.to_text()))

    def deletion(self, sweep: str) -> Notes:
        """The notes that delete what is stored about *sweep*."""
        partial = self._known.get(sweep)
        if partial is None:
            return ()
        chunks = (self._key(sweep, chunk) for chunk in range(partial.chunks))
        return tuple((key, None) for key in (self._key(sweep), *chunks))

    def stored(self, sweep: str, partial: PartialSlice | None) -> None:
        """Take note that *partial* is durable."""
        self._known[sweep] = partial

    def _key(self, sweep: str, chunk: int | None = None) -> str:
        key = f"{self._writer.feed.notes}slice {sweep}"
        return key if chunk is None else f"{key} {chunk}"

    def _purpose(self, task: str) -> str:
        return f"{self._fingerprint} {task}"


class SliceNotes:
    """What is noted of one slice while it is read, page by page."""

    def __init__(
        self, slices: PartialSlices, sweep: str, partial: PartialSlice, *, ids: IdHashSet, keeps_ids: bool
    ) -> None:
        self._slices = slices
        self._sweep = sweep
        self._keeps_ids = keeps_ids
        self._begun = partial
        self._next: PartialSlice | None = partial
        self._is_noted = partial.position is not None
        self._waiting = b""
        self._quiet = 0
        self.ids = ids
        self.records = partial.records

    @property
    def began(self) -> datetime:
        """When the first page of the slice was asked for."""
        return self._begun.began

    @property
    def position(self) -> SearchPosition | None:
        """What is left of the slice by the notes so far; ``None``: all of it."""
        return self._begun.position

    def take(self, ids: Sequence[str]) -> None:
        """Take the *ids* of a page's records."""
        self.records += len(ids)
        stored = self.ids.add(ids)
        if self._keeps_ids:
            self._waiting += stored

    def after(self, position: SearchPosition | None, *, quiet: bool) -> Notes:
        """What to store with a page that may not be the last; its search continues at *position*.

        Nothing where it can wait: the page is *quiet*, that is, has nothing else to store.
        """
        self._quiet = self._quiet + 1 if quiet else 0
        if 0 < self._quiet < _QUIET_PAGES or (position is None and self._is_noted and not self.position):
            return ()
        ids = b"" if position is None else self._waiting
        chunks = self._begun.chunks + bool(ids)
        self._next = replace(self._begun, position=position, records=self.records, chunks=chunks)
        return self._slices.change(self._sweep, self._next, ids)

    def completion(self) -> Notes:
        """What to store with the step that completes the slice."""
        self._next = None
        return self._slices.deletion(self._sweep)

    def stored(self) -> None:
        """Take note that the notes returned last are durable."""
        self._slices.stored(self._sweep, self._next)
        if self._next is not None:
            if self._next.position is not None:
                self._waiting = b""
            self._begun, self._is_noted, self._quiet = self._next, True, 0


def _window(value: Mapping[str, str]) -> Window:
    return Window(datetime.fromisoformat(value["start"]), datetime.fromisoformat(value["end"]))
