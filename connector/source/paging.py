"""Cursor pagination: the next cursor, and detection of searches that loop or make no progress. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.errors import SearchIncomplete
from connector.source.deferred import ForeignOrigin, cursor_from

_REMEMBERED_IDS = 5_000
"""Ids remembered at least, twice as many at most: enough to detect a page that repeats a recent one. Older
repetitions are detected by the hash of a whole page, so memory stays flat over millions of records."""


def next_cursor(info: Mapping[str, object], base: str) -> str | None:
    """Return the next cursor, ``None`` on the last page; raises ``SearchIncomplete`` for an unusable one."""
    following = info.get("next")
    if following is None or following == "" or following is False:
        return None
    if isinstance(following, int):
        return str(following)
    if not isinstance(following, str):
        raise SearchIncomplete("unreadable_next", hint="expected a text as result_info.next")
    try:
        return cursor_from(base, following) or following
    except (ForeignOrigin, ValueError):
        raise SearchIncomplete(
            "foreign_next", hint="the next page is not at base_url; it was not requested"
        ) from None


class PagingGuard:
    """Raises ``SearchIncomplete`` when one search loops or returns nothing new. Memory is bounded."""

    def __init__(self, per_page: int, *, pages_without_new: int, max_pages: int) -> None:
        self.pages = 0
        self.per_page = per_page
        self._max_stalled = pages_without_new
        self._max_pages = max_pages
        self._stalled = 0
        self._largest = 0
        self._cursors: set[int] = set()
        self._recent: set[int] = set()
        self._older: set[int] = set()
        self._contents: set[int] = set()

    def page(self, record_ids: Sequence[str], cursor: str | None) -> None:
        """Record the ids of a page and the *cursor* to the next one."""
        self.pages += 1
        self._stalled = 0 if self._has_new(record_ids) else self._stalled + 1
        if cursor is None:
            return
        self._largest = max(self._largest, len(record_ids))
        if hash(cursor) in self._cursors:
            raise SearchIncomplete("repeated_cursor", hint="the API returned the same cursor twice")
        self._cursors.add(hash(cursor))
        if self._stalled >= self._max_stalled:
            raise SearchIncomplete(
                "no_new_records", hint=f"{self._stalled} consecutive pages held no new record"
            )
        if self.pages >= self._max_pages:
            raise SearchIncomplete("too_many_pages", hint=f"the search has more than {self._max_pages} pages")

    def may_be_cut(self, rows: int, page_size: int | None) -> bool:
        """Whether a last page of *rows* is as large as a page gets, so that records may be missing behind it.

        *page_size* is the size the API is known to cut pages to, if any. A last page exactly as large as the
        largest before it was probably cut to the same size.
        """
        return rows >= min(self.per_page, page_size or self.per_page) or 1 < rows == self._largest

    def _has_new(self, record_ids: Sequence[str]) -> bool:
        ids = [hash(record_id) for record_id in record_ids]
        content = hash(frozenset(ids))
        if content in self._contents:
            return False
        self._contents.add(content)
        has_new = any(item not in self._recent and item not in self._older for item in ids)
        self._recent.update(ids)
        if len(self._recent) > _REMEMBERED_IDS:
            self._older, self._recent = self._recent, set()
        return has_new
