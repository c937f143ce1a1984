"""Decides what follows from the outcome of a send: done, retry, split, isolate, or hold. Pure functions.

This is the only place in delivery that classifies an outcome::

    outcome              what it says                          decision
    Receipt              the collector answered per event      Answered
    Retryable            nothing may be assumed                Retry       the same again, after a backoff
    Refused, many        the culprit is among them             Split       head, suspect, tail; or halves
    Refused, one         this event is the culprit             Isolate     a dead letter once others pass
    Refused, 20 in a row it is not the events                  HoldOutput  nothing is dead-lettered
    Hold                 an operator has to act                HoldOutput  probe slowly
    unknown, 1st and 2nd a bug, perhaps transient              Retry
    unknown, 3rd equal   a bug that these events trigger       as Refused, reason ``bug``

While an output is held, ``Retryable`` prolongs the hold: a server that is down cannot say that it would
accept events again. Whether a *request* rather than the collector causes ``Retryable`` or ``Hold`` is
found out by ``suspects.PoisonSearch``.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TypeAlias

from connector.errors import Hold, Refused, Retryable
from connector.model import Receipt
from connector.net.backoff import full_jitter
from connector.values import dataclass

Random: TypeAlias = Callable[[], float]
"""Returns a number in ``[0, 1)``."""

_EXCERPT = 1000
"""Characters of an answer to keep: enough for the error object of every collector we know, and a few hundred
of them still fit on a status page."""

_SHORTEST_PACE = 0.05
"""Seconds of the shortest first backoff that follows an answer: less is lost in the time of a request."""

_FIRST_PROBE = 5.0
"""Seconds to the first probe of a hold: an operator who just fixed a token should not wait a minute."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The numbers behind the decisions.

    Args:
        base: seconds of the first backoff, before jitter.
        cap: longest backoff in seconds, unless the collector asks for more.
        longest_wait: longest wait in seconds that a collector can ask for (``Retry-After``). Longer requests
            are usually a unit error (an epoch, milliseconds); they are cut to this and reported.
        probe: seconds between the slow probes of a hold; the first ones come sooner.
        refusals: refusals in a row, nothing accepted in between, that hold the output.
        faults: equal unknown errors in a row that count as a refusal.
        halve_after: failures in a row after which a request is halved, to find out whether one event causes
            them.
        overtake_after: seconds of failure after which later events may overtake an event that fails alone.
            A shorter outage does not disturb the order of events.
        proof: times that an event has to fail twice in a row while the next request without it is accepted,
            before it is dead-lettered. Five, because a collector that fails every second request at random
            produces five such trials in a row for one event in about 20 000.
    """

    base: float = 1.0
    cap: float = 60.0
    longest_wait: float = 600.0
    probe: float = 60.0
    refusals: int = 20
    faults: int = 3
    halve_after: int = 2
    overtake_after: float = 60.0
    proof: int = 5

    def backoff(self, attempt: int, random: Random, *, pace: float | None = None) -> float:
        """Seconds to wait after failure number *attempt* (from 1): full jitter, doubling up to ``cap``.

        *pace*: how long the collector took to answer, in seconds, where it answered per event. It is up, so
        the first wait is about as long as a request, at most ``base``.
        """
        base = self.base if pace is None else min(self.base, max(pace, _SHORTEST_PACE))
        return full_jitter(attempt, base=base, cap=self.cap, random=random)

    def granted(self, hint: float | None) -> float:
        """Seconds of the wait *hint* that a collector gets; 0 where it asked for nothing usable."""
        return min(usable_hint(hint) or 0.0, self.longest_wait)


@dataclass(frozen=True, slots=True)
class History:
    """What happened before the outcome to decide about.

    Args:
        failures: sends in a row that brought no progress; the exponent of the backoff.
        refusals: events and requests refused in a row, nothing accepted in between.
        holding: whether the output is held, so that this send was a probe.
        probes: probes of this hold so far.
        fault: the last unknown error of this chunk.
        faults: how often it came in a row.
        seconds: how long the send took.
    """

    failures: int = 0
    refusals: int = 0
    holding: bool = False
    probes: int = 0
    fault: str = ""
    faults: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Answered:
    """The collector answered per event.

    *after* is the wait in seconds before the next send of any event (``None``: none), *asked* the wait that
    the collector requested, *reason* why it wants the events in *retry* again. Events in *retry* beside
    accepted ones are progress: they do not grow a backoff.
    """

    accepted: int
    rejected: Mapping[int, str] = field(default_factory=dict)
    retry: frozenset[int] = frozenset()
    after: float | None = None
    asked: float | None = None
    busy: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Send the same again after *after* seconds; *asked* is the wait that the collector requested.

    *busy*: the collector works and asks for fewer requests.
    """

    reason: str
    after: float
    asked: float | None = None
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """Send the half-open index ranges *chunks* one by one, in this order."""

    reason: str
    chunks: tuple[tuple[int, int], ...]
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Isolate:
    """The one event is the culprit: a dead letter as soon as the collector accepts any other event."""

    reason: str
    answer: str


