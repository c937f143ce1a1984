"""Facts about requests to Cloudflare's API: answers, limits, pages and enrichment."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from connector.facts.base import Fact, Level, fact


@fact
class RequestAnswered(Fact):
    """One request to the API ended.

    *outcome*: `ok`, `deferred` (a 202 answer), `unavailable`, `denied`, `bad_query` or `outcome_unknown`.
    *status* is absent when no answer arrived.
    """

    event: ClassVar[str] = "request_answered"

    account: str
    endpoint: str
    outcome: str
    status: int | None
    seconds: float
    bytes: int


@fact
class RequestRetried(Fact):
    """A request failed and is retried after *after* seconds without failing the search."""

    event: ClassVar[str] = "request_retried"

    account: str
    endpoint: str
    reason: str
    after: float


@fact
class BudgetWaited(Fact):
    """A request waited *seconds* for the account's request budget."""

    event: ClassVar[str] = "budget_waited"

    account: str
    priority: str
    seconds: float


@fact
class BudgetRemaining(Fact):
    """Requests left: *own* in the connector's budget, *remote* in the API's quota if it reports one."""

    event: ClassVar[str] = "budget_remaining"

    account: str
    own: float
    remote: int | None


@fact
class RateLimited(Fact):
    """The API answered 429; requests of this account stop until *until*."""

    event: ClassVar[str] = "rate_limited"
    level: ClassVar[Level] = "warning"

    account: str
    seconds: float
    until: datetime


@fact
class RateLimitRestored(Fact):
    """A rate limit from before the restart still holds; requests of this account stop until *until*."""

    event: ClassVar[str] = "rate_limit_restored"
    level: ClassVar[Level] = "warning"

    account: str
    seconds: float
    until: datetime


@fact
class RateLimitLifted(Fact):
    """An operator ended the pause after a rate limit; requests of this account start again."""

    event: ClassVar[str] = "rate_limit_lifted"
    level: ClassVar[Level] = "info"

    account: str


@fact
class RetryAfterCapped(Fact):
    """The API asked to wait *asked* seconds, more than is accepted; the connector waits *seconds*."""

    event: ClassVar[str] = "retry_after_capped"
    level: ClassVar[Level] = "warning"

    account: str
    asked: float
    seconds: float


@fact
class RequestsResumed(Fact):
    """An operator ended the waits of a feed, account or output with the command ``resume``."""

    event: ClassVar[str] = "requests_resumed"
    level: ClassVar[Level] = "info"

    name: str


@fact
class SearchDeferred(Fact):
    """A search that the API deferred (a 202 answer) ended after *polls* polls.

    *outcome*: `ready`, `expired`, `timeout`, `empty` or `unavailable`.
    """

    event: ClassVar[str] = "search_deferred"
    level: ClassVar[Level] = "info"

    account: str
    polls: int
    seconds: float
    outcome: str


@fact
class PageDecoded(Fact):
    """One page of a search was decoded.

    *lenient*: the page is not valid JSON, and only the lenient decoder could read it. *without_id* counts
    records without an id, which are identified by the hash of their content.
    """

    event: ClassVar[str] = "page_decoded"

    account: str
    records: int
    bytes: int
    lenient: bool
    without_id: int


@fact
class SearchAborted(Fact):
    """A search stopped before its last page. *reason* is a short code such as `repeated_cursor`."""

    event: ClassVar[str] = "search_aborted"
    level: ClassVar[Level] = "warning"

    account: str
    reason: str
    pages: int


@fact
class SearchContinued(Fact):
    """A search ended early after *pages* pages in order of time; only what lies behind them is asked for.

    *reason* is a short code such as `full_page_without_next`.
    """

    event: ClassVar[str] = "search_continued"
    level: ClassVar[Level] = "debug"

    account: str
    reason: str
    pages: int


@fact
class ClockSkewed(Fact):
    """The API's clock minus the local clock, by the median of recent answers."""

    event: ClassVar[str] = "clock_skewed"

    account: str
    seconds: float


@fact
class RecordsEnriched(Fact):
    """Details were requested for some records.

    Each record counts once: *enriched* if every endpoint answered, *incomplete* if some did, *failed* if
    none did.
    """

    event: ClassVar[str] = "records_enriched"

    account: str
    enriched: int
    incomplete: int
    failed: int


@fact
class EnrichmentDisabled(Fact):
    """An enrichment endpoint failed for several records of a page; the page's other records go without it."""

    event: ClassVar[str] = "enrichment_disabled"
    level: ClassVar[Level] = "warning"

    account: str
    endpoint: str
    reason: str
