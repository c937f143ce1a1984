"""An output behind a lease can do what it can without one, and sends nothing without the lease."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from connector.app.work import guarded
from connector.errors import Retryable
from connector.interfaces import BatchOutput, Output, ResumableOutput
from connector.model import BatchName, Event, Limits, Receipt
from connector.testing.outputs import events

BATCH = BatchName("00", datetime(2026, 1, 1, tzinfo=UTC))


class Plain:
    def __init__(self) -> None:
        self.calls: list[str] = []

    @property
    def limits(self) -> Limits:
        return Limits()

    async def open(self) -> None:
        self.calls.append("open")

    async def send(self, events: Sequence[Event]) -> Receipt:
        self.calls.append(f"send {len(events)}")
        return Receipt()

    async def close(self) -> None:
        self.calls.append("close")


class Whole(Plain):
    async def send_batch(self, batch: BatchName, events: Sequence[Event]) -> Receipt:
        self.calls.append(f"batch {batch.id} {len(events)}")
        return Receipt()


class Resuming(Plain):
    async def resume(self) -> None:
        self.calls.append("resume")


@pytest.mark.parametrize("output", [Plain(), Whole(), Resuming()], ids=lambda output: type(output).__name__)
async def test_it_can_do_what_the_output_can(output: Output) -> None:
    made = guarded(output, lambda: True)

    assert isinstance(made, BatchOutput) == isinstance(output, Whole)
    assert isinstance(made, ResumableOutput) == isinstance(output, Resuming)


async def test_calls_arrive() -> None:
    whole, resuming = Whole(), Resuming()
    batches, resumes = guarded(whole, lambda: True), guarded(resuming, lambda: True)
    assert isinstance(batches, BatchOutput)
    assert isinstance(resumes, ResumableOutput)

    await batches.send_batch(BATCH, events(2))
    await resumes.resume()
    await resumes.send(events(1))

    assert whole.calls == ["batch 00 2"]
    assert resuming.calls == ["resume", "send 1"]


async def test_nothing_is_sent_without_the_lease() -> None:
    whole = Whole()
    made = guarded(whole, lambda: False)
    assert isinstance(made, BatchOutput)

    with pytest.raises(Retryable, match="lease"):
        await made.send(events(1))
    with pytest.raises(Retryable, match="lease"):
        await made.send_batch(BATCH, events(1))

    assert whole.calls == []
