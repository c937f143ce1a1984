"""The journal alone: commit, read, acknowledge; how that changes with what it already holds."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from connector.collect.revisions import compare
from connector.interfaces import Journal as AnyJournal
from connector.journal import Journal
from connector.model import Backlog, Commit, DeadLetter, Record, Revision, Seen, Window
from tests.benchmarks.figures import Budget, Report
from tests.benchmarks.page import COLLECTED, FEED, page

_WINDOW = Window(COLLECTED - timedelta(days=1), COLLECTED)
_PAGE = 1000
_FAR = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1_000_000)
_FINGERPRINT = "benchmark"


@dataclass(frozen=True)
class Times:
    """Microseconds of CPU per revision."""

    commit: float
    look_up: float
    read: float
    acknowledge: float

    @property
    def whole(self) -> float:
        """All of it."""
        return self.commit + self.look_up + self.read + self.acknowledge


def journals(report: Report, pages: int, rows: list[int]) -> None:
    """Commit, read and acknowledge *pages* pages: fresh, and beside so many seen *rows*."""
    with tempfile.TemporaryDirectory() as place:
        for count in rows:
            asyncio.run(_prepare(Path(place) / str(count)))
            fill(Path(place) / str(count), count)
        fresh, *others = asyncio.run(_turns([Path(place) / str(count) for count in (0, *rows)], pages))
    for name in ("commit", "look_up", "read", "acknowledge"):
        report.cost("journal", name.replace("_", " "), getattr(fresh, name))
    report.cost("journal", "all of it, fresh", fresh.whole)
    for count, times in zip(rows, others, strict=True):
        report.cost("journal", f"all of it, beside {count:,} seen rows", times.whole)
        report.add(
            "journal", f"speed beside {count:,} seen rows", fresh.whole / times.whole, "of fresh",
            budget=Budget(0.8, of="value"),
        )  # fmt: skip


def letters(report: Report, count: int) -> None:
    """What burying costs when there are none, and when there are many."""
    with tempfile.TemporaryDirectory() as place:
        first, last, listed = asyncio.run(_bury(Path(place), count))
        report.add("growth", f"a dead letter, the first {_PAGE}", first, "µs/letter")
        report.add("growth", f"a dead letter, with {count:,} before it", last, "µs/letter")
        report.add("growth", f"listing 100 of {count:,} dead letters", listed, "ms")


def fill(directory: Path, count: int) -> None:
    """Put *count* seen rows into the journal below *directory*, as fast as SQLite can, of the last 30 days.

    Their ids carry the time, as the API's do. The feeds must be known to the journal; they begin anew.
    """
    connection = sqlite3.connect(directory / "journal.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")
    connection.execute("BEGIN")
    feed = connection.execute("SELECT max(feed) FROM feeds").fetchone()[0]
    state = connection.execute(
        "INSERT INTO states (digest, tolerant, body, uses) VALUES (?, 0, ?, ?) RETURNING state",
        ("0" * 32, b'{"final_disposition":"NONE"}', count),
    ).fetchone()[0]
    end = int(datetime.now(UTC).timestamp())
    step = 30 * 86_400 / count
    moments = (end - 86_400 + int((number - count) * step) for number in range(count))
    connection.executemany(
        "INSERT INTO seen (feed, key, time, until, state, number) VALUES (?, ?, ?, ?, ?, 1)",
        ((feed, _key(at, number), at * 1_000_000, _FAR, state) for number, at in enumerate(moments)),
    )
    connection.execute("UPDATE feeds SET seen = seen + ?, floor = NULL WHERE feed = ?", (count, feed))
    connection.execute("DELETE FROM checkpoints")
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _key(at: int, number: int) -> bytes:
    """As ``journal.keys`` makes it of an id whose random part comes first."""
    digits = int(time.strftime("%Y%m%d%H%M%S", time.gmtime(at))).to_bytes(6, "big")
    return b"\x01" + digits + bytes([16]) + b"4WF%013x-%08x" % (number * 0x9E3779B1 % (1 << 52), number)


@asynccontextmanager
async def _journal(directory: Path) -> AsyncIterator[Journal]:
    os.makedirs(directory, exist_ok=True)  # noqa: PTH103, nothing else runs on this loop
    async with Journal.open(directory, observe=lambda _: None, clock=lambda: COLLECTED) as journal:
        yield journal


async def _prepare(directory: Path) -> None:
    async with _journal(directory) as journal:
        await journal.commit(Commit(FEED, _FINGERPRINT))


async def _turns(directories: list[Path], pages: int) -> list[Times]:
    """The best turn of *pages* pages in each journal, taken alternately; the first quarter is left out."""
    async with AsyncExitStack() as stack:
        journals = [await stack.enter_async_context(_journal(directory)) for directory in directories]
        positions = [await one.attach("siem", "head", Backlog(max_bytes=1 << 40)) for one in journals]
        taken: list[list[Times]] = [[] for _ in journals]
        for number in range(pages):
            revisions, seen = content(number)
            for place, journal in enumerate(journals):
                taken[place].append((await turn(journal, positions[place], revisions, seen))[0])
                positions[place] += _PAGE
    return [min(times[len(times) // 4 :], key=lambda one: one.whole) for times in taken]


async def turn(
    journal: AnyJournal, position: int, revisions: tuple[Revision, ...], seen: tuple[Seen, ...]
) -> tuple[Times, float]:
    """Look up, commit, read and acknowledge a page; also the seconds that the commit took."""
    at = [time.process_time_ns()]
    await journal.seen(FEED, [row.id for row in seen])
    at.append(time.process_time_ns())
    began = time.perf_counter()
    await journal.commit(Commit(FEED, _FINGERPRINT, revisions, seen))
    commit = time.perf_counter() - began
    at.append(time.process_time_ns())
    upto = position
    while upto < position + _PAGE:
        upto = (await journal.read("siem", upto)).last
    at.append(time.process_time_ns())
    for part in range(position, upto, _PAGE // 2):
        await journal.acknowledge("siem", after=part, upto=min(part + _PAGE // 2, upto))
    at.append(time.process_time_ns())
    spent = [(later - earlier) / 1000 / _PAGE for earlier, later in itertools.pairwise(at)]
    return Times(spent[1], spent[0], spent[2], spent[3]), commit


def content(number: int) -> tuple[tuple[Revision, ...], tuple[Seen, ...]]:
    """A page of first sights, and their seen rows."""
    revisions, rows = [], []
    for record in _records(number):
        finding = compare(record, None, feed=FEED, window=_WINDOW, collected=COLLECTED)
        assert finding.revision is not None
        assert finding.seen is not None
        revisions.append(finding.revision)
        rows.append(finding.seen)
    return tuple(revisions), tuple(rows)


def _records(number: int) -> list[Record]:
    """A page whose ids no other page has, a minute of mail."""
    moment = COLLECTED - timedelta(days=1) + timedelta(minutes=number)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    made = []
    for index, body in enumerate(orjson.loads(page(_PAGE))):
        name = f"4WF{(index * 0x9E3779B1) % (1 << 52):013x}-{text}-{number:08x}"
        made.append(Record(name, {**body, "id": name, "scanned_at": f"{text}Z"}))
    return made


async def _bury(directory: Path, count: int) -> tuple[float, float, float]:
    async with _journal(directory) as journal:
        position = await journal.attach(
            "siem", "head", Backlog(max_bytes=1 << 40, max_dead_letters=count + 1)
        )
        times = []
        for number in range(count // _PAGE):
            revisions, seen = content(number)
            await journal.commit(Commit(FEED, _FINGERPRINT, revisions, seen))
            dead = [
                DeadLetter("siem", position + place, one, "rejected", "no", 1, COLLECTED, COLLECTED)
                for place, one in enumerate(revisions, 1)
            ]
            begun = time.process_time_ns()
            await journal.acknowledge("siem", after=position, upto=position + _PAGE, dead=dead)
            times.append((time.process_time_ns() - begun) / 1000 / _PAGE)
            position += _PAGE
        begun = time.process_time_ns()
        await journal.dead_letters("siem", after=0, limit=100)
        return times[0], times[-1], (time.process_time_ns() - begun) / 1e6
