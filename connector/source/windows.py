"""What every search of a window needs: its ends as parameters, the check of the API's clock, a diagnosis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from connector.errors import BadQuery, SearchIncomplete, SourceError, Unavailable
from connector.model import Window
from connector.source.server_clock import ServerClock

SECOND = timedelta(seconds=1)
_CLOCK_TOLERANCE = timedelta(seconds=5)
"""A window may end this far in the API's future: both clocks are known to about a second only."""

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


async def diagnose(error: SourceError, smallest: Callable[[], Awaitable[object]]) -> SourceError:
    """Return what *error* of a walk means once *smallest*, a search for next to nothing, was tried."""
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
