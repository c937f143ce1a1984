"""Tells a search that covers too much from an API that answers nothing at all.

Both look the same at first: the search takes too long. Shorter windows help against the one; against the
other they would only multiply the requests. So the smallest search there is decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from connector.errors import BadQuery, SourceError, Unavailable, WalkAborted

_TOO_LONG = frozenset({"search_timeout", "pending_timeout", "pending_expired"})


async def judged(error: SourceError, smallest: Callable[[], Awaitable[object]]) -> SourceError:
    """Return what *error* of a walk means once *smallest*, a search for next to nothing, was tried."""
    if not isinstance(error, WalkAborted) or error.reason not in _TOO_LONG:
        return error
    try:
        await smallest()
    except WalkAborted as slow:
        if slow.reason not in _TOO_LONG:
            return error
        return Unavailable(
            f"the API does not even finish a search for one second of mail ({slow.hint or slow.reason})",
            status=slow.status,
            code=slow.code,
            ray=slow.ray,
            hint="it is not this search: wait until the API answers",
        )
    except BadQuery:
        return error
    except SourceError as other:
        return other
    return error
