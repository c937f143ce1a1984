"""Backfill commands, JSON in and out: for the control socket, and for commands without a daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime

from connector.app.control.requests import invalid_request
from connector.app.control.server import Handler
from connector.collect.backfill.job import BackfillList, Job, Tally
from connector.collect.backfill.queue import BackfillQueue
from connector.collect.collector import Collector
from connector.collect.windows import whole_second
from connector.errors import ConnectorError
from connector.interfaces import SharedValueStore
from connector.model import Feed, JsonObject, Window
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """A requested backfill: feed, time range as typed (*asked*) and as times; *everything* redelivers all."""

    account: str
    search: str
    asked: tuple[str, str]
    start: datetime
    end: datetime
    everything: bool

    def match(self, book: BackfillList) -> Job | None:
        """The unfinished backfill in *book* with the same request."""
        if self.start > self.end:
            return None
        return book.match(
            self.asked, Window(whole_second(self.start), whole_second(self.end)), everything=self.everything
        )

    def to_json(self) -> JsonObject:
        """As a request for the control socket."""
        return asdict(self)

    @classmethod
    def of_json(cls, request: JsonObject) -> BackfillRequest:
        """Parse the output of ``to_json``; raises ``ConnectorError``."""
        try:
            first, last = map(str, request["asked"])
            return cls(
                str(request["account"]),
                str(request["search"]),
                (first, last),
                datetime.fromisoformat(request["start"]),
                datetime.fromisoformat(request["end"]),
                bool(request["everything"]),
            )
        except (KeyError, TypeError, ValueError):
            raise invalid_request() from None


class BackfillService:
    """Passes backfill requests to the collectors of their feeds, and reports progress."""

    def __init__(
        self,
        collectors: Iterable[tuple[Feed, Collector]],
        problem: Callable[[Feed], str],
        store: SharedValueStore,
        holds: Callable[[Feed], bool],
    ) -> None:
        """Build the service.

        Args:
            collectors: of every feed.
            problem: says why a feed's backfill currently fails, "" if it does not.
            store: the journal; any replica queues backfills in it.
            holds: whether this replica collects the feed, and so does its backfills.
        """
        self._collectors = dict(collectors)
        self._problem = problem
        self._queues = {feed: BackfillQueue(feed, store) for feed in self._collectors}
        self._holds = holds

    def handlers(self) -> Mapping[str, Handler]:
        """The commands by name."""
        return {"backfill": self._submit, "backfill_show": self._show, "backfill_drop": self._drop}

    async def submit(self, request: BackfillRequest) -> tuple[Collector, Job, bool]:
        """Submit *request*; the flag says whether an unfinished backfill with the same request is resumed.

        Raises ``ConnectorError`` for an unknown feed or an empty time range.
        """
        feed = Feed(request.account, request.search)
        collector = self._of(feed)
        start, end = whole_second(request.start), whole_second(min(request.end, collector.present()))
        if start >= end:
            raise ConnectorError(
                f"empty time range: {start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC; "
                "the start must be before the end, and in the past"
            )
        job, known = await self._queues[feed].submit(
            request.asked, Window(start, end), everything=request.everything
        )
        return collector, job, known

    async def progress(self, feed: Feed, number: int) -> JsonObject:
        """Progress of backfill *number*; raises ``ConnectorError`` if it is unknown."""
        collector = self._of(feed)
        job_and_tally = await self._queues[feed].find(number)
        if job_and_tally is None:
            raise ConnectorError(f"backfill {number} of {feed.search} was cancelled")
        return _progress(feed, *job_and_tally, collector.floor, self._problem(feed))

    async def _submit(self, request: JsonObject) -> JsonObject:
        wanted = BackfillRequest.of_json(request)
        _, job, known = await self.submit(wanted)
        return {**await self.progress(Feed(wanted.account, wanted.search), job.number), "resumed": known}

    async def _show(self, request: JsonObject) -> JsonObject:
        return await self.progress(*_named(request))

    async def _drop(self, request: JsonObject) -> JsonObject:
        wanted = BackfillRequest.of_json(request)
        feed = Feed(wanted.account, wanted.search)
        collector = self._of(feed)
        queue = self._queues[feed]
        job = wanted.match(await queue.load())
        if job is None:
            return {"dropped": False}
        progress = await self.progress(feed, job.number)
        if self._holds(feed):
            return {**progress, "dropped": await collector.drop(job.number)}
        await queue.remove(job)
        return {**progress, "dropped": True}

    def _of(self, feed: Feed) -> Collector:
        collector = self._collectors.get(feed)
        if collector is None:
            raise ConnectorError(
                f"the running connector has no search {feed.search} on this account: "
                "its configuration differs; reload or restart it"
            )
        return collector


def _progress(feed: Feed, job: Job, tally: Tally, floor: datetime | None, problem: str) -> JsonObject:
    return {
        "account": feed.account,
        "search": feed.search,
        "number": job.number,
        "asked": list(job.asked),
        "start": job.window.start.isoformat(),
        "end": job.window.end.isoformat(),
        "everything": job.everything,
        "done": job.done is not None,
        "position": tally.position.isoformat(),
        "slices": tally.slices,
        "read": tally.read,
        "new": tally.new,
        "changed": tally.changed,
        "completed": tally.completed,
        "known": tally.known,
        "again": tally.again,
        "revisions": tally.revisions,
        "before_floor": tally.before_floor,
        "floor": floor.isoformat() if floor else None,
        "beyond": tally.beyond.isoformat() if tally.beyond else None,
        "problem": problem,
    }


def _named(request: JsonObject) -> tuple[Feed, int]:
    account, search, number = (request.get(key) for key in ("account", "search", "number"))
    if not (isinstance(account, str) and isinstance(search, str) and isinstance(number, int)):
        raise invalid_request()
    return Feed(account, search), number
