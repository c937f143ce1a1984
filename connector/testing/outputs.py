"""Conformance suite for outputs: plugin authors run it against a collector of their own.

With pytest and asyncio::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(check: Check) -> None:
        async with my_collector() as collector:
            await check(OutputHarness(build=..., taken=collector.taken, ...))

Each check is an async function of a ``OutputHarness``; it raises ``Violation`` with what was broken. What the
subject leaves out is not checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Sequence

from connector.errors import DeliveryError, Refused
from connector.interfaces import Output
from connector.model import Event
from connector.testing.faults import FAULTS
from connector.testing.harness import (
    PATIENCE,
    POISON,
    Check,
    OutputHarness,
    Violation,
    accepted,
    accepted_at_last,
    arrived,
    batch_of,
    check_receipt,
    closing,
    events,
    failure,
    times_taken,
)

__all__ = ["CHECKS", "POISON", "Check", "OutputHarness", "Violation", "events"]

# At how many different moments a send or an opening is cancelled.
_CANCELLATIONS = 12
_CALLS = ("open", "send", "close")
_ORDERS = (*itertools.product(_CALLS, repeat=2), *itertools.permutations(_CALLS))


async def closes_without_open(harness: OutputHarness) -> None:
    """An output that was never opened can be closed."""
    await harness.build().close()


async def closes_twice(harness: OutputHarness) -> None:
    """Closing again does nothing."""
    output = harness.build()
    await output.open()
    await output.close()
    await output.close()


async def opens_twice(harness: OutputHarness) -> None:
    """Opening again does no harm: what is sent afterwards arrives once."""
    async with closing(harness.build()) as output:
        await output.open()
        await output.open()
        sent = events(2, label="opened-twice")
        await accepted(output, sent)
        await arrived(harness, sent)
        for event in sent:
            if times_taken(harness, event) != 1:
                raise Violation(f"{event.revision.record.id} was taken {times_taken(harness, event)} times")


async def works_in_every_order(harness: OutputHarness) -> None:
    """Whatever was opened, sent to and closed in which order: nothing breaks, nothing claimed is missing.

    A send without ``open`` before it may work or fail; a send after all that works.
    """
    for order in _ORDERS:
        sent: list[Event] = []
        name = "-".join(order)
        async with closing(harness.build()) as output:
            for step, call in enumerate(order):
                batch = events(1, label=f"{name}-{step}")
                if call == "open":
                    await output.open()
                elif call == "close":
                    await output.close()
                elif await _sends(output, batch, name):
                    sent += batch
            batch = events(1, label=f"{name}-last")
            await accepted_at_last(output, batch)
        await arrived(harness, [*sent, *batch])


async def has_usable_limits(harness: OutputHarness) -> None:
    """Limits allow at least one event, and never change."""
    output = harness.build()
    limits = output.limits
    smallest = min(limits.events, limits.bytes, limits.concurrency, limits.event_bytes or 1)
    if smallest < 1 or limits.linger < 0:
        raise Violation(f"nothing can be sent within {limits}")
    async with closing(output):
        await output.open()
        if output.limits != limits:
            raise Violation(f"the limits changed from {limits} to {output.limits}")


async def delivers_before_close(harness: OutputHarness) -> None:
    """What a receipt accepts has reached the collector, also when the output is closed right after."""
    async with closing(harness.build()) as output:
        await output.open()
        sent = events(min(50, output.limits.events), label="before-close")
        await accepted(output, sent)
    await arrived(harness, sent)


async def delivers_concurrently(harness: OutputHarness) -> None:
    """As many sends as the limits allow may be under way at once."""
    async with closing(harness.build()) as output:
        await output.open()
        batches = [
            events(min(5, output.limits.events), label=f"lane-{lane}")
            for lane in range(output.limits.concurrency)
        ]
        await asyncio.gather(*(accepted(output, batch) for batch in batches))
        for batch in batches:
            await arrived(harness, batch)


async def survives_cancellation(harness: OutputHarness) -> None:
    """A send that was cancelled at any moment can be sent again, and nothing arrives in pieces."""
    async with closing(harness.build()) as output:
        await output.open()
        everything: list[Event] = []
        for moment in range(_CANCELLATIONS):
            sent = events(min(20, output.limits.events), 300, label=f"cancelled-{moment}")
            everything += sent
            await _cancelled_after(moment, output.send(sent))
            await accepted_at_last(output, sent)
        await arrived(harness, everything)
    whole = {event.payload for event in everything}
    for item in harness.taken():
        if b"cancelled-" in item and not any(payload in item for payload in whole):
            raise Violation(f"the collector took a piece of an event: {item[:200]!r}")


async def survives_a_cancelled_opening(harness: OutputHarness) -> None:
    """An opening that was cancelled at any moment can be repeated."""
    everything: list[Event] = []
    for moment in range(_CANCELLATIONS):
        async with closing(harness.build()) as output:
            await _cancelled_after(moment, output.open())
            sent = events(1, label=f"opened-after-{moment}")
            await accepted_at_last(output, sent)
            everything += sent
    await arrived(harness, everything)


async def refuses_what_is_too_large(harness: OutputHarness) -> None:
    """An event beyond ``limits.event_bytes`` is named or refused, never cut; the others are delivered."""
    async with closing(harness.build()) as output:
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
        check_receipt(receipt, len(batch))
        if set(receipt.rejected) != {len(batch) - 1}:
            raise Violation(f"the too large event was not rejected, or others were: {dict(receipt.rejected)}")
        await arrived(harness, batch[:-1])
        if any(b"oversized-0-end" in item for item in harness.taken()):
            raise Violation("the collector took (a part of) an event that was rejected")


async def takes_the_largest(harness: OutputHarness) -> None:
    """An event of exactly ``limits.event_bytes`` arrives whole."""
    async with closing(harness.build()) as output:
        longest = output.limits.event_bytes
        if longest is None:
            return
        await output.open()
        largest = events(1, min(longest, output.limits.bytes), label="largest")
        await accepted(output, largest)
        await arrived(harness, largest)


async def takes_a_full_batch(harness: OutputHarness) -> None:
    """As much as the limits allow at once arrives whole."""
    async with closing(harness.build()) as output:
        await output.open()
        batch = batch_of(output, output.limits.events, 1500, label="full")
        await accepted(output, batch)
        await arrived(harness, batch)


async def names_an_unreachable_collector(harness: OutputHarness) -> None:
    """A collector that is away is a ``DeliveryError`` with a reason, from ``open`` or from ``send``."""
    if harness.unreachable is None:
        return
    output = harness.unreachable()
    async with closing(output):
        error = await failure(output)
        if not error.reason.strip():
            raise Violation("the error gives no reason")
        _check_secrets(harness, f"{error} {error!r}", "an error")


async def hides_secrets(harness: OutputHarness) -> None:
    """No credential shows in ``repr``, nor in an error about refused credentials."""
    for made in (harness.build(), harness.denied() if harness.denied else None):
        if made is not None:
            _check_secrets(harness, f"{made!r} {made}", "the output's repr")
            await made.close()
    if harness.denied is None:
        return
    async with closing(harness.denied()) as output:
        error = await failure(output)
        _check_secrets(harness, f"{error} {error!r} {error.__cause__!r}", "an error")


CHECKS: tuple[Check, ...] = (
    closes_without_open,
    closes_twice,
    opens_twice,
    works_in_every_order,
    has_usable_limits,
    delivers_before_close,
    delivers_concurrently,
    survives_cancellation,
    survives_a_cancelled_opening,
    refuses_what_is_too_large,
    takes_the_largest,
    takes_a_full_batch,
    names_an_unreachable_collector,
    hides_secrets,
    *FAULTS,
)
"""All checks, for a parametrised test."""


async def _sends(output: Output, batch: Sequence[Event], order: str) -> bool:
    """Whether *batch* was accepted; an error must be one that delivery knows."""
    try:
        async with asyncio.timeout(PATIENCE):
            await accepted(output, batch)
    except DeliveryError:
        return False
    except TimeoutError:
        raise Violation(f"{order}: a send did not end") from None
    return True


async def _cancelled_after(turns: int, work: Awaitable[object]) -> None:
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, DeliveryError):
        await task


def _check_secrets(harness: OutputHarness, text: str, where: str) -> None:
    if any(secret in text for secret in harness.secrets):
        raise Violation(f"{where} shows a secret")