@dataclass(frozen=True, slots=True)
class HoldOutput:
    """Hold, and probe after *after* seconds. *wholesale*: because everything was refused."""

    reason: str
    after: float
    wholesale: bool = False
    asked: float | None = None


Decision: TypeAlias = Answered | Retry | Split | Isolate | HoldOutput


def decide(
    outcome: Receipt | BaseException, size: int, history: History, *, policy: RetryPolicy, random: Random
) -> Decision:
    """Return what to do after *outcome* of a send of *size* events; size 0 means opening the output."""
    match outcome:
        case Receipt():
            return _answered(outcome, size, history, policy, random)
        case Hold():
            return HoldOutput(excerpt(outcome.reason), probe_wait(history.probes, policy, random))
        case Retryable():
            hint = usable_hint(outcome.after)
            return _again(excerpt(outcome.reason), hint, history, policy, random, busy=outcome.busy)
        case Refused():
            kind = "too_large" if outcome.too_large else "refused"
            return _refused(outcome, size, history, policy, random, kind=kind)
        case _:
            return _unknown(outcome, size, history, policy, random)


def fault_of(outcome: Receipt | BaseException) -> str:
    """Name an unknown error by class and line, so that equal errors have equal names; empty for known ones.

    The error's text is left out on purpose: it may quote a message or a secret.
    """
    if isinstance(outcome, Receipt | Retryable | Refused | Hold):
        return ""
    frames = traceback.extract_tb(outcome.__traceback__)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(outcome).__name__}{where}"


def probe_wait(probes: int, policy: RetryPolicy, random: Random) -> float:
    """Seconds until the next probe: 5, 10, 20, 40, then ``policy.probe``, each a quarter more or less."""
    wait = min(policy.probe, _FIRST_PROBE * 2.0 ** min(probes, 30))
    return wait * (0.75 + 0.5 * random())


def usable_hint(hint: float | None) -> float | None:
    """The wait that a collector asked for, or ``None`` where it is not a finite number of seconds."""
    return hint if hint is not None and math.isfinite(hint) and hint >= 0 else None


def excerpt(text: str) -> str:
    """The part of an answer to keep."""
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def _answered(receipt: Receipt, size: int, history: History, policy: RetryPolicy, random: Random) -> Decision:
    accepted = size - len(receipt.rejected) - len(receipt.retry) - receipt.unnamed
    hint = usable_hint(receipt.retry_after)
    after: float | None = None
    if receipt.retry and not accepted and not receipt.rejected:
        wait = policy.backoff(history.failures + 1, random, pace=history.seconds)
        after = max(wait, policy.granted(hint))
    elif receipt.busy or hint:
        # It accepts events, so the pause stays short: backing off further would punish progress.
        after = max(policy.backoff(1, random), policy.granted(hint))
    if not accepted and receipt.rejected and history.refusals + len(receipt.rejected) >= policy.refusals:
        return _wholesale(next(iter(receipt.rejected.values())), history, policy, random)
    reason = excerpt(receipt.retry_reason)
    return Answered(accepted, receipt.rejected, receipt.retry, after, hint, receipt.busy, reason)


def _again(
    reason: str,
    hint: float | None,
    history: History,
    policy: RetryPolicy,
    random: Random,
    *,
    busy: bool = False,
) -> Retry | HoldOutput:
    granted = policy.granted(hint)
    if history.holding:
        return HoldOutput(reason, max(probe_wait(history.probes, policy, random), granted), asked=hint)
    return Retry(reason, max(policy.backoff(history.failures + 1, random), granted), hint, busy)


def _refused(
    error: Refused, size: int, history: History, policy: RetryPolicy, random: Random, *, kind: str
) -> Decision:
    if size == 0:
        return HoldOutput(excerpt(error.reason), probe_wait(history.probes, policy, random))
    if history.refusals + 1 >= policy.refusals:
        return _wholesale(error.reason, history, policy, random)
    if size == 1:
        return Isolate(kind, excerpt(error.reason))
    return Split(excerpt(error.reason), _ranges(size, error.suspect), error.too_large)


def _ranges(size: int, suspect: int | None) -> tuple[tuple[int, int], ...]:
    """Cut out the suspect where one is named, else cut in halves; order is kept."""
    if suspect is None or not 0 <= suspect < size:
        return (0, size // 2), (size // 2, size)
    cuts = ((0, suspect), (suspect, suspect + 1), (suspect + 1, size))
    return tuple((start, stop) for start, stop in cuts if start < stop)


def _wholesale(answer: str, history: History, policy: RetryPolicy, random: Random) -> HoldOutput:
    reason = f"{policy.refusals} refusals in a row and nothing accepted in between; the last answer: {answer}"
    return HoldOutput(excerpt(reason), probe_wait(history.probes, policy, random), wholesale=True)


def _unknown(
    error: BaseException, size: int, history: History, policy: RetryPolicy, random: Random
) -> Decision:
    fault = fault_of(error)
    count = history.faults + 1 if fault == history.fault else 1
    if count < policy.faults:
        return _again(f"unexpected {fault}", None, history, policy, random)
    return _refused(Refused(f"unexpected {fault}, {count} times"), size, history, policy, random, kind="bug")
