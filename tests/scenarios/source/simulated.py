"""An account against the emulator of the API, read the way a collector reads it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.errors import SearchIncomplete, Unavailable
from connector.facts import Fact
from connector.model import Query, Window
from connector.net.http import HttpClient
from connector.secret import Secret
from connector.simulator import Behaviour, Simulator, listening
from connector.source.budget import Budget
from connector.source.client import CloudflareSource
from connector.source.credentials import ApiToken
from connector.source.options import SourceOptions
from tests.scenarios.source.account import ACCOUNT
from tests.support.jumping_loop import EPOCH, wall_clock

SPAN = Window(EPOCH - timedelta(hours=2), EPOCH)
SECOND = timedelta(seconds=1)
_ATTEMPTS = 12


@dataclass
class Simulated:
    """A source and the emulator behind it."""

    source: CloudflareSource
    simulator: Simulator
    facts: list[Fact]
    clock: Callable[[], datetime]

    @property
    def expected(self) -> set[str]:
        """What a perfect search of ``SPAN`` finds."""
        return self.expected_of({})

    def expected_of(self, filters: Mapping[str, object]) -> set[str]:
        """What a perfect search of ``SPAN`` with *filters* finds."""
        return self.simulator.ledger.ids(filters, (SPAN.start, SPAN.end), EPOCH)

    @property
    def asked(self) -> list[str]:
        """The kind of each request so far."""
        return [request.kind for request in self.simulator.ledger.requests]


@contextlib.asynccontextmanager
async def simulated(
    behaviour: Behaviour | None = None, *, backlog: int = 700, options: SourceOptions | None = None
) -> AsyncIterator[Simulated]:
    clock = wall_clock(asyncio.get_running_loop())
    facts: list[Fact] = []
    simulator = Simulator(backlog=backlog, span=SPAN.length, clock=clock, behaviour=behaviour or Behaviour())
    async with listening(simulator) as url:
        http = HttpClient(timeout=60)
        source = CloudflareSource(
            account_id=ACCOUNT,
            credentials=ApiToken(Secret("any")),
            base_url=url,
            http=http,
            budget=Budget("prod", observe=facts.append, clock=clock),
            observe=facts.append,
            clock=clock,
            options=options,
        )
        try:
            yield Simulated(source, simulator, facts, clock)
        finally:
            await http.close()


async def collect(source: CloudflareSource, window: Window = SPAN, per_page: int = 50) -> set[str]:
    """Do as a collector does: halve what is aborted, repeat what is unavailable, keep what came."""
    found: set[str] = set()
    waiting = [window]
    failures = 0
    while waiting:
        part = waiting[-1]
        try:
            async for page in source.search(Query(per_page=per_page), part):
                found.update(record.id for record in page.records)
        except SearchIncomplete:
            if part.length <= SECOND:
                raise
            middle = (part.start + part.length / 2).replace(microsecond=0)
            waiting[-1:] = [Window(middle, part.end), Window(part.start, middle)]
        except Unavailable as error:
            failures += 1
            if failures > _ATTEMPTS:
                raise
            await asyncio.sleep(error.after or 1)
        else:
            waiting.pop()
    return found
