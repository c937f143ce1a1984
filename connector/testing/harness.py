"""``OutputHarness``: describes an output under test to the conformance suite."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from connector.errors import DeliveryError, Retryable
from connector.interfaces import Output
from connector.model import Event, Feed, Receipt, Record, Revision

_FIRST = datetime(2026, 1, 1, 12, tzinfo=UTC)

PATIENCE = 10.0
"""Seconds that a collector may take to show what it took, and an output to notice that it is gone."""

POISON = "poison"
"""What an event holds that a picky collector refuses."""


class Violation(AssertionError):
    """The output broke its contract."""


@dataclass(frozen=True)
class OutputHarness:
    """An output and the collector on its other side. What is left out is not checked.

    Args:
        build: makes a new output, connected to a collector that accepts everything.
        taken: what the collector took so far, one item per event, oldest first; an item counts as the
            event whose payload it contains.
        unreachable: makes an output whose collector does not exist.
        denied: makes an output whose collector refuses the credentials and repeats the request in its
            answer.
        busy: makes an output whose collector always asks to come again later.
        picky: makes an output whose collector refuses events with ``POISON`` in them, and takes the rest.
        secrets: texts that must show nowhere.
        port: where on 127.0.0.1 the collector of *build* listens, for outputs that connect over TCP.
        through: makes an output whose collector is reached at the given port of 127.0.0.1. It should give up
            a send after less than a second: the connection will be faulty.
        answers: whether that collector answers each send, so that an output can tell what it took.
    """

    build: Callable[[], Output]
    taken: Callable[[], Sequence[bytes]]
    unreachable: Callable[[], Output] | None = None
    denied: Callable[[], Output] | None = None
    busy: Callable[[], Output] | None = None
    picky: Callable[[], Output] | None = None
    secrets: tuple[str, ...] = ()
    port: int = 0
    through: Callable[[int], Output] | None = None
    answers: bool = True


Check: TypeAlias = Callable[[OutputHarness], Awaitable[None]]


def events(count: int, size: int = 0, *, label: str = "event") -> list[Event]:
    """Make *count* distinguishable events; their payloads are JSON objects of at least *size* bytes.

    They hardly compress, so that they are about as large on the wire.
    """
    made = []
    for number in range(count):
        name = f"{label}-{number}-end"
        filler = _noise(name, size - len(name) - len('{"id":"","filler":""}'))
        payload = f'{{"id":"{name}","filler":"{filler}"}}'.encode()
        record = Record(name, {"id": name})
        time = _FIRST + timedelta(seconds=number)
        revision = Revision(Feed("account", "search"), record, "d" * 64, 1, time)
        made.append(Event(revision, payload, time, 8, "email.malicious"))
    return made


def batch_of(output: Output, count: int, size: int = 0, *, label: str) -> list[Event]:
    """Like ``events``, as many and as large as *output* takes at once."""
    limits = output.limits
    size = min(size, limits.event_bytes or size, limits.bytes)
    return events(max(1, min(count, limits.events, limits.bytes // max(size, 100))), size, label=label)


@contextlib.asynccontextmanager
async def closing(output: Output) -> AsyncIterator[Output]:
    """*output*, closed at the end of the block."""
    try:
        yield output
    finally:
        await output.close()


async def accepted(output: Output, batch: Sequence[Event]) -> None:
    """Send *batch* to a collector that accepts everything."""
    receipt = await output.send(batch)
    check_receipt(receipt, len(batch))
    if receipt.rejected or receipt.retry or receipt.unnamed:
        raise Violation(f"a collector that accepts everything led to {receipt}")


async def accepted_at_last(output: Output, batch: Sequence[Event]) -> None:
    """Send *batch* as delivery does: open again after each failure."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await output.open()
                    return await accepted(output, batch)
                except Retryable:
                    await asyncio.sleep(0.01)
    except TimeoutError:
        raise Violation(f"{len(batch)} events were not accepted within {PATIENCE:g} s") from None


def check_receipt(receipt: Receipt, size: int) -> None:
    """Raise ``Violation`` unless *receipt* makes sense for *size* events."""
    named = {*receipt.rejected, *receipt.retry}
    if not named <= set(range(size)):
        raise Violation(f"the receipt names {sorted(named)} in a batch of {size}")
    if not receipt.retry.isdisjoint(receipt.rejected):
        raise Violation("the receipt both rejects and retries an event")
    if not 0 <= receipt.duplicates <= size:
        raise Violation(f"{receipt.duplicates} duplicates in a batch of {size}")
    if receipt.unnamed and not 0 < receipt.unnamed < size - len(named):
        raise Violation(f"{receipt.unnamed} unnamed rejections where {size - len(named)} events are unnamed")
    if receipt.unnamed and not receipt.unnamed_reason.strip():
        raise Violation("unnamed rejections have no reason")
    if any(not reason.strip() for reason in receipt.rejected.values()):
        raise Violation("a rejection gives no reason")


async def failure(output: Output) -> DeliveryError:
    """Return what opening *output* and sending to it raises, where no collector could take an event."""
    try:
        await output.open()
        await output.send(events(1, label="never"))
    except DeliveryError as error:
        return error
    except Exception as error:
        raise Violation(f"{type(error).__name__} instead of a DeliveryError: {error}") from error
    raise Violation("an event was accepted where no collector could take it")


def times_taken(harness: OutputHarness, event: Event) -> int:
    """How often the collector took *event*."""
    return sum(event.payload in item for item in harness.taken())


async def arrived(harness: OutputHarness, sent: Sequence[Event]) -> None:
    """Wait until the collector took all that was *sent*."""
    missing = {event.payload for event in sent}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            # A collector of somebody else has no event to wait for.
            while missing := _missing(harness, missing):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    if missing:
        raise Violation(f"{len(missing)} of {len(sent)} accepted events never reached the collector")


def _missing(harness: OutputHarness, payloads: set[bytes]) -> set[bytes]:
    everything = b"\n".join(harness.taken())
    return {payload for payload in payloads if payload not in everything}


def _noise(seed: str, length: int) -> str:
    made = ""
    while len(made) < length:
        made += hashlib.sha512(f"{seed}{len(made)}".encode()).hexdigest()
    return made[: max(0, length)]
