"""A journal of which only the feeds matter."""

from __future__ import annotations

from connector.model import FeedOutline, Outline


class KnownFeeds:
    """Tells *feeds* as those that have been read so far; with an *error*, it raises that instead."""

    def __init__(self, *feeds: FeedOutline, error: Exception | None = None) -> None:
        self._feeds = feeds
        self._error = error

    async def outline(self) -> Outline:
        """See ``OperatorLog``."""
        if self._error is not None:
            raise self._error
        return Outline(0, 0, (), self._feeds)
