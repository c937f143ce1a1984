"""The circuit breaker of an output: when a send may begin, how many at once, and what holds the output.

It keeps the output open, waits out backoffs, probes slowly while the output is held, and limits concurrency
to what the collector copes with. Closed, open and half-open are: sends flow, a wait is under way, and one
trial send after a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from connector.broadcast import Broadcast
from connector.delivery.context import DeliveryContext
from connector.delivery.outcome import outcome_of
from connector.delivery.retry_policy import (
    Answered,
    Decision,
    History,
    HoldOutput,
    Retry,
    decide,
    fault_of,
)
from connector.facts import BatchRetried, OutputHeld, OutputReleased, OutputRetryAfterCapped
from connector.interfaces import Output, ResumableOutput
from connector.values import dataclass

HeldBy: TypeAlias = Literal["collector", "journal"]
"""What holds an output: the collector, or a journal that cannot store an acknowledgement."""


class HoldState:
    """The hold of one output. Collector and journal may each cause it; it ends when neither does."""

    def __init__(self, context: DeliveryContext) -> None:
        self._context = context
        self._reasons: dict[HeldBy, str] = {}
        self._began = 0.0
        self.since: datetime | None = None

    def by(self, side: HeldBy) -> bool:
        """Whether *side* holds the output."""
        return side in self._reasons

    @property
    def reason(self) -> str | None:
        """Why the output waits for an operator; ``None`` where it does not."""
        return next(iter(self._reasons.values()), None)

    def begin(self, side: HeldBy, reason: str) -> None:
        """Hold because of *side*; an existing hold only takes over the new reason."""
        if not self._reasons:
            self._began = asyncio.get_running_loop().time()
            self.since = self._context.clock()
            self._reasons[side] = reason
            self._context.observe(OutputHeld(self._context.name, reason))
        self._reasons[side] = reason

    def end(self, side: HeldBy) -> None:
        """*side* works again: release the output unless the other side still holds it."""
        if self._reasons.pop(side, None) is not None and not self._reasons:
            self.since = None
            seconds = asyncio.get_running_loop().time() - self._began
            self._context.observe(OutputReleased(self._context.name, seconds))


class AdaptiveConcurrency:
    """How many sends may be under way: additive increase, multiplicative decrease (AIMD).

    Starts at *maximum*. Backpressure (429, a queue that is full) halves it, at most once per send begun since
    the last decrease, because concurrent answers report the same congestion. Each mostly accepted send adds
    ``1 / limit``, so the limit grows by about one per round of sends.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._limit = float(maximum)
        self.round = 0

    @property
    def limit(self) -> int:
        """The most sends at once, at least 1."""
        return int(self._limit)

    def accepted(self) -> None:
        """A send was accepted, most of its events at least."""
        self._limit = min(float(self._maximum), self._limit + 1.0 / self._limit)

    def pushed_back(self, began_in: int) -> None:
        """A send that began in round *began_in* met backpressure."""
        if began_in == self.round:
            self.round += 1
            self._limit = max(1.0, self._limit / 2)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send once, from loop time *began*: over connection *generation*, in *round* of the limit."""

    generation: int
    round: int
    began: float


_CLOSING = 5.0
"""Seconds that closing an output may take. Syslog uses them to resend what was unconfirmed; a collector that
needs longer is gone, and delivery to the next connection should not wait for it."""


class CircuitBreaker:
    """The one way to an output, shared by all its concurrent sends.

    After any error nothing is sent until the sends under way ended and the output was closed and opened
    again, or resumed; then one trial send at a time, until one is accepted. A wait applies to all sends.

    Args:
        context: what the output's delivery shares.
        output: the destination.
        hold: the hold of the output.
        notifier: notified when something changed.
        refresh: reads secrets again; called before each probe of a hold.
    """

    def __init__(
        self,
        context: DeliveryContext,
        output: Output,
        hold: HoldState,
        notifier: Broadcast,
        refresh: Callable[[], bool] | None = None,
    ) -> None:
        self._context = context
        self._output = output
        self._hold = hold
        self._notifier = notifier
        self._refresh = refresh
        self._lock = asyncio.Lock()
        self._usable = False
        self._touched = False
        self._wholesale = False
        self._users = 0
        self._resume_at = float("-inf")
        self._wait_reason = ""
        self._probes = 0
        self._opening = History()
        self._last_accepted = float("-inf")
        self._concurrency = AdaptiveConcurrency(output.limits.concurrency)
        self.generation = 0
        self.failures = 0
        self.failed_openings = 0

    @property
    def limit(self) -> int:
        """How many sends may be under way now."""
        half_open = self.failures > 0 or self._hold.by("collector")
        return 1 if half_open else self._concurrency.limit

    @property
    def retry_at(self) -> datetime | None:
        """When the wait under way ends, by the wall clock; ``None`` where there is none."""
        seconds = self._resume_at - asyncio.get_running_loop().time()
        return self._context.clock() + timedelta(seconds=seconds) if seconds > 0 else None

    @property
    def wait_reason(self) -> str | None:
        """Why it waits; ``None`` where it does not."""
        return self._wait_reason if self._resume_at > asyncio.get_running_loop().time() else None

    async def enter(self) -> Permit:
        """Wait until a send may begin."""
        async with self._lock:
            await self._wait()
            while not self._usable or self._users >= self.limit:
                if self._users:
                    await self._notifier.wait()
                else:
                    await self._reopen()
                await self._wait()
            self._users += 1
            return Permit(self.generation, self._concurrency.round, asyncio.get_running_loop().time())

    def leave(self) -> None:
        """A send ended, with whatever outcome."""
        self._users -= 1
        self._notifier.notify()

    def history(self, *, refusals: int, fault: str, faults: int, seconds: float = 0.0) -> History:
        """What a decision about a chunk needs to know."""
        holding = self._hold.by("collector")
        return History(self.failures, refusals, holding, self._probes, fault, faults, seconds)

    def pause(self, seconds: float, reason: str = "") -> None:
        """Let no send begin for *seconds*; a longer wait under way stays."""
        until = asyncio.get_running_loop().time() + seconds
        if until > self._resume_at:
            self._resume_at, self._wait_reason = until, reason

    def resume(self) -> bool:
        """End the wait under way, on an operator's word; returns whether there was one."""
        waiting = self._resume_at > asyncio.get_running_loop().time()
        self._resume_at = float("-inf")
        self._probes = 0
        self._notifier.notify()
        return waiting

    def progressed(self, permit: Permit) -> bool:
        """Whether the collector took other sends since the one with *permit*, which ended, began.

        It accepted events, or one is under way. Where it refuses all of them, the last counts as failed.
        """
        return self._last_accepted > permit.began or self._users > 0

    def pushed_back(self, permit: Permit) -> None:
        """The collector was too busy for the send with *permit*, but accepts others: send fewer at once."""
        self._concurrency.pushed_back(permit.round)

    def answered(self, permit: Permit, decision: Decision) -> None:
        """Take in what the outcome of a send says about the collector.

        An answer to a send that began before the last error says nothing about now.
        """
        current = self._usable and permit.generation == self.generation
        if isinstance(decision, Answered):
            self._take_in(permit, decision, current=current)
            return
        if isinstance(decision, Retry | HoldOutput):
            if isinstance(decision, Retry):
                self._concurrency.pushed_back(permit.round)
            self._failed(decision, fresh=current)
        elif current:
            self.failures = 0
            self._end_hold(accepted=False)
        self.distrust(permit)

    def _take_in(self, permit: Permit, decision: Answered, *, current: bool) -> None:
        stuck = bool(decision.retry) and not decision.accepted and not decision.rejected
        if decision.accepted:
            self._last_accepted = asyncio.get_running_loop().time()
        if decision.after is not None:
            self.pause(decision.after, decision.reason or "the collector asked to slow down")
        self._report_shortened(decision.asked)
        if decision.busy or len(decision.retry) > decision.accepted:
            self._concurrency.pushed_back(permit.round)
        elif decision.accepted:
            # Where most of a request is accepted, fewer requests at once would deliver less, not more.
            # One refused remainder must not leave the limit low for as long as items are refused.
            self._concurrency.accepted()
        if current:
            # Events to retry beside accepted ones are progress: only a send without any counts as failed.
            self.failures = self.failures + 1 if stuck else 0
            self._end_hold(accepted=decision.accepted > 0)

    def distrust(self, permit: Permit) -> None:
        """The send with *permit* ended in an unknown state: open the output again before the next one."""
        if permit.generation == self.generation:
            self._usable = False

    async def close(self) -> None:
        """Release the output. What closing raises changes nothing: a send that matters was answered."""
        self._usable = False
        if not self._touched:
            return
        self._touched = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                await outcome_of(self._output.close())

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        while self._hold.by("journal") or loop.time() < self._resume_at:
            await self._notifier.wait(None if self._hold.by("journal") else self._resume_at)

    async def _reopen(self) -> None:
        outcome = await outcome_of(self._open())
        if outcome is None:
            self._opening = History()
            self.generation += 1
            self._usable = True
            return
        self.failed_openings += 1
        fault = fault_of(outcome)
        last = self._opening
        history = self.history(refusals=0, fault=last.fault, faults=last.faults)
        decision = decide(outcome, 0, history, policy=self._context.policy, random=self._context.random)
        self._opening = History(fault=fault, faults=last.faults + 1 if fault == last.fault else 1)
        if isinstance(decision, Retry | HoldOutput):
            self._failed(decision, fresh=True)

    async def _open(self) -> None:
        if self._refresh is not None and self._hold.by("collector"):
            self._refresh()
        if self._touched and isinstance(self._output, ResumableOutput):
            await self._output.resume()
            return
        await self.close()
        self._touched = True
        await self._output.open()

    def _failed(self, decision: Retry | HoldOutput, *, fresh: bool) -> None:
        if isinstance(decision, HoldOutput):
            held = self._hold.by("collector")
            self._wholesale = decision.wholesale or (held and self._wholesale)
            self._hold.begin("collector", decision.reason)
        self.pause(decision.after, decision.reason)
        if fresh:
            self.failures += 1
            self._probes += isinstance(decision, HoldOutput)
        self._notifier.notify()  # a ``finish`` waits no longer for a collector that accepts nothing
        self._report_shortened(decision.asked)
        retried = BatchRetried(
            self._context.name, decision.reason, self.failures, decision.after, decision.asked
        )
        self._context.observe(retried)

    def _report_shortened(self, asked: float | None) -> None:
        longest = self._context.policy.longest_wait
        if asked is not None and asked > longest:
            self._context.observe(OutputRetryAfterCapped(self._context.name, asked, longest))

    def _end_hold(self, *, accepted: bool) -> None:
        """An answer ends a hold, unless it began because everything was refused: then only an acceptance."""
        if self._hold.by("collector") and (accepted or not self._wholesale):
            self._probes = 0
            self._hold.end("collector")
