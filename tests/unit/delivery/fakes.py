"""A small world for tests of delivery: a journal in memory, revisions, a mapper, and a notebook of facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Self, TypeVar

from connector.delivery import Deliverer, DeliveryOptions, ServerClock, Shrink
from connector.errors import Moved
from connector.facts import Fact
from connector.interfaces import Mapper, Output, Start
from connector.model import Backlog, DeadLetter, Entry, Event, Feed, Gap, Record, Revision
from tests.support.jumping_loop import EPOCH, wall_clock

F = TypeVar("F")

FEED = Feed("account", "detections")


def revision(name: str, number: int = 1) -> Revision:
    """The revision *number* of the record *name*."""
    return Revision(FEED, Record(name, {"id": name}), f"digest-{number}", number, EPOCH)


def revisions(count: int, first: int = 1) -> tuple[Revision, ...]:
    """Revisions of records named ``1``, ``2``, and so on."""
    return tuple(revision(str(number)) for number in range(first, first + count))


def plain(revision_: Revision) -> Event:
    """A mapper that maps everything; the payload is the record's id."""
    return Event(revision_, revision_.record.id.encode(), EPOCH, 3, "email.test")


class MemoryLog:
    """Implements ``OutputLog`` for one output. *failures* are raised by acknowledgements, in order.

    *on_acknowledged* is told each position when it is durable.
    """

    def __init__(self, *entries: Sequence[Revision], failures: Sequence[Exception] = ()) -> None:
        self.position = 0
        self.letters: list[DeadLetter] = []
        self.suspected: list[DeadLetter] = []
        self.positions: list[int] = []
        self.first_emitted: dict[str, str] = {}
        self.frozen = False
        self.on_acknowledged: Callable[[int], None] = lambda _: None
        self._entries: list[Entry] = []
        self._failures = list(failures)
        self._moved = False
        self._change = asyncio.Event()
        for entry in entries:
            self.append(entry)

    @property
    def head(self) -> int:
        """The newest sequence number."""
        return self._entries[-1].last if self._entries else 0

    @property
    def dead_lettered(self) -> dict[str, str]:
        """Record id to reason, of all dead letters."""
        return {letter.revision.record.id: letter.reason for letter in self.letters}

    def append(self, revision_: Sequence[Revision], only: str | None = None, hole: int = 0) -> None:
        """Store an entry, after *hole* numbers that nobody will ever see."""
        self._entries.append(Entry(self.head + 1 + hole, tuple(revision_), only))
        self._wake()

    def rewind(self, to: int) -> None:
        """Move the position as an operator would."""
        self.position, self._moved = to, True
        self._wake()

    async def attach(self, output: str, start: Start, backlog: Backlog) -> int:
        self._moved = False
        return self.position

    async def detach(self, output: str) -> None:
        raise NotImplementedError

    async def read(self, output: str, after: int) -> Entry:
        while True:
            if self._moved:
                raise Moved("somebody moved the position")
            for entry in self._entries:
                if entry.last > after:
                    cut = max(0, after + 1 - entry.first)
                    return replace(entry, first=entry.first + cut, revisions=entry.revisions[cut:])
            await self._change.wait()

    async def emitted(self, output: str, keys: Sequence[str]) -> Mapping[str, str]:
        return {key: self.first_emitted[key] for key in keys if key in self.first_emitted}

    async def acknowledge(
        self,
        output: str,
        *,
        after: int,
        upto: int,
        dead: Sequence[DeadLetter] = (),
        emitted: Mapping[str, str] = MappingProxyType({}),
        suspects: Sequence[DeadLetter] | None = None,
    ) -> None:
        await asyncio.sleep(0)
        if self.frozen:
            raise AssertionError("nobody is alive to acknowledge")
        if self._failures:
            raise self._failures.pop(0)
        if after != self.position or self._moved:
            raise Moved("somebody moved the position")
        assert after <= upto <= self.head
        assert after < upto or dead or suspects is not None, "nothing to store"
        assert all(letter.sequence <= upto for letter in dead)
        self.position = upto
        self.positions.append(upto)
        self.letters += dead
        self.suspected = self.suspected if suspects is None else list(suspects)
        self.first_emitted = {**emitted, **self.first_emitted}
        self.on_acknowledged(upto)
        self._wake()

    async def reached_head(self) -> None:
        """Wait until the position is at the head."""
        while self.position < self.head:
            await self._change.wait()

    async def suspects(self, output: str) -> Sequence[DeadLetter]:
        return tuple(self.suspected)

    async def skipped(self, output: str) -> Gap | None:
        raise NotImplementedError

    def _wake(self) -> None:
        self._change.set()
        self._change = asyncio.Event()


class FactRecorder:
    """Keeps every fact."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def __call__(self, fact: Fact) -> None:
        self.facts.append(fact)

    def of(self, kind: type[F]) -> list[F]:
        """The facts of one kind, in order."""
        return [fact for fact in self.facts if isinstance(fact, kind)]


class RunningDeliverer:
    """One output's delivery over a log in memory."""

    def __init__(
        self,
        output: Output,
        log: MemoryLog,
        *,
        mapper: Mapper = plain,
        options: DeliveryOptions | None = None,
        refresh: Callable[[], bool] | None = None,
        shrink: Shrink | None = None,
        server_clock: ServerClock | None = None,
        random: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self.log = log
        self.seen = FactRecorder()
        self.deliverer = Deliverer(
            "siem",
            output,
            log,
            mapper,
            self.seen,
            wall_clock(asyncio.get_running_loop()),
            options=options,
            refresh=refresh,
            shrink=shrink,
            server_clock=server_clock,
            head=self._head,
            random=random,
        )

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.deliverer.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def delivered(self, patience: float = 1e6) -> None:
        """Wait until the position is at the head."""
        async with asyncio.timeout(patience):
            await self.log.reached_head()

    async def _head(self) -> int:
        return self.log.head


def at(seconds: float) -> datetime:
    """A moment of the test's clock."""
    return EPOCH.astimezone(UTC) + timedelta(seconds=seconds)
