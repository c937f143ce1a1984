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
from connector.source.records import is_made, path_of
from connector.source.request import Ask, Requester

Endpoint: TypeAlias = Literal["detections", "action_log", "trace"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

_AT_ONCE = 4
_ATTEMPTS = 2
_ENOUGH = 5
"""Failures of an endpoint in a row after which the other records of the page do without it."""


@dataclass(slots=True)
class _Errand:
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
        wanted: Callable[[Record], bool] = lambda _: True,
        seconds: float = 30.0,
    ) -> None:
        self._requester = requester
        self._search = search
        self._endpoints = tuple(endpoints)
        self._observe = observe
        self._wanted = wanted
        self._seconds = seconds

    async def enrich(self, records: Sequence[Record]) -> Mapping[str, Body]:
        """Return by record id what was found, within the time; never raises a ``SourceError``."""
        chosen = {record.id: record for record in records if not is_made(record.id) and self._wanted(record)}
        errand = _Errand(
            {identity: {} for identity in chosen},
            {identity: set(self._endpoints) for identity in chosen},
            [(identity, endpoint) for identity in reversed(chosen) for endpoint in reversed(self._endpoints)],
        )
        workers = [asyncio.create_task(self._work(errand)) for _ in range(min(_AT_ONCE, len(errand.waiting)))]
        if workers:
            try:
                await asyncio.wait(workers, timeout=self._seconds)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        for identity, endpoints in errand.missing.items():
            if endpoints:
                errand.found[identity][INCOMPLETE] = sorted(endpoints)
        self._tell(errand)
        return errand.found

    async def _work(self, errand: _Errand) -> None:
        while errand.waiting:
            identity, endpoint = errand.waiting.pop()
            if errand.failures[endpoint] < _ENOUGH:
                await self._one(identity, endpoint, errand)

    async def _one(self, identity: str, endpoint: Endpoint, errand: _Errand) -> None:
        ask = Ask(
            endpoint,
            f"{self._search}/{path_of(identity)}/{endpoint}",
            accept=frozenset({200, 404}),
            attempts=_ATTEMPTS,
        )
        try:
            reply = await self._requester.ask(ask, Priority.ENRICHMENT)
        except BadQuery:
            # The requester told the fact; the record goes on without it, marked.
            return
        except SourceError as error:
            errand.failures[endpoint] += 1
            if errand.failures[endpoint] == _ENOUGH:
                self._observe(EnrichmentDisabled(self._requester.account, endpoint, str(error)))
            return
        errand.failures[endpoint] = 0
        errand.missing[identity].discard(endpoint)
        if reply.status != 404 and reply.envelope.result is not None:  # noqa: PLR2004
            errand.found[identity][endpoint] = reply.envelope.result

    def _tell(self, errand: _Errand) -> None:
        left = [len(endpoints) for endpoints in errand.missing.values()]
        if left:
            failed = left.count(len(self._endpoints))
            enriched = left.count(0)
            self._observe(
                RecordsEnriched(self._requester.account, enriched, len(left) - enriched - failed, failed)
            )
