"""What follows from the outcome of a send: the brain of the only retry loop of delivery. Pure.

::

    outcome              what it says                          decision
    Receipt              the collector answered per event      Answered
    Retryable            nothing may be assumed                Retry    the same again, after a wait
    Refused, many        the culprit is among them             Split    head, suspect, tail; or halves
    Refused, one         this is the culprit                   Isolate  a dead letter once others are accepted
    Refused, 20 in a row it is not the events                  HoldOutput  hold, nothing is buried
    Hold                 only a person can help                HoldOutput  hold, probe slowly
    unknown, 1st and 2nd a bug, perhaps passing                Retry
    unknown, 3rd equal   a bug in these events                 as Refused, reason ``bug``

While holding, ``Retryable`` stays a hold: a server that is down cannot say that it would take us again.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from connector.errors import Hold, Refused, Retryable
from connector.model import Receipt
from connector.net.backoff import full_jitter

Random: TypeAlias = Callable[[], float]
"""Returns a number in ``[0, 1)``."""

_EXCERPT = 1000
"""Characters of an answer that are kept."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The numbers behind the decisions.

    Args:
        base: seconds of the first back-off, before jitter.
        cap: seconds that a back-off never exceeds, unless the collector asks for more.
        probe: seconds between the slow probes of a hold; the first ones come sooner.
        refusals: refusals in a row, nothing accepted in between, that make a hold.
        faults: equal unknown errors in a row that count as a refusal.
    """

    base: float = 1.0
    cap: float = 60.0
    probe: float = 60.0
    refusals: int = 20
    faults: int = 3


@dataclass(frozen=True, slots=True)
class History:
    """What happened before the outcome that is to be decided.

    Args:
        failures: sends in a row that brought no progress; the exponent of the back-off.
        refusals: events and requests refused in a row, nothing accepted in between.
        holding: whether the output is on hold, and this was a probe.
        probes: probes of this hold so far.
        fault: the last unknown error of this part.
        faults: how often it came in a row.
    """

    failures: int = 0
    refusals: int = 0
    holding: bool = False
    probes: int = 0
    fault: str = ""
    faults: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """The collector answered per event; *after* is the wait before the next send, if one is due."""

    accepted: int
    rejected: Mapping[int, str] = field(default_factory=dict)
    retry: frozenset[int] = frozenset()
    after: float | None = None
    asked: float | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Send the same again after *after* seconds; *asked* is what the collector wished."""

    reason: str
    after: float
    asked: float | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """Send the half-open ranges *parts* one by one, in this order."""

    reason: str
    chunks: tuple[tuple[int, int], ...]
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Isolate:
    """The one event is the culprit: a dead letter, as soon as the collector accepts anything else."""

    reason: str
    answer: str


@dataclass(frozen=True, slots=True)
class HoldOutput:
    """Hold, and probe after *after* seconds. *wholesale*: because everything was refused."""

    reason: str
    after: float
    wholesale: bool = False


Decision: TypeAlias = Answered | Retry | Split | Isolate | HoldOutput


def decide(
    outcome: Receipt | BaseException, size: int, history: History, *, policy: RetryPolicy, random: Random
) -> Decision:
    """Say what to do after *outcome* of a send of *size* events; 0 means: of opening the output."""
    match outcome:
        case Receipt():
            return _settled(outcome, size, history, policy, random)
        case Hold():
            return HoldOutput(excerpt(outcome.reason), probe_wait(history.probes, policy, random))
        case Retryable():
            return _again(excerpt(outcome.reason), usable_hint(outcome.after), history, policy, random)
        case Refused():
            kind = "too_large" if outcome.too_large else "refused"
            return _refused(outcome, size, history, policy, random, kind=kind)
        case _:
            return _unknown(outcome, size, history, policy, random)


def fault_of(outcome: Receipt | BaseException) -> str:
    """Name an unknown error so that equal ones have equal names; empty for all that is known.

    The error's text stays out on purpose: nobody knows whether it quotes a mail or a secret.
    """
    if isinstance(outcome, Receipt | Retryable | Refused | Hold):
        return ""
    frames = traceback.extract_tb(outcome.__traceback__)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(outcome).__name__}{where}"


def probe_wait(probes: int, policy: RetryPolicy, random: Random) -> float:
    """Seconds until the next probe: 5, 10, 20, 40, then *policy.probe*, each a quarter more or less."""
    wait = min(policy.probe, 5.0 * 2.0 ** min(probes, 30))
    return wait * (0.75 + 0.5 * random())


def usable_hint(hint: float | None) -> float | None:
    """A wait that a collector asked for, if it is one."""
    return hint if hint is not None and math.isfinite(hint) and hint >= 0 else None


def excerpt(text: str) -> str:
    """As much of an answer as is kept."""
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def _settled(receipt: Receipt, size: int, history: History, policy: RetryPolicy, random: Random) -> Decision:
    accepted = size - len(receipt.rejected) - len(receipt.retry)
    hint = usable_hint(receipt.retry_after)
    after: float | None = None
    if receipt.retry or receipt.busy or hint:
        after = max(
            full_jitter(history.failures + 1, base=policy.base, cap=policy.cap, random=random), hint or 0.0
        )
    if not accepted and receipt.rejected and history.refusals + len(receipt.rejected) >= policy.refusals:
        return _wholesale(next(iter(receipt.rejected.values())), history, policy, random)
    return Answered(accepted, receipt.rejected, receipt.retry, after, hint)


def _again(
    reason: str, hint: float | None, history: History, policy: RetryPolicy, random: Random
) -> Retry | HoldOutput:
    if history.holding:
        return HoldOutput(reason, max(probe_wait(history.probes, policy, random), hint or 0.0))
    wait = full_jitter(history.failures + 1, base=policy.base, cap=policy.cap, random=random)
    return Retry(reason, max(wait, hint or 0.0), hint)


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
