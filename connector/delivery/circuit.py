"""Who may send now: keeps the output open, waits out back-offs, and probes slowly while on hold."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Literal, TypeAlias

from connector.broadcast import Broadcast
from connector.delivery.context import DeliveryContext
from connector.delivery.outcome import outcome_of
from connector.delivery.retry_policy import Answered, Decision, History, HoldOutput, Retry, decide, fault_of
from connector.facts import BatchRetried, OutputHeld, OutputReleased
from connector.interfaces import Output

Side: TypeAlias = Literal["collector", "journal"]
"""Who makes it wait: the collector, or a journal that cannot take an acknowledgement."""


class HoldState:
    """The hold of one output. Both sides may cause it; it ends when neither does."""

    def __init__(self, context: DeliveryContext) -> None:
        self._context = context
        self._reasons: dict[Side, str] = {}
        self._began = 0.0
        self.since: datetime | None = None

    def by(self, side: Side) -> bool:
        """Whether *side* makes the output wait."""
        return side in self._reasons

    @property
    def reason(self) -> str | None:
        """Why the output waits for a person; ``None`` where it does not."""
        return next(iter(self._reasons.values()), None)

    def begin(self, side: Side, reason: str) -> None:
        """Wait because of *side*; a hold that is there already only learns the new reason."""
        if not self._reasons:
            self._began = asyncio.get_running_loop().time()
            self.since = self._context.clock()
            self._reasons[side] = reason
            self._context.observe(OutputHeld(self._context.name, reason))
        self._reasons[side] = reason

    def end(self, side: Side) -> None:
        """*side* is well again."""
        if self._reasons.pop(side, None) is not None and not self._reasons:
            self.since = None
            seconds = asyncio.get_running_loop().time() - self._began
            self._context.observe(OutputReleased(self._context.name, seconds))


_CLOSING = 5.0
"""Seconds that closing an output may take; then it is left to itself."""


class CircuitBreaker:
    """The one way to an output, shared by all its concurrent sends.

    After any error nothing is sent until the sends under way ended and the output was closed and opened
    again. A pause concerns all sends: what a collector asked of one it asked of all.

    Args:
        kit: what the output's delivery shares.
        output: the destination.
        holding: the hold of the output.
        pulse: beats when something changed.
        refresh: reads secrets again; called before each probe.
    """

    def __init__(
        self,
        context: DeliveryContext,
        output: Output,
        holding: HoldState,
        notifier: Broadcast,
        refresh: Callable[[], bool] | None = None,
    ) -> None:
        self._context = context
        self._output = output
        self._hold = holding
        self._notifier = notifier
        self._refresh = refresh
        self._lock = asyncio.Lock()
        self._usable = False
        self._touched = False
        self._wholesale = False
        self._users = 0
        self._resume = float("-inf")
        self._probes = 0
        self._opening = History()
        self.generation = 0
        self.failures = 0

    async def enter(self) -> int:
        """Wait until a send may begin; return the generation of the connection it will use."""
        async with self._lock:
            await self._wait()
            while not self._usable:
                while self._users:
                    await self._notifier.wait()
                await self._reopen()
                await self._wait()
            self._users += 1
            return self.generation

    def leave(self) -> None:
        """A send ended, however."""
        self._users -= 1
        self._notifier.notify()

    def history(self, *, refusals: int, fault: str, faults: int) -> History:
        """What a decision about a part needs to know."""
        return History(self.failures, refusals, self._hold.by("collector"), self._probes, fault, faults)

    def pause(self, seconds: float) -> None:
        """Let no send begin for so long; a longer pause under way stays."""
        self._resume = max(self._resume, asyncio.get_running_loop().time() + seconds)

    def resume(self) -> bool:
        """End a pause now; returns whether there was one. A hold by the journal stays."""
        waiting = asyncio.get_running_loop().time() < self._resume
        self._resume = float("-inf")
        self._notifier.notify()
        return waiting

    def answered(self, generation: int, decision: Decision) -> None:
        """Take in what a collector's answer says about the way to it.

        An answer to a send that began before the last error says nothing about now.
        """
        current = self._usable and generation == self.generation
        if isinstance(decision, Answered):
            if decision.after is not None:
                self.pause(decision.after)
            if current:
                self.failures = self.failures + 1 if decision.retry else 0
                self._answers(accepted=decision.accepted > 0)
            return
        if isinstance(decision, Retry | HoldOutput):
            self._failed(decision, fresh=current)
        elif current:
            self.failures = 0
            self._answers(accepted=False)
        self.distrust(generation)

    def distrust(self, generation: int) -> None:
        """A send of *generation* was cancelled: open the output again before the next one."""
        if generation == self.generation:
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
        while self._hold.by("journal") or loop.time() < self._resume:
            await self._notifier.wait(None if self._hold.by("journal") else self._resume)

    async def _reopen(self) -> None:
        await self.close()
        outcome = await outcome_of(self._open())
        if outcome is None:
            self._opening = History()
            self.generation += 1
            self._usable = True
            return
        fault = fault_of(outcome)
        seen = self._opening
        history = self.history(refusals=0, fault=seen.fault, faults=seen.faults)
        decision = decide(outcome, 0, history, policy=self._context.policy, random=self._context.random)
        self._opening = History(fault=fault, faults=seen.faults + 1 if fault == seen.fault else 1)
        if isinstance(decision, Retry | HoldOutput):
            self._failed(decision, fresh=True)

    async def _open(self) -> None:
        if self._refresh is not None and self._hold.by("collector"):
            self._refresh()
        self._touched = True
        await self._output.open()

    def _failed(self, decision: Retry | HoldOutput, *, fresh: bool) -> None:
        if isinstance(decision, HoldOutput):
            holding = self._hold.by("collector")
            self._wholesale = decision.wholesale or (holding and self._wholesale)
            self._hold.begin("collector", decision.reason)
        self.pause(decision.after)
        if fresh:
            self.failures += 1
            self._probes += isinstance(decision, HoldOutput)
        asked = decision.asked if isinstance(decision, Retry) else None
        self._context.observe(
            BatchRetried(self._context.name, decision.reason, self.failures, decision.after, asked)
        )

    def _answers(self, *, accepted: bool) -> None:
        """An answer ends a hold, unless the hold began because everything was refused."""
        if self._hold.by("collector") and (accepted or not self._wholesale):
            self._probes = 0
            self._hold.end("collector")
