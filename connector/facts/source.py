"""Facts: what asking the API showed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """One HTTP exchange with the API ended. *outcome*: ok, deferred, or the ``kind`` of the error."""

    account: str
    endpoint: str
    outcome: str
    status: int | None
    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class RequestRetried:
    """A request will be repeated by the source itself."""

    account: str
    endpoint: str
    reason: str
    after: float


@dataclass(frozen=True, slots=True)
class BudgetWaited:
    """A request waited for the account's budget."""

    account: str
    priority: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BudgetRemaining:
    """What is left of the account's own request budget, and of the API's as far as it told."""

    account: str
    own: float
    remote: int | None


@dataclass(frozen=True, slots=True)
class RateLimited:
    """The API answered 429; all requests of the account stop until *until*."""

    account: str
    seconds: float
    until: datetime


@dataclass(frozen=True, slots=True)
class SearchDeferred:
    """A 202 search ended. *outcome*: ready, expired, timeout, empty."""

    account: str
    polls: int
    seconds: float
    outcome: str


@dataclass(frozen=True, slots=True)
class PageDecoded:
    """One page of a search was read. *tolerant*: orjson refused it and the slow decoder took it."""

    account: str
    records: int
    bytes: int
    tolerant: bool
    without_id: int


@dataclass(frozen=True, slots=True)
class SearchAborted:
    """A walk did not reach its end: *reason* is a short class such as ``repeated_cursor``."""

    account: str
    reason: str
    pages: int


@dataclass(frozen=True, slots=True)
class ClockSkewed:
    """The server's clock minus the local one, by the median of its answers."""

    account: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RecordsEnriched:
    """Further endpoints were asked for some records.

    Each record counts once: every endpoint answered (*enriched*), some (*incomplete*) or none (*failed*).
    """

    account: str
    enriched: int
    incomplete: int
    failed: int


@dataclass(frozen=True, slots=True)
class EnrichmentDisabled:
    """An endpoint of enrichment failed for so many records in a row that the others do without it."""

    account: str
    endpoint: str
    reason: str


SourceFact: TypeAlias = (
    RequestAnswered
    | RequestRetried
    | BudgetWaited
    | BudgetRemaining
    | RateLimited
    | SearchDeferred
    | PageDecoded
    | SearchAborted
    | ClockSkewed
    | RecordsEnriched
    | EnrichmentDisabled
)
