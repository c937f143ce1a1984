"""Enrichment: queries further endpoints for single records, at the cost of a request each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Literal, TypeAlias, get_args

from connector.errors import BadQuery, SourceError
from connector.facts import EnrichmentDisabled, RecordsEnriched
from connector.interfaces import INCOMPLETE, Observe
from connector.model import Body, JsonObject, Priority, Record
from connector.source.pages import is_encodable
from connector.source.paging import next_cursor
from connector.source.records import has_generated_id, path_segment
from connector.source.request import ApiRequest, Requester
from connector.values import dataclass

Endpoint: TypeAlias = Literal["detections", "action_log", "trace"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

_CONCURRENCY = 4
"""Requests at once: enough to hide the latency; the budget limits the rate."""

_ATTEMPTS = 2
"""Tries of one request: an enrichment that failed is completed at the next revisit."""

_MAX_FAILURES = 5
"""Consecutive failures after which an endpoint is skipped for the rest of the call."""

_MAX_PAGES = 20
"""Pages of one list that are read: a thousand entries at 50 a page, far more than any message has."""


@dataclass(slots=True)
class _Run:
    """One call of ``enrich``.

    Results and missing endpoints are by record id; *waiting* are requests to make, the next one last;
    *failures* are consecutive ones by endpoint.
    """

    results: dict[str, JsonObject]
    missing: dict[str, set[Endpoint]]
    waiting: list[tuple[str, Endpoint]]
    failures: Counter[Endpoint] = field(default_factory=Counter)


class CloudflareEnricher:
    """Implements ``interfaces.Enricher`` for one account.

    Every *selected* record gets an entry: the result of each endpoint under its name. An endpoint that does
    not know the record (404) is omitted; one that failed, was too late or returned only part of a list is
    named under ``incomplete``. An endpoint that fails for several records in a row is skipped for the rest of
    the call, because waiting for it would only delay events.

    Args:
        requester: sends requests for the account.
        search: URL of the search; records are below it.
        endpoints: endpoints to query for each record.
        observe: takes facts.
        selected: which records to enrich.
        seconds: time for all records together.
    """

    def __init__(
        self,
        requester: Requester,
        search: str,
        endpoints: Sequence[Endpoint],
        *,
        observe: Observe,
        selected: Callable[[Record], bool] = lambda _: True,
        seconds: float = 30.0,
    ) -> None:
        self._requester = requester
        self._search = search
        self._endpoints = tuple(endpoints)
        self._observe = observe
        self._selected = selected
        self._seconds = seconds

    async def enrich(self, records: Sequence[Record]) -> Mapping[str, Body]:
        """Return results by record id, within the time limit; never raises a ``SourceError``."""
        chosen = {
            record.id: record
            for record in records
            if not has_generated_id(record.id) and self._selected(record)
        }
        run = _Run(
            {identity: {} for identity in chosen},
            {identity: set(self._endpoints) for identity in chosen},
            [(identity, endpoint) for identity in reversed(chosen) for endpoint in reversed(self._endpoints)],
        )
        workers = [asyncio.create_task(self._worker(run)) for _ in range(min(_CONCURRENCY, len(run.waiting)))]
        if workers:
            try:
                await asyncio.wait(workers, timeout=self._seconds)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        for identity, endpoints in run.missing.items():
            if endpoints:
                run.results[identity][INCOMPLETE] = sorted(endpoints)
        self._report(run)
        return run.results

    async def _worker(self, run: _Run) -> None:
        while run.waiting:
            identity, endpoint = run.waiting.pop()
            if run.failures[endpoint] < _MAX_FAILURES:
                await self._enrich_one(identity, endpoint, run)

    async def _enrich_one(self, identity: str, endpoint: Endpoint, run: _Run) -> None:
        ask = ApiRequest(
            endpoint,
            f"{self._search}/{path_segment(identity)}/{endpoint}",
            accept=frozenset({200, 404}),
            attempts=_ATTEMPTS,
        )
        try:
            result, complete = await self._read_all(ask)
        except BadQuery:
            # The requester reported it; the record is delivered without this endpoint, marked as incomplete.
            return
        except SourceError as error:
            run.failures[endpoint] += 1
            if run.failures[endpoint] == _MAX_FAILURES:
                self._observe(EnrichmentDisabled(self._requester.account, endpoint, str(error)))
            return
        run.failures[endpoint] = 0
        if not is_encodable([result]):
            return
        if complete:
            run.missing[identity].discard(endpoint)
        if result is not None:
            run.results[identity][endpoint] = result

    async def _read_all(self, ask: ApiRequest) -> tuple[object, bool]:
        """Return the result of an endpoint and whether it is complete; ``None`` for an unknown record.

        A list may come in pages, by cursor or by number: the schema documents neither for these endpoints, so
        both forms of ``result_info`` are followed. What was read before a page fails is kept as incomplete.
        """
        reply = await self._requester.ask(ask, Priority.ENRICHMENT)
        result = None if reply.status == 404 else reply.envelope.result  # noqa: PLR2004
        if not isinstance(result, list):
            return result, True
        entries: list[object] = list(result)
        page: object = result
        for number in range(2, _MAX_PAGES + 2):
            try:
                following = _next_page(reply.envelope.info, ask.url, len(entries), number)
                if following is None:
                    return entries, True
                if number > _MAX_PAGES:
                    break
                reply = await self._requester.ask(replace(ask, params=following), Priority.ENRICHMENT)
            except SourceError:
                break
            previous, page = page, reply.envelope.result
            # A server that ignores the parameter returns the same page for ever.
            if not isinstance(page, list) or not page or page == previous:
                break
            entries += page
        return entries, False

    def _report(self, run: _Run) -> None:
        left = [len(endpoints) for endpoints in run.missing.values()]
        if left:
            failed = left.count(len(self._endpoints))
            enriched = left.count(0)
            self._observe(
                RecordsEnriched(self._requester.account, enriched, len(left) - enriched - failed, failed)
            )


def _next_page(
    info: Mapping[str, object], url: str, read: int, number: int
) -> tuple[tuple[str, str], ...] | None:
    """Return the parameters of the next page, ``None`` after the last; raises ``SearchIncomplete``."""
    cursor = next_cursor(info, url)
    if cursor is not None:
        return (("cursor", cursor),)
    total = info.get("total_count")
    if not isinstance(total, int) or total <= read:
        return None
    size = info.get("per_page")
    per_page = (("per_page", str(size)),) if isinstance(size, int) and size > 0 else ()
    return (("page", str(number)), *per_page)
