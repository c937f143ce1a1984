"""Backfills as asked for from outside: JSON in and out, for the control socket and for a command itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from connector.app.control.server import Handler
from connector.collect.backfill.job import BackfillList, Job, Tally
from connector.collect.collector import Collector
from connector.collect.windows import whole_second
from connector.errors import ConnectorError
from connector.model import Feed, JsonObject, Window


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """What to backfill: a feed, from when to when, in the person's words and as times; *everything* of it."""

    account: str
    search: str
    asked: tuple[str, str]
    start: datetime
    end: datetime
    everything: bool

    def match(self, book: BackfillList) -> Job | None:
        """The unfinished backfill of *book* that was asked for like this."""
        if self.start > self.end:
            return None
        return book.match(
            self.asked, Window(whole_second(self.start), whole_second(self.end)), everything=self.everything
        )

    def to_json(self) -> JsonObject:
        """As a request over the control socket."""
        return asdict(self)

    @classmethod
    def of_json(cls, request: JsonObject) -> BackfillRequest:
        """Read what ``to_json`` gave; raises ``ConnectorError``."""
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
            raise _misunderstood() from None


class BackfillService:
    """Takes wishes to the collectors of their feeds, and tells how far they are."""

    def __init__(self, collectors: Iterable[tuple[Feed, Collector]], trouble: Callable[[Feed], str]) -> None:
        """*trouble* says why a feed's backfill fails at this moment, "" when it does not."""
        self._collectors = dict(collectors)
        self._trouble = trouble

    def handlers(self) -> Mapping[str, Handler]:
        """The commands by name."""
        return {"backfill": self._submit, "backfill_show": self._show, "backfill_drop": self._drop}

    async def submit(self, wish: BackfillRequest) -> tuple[Collector, Job, bool]:
        """Ask for *wish*; says whether that was asked for before and is not at its end.

        Raises ``ConnectorError`` for a feed that is not there, and a range of time that is none.
        """
        feed = Feed(wish.account, wish.search)
        collector = self._of(feed)
        start, end = whole_second(wish.start), whole_second(min(wish.end, collector.present()))
        if start >= end:
            raise ConnectorError(
                f"no time lies between {start:%Y-%m-%d %H:%M:%S} and {end:%Y-%m-%d %H:%M:%S} UTC; "
                "the start must lie before the end, and before now"
            )
        job, known = await collector.jobs.submit(wish.asked, Window(start, end), everything=wish.everything)
        return collector, job, known

    async def progress(self, feed: Feed, number: int) -> JsonObject:
        """How far backfill *number* is; raises ``ConnectorError`` when nothing is known of it."""
        collector = self._of(feed)
        found = await collector.jobs.find(number)
        if found is None:
            raise ConnectorError(f"backfill {number} of {feed.search} is no more: somebody cancelled it")
        return _progress(feed, *found, collector.floor, self._trouble(feed))

    async def _submit(self, request: JsonObject) -> JsonObject:
        wish = BackfillRequest.of_json(request)
        _, job, known = await self.submit(wish)
        return {**await self.progress(Feed(wish.account, wish.search), job.number), "resumed": known}

    async def _show(self, request: JsonObject) -> JsonObject:
        return await self.progress(*_named(request))

    async def _drop(self, request: JsonObject) -> JsonObject:
        wish = BackfillRequest.of_json(request)
        feed = Feed(wish.account, wish.search)
        collector = self._of(feed)
        job = wish.match(await collector.jobs.load())
        if job is None:
            return {"dropped": False}
        progress = await self.progress(feed, job.number)
        return {**progress, "dropped": await collector.drop(job.number)}

    def _of(self, feed: Feed) -> Collector:
        collector = self._collectors.get(feed)
        if collector is None:
            raise ConnectorError(
                f"the running connector has no search {feed.search} on this account: "
                "it was started with another configuration; restart it"
            )
        return collector


def _progress(feed: Feed, job: Job, tally: Tally, floor: datetime | None, trouble: str) -> JsonObject:
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
        "trouble": trouble,
    }


def _named(request: JsonObject) -> tuple[Feed, int]:
    account, search, number = (request.get(key) for key in ("account", "search", "number"))
    if not (isinstance(account, str) and isinstance(search, str) and isinstance(number, int)):
        raise _misunderstood()
    return Feed(account, search), number


def _misunderstood() -> ConnectorError:
    return ConnectorError("the request is not understood; are command and daemon of the same version?")
