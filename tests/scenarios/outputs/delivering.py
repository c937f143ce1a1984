"""The real delivery of one output over real sockets, with a journal in memory and short back-offs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from connector.delivery import Deliverer, DeliveryOptions, RetryPolicy
from connector.interfaces import Output
from connector.model import Event, Revision
from tests.unit.delivery.fakes import FactRecorder, MemoryLog

POLICY = RetryPolicy(base=0.01, cap=0.05, probe=0.05, overtake_after=5.0)
"""Numbers that make an hour of patience pass in a second."""


def as_json(revision: Revision) -> Event:
    """A mapper: the record's id as a JSON document."""
    payload = json.dumps({"id": revision.record.id}).encode()
    return Event(revision, payload, revision.collected, 3, "email.test")


def as_line(revision: Revision) -> Event:
    """A mapper: the record's id as a line of text."""
    payload = f"CEF:0|test|{revision.record.id}|".encode()
    return Event(revision, payload, revision.collected, 3, "email.test")


class Delivery:
    """One output's delivery; *log* has the positions and the dead letters, *seen* the facts."""

    def __init__(self, output: Output, log: MemoryLog, mapper: object, options: DeliveryOptions) -> None:
        self.log = log
        self.seen = FactRecorder()
        self.deliverer = Deliverer(
            "siem",
            output,
            self.log,
            mapper,  # type: ignore[arg-type]
            self.seen,
            lambda: datetime.now(UTC),
            options=replace(options, settle=0.1, policy=POLICY),
        )

    async def done(self, patience: float = 30.0) -> None:
        """Wait until everything is delivered or buried."""
        async with asyncio.timeout(patience):
            await self.log.reached_head()


@asynccontextmanager
async def delivering(
    output: Output,
    *entries: Sequence[Revision],
    mapper: object = as_json,
    options: DeliveryOptions = DeliveryOptions(),  # noqa: B008, it is frozen
    log: MemoryLog | None = None,
) -> AsyncIterator[Delivery]:
    """Deliver *entries*, or what is in *log*, to *output* while the block runs."""
    delivery = Delivery(output, MemoryLog(*entries) if log is None else log, mapper, options)
    task = asyncio.create_task(delivery.deliverer.run())
    try:
        yield delivery
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await output.close()
