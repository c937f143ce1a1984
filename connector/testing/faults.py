"""Fault tests of the output conformance suite: the collector or the network fails.

After each fault the same rule decides: what was accepted is there, whatever was repeated on the way.
"""

from __future__ import annotations

import asyncio

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.model import Event
from connector.testing.fault_proxy import ConnectionFault, fault_proxy
from connector.testing.harness import (
    PATIENCE,
    POISON,
    Check,
    OutputHarness,
    Violation,
    accepted_at_last,
    arrived,
    batch_of,
    check_receipt,
    closing,
    events,
)

_EVENTS, _SIZE = 20, 2000
"""A batch of 40 kB: more than one TLS record, and more than one read."""

_CUTS = (0, 200, 10_000)
"""Bytes after which a connection is cut: at once, in the first words, in the middle of a batch."""


async def survives_a_connection_that_is_cut(harness: OutputHarness) -> None:
    """A reset at any moment loses nothing."""
    for cut in _CUTS:
        await _survives(harness, ConnectionFault(cut_after=cut, lasting=1), f"cut-{cut}")


async def survives_a_collector_that_stops_answering_in_mid_send(harness: OutputHarness) -> None:
    """The collector's side of a connection ends while the output's side goes on."""
    await _survives(harness, ConnectionFault(half_close_after=10_000, lasting=1), "half-closed")


async def survives_a_collector_that_hangs(harness: OutputHarness) -> None:
    """A collector that takes a connection and does nothing with it is given up in time."""
    if harness.answers:
        await _survives(harness, ConnectionFault(deaf=True, lasting=1), "hanging")


async def survives_answers_that_are_lost(harness: OutputHarness) -> None:
    """What a collector took without the output learning of it is sent again."""
    if harness.answers:
        await _survives(harness, ConnectionFault(mute=True, lasting=1), "mute")


async def survives_a_slow_road(harness: OutputHarness) -> None:
    """Bytes that trickle are no fault."""
    await _survives(harness, ConnectionFault(piece=2048), "slow")


async def comes_again_where_it_is_asked_to(harness: OutputHarness) -> None:
    """A collector that is busy is ``Retryable``, or asks for each event again; nothing counts as accepted."""
    if harness.busy is None:
        return
    async with closing(harness.busy()) as output:
        batch = batch_of(output, 3, label="busy")
        try:
            await output.open()
            receipt = await output.send(batch)
        except Retryable as error:
            if not error.reason.strip():
                raise Violation("the error gives no reason") from None
            return
        except DeliveryError as error:
            raise Violation(f"a busy collector led to {type(error).__name__}: {error}") from None
        check_receipt(receipt, len(batch))
        if receipt.retry != set(range(len(batch))):
            raise Violation(f"a busy collector led to {receipt}")


async def holds_where_it_is_denied(harness: OutputHarness) -> None:
    """Credentials that are refused are ``Hold``: no event is to blame, and an operator is needed."""
    if harness.denied is None:
        return
    async with closing(harness.denied()) as output:
        try:
            await output.open()
            await output.send(events(1, label="denied"))
        except Hold:
            return
        except DeliveryError as error:
            raise Violation(f"refused credentials led to {type(error).__name__}: {error}") from None
        raise Violation("an event was accepted without credentials")


async def refuses_only_the_culprit(harness: OutputHarness) -> None:
    """An event that the collector refuses is rejected, or its batch is ``Refused`` with it as the suspect.

    Without a suspect the batch will be halved: then the culprit is refused alone, the others are accepted.
    A collector that only counts what it refuses counts one, and takes the others.
    """
    if harness.picky is None:
        return
    async with closing(harness.picky()) as output:
        await output.open()
        good = batch_of(output, 2, label="beside-it")
        [culprit] = events(1, label=POISON)
        batch = [good[0], culprit, *good[1:]] if output.limits.events > len(good) else [culprit]
        try:
            receipt = await output.send(batch)
        except Refused as refused:
            if refused.suspect is not None and batch[refused.suspect] is not culprit:
                raise Violation(f"event {refused.suspect} was named, which is not the culprit") from None
        else:
            check_receipt(receipt, len(batch))
            if receipt.unnamed == 1 and not receipt.rejected:
                await arrived(harness, good)
            elif {batch[index].payload for index in receipt.rejected} != {culprit.payload}:
                raise Violation(f"the culprit was not rejected, or others were: {receipt}") from None
        await accepted_at_last(output, good)
        if any(culprit.payload in item for item in harness.taken()):
            raise Violation("the collector took an event that it refused")
    await arrived(harness, good)


FAULTS: tuple[Check, ...] = (
    survives_a_connection_that_is_cut,
    survives_a_collector_that_stops_answering_in_mid_send,
    survives_a_collector_that_hangs,
    survives_answers_that_are_lost,
    survives_a_slow_road,
    comes_again_where_it_is_asked_to,
    holds_where_it_is_denied,
    refuses_only_the_culprit,
)
"""The checks of this module."""


async def _survives(harness: OutputHarness, trouble: ConnectionFault, label: str) -> None:
    """Send through a faulty connection until the fault has passed; all that was accepted must be there."""
    if harness.through is None:
        return
    connections = 1 if trouble.lasting is None else trouble.lasting + 1
    sent: list[Event] = []
    async with (
        fault_proxy(harness.port, trouble) as proxy,
        closing(harness.through(proxy.port)) as output,
    ):
        try:
            async with asyncio.timeout(PATIENCE):
                while proxy.connections < connections or not sent:
                    batch = batch_of(output, _EVENTS, _SIZE, label=f"{label}-{len(sent)}")
                    await accepted_at_last(output, batch)
                    sent += batch
        except TimeoutError:
            raise Violation(f"{label}: the output did not notice the trouble") from None
        await arrived(harness, sent)
