"""What further endpoints say of single records. Costs a request each, so it is asked for by name only."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from connector.errors import BadQuery, SourceError
from connector.facts import EnrichmentDisabled, RecordsEnriched
from connector.interfaces import INCOMPLETE, Observe
from connector.model import Body, JsonObject, Priority, Record
from connector.source.records import has_generated_id, path_segment
from connector.source.request import ApiRequest, Requester

Endpoint: TypeAlias = Literal["detections", "action_log", "trace"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

_CONCURRENCY = 4
_ATTEMPTS = 2
_MAX_FAILURES = 5
"""Failures of an endpoint in a row after which the other records of the page do without it."""


@dataclass(slots=True)
class _Run:
    """One call: what was found, what is missing, what is still to ask (last first), failures in a row."""

    found: dict[str, JsonObject]
    missing: dict[str, set[Endpoint]]
    waiting: list[tuple[str, Endpoint]]
    failures: Counter[Endpoint] = field(default_factory=Counter)


class CloudflareEnricher:
    """Implements ``interfaces.Enricher`` for one account.

    Every record that is *wanted* gets an entry: the result of each endpoint under its name. An endpoint
    that knows nothing of a record (404) is left out; one that failed or was too late is listed under
    ``incomplete``. An endpoint that fails for record after record is given up for this call: waiting for
    it would only hold back events.

    Args:
        requester: asks for the account.
        search: address of the search; records lie below it.
        endpoints: what to ask of each record.
        observe: takes facts.
        wanted: which records to ask for.
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
        """Return by record id what was found, within the time; never raises a ``SourceError``."""
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
                run.found[identity][INCOMPLETE] = sorted(endpoints)
        self._report(run)
        return run.found

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
            reply = await self._requester.ask(ask, Priority.ENRICHMENT)
        except BadQuery:
            # The requester told the fact; the record goes on without it, marked.
            return
        except SourceError as error:
            run.failures[endpoint] += 1
            if run.failures[endpoint] == _MAX_FAILURES:
                self._observe(EnrichmentDisabled(self._requester.account, endpoint, str(error)))
            return
        run.failures[endpoint] = 0
        run.missing[identity].discard(endpoint)
        if reply.status != 404 and reply.envelope.result is not None:  # noqa: PLR2004
            run.found[identity][endpoint] = reply.envelope.result

    def _report(self, run: _Run) -> None:
        left = [len(endpoints) for endpoints in run.missing.values()]
        if left:
            failed = left.count(len(self._endpoints))
            enriched = left.count(0)
            self._observe(
                RecordsEnriched(self._requester.account, enriched, len(left) - enriched - failed, failed)
            )
