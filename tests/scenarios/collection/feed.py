"""One feed as the daemon runs it, over real sockets and a real journal, on a loop that jumps over waiting.

The simulator is served by the same loop and goes by the same clock, so that hours pass in seconds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from connector.collect.collector import Collector
from connector.collect.feed_config import FeedConfig
from connector.collect.schedule import Interval
from connector.collect.windows import Timing
from connector.facts import Fact
from connector.journal import Journal, JournalOptions
from connector.model import Backlog, Feed, FilterValue, Query
from connector.net.http import HttpClient
from connector.secret import Secret
from connector.simulator import Behaviour, Changes, Late, Simulator, listening
from connector.source.budget import Budget
from connector.source.client import CloudflareSource
from connector.source.credentials import ApiToken
from tests.support.jumping_loop import EPOCH, wall_clock
from tests.support.jumping_loop import run as run_jumping
from tests.support.oracle import ReportedRevision, Verdict, judge

Filters: TypeAlias = Mapping[str, FilterValue]
T = TypeVar("T")
F = TypeVar("F", bound=Fact)

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
BACK = timedelta(minutes=20)
"""How far back a feed begins."""

AGES = (10 * MINUTE, 20 * MINUTE)
LATE = Late(share=0.05, shortest=MINUTE / 6, longest=18 * MINUTE)
CHANGES = Changes(share=0.3, earliest=MINUTE / 12, latest=18 * MINUTE)
"""Everything happens before the last revisit: what a record is then is what must have been told."""

EVERYTHING: Filters = {"detections_only": False}
DETECTIONS: Filters = {"detections_only": True}


@dataclass
class Tenant:
    """A simulator, a feed on it, and an output that takes everything."""

    simulator: Simulator
    source: CloudflareSource
    journal: Journal
    plan: FeedConfig
    clock: Callable[[], datetime]
    facts: list[Fact]
    network: AsyncExitStack
    port: int
    reported: list[ReportedRevision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def collector(self) -> Collector:
        """A collector as after a start of the daemon."""
        observe = self.facts.append
        return Collector(self.plan, self.source, self.source, self.journal, observe=observe, clock=self.clock)

    async def collect(self, duration: timedelta, every: timedelta = 1.5 * MINUTE) -> None:
        """Run the feed for *duration*, then stop it as a shutdown does."""
        running = self.start(every)
        await asyncio.wait({running}, timeout=duration.total_seconds())
        await self.stop(running)

    def start(self, every: timedelta = 1.5 * MINUTE) -> asyncio.Task[None]:
        """Run the feed until it is stopped."""
        return asyncio.create_task(self.collector().run(Interval(every)))

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Stop what ``start`` began; fails with what ended it before."""
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled() or running.exception() is None, running.exception()

    async def unplug(self) -> None:
        """Let nobody answer at the API's address any more."""
        await self.network.aclose()

    async def plug_in(self) -> None:
        """Let the API answer, at the address it had before."""
        served = listening(self.simulator, port=self.port)
        self.port = urlsplit(await self.network.enter_async_context(served)).port or 0

    async def sleep(self, duration: timedelta) -> None:
        """Let time pass without anybody collecting."""
        await asyncio.sleep(duration.total_seconds())

    async def quieten(self, after: timedelta | None = None) -> None:
        """Let no more mail arrive, and run until every revisit has passed all of it."""
        self.simulator.world.rate = 0
        await self.collect(after or 1.2 * max(self.plan.ages, default=MINUTE) + 5 * MINUTE)

    async def take(self) -> None:
        """What the output does: read and acknowledge, without end."""
        position = await self.journal.attach("out", "beginning", Backlog())
        while True:
            entry = await self.journal.read("out", position)
            self.reported += [
                ReportedRevision(one.record.id, one.record.body, one.number, one.identity, one.gone)
                for one in entry.revisions
            ]
            await self.journal.acknowledge("out", after=position, upto=entry.last)
            position = entry.last

    async def verdict(self, *, all_handed_out: bool = True) -> Verdict:
        """What the oracle says, once the output took everything."""
        await asyncio.sleep(5)
        assert len(self.reported) == (await self.journal.outline()).head
        checkpoint = (await self.journal.progress(self.plan.feed)).checkpoints["live"]
        window = (EPOCH - BACK, checkpoint)
        filters = self.plan.query.filters
        return judge(self.simulator, self.reported, filters, window, all_handed_out=all_handed_out)

    async def story(self, duration: timedelta = 25 * MINUTE) -> Verdict:
        """Mail for *duration*, then quiet; what the oracle says."""
        await self.collect(duration)
        await self.quieten()
        return await self.verdict()

    def seen(self, kind: type[F]) -> list[F]:
        """The facts of *kind*."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def requests(self) -> Counter[str]:
        """How many requests of each kind the simulator was asked."""
        return Counter(request.kind for request in self.simulator.ledger.requests)


@asynccontextmanager
async def tenant(
    directory: Path,
    *,
    filters: Filters = EVERYTHING,
    ages: tuple[timedelta, ...] = AGES,
    overlap: timedelta = 2 * MINUTE,
    per_page: int = 1000,
    budget: int = 1_000_000,
    cache: int = JournalOptions().cache,
    behaviour: Mapping[str, Any] = MappingProxyType({}),
    **simulated: Any,
) -> AsyncIterator[Tenant]:
    """A feed on a simulator made with *simulated*, which has some mail, late and changing, unless told so."""
    clock = wall_clock(asyncio.get_running_loop())
    manners = Behaviour(**{"quota": None, "gzip": None, **behaviour})
    mail = {"rate": 0.2, "backlog": 200, "span": timedelta(minutes=30), "late": LATE, "changes": CHANGES}
    simulator = Simulator(clock=clock, behaviour=manners, **{**mail, **simulated})
    facts: list[Fact] = []
    plan = FeedConfig(
        Feed(ACCOUNT, "search"), Query(dict(filters), per_page), Timing(overlap=overlap, start=BACK), ages
    )
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(AsyncExitStack())
        url = await network.enter_async_context(listening(simulator))
        http = HttpClient(timeout=30)
        stack.push_async_callback(http.close)
        journal = await stack.enter_async_context(
            Journal.open(
                directory / "state", observe=facts.append, clock=clock, options=JournalOptions(cache=cache)
            )
        )
        source = CloudflareSource(
            account_id=ACCOUNT,
            credentials=ApiToken(Secret("canary-token-0123456789")),
            base_url=url,
            http=http,
            budget=Budget("prod", requests=budget, notes=journal, observe=facts.append, clock=clock),
            observe=facts.append,
            clock=clock,
        )
        port = urlsplit(url).port or 0
        made = Tenant(simulator, source, journal, plan, clock, facts, network, port)
        taking = asyncio.create_task(made.take())
        try:
            yield made
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run *story* on the jumping loop."""
    return run_jumping(story, grace=0.0001)
