"""An output that stores batches whole gets the same batch under the same name, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from connector.delivery import Deliverer, RetryPolicy
from connector.delivery.worker import DeliveryOptions
from connector.errors import JournalFull, Refused, Retryable
from connector.model import BatchName, Event, Limits, Receipt
from tests.unit.delivery.fakes import FactRecorder, MemoryLog, plain, revision, revisions

POLICY = RetryPolicy(base=0.01, cap=0.02, probe=0.02)


class Values:
    """A key-value store in memory; *failures* are raised by the next writes."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.failures: list[Exception] = []

    async def get_value(self, key: str) -> str | None:
        return self.values.get(key)

    async def set_value(self, key: str, value: str | None) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value


class Shelf:
    """Stores batches by name. *story* is raised by sends after storing, or before for ``Refused``."""

    def __init__(self, stored: dict[str, list[str]], story: Sequence[Exception] = (), most: int = 3) -> None:
        self.stored = stored
        self.story = list(story)
        self.sends: list[tuple[str, int]] = []
        self.limits = Limits(events=most, linger=0.0)

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def send(self, events: Sequence[Event]) -> Receipt:
        raise AssertionError("a batch has a name")

    async def send_batch(self, batch: BatchName, events: Sequence[Event]) -> Receipt:
        self.sends.append((batch.id, len(events)))
        error = self.story.pop(0) if self.story else None
        if isinstance(error, Refused):
            raise error
        self.stored.setdefault(batch.id, [event.payload.decode() for event in events])
        if error is not None:
            raise error
        return Receipt()

    @property
    def events(self) -> list[str]:
        return [name for batch in self.stored.values() for name in batch]


async def delivered(shelf: Shelf, log: MemoryLog, values: Values, *, seconds: float = 20.0) -> None:
    async def head() -> int:
        return log.head

    worker = Deliverer(
        "lake", shelf, log, plain, FactRecorder(), lambda: datetime.now(UTC),
        options=DeliveryOptions(settle=0.0, policy=POLICY), head=head, values=values,
    )  # fmt: skip
    task = asyncio.create_task(worker.run())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await log.reached_head()
            await worker.drain(60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


NAMES = [str(number) for number in range(1, 11)]


async def test_failures_neither_cut_nor_rename_a_batch() -> None:
    log, values = MemoryLog(revisions(10)), Values()
    shelf = Shelf({}, [Retryable("the answer is lost")] * 9)

    await delivered(shelf, log, values)

    assert shelf.events == NAMES
    assert len({name for name, _ in shelf.sends[:10]}) == 1
    assert values.values == {}


async def test_a_crash_between_store_and_acknowledgement_repeats_the_same_batch() -> None:
    stored: dict[str, list[str]] = {}
    log, values = MemoryLog(revisions(4)), Values()
    await delivered(Shelf(stored, [Retryable("no answer")] * 10**6, most=4), log, values, seconds=0.05)
    assert log.position == 0
    log.append(revisions(6, first=5))

    # Larger batches are allowed now, and more events are there: the batch is the one it was.
    second = Shelf(stored, most=100)
    await delivered(second, log, values)

    assert [len(batch) for batch in stored.values()] == [4, 6]
    assert second.events == NAMES
    assert values.values == {}


async def test_a_batch_that_is_too_large_is_cut_and_each_part_has_a_name() -> None:
    log, values = MemoryLog(revisions(10)), Values()
    shelf = Shelf({}, [Refused("too large", too_large=True)], most=10)

    await delivered(shelf, log, values)

    assert sorted(shelf.events, key=int) == NAMES
    assert len(shelf.stored) == 2


async def test_a_rewind_is_a_new_batch() -> None:
    stored: dict[str, list[str]] = {}
    log, values = MemoryLog(revisions(3)), Values()
    await delivered(Shelf(stored), log, values)
    log.position = 0

    await delivered(Shelf(stored), log, values)

    assert len(stored) == 2


async def test_a_name_of_another_journal_means_nothing() -> None:
    stored: dict[str, list[str]] = {}
    log, values = MemoryLog(revisions(3)), Values()
    await delivered(Shelf(stored, [Retryable("no answer")] * 10**6), log, values, seconds=0.05)

    await delivered(Shelf(stored), MemoryLog((revision("other"),)), values)

    assert list(stored.values()) == [["1", "2", "3"], ["other"]]


async def test_nothing_is_sent_before_its_name_is_durable() -> None:
    log, values = MemoryLog(revisions(3)), Values()
    values.failures = [JournalFull("disk full")] * 3
    shelf = Shelf({})

    await delivered(shelf, log, values)

    assert [count for _, count in shelf.sends] == [3]


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("another")])
async def test_a_bug_does_not_cut_a_batch(error: Exception) -> None:
    log, values = MemoryLog(revisions(3)), Values()
    shelf = Shelf({}, [error] * 7)

    await delivered(shelf, log, values)

    assert shelf.events == ["1", "2", "3"]
    assert log.letters == []
