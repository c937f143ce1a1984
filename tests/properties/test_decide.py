"""The retry decision holds its promises for every outcome and every history."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from connector.delivery.retry_policy import (
    Answered,
    History,
    HoldOutput,
    Isolate,
    Retry,
    RetryPolicy,
    Split,
    decide,
    fault_of,
)
from connector.errors import Hold, Refused, Retryable
from connector.model import Receipt

hints = st.none() | st.floats(allow_nan=True, allow_infinity=True)
counts = st.integers(0, 2000)
histories = st.builds(
    History,
    failures=counts,
    refusals=st.integers(0, 19),
    holding=st.booleans(),
    probes=counts,
    fault=st.sampled_from(["", "ValueError", "KeyError"]),
    faults=st.integers(0, 5),
)
refusals = st.builds(
    Refused, st.text(max_size=5), too_large=st.booleans(), suspect=st.none() | st.integers(-3, 600)
)
errors = (
    st.builds(Retryable, st.text(max_size=5), hints)
    | st.builds(Hold, st.text(max_size=5))
    | refusals
    | st.sampled_from([ValueError("x"), KeyError("y"), TimeoutError()])
)
sizes = st.integers(1, 500)
chances = st.floats(0, 1, exclude_max=True)
POLICY = RetryPolicy()


@given(outcome=errors, size=sizes, history=histories, chance=chances)
def test_every_error_leads_to_something_that_loses_nothing(
    outcome: Exception, size: int, history: History, chance: float
) -> None:
    """No error settles events, only a single event is condemned, and every wait is finite."""
    decision = decide(outcome, size, history, policy=POLICY, random=lambda: chance)

    assert not isinstance(decision, Answered)
    if isinstance(decision, Isolate):
        assert size == 1
    if isinstance(decision, Retry | HoldOutput):
        assert math.isfinite(decision.after)
        assert decision.after >= 0
    if isinstance(decision, Retry):
        assert not history.holding


@given(outcome=refusals, size=st.integers(2, 500), history=histories)
def test_a_split_holds_every_event_once_in_order_and_gets_smaller(
    outcome: Refused, size: int, history: History
) -> None:
    """The parts of a refused batch join up to the batch, and none is the whole again."""
    decision = decide(outcome, size, history, policy=POLICY, random=lambda: 0.5)

    if isinstance(decision, Split):
        joined = [index for start, stop in decision.chunks for index in range(start, stop)]
        assert joined == list(range(size))
        assert all(0 < stop - start < size for start, stop in decision.chunks)
        if outcome.suspect is not None and 0 <= outcome.suspect < size:
            assert (outcome.suspect, outcome.suspect + 1) in decision.chunks
    else:
        assert history.refusals + 1 >= POLICY.refusals
        assert isinstance(decision, HoldOutput)


@given(failures=counts, chance=chances, hint=hints, partly=st.booleans())
def test_a_wait_is_jittered_and_never_shorter_than_asked(
    failures: int, chance: float, hint: float | None, *, partly: bool
) -> None:
    """Full jitter up to the cap; a hint can only lengthen the wait, and minutes are granted."""
    outcome = Receipt(retry=frozenset({0}), retry_after=hint) if partly else Retryable("busy", hint)
    decision = decide(outcome, 2, History(failures=failures), policy=POLICY, random=lambda: chance)

    assert isinstance(decision, Answered | Retry)
    useful = hint if hint is not None and math.isfinite(hint) and hint >= 0 else 0.0
    granted = min(useful, POLICY.longest_wait)
    if partly and not useful:
        # One of two events was accepted: progress is not punished with a wait for all.
        assert decision.after is None
        return
    assert decision.after is not None
    assert decision.after >= granted
    assert decision.after <= max(granted, POLICY.cap)
    assert decision.asked is None or decision.asked == useful


@given(size=sizes, refused=st.integers(0, 19), kind=st.booleans())
def test_the_twentieth_refusal_in_a_row_is_a_hold_whatever_the_size(
    size: int, refused: int, *, kind: bool
) -> None:
    """Below twenty a refusal is about events, from twenty on it is about the collector."""
    outcome = Refused("no") if kind else Receipt(rejected={0: "no"}, retry=frozenset(range(1, size)))
    decision = decide(outcome, size, History(refusals=refused), policy=POLICY, random=lambda: 0.5)

    wholesale = isinstance(decision, HoldOutput) and decision.wholesale
    assert wholesale == (refused >= 19)


def test_an_unknown_error_is_retried_twice_and_then_counts_as_a_refusal() -> None:
    error = ValueError("whatever")
    name = fault_of(error)
    chosen = [
        decide(error, 1, History(fault=name if n else "", faults=n), policy=POLICY, random=lambda: 0.5)
        for n in range(4)
    ]

    assert [type(each) for each in chosen] == [Retry, Retry, Isolate, Isolate]
    assert [each.reason for each in chosen if isinstance(each, Isolate)] == ["bug", "bug"]


def test_an_unknown_error_tells_its_class_and_place_but_not_its_text() -> None:
    try:
        raise ValueError("subject of a mail, or a token")  # noqa: TRY301
    except ValueError as error:
        decision = decide(error, 1, History(), policy=POLICY, random=lambda: 0.5)

    assert isinstance(decision, Retry)
    assert "ValueError at test_decide.py:" in decision.reason
    assert "token" not in decision.reason


def test_the_first_probes_of_a_hold_come_sooner() -> None:
    waits = []
    for probes in range(7):
        decision = decide(Hold("401"), 1, History(probes=probes), policy=POLICY, random=lambda: 0.5)
        assert isinstance(decision, HoldOutput)
        waits.append(decision.after)

    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_errors_while_opening_never_condemn_events() -> None:
    for outcome in (Refused("?"), ValueError("?")):
        decision = decide(
            outcome, 0, History(fault=fault_of(outcome), faults=9), policy=POLICY, random=lambda: 0.5
        )
        assert isinstance(decision, HoldOutput)


def test_an_oversized_single_event_is_condemned_as_too_large() -> None:
    decision = decide(Refused("413", too_large=True), 1, History(), policy=POLICY, random=lambda: 0.5)

    assert decision == Isolate("too_large", "413")
