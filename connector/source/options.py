"""The patience of a source. The defaults suit Cloudflare; tests and odd networks may differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How long and how often a source tries before it gives a problem to its caller.

    Args:
        attempts: tries of one request within a walk.
        retry_for: seconds that these tries may take together before the last one.
        retry_base: seconds of the first wait between two tries, doubled with each.
        limit_wait: longest rate limit, in seconds, that a walk with progress to lose sits out.
        pending_deadline: seconds that a deferred (202) search may take.
        poll_first: seconds before the first look at a deferred search.
        poll_longest: most seconds between two looks.
        restarts: how often a deferred search that expired is started again.
        confirmations: how often an empty end of a deferred search is checked by searching again.
        barren_pages: pages in a row without a new record before a walk is given up.
        max_pages: most pages of one walk.
    """

    attempts: int = 4
    retry_for: float = 60.0
    retry_base: float = 1.0
    limit_wait: float = 600.0
    deferred_deadline: float = 120.0
    first_poll: float = 1.0
    longest_poll: float = 15.0
    restarts: int = 2
    confirmations: int = 2
    pages_without_new: int = 20
    max_pages: int = 5000
