"""How much one walk takes on: shorter slices and smaller pages after trouble, longer ones when it is calm."""

from __future__ import annotations

from datetime import timedelta

from connector.collect.windows import LONGEST_SLICE, SECOND, next_slice, whole_length
from connector.model import Window

_BUSY = 20
_CALM = 5
"""Pages in one slice above which the next is cut shorter, and below which it may grow."""

_FEWEST = 50
"""Records per page below which a walk is not made smaller any more."""


class Pace:
    """Slice length per sweep and page size of one feed."""

    def __init__(self, per_page: int) -> None:
        self._most = per_page
        self._lengths: dict[str, timedelta] = {}
        self.per_page = per_page

    def length(self, sweep: str) -> timedelta:
        """How long the next slice of *sweep* may be."""
        return self._lengths.get(sweep, LONGEST_SLICE)

    def cut(self, sweep: str, window: Window) -> Window:
        """The slice of *window* to walk next."""
        return next_slice(window, self.length(sweep))

    def cut_end(self, sweep: str, window: Window) -> Window:
        """The slice of *window* to walk next, from its end."""
        return Window(max(window.start, window.end - self.length(sweep)), window.end)

    def halve(self, sweep: str, walked: Window) -> bool:
        """Take on half of *walked*, or smaller pages where that is a second; says whether there is less."""
        if walked.length > SECOND:
            self._lengths[sweep] = whole_length(walked.length / 2)
        elif self.per_page > _FEWEST:
            self.per_page = max(_FEWEST, self.per_page // 2)
        else:
            return False
        return True

    def adapt(self, sweep: str, walked: Window, records: int, per_page: int) -> None:
        """Learn from a slice that was walked to its end."""
        pages = records / per_page
        if pages > _BUSY:
            self._lengths[sweep] = whole_length(walked.length / 2)
        elif pages < _CALM and walked.length >= self.length(sweep):
            self._lengths[sweep] = whole_length(self.length(sweep) * 2)
            self.per_page = min(self._most, self.per_page * 2)
