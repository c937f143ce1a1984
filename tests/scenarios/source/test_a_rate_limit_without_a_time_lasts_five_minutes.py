"""A 429 that does not say how long: Cloudflare's block of five minutes is assumed."""

from __future__ import annotations

import pytest

from connector.errors import Unavailable
from connector.simulator import Behaviour, Fault
from tests.scenarios.source.account import account, failure, html, in_turn, page, rows, run
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Reply


@pytest.mark.parametrize(
    "reply",
    [
        failure(429),
        failure(429, 10100, "More than 1200 requests per 300 seconds reached"),
        failure(429, retry_after="soon"),
        html(429, "Error 1015: You are being rate limited"),
        Reply(429),
    ],
)
def test_nothing_is_asked_for_five_minutes(reply: Reply) -> None:
    async def story() -> None:
        async with account(in_turn(reply, page(rows(0, 1)))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert error.after == 300
            began = it.clock()
            assert await it.ids() == ["record-0"]
            assert (it.clock() - began).total_seconds() == pytest.approx(300, abs=1)

    run(story())


def test_the_emulators_silent_limits_cost_no_record() -> None:
    behaviour = Behaviour()
    behaviour.script(
        [None, Fault("rate_limited", retry_after=-1), None, Fault("rate_limited", retry_after=-1)]
    )

    async def story() -> None:
        async with simulated(behaviour) as it:
            began = it.clock()
            assert it.expected <= await collect(it.source)
            assert (it.clock() - began).total_seconds() == pytest.approx(600, abs=10)

    run(story())
