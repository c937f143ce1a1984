"""An output's errors as values: a cancellation of the caller wins, and nothing is kept alive by an error."""

from __future__ import annotations

import asyncio

import pytest

from connector.delivery.outcome import CancelledItself, outcome_of
from connector.errors import Retryable
from tests.support.uncollected import living, uncollected


class Batch(list[str]):
    """Something large that a send holds."""


async def _send(batch: Batch) -> None:
    error = Retryable(f"{len(batch)} events are too many just now")
    raise error


async def test_a_send_that_failed_keeps_its_batch_no_longer_than_its_error() -> None:
    with uncollected():
        before = living(Retryable)
        for _ in range(3):
            outcome = await outcome_of(_send(Batch("abc")))
            assert isinstance(outcome, Retryable)
        assert living(Batch) == 0
        del outcome
        assert living(Retryable) == before


async def test_the_traceback_of_an_error_stays() -> None:
    outcome = await outcome_of(_send(Batch()))

    assert isinstance(outcome, Retryable)
    assert outcome.__traceback__ is not None


async def test_an_output_that_cancels_itself_is_distinguished_from_a_caller_that_is_cancelled() -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    async def swallows() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "sent after all"
        return "sent"

    assert isinstance(await outcome_of(cancels()), CancelledItself)
    task = asyncio.create_task(outcome_of(swallows()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
