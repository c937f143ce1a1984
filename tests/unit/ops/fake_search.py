"""A source of search results with the manners that the API's documentation leaves open."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Literal

from connector.errors import SearchIncomplete, SourceError, Unavailable
from connector.model import Page, Query, Record, SearchPosition, Window

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PAD = timedelta(seconds=1)


class FakeSearch:
    """Records by their time, found a second beyond both ends, as a real walk asks for them."""

    def __init__(self, order: Literal["newest", "oldest", "unordered"] = "newest") -> None:
        self.records: list[tuple[datetime, Record]] = []
        self.asked: list[tuple[Query, Window]] = []
        self.order = order
        self.skew = timedelta(0)
        self.most: int | None = None
        self.errors: list[SourceError] = []
        self._answered = False

    def fill(self, count: int, apart: timedelta, disposition: str = "SPAM") -> list[str]:
        """Messages at even intervals back from now; their ids, newest first."""
        made = []
        for number in range(count):
            moment = NOW + self.skew - apart * number - timedelta(seconds=1)
            name = f"{disposition}-{number:05}"
            body = {"id": name, "scanned_at": moment.isoformat(), "final_disposition": disposition}
            self.records.append((moment, Record(name, body)))
            made.append(name)
        return made

    def now(self) -> datetime:
        """The local clock, until an answer told the server's."""
        return NOW + self.skew if self._answered else NOW

    async def search(
        self, query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        """See ``interfaces.Source``."""
        self.asked.append((query, window))
        self._answered = True
        if window.end > self.now() + timedelta(seconds=5):
            raise Unavailable("the window ends in the future")
        if self.errors:
            raise self.errors.pop(0)
        found = self._found(query, window)
        for index in range(0, len(found), query.per_page):
            if self.most is not None and index >= self.most:
                raise SearchIncomplete("too_much")
            yield Page(tuple(found[index : index + query.per_page]))

    def _found(self, query: Query, window: Window) -> list[Record]:
        wanted = query.filters.get("final_disposition")
        found = [
            (moment, record)
            for moment, record in self.records
            if window.start - PAD <= moment < window.end + PAD
            and wanted in (None, record.body["final_disposition"])
        ]
        if self.order == "unordered":
            return [record for _, record in sorted(found, key=lambda pair: pair[1].id[::-1])]
        found.sort(key=lambda pair: pair[0], reverse=self.order == "newest")
        return [record for _, record in found]
