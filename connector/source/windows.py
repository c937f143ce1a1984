"""What every search of a window needs: its ends as parameters, the API's clock, what a failure means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from connector.errors import BadQuery, SearchIncomplete, SourceError, Unavailable
from connector.facts import SearchAborted
from connector.interfaces import Observe
from connector.model import Window
from connector.source.server_clock import ServerClock

SECOND = timedelta(seconds=1)
_CLOCK_TOLERANCE = timedelta(seconds=5)
"""A window may end this far in the API's future: both clocks are known to about a second only."""

PROBE_ATTEMPTS = 2
"""Tries of the smallest search, which distinguishes an outage from a search that covers too much."""

_TOO_SLOW = frozenset({"search_timeout", "pending_timeout", "pending_expired"})


def widened(window: Window, server: ServerClock) -> tuple[datetime, datetime]:
    """The ends to ask for, in whole seconds: one second beyond both, whatever the API includes.

    The start is never in the API's future, which it refuses.
    """
    start = window.start.replace(microsecond=0) - SECOND
    if server.known:
        start = min(start, server.now().replace(microsecond=0) - SECOND)
    end = -((-window.end.timestamp()) // 1)
    return start, datetime.fromtimestamp(end, window.end.tzinfo) + SECOND


def format_time(moment: datetime) -> str:
    """*moment*, which is in UTC, as the API reads it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def check_not_future(window: Window, server: ServerClock) -> None:
    """Raise ``Unavailable`` for a window that ends in the API's future: its records are not there yet."""
    ahead = server.ahead(window.end)
    if ahead > _CLOCK_TOLERANCE:
        raise Unavailable(
            f"the window ends {ahead.total_seconds():.0f} s in the future of the API's clock",
            hint="the local clock is ahead: synchronize it",
        )


def last_second(window: Window) -> Window:
    """The last second of *window*, for the smallest search."""
    return Window(max(window.start, window.end - SECOND), window.end)


def refused_cursor(error: BadQuery) -> SearchIncomplete:
    """What it means that the API refused a page behind the first: its own cursor, or the number of a page."""
    return SearchIncomplete(
        "refused_cursor", status=error.status, code=error.code, ray=error.ray, hint=error.reason
    )


async def aborted(
    failure: SourceError,
    smallest: Callable[[], Awaitable[object]],
    *,
    account: str,
    pages: int,
    observe: Observe,
) -> SourceError:
    """Return what *failure* of a search means once *smallest*, a search for next to nothing, was tried.

    Reports that the search ended after so many *pages*.
    """
    error = await _diagnose(failure, smallest)
    reason = error.reason if isinstance(error, SearchIncomplete) else error.kind
    observe(SearchAborted(account, reason, pages))
    return error


async def _diagnose(error: SourceError, smallest: Callable[[], Awaitable[object]]) -> SourceError:
    if not isinstance(error, SearchIncomplete) or error.reason not in _TOO_SLOW:
        return error
    try:
        await smallest()
    except SearchIncomplete as slow:
        if slow.reason not in _TOO_SLOW:
            return error
        return Unavailable(
            f"the API does not even finish a search for one second of messages ({slow.hint or slow.reason})",
            status=slow.status,
            code=slow.code,
            ray=slow.ray,
            hint="the search is not the cause: collection resumes when the API responds",
        )
    except BadQuery:
        return error
    except SourceError as other:
        return other
    return error
