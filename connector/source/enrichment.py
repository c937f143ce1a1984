"""What further endpoints say of single records. Costs a request each, so it is asked for by name only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from connector.errors import SourceError
from connector.model import Body, JsonObject, Priority, Record
from connector.source.records import is_made, path_of
from connector.source.requester import Ask, Requester

Endpoint: TypeAlias = Literal["detections", "action_log", "trace"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

INCOMPLETE = "incomplete"
"""Key that lists the endpoints which did not answer; it is absent where all did."""

_AT_ONCE = 4
_ATTEMPTS = 2


class CloudflareEnricher:
    """Implements ``interfaces.Enricher`` for one account.

    Every record that is *wanted* gets an entry: the result of each endpoint under its name. An endpoint
    that knows nothing of a record (404) is left out; one that failed or was too late is listed under
    ``incomplete``.

    Args:
        requester: asks for the account.
        search: address of the search; records lie below it.
        endpoints: what to ask of each record.
        wanted: which records to ask for.
        seconds: time for all records together.
    """

    def __init__(
        self,
        requester: Requester,
        search: str,
        endpoints: Sequence[Endpoint],
        *,
        wanted: Callable[[Record], bool] = lambda _: True,
        seconds: float = 30.0,
    ) -> None:
        self._requester = requester
        self._search = search
        self._endpoints = tuple(endpoints)
        self._wanted = wanted
        self._seconds = seconds

    async def enrich(self, records: Sequence[Record]) -> Mapping[str, Body]:
        """Return by record id what was found, within the time; never raises a ``SourceError``."""
        chosen = {record.id: record for record in records if not is_made(record.id) and self._wanted(record)}
        found: dict[str, JsonObject] = {identity: {} for identity in chosen}
        missing: dict[str, set[str]] = {identity: set(self._endpoints) for identity in chosen}
        waiting = [(identity, endpoint) for identity in chosen for endpoint in self._endpoints]
        waiting.reverse()

        async def work() -> None:
            while waiting:
                identity, endpoint = waiting.pop()
                await self._one(identity, endpoint, found[identity], missing[identity])

        workers = [asyncio.create_task(work()) for _ in range(min(_AT_ONCE, len(waiting)))]
        if workers:
            try:
                await asyncio.wait(workers, timeout=self._seconds)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        for identity, endpoints in missing.items():
            if endpoints:
                found[identity][INCOMPLETE] = sorted(endpoints)
        return found

    async def _one(self, identity: str, endpoint: Endpoint, found: JsonObject, missing: set[str]) -> None:
        ask = Ask(
            endpoint,
            f"{self._search}/{path_of(identity)}/{endpoint}",
            accept=frozenset({200, 404}),
            attempts=_ATTEMPTS,
        )
        try:
            reply = await self._requester.ask(ask, Priority.ENRICHMENT)
        except SourceError:
            # The requester told the fact; the record goes on without it, marked.
            return
        missing.discard(endpoint)
        if reply.status != 404 and reply.envelope.result is not None:  # noqa: PLR2004
            found[endpoint] = reply.envelope.result
