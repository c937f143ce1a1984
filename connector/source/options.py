"""Timeouts and retry limits of one API account. The defaults suit Cloudflare; tests shorten them."""

from __future__ import annotations

from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How long and how often a source retries before it raises.

    Args:
        attempts: tries of one request within a search.
        retry_for: seconds until the last of these tries must have started.
        retry_base: upper bound of the first backoff in seconds; doubles with every try.
        limit_wait: longest rate limit, in seconds, that a search past its first page waits for.
        deferred_deadline: seconds until a deferred (202) search is abandoned.
        first_poll: seconds before the first poll of a deferred search.
        longest_poll: upper bound of the interval between two polls, in seconds.
        restarts: how often an expired deferred search is started again.
        confirmations: how often an empty result of a deferred search is verified by searching again.
        pages_without_new: consecutive pages without a new record before a search is aborted.
        max_pages: most pages of one search.
        compared: fields of a record that are compared when it is read again; they can be read without
            decoding the record.
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
    compared: tuple[str, ...] = ()
