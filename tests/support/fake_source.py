"""A source that answers from memory, for tests of collection: records, changes, faults, a clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Literal

import orjson

from connector.collect.revisions import WATCHED
from connector.errors import SourceError
from connector.model import Page, Priority, Query, Record, SearchPosition, Window
from connector.source.raw_page import PageSplitter


class FakeSource:
    """Holds records by id with the time they become searchable; says what it was asked."""

    def __init__(
        self, now: Callable[[], datetime], *, page: int = 3, order: Literal["newest", "oldest"] | None = None
    ) -> None:
        """*order*: of the records of a search; ``None``: as they were added, which says nothing."""
        self._now = now
        self.order = order
        self._page = page
        self._splitter = PageSplitter(WATCHED)
        self._records: dict[str, tuple[datetime, datetime, dict[str, Any]]] = {}
        self._hidden: set[str] = set()
        self.faults: list[SourceError | None] = []
        self.asked: list[Window] = []
        self.pages = 0
        self.queries: list[Query] = []
        self.looked_up: list[str] = []
        self.longest: timedelta | None = None
        self.filtered = False
        """Whether a search without any filter returns what is hidden, too: so do lists beside messages."""

    def add(self, name: str, scanned: datetime, *, late: timedelta = timedelta(0), **fields: Any) -> None:
        """A message scanned at *scanned*, searchable *late* afterwards."""
        body = {"id": name, "scanned_at": scanned.isoformat(), **fields}
        self._records[name] = (scanned, scanned + late, body)

    def change(self, name: str, **fields: Any) -> None:
        """Change fields of a record."""
        scanned, visible, body = self._records[name]
        self._records[name] = (scanned, visible, {**body, **fields})

    def hide(self, name: str) -> None:
        """Let a record leave the search; one without filters and a look-up still return it."""
        self._hidden.add(name)

    def show(self, name: str) -> None:
        """Let a record that was hidden come back."""
        self._hidden.discard(name)

    def remove(self, name: str) -> None:
        """Let a record be unknown."""
        del self._records[name]

    def now(self) -> datetime:
        """The server's clock."""
        return self._now()

    async def search(
        self, query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        """See ``interfaces.Source``. A search for one record only asks whether anybody answers: no walk."""
        walk = query.per_page > 1
        if walk:
            self.asked.append(position.left if position else window)
            self.queries.append(query)
        everything = query.filters == {"detections_only": False} or (self.filtered and not query.filters)
        fault = self.faults.pop(0) if walk and self.faults else None
        left = position.left if position else window
        found = [
            (scanned, body)
            for name, (scanned, visible, body) in self._records.items()
            if left.start <= scanned < left.end
            and visible <= self._now()
            and (everything or name not in self._hidden)
        ]
        if self.order is not None:
            found.sort(key=itemgetter(0), reverse=self.order == "newest")
        for index in range(0, len(found), self._page):
            part = found[index : index + self._page]
            last = part[-1][0].replace(microsecond=0)
            if self.order == "newest":
                position = SearchPosition(0, Window(left.start, min(left.end, last + timedelta(seconds=1))))
            elif self.order == "oldest":
                position = SearchPosition(0, Window(max(left.start, last), left.end))
            self.pages += 1
            yield self._answer([body for _, body in part]).at(position)
            if fault is not None:
                raise fault
        if fault is not None:
            raise fault

    def _answer(self, bodies: Sequence[dict[str, Any]]) -> Page:
        """A page that was split, as those of the API: its records have marks and are decoded on demand."""
        page = self._splitter.split(orjson.dumps({"success": True, "result": bodies}))
        listed = page.listed() if page else None
        assert listed is not None

        def check(records: Sequence[Record]) -> Page:
            checked = self._splitter.check(records)
            return Page(checked.records, checked.quarantined)

        return Page(listed, check=check)

    async def get(self, record_id: str, priority: Priority) -> Record | None:
        """See ``interfaces.Lookup``."""
        self.looked_up.append(record_id)
        found = self._records.get(record_id)
        return Record(record_id, found[2]) if found else None
