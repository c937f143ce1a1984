"""How far back the API still answers, found out when it refuses a search for its age.

A refusal is believed to be about age only when the same search with a recent start is taken; any other
refusal concerns the search itself, and skipping time would help nobody.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta

from connector.collect.windows import SECOND, whole
from connector.errors import BadQuery
from connector.interfaces import Source
from connector.model import Query, Window

_RECENT = timedelta(hours=1)
_YOUNGEST = timedelta(days=1)
"""A younger search is not refused for its age."""

_EXACT = timedelta(minutes=1)
"""How exactly the limit is looked for; it moves on meanwhile, so as much is left to spare."""


async def earliest(source: Source, query: Query, refused: datetime, now: datetime) -> datetime | None:
    """From when on the API takes *query*, which it refused from *refused* on.

    ``None``: the refusal is not about age. Costs one request then, about fifteen otherwise.
    """
    low, high = refused, whole(now - _RECENT)
    if now - refused < _YOUNGEST or not await is_taken(source, query, high):
        return None
    while high - low > _EXACT:
        middle = whole(low + (high - low) / 2)
        if await is_taken(source, query, middle):
            high = middle
        else:
            low = middle
    return high + _EXACT


async def is_taken(source: Source, query: Query, start: datetime) -> bool:
    """Whether the API answers *query* for the second from *start* on; costs one request."""
    small = replace(query, per_page=1)
    async with aclosing(source.search(small, Window(start, start + SECOND))) as pages:
        try:
            await anext(pages, None)
        except BadQuery:
            return False
    return True
