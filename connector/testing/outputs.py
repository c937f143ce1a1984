"""The contract of an output, as a suite that any author of an output can run against a collector of theirs.

With pytest and asyncio::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(check: Check) -> None:
        async with my_collector() as collector:
            await check(Subject(build=..., taken=collector.taken, ...))

Each check is an async function of a ``Subject``; it raises ``Violation`` with what was broken.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from connector.errors import DeliveryError, Refused, Retryable
from connector.interfaces import Output
from connector.model import Event, Feed, Receipt, Record, Revision

_FIRST = datetime(2026, 1, 1, 12, tzinfo=UTC)
# How long a collector may take to show what it took, in seconds.
_PATIENCE = 10.0
# At how many different moments a send is cancelled.
_CANCELLATIONS = 12


class Violation(AssertionError):
    """The output broke its contract."""


@dataclass(frozen=True)
class Subject:
    """An output and the collector on its other side.

    Args:
        build: makes a new output, connected to a collector that accepts everything.
        taken: what the collector took so far, one item per event, oldest first; an item counts as the
            event whose payload it contains.
        unreachable: makes an output whose collector does not exist.
        denied: makes an output whose collector refuses the credentials and repeats the request in its
            answer.
        secrets: texts that must show nowhere.
    """

    build: Callable[[], Output]
    taken: Callable[[], Sequence[bytes]]
    unreachable: Callable[[], Output] | None = None
    denied: Callable[[], Output] | None = None
    secrets: tuple[str, ...] = ()


Check: TypeAlias = Callable[[Subject], Awaitable[None]]


def events(count: int, size: int = 0, *, label: str = "event") -> list[Event]:
    """Make *count* distinguishable events; their payloads are JSON objects of at least *size* bytes."""
    made = []
    for number in range(count):
        name = f"{label}-{number}-end"
        filler = "x" * max(0, size - len(name) - len('{"id":"","filler":""}'))
        payload = f'{{"id":"{name}","filler":"{filler}"}}'.encode()
        record = Record(name, {"id": name})
        time = _FIRST + timedelta(seconds=number)
        revision = Revision(Feed("account", "search"), record, "d" * 64, 1, time)
        made.append(Event(revision, payload, time, 8, "email.malicious"))
    return made


async def closes_without_open(subject: Subject) -> None:
    """An output that was never opened can be closed."""
    await subject.build().close()


async def closes_twice(subject: Subject) -> None:
    """Closing again does nothing."""
    output = subject.build()
    await output.open()
    await output.close()
    await output.close()


async def opens_twice(subject: Subject) -> None:
    """Opening again does no harm: what is sent afterwards arrives once."""
    async with _closing(subject.build()) as output:
        await output.open()
        await output.open()
        sent = events(2, label="opened-twice")
        await _accepted(output, sent)
        await _arrived(subject, sent)
        for event in sent:
            if _times(subject, event) != 1:
                raise Violation(f"{event.revision.record.id} was taken {_times(subject, event)} times")


async def has_usable_limits(subject: Subject) -> None:
    """Limits allow at least one event, and never change."""
    output = subject.build()
    limits = output.limits
    smallest = min(limits.events, limits.bytes, limits.concurrency, limits.event_bytes or 1)
    if smallest < 1 or limits.linger < 0:
        raise Violation(f"nothing can be sent within {limits}")
    async with _closing(output):
        await output.open()
        if output.limits != limits:
            raise Violation(f"the limits changed from {limits} to {output.limits}")


async def delivers_before_close(subject: Subject) -> None:
    """What a receipt accepts has reached the collector, also when the output is closed right after."""
    output = subject.build()
    async with _closing(output):
        await output.open()
        sent = events(min(50, output.limits.events), label="before-close")
        await _accepted(output, sent)
    await _arrived(subject, sent)


async def delivers_concurrently(subject: Subject) -> None:
    """As many sends as the limits allow may be under way at once."""
    async with _closing(subject.build()) as output:
        await output.open()
        batches = [
            events(min(5, output.limits.events), label=f"lane-{lane}")
            for lane in range(output.limits.concurrency)
        ]
        await asyncio.gather(*(_accepted(output, batch) for batch in batches))
        for batch in batches:
            await _arrived(subject, batch)


async def survives_cancellation(subject: Subject) -> None:
    """A send that was cancelled at any moment can be sent again, and nothing arrives in pieces."""
    async with _closing(subject.build()) as output:
        await output.open()
        everything: list[Event] = []
        for moment in range(_CANCELLATIONS):
            sent = events(min(20, output.limits.events), 300, label=f"cancelled-{moment}")
            everything += sent
            await _cancelled_after(moment, output, sent)
            await _sent_at_last(output, sent)
        await _arrived(subject, everything)
    whole = {event.payload for event in everything}
    for item in subject.taken():
        if b"cancelled-" in item and not any(payload in item for payload in whole):
            raise Violation(f"the collector took a piece of an event: {item[:200]!r}")


async def refuses_what_is_too_large(subject: Subject) -> None:
    """An event beyond ``limits.event_bytes`` is named or refused, never cut; the others are delivered."""
    async with _closing(subject.build()) as output:
        longest = output.limits.event_bytes
        if longest is None:
            return
        await output.open()
        giant = events(1, longest + 1, label="oversized")[0]
        batch = [*events(min(2, output.limits.events - 1), label="beside"), giant]
        try:
            receipt = await output.send(batch)
        except Refused as refused:
            if not refused.too_large:
                raise Violation("the refusal of a too large event does not say too_large") from None
            return
        _check_receipt(receipt, len(batch))
        if set(receipt.rejected) != {len(batch) - 1}:
            raise Violation(f"the too large event was not rejected, or others were: {dict(receipt.rejected)}")
        await _arrived(subject, batch[:-1])
        if any(b"oversized-0-end" in item for item in subject.taken()):
            raise Violation("the collector took (a part of) an event that was rejected")


async def takes_the_largest(subject: Subject) -> None:
    """An event of exactly ``limits.event_bytes`` arrives whole."""
    async with _closing(subject.build()) as output:
        longest = output.limits.event_bytes
        if longest is None:
            return
        await output.open()
        largest = events(1, min(longest, output.limits.bytes), label="largest")
        await _accepted(output, largest)
        await _arrived(subject, largest)


async def names_an_unreachable_collector(subject: Subject) -> None:
    """A collector that is away is a ``DeliveryError`` with a reason, from ``open`` or from ``send``."""
    if subject.unreachable is None:
        return
    output = subject.unreachable()
    async with _closing(output):
        error = await _failure(output)
        if not error.reason.strip():
            raise Violation("the error gives no reason")
        _check_secrets(subject, f"{error} {error!r}", "an error")


async def hides_secrets(subject: Subject) -> None:
    """No credential shows in ``repr``, nor in an error about refused credentials."""
    for made in (subject.build(), subject.denied() if subject.denied else None):
        if made is not None:
            _check_secrets(subject, f"{made!r} {made}", "the output's repr")
            await made.close()
    if subject.denied is None:
        return
    async with _closing(subject.denied()) as output:
        error = await _failure(output)
        _check_secrets(subject, f"{error} {error!r} {error.__cause__!r}", "an error")


CHECKS: tuple[Check, ...] = (
    closes_without_open,
    closes_twice,
    opens_twice,
    has_usable_limits,
    delivers_before_close,
    delivers_concurrently,
    survives_cancellation,
    refuses_what_is_too_large,
    takes_the_largest,
    names_an_unreachable_collector,
    hides_secrets,
)
"""All checks, for a parametrised test."""


@contextlib.asynccontextmanager
async def _closing(output: Output) -> AsyncIterator[Output]:
    try:
        yield output
    finally:
        await output.close()


async def _accepted(output: Output, batch: Sequence[Event]) -> None:
    receipt = await output.send(batch)
    _check_receipt(receipt, len(batch))
    if receipt.rejected or receipt.retry:
        raise Violation(f"a collector that accepts everything led to {receipt}")


def _check_receipt(receipt: Receipt, size: int) -> None:
    named = {*receipt.rejected, *receipt.retry}
    if not named <= set(range(size)):
        raise Violation(f"the receipt names {sorted(named)} in a batch of {size}")
    if not receipt.retry.isdisjoint(receipt.rejected):
        raise Violation("the receipt both rejects and retries an event")
    if not 0 <= receipt.duplicates <= size:
        raise Violation(f"{receipt.duplicates} duplicates in a batch of {size}")
    if any(not reason.strip() for reason in receipt.rejected.values()):
        raise Violation("a rejection gives no reason")


async def _cancelled_after(turns: int, output: Output, batch: Sequence[Event]) -> None:
    task = asyncio.ensure_future(output.send(batch))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, DeliveryError):
        await task


async def _sent_at_last(output: Output, batch: Sequence[Event]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                await output.open()
                return await _accepted(output, batch)
            except Retryable:
                await asyncio.sleep(0.01)


async def _failure(output: Output) -> DeliveryError:
    try:
        await output.open()
        await output.send(events(1, label="never"))
    except DeliveryError as error:
        return error
    except Exception as error:
        raise Violation(f"{type(error).__name__} instead of a DeliveryError: {error}") from error
    raise Violation("an event was accepted where no collector could take it")


def _times(subject: Subject, event: Event) -> int:
    return sum(event.payload in item for item in subject.taken())


async def _arrived(subject: Subject, sent: Sequence[Event]) -> None:
    missing = {event.payload for event in sent}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            # A collector of somebody else has no event to wait for.
            while missing := {payload for payload in missing if not _is_taken(subject, payload)}:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    if missing:
        raise Violation(f"{len(missing)} of {len(sent)} accepted events never reached the collector")


def _is_taken(subject: Subject, payload: bytes) -> bool:
    return any(payload in item for item in subject.taken())


def _check_secrets(subject: Subject, text: str, where: str) -> None:
    if any(secret in text for secret in subject.secrets):
        raise Violation(f"{where} shows a secret")
