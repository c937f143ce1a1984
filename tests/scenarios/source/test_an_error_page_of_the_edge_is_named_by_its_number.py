"""Error pages 1xxx: their number stands in the text, and tells a block from a limit from an outage."""

from __future__ import annotations

import pytest

from connector.errors import SourceError, Unavailable
from connector.facts import RateLimited
from connector.simulator import Behaviour, Fault
from tests.scenarios.source.account import account, html, in_turn, page, rows, run
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Reply

RAY = "8e1f0a2b3c4d5e6f-FRA"


@pytest.mark.parametrize(
    ("status", "title", "code", "hint"),
    [
        (403, "Error 1020: Access denied", 1020, "the token is not the cause"),
        (403, "Error <span>1006</span> Access banned", 1006, "the token is not the cause"),
        (409, "Error 1001: DNS resolution error", 1001, "the token is not the cause"),
        (530, "Error 1016: Origin DNS error", 1016, ""),
        (503, "Error 1200: Cache connection limit", 1200, ""),
    ],
)
def test_the_number_is_the_code_and_a_block_is_no_matter_of_the_token(
    status: int, title: str, code: int, hint: str
) -> None:
    async def story() -> None:
        async with account(in_turn(html(status, title, cf_ray=RAY))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert (error.code, error.status, error.ray) == (code, status, RAY)
            assert hint in str(error)

    run(story())


def test_plain_text_will_do() -> None:
    async def story() -> None:
        async with account(in_turn(Reply(530, b"error code: 1033", {"content-type": "text/plain"}))) as it:
            _, error = await it.read_until_error()
            assert error.code == 1033

    run(story())


def test_1015_is_a_rate_limit_for_as_long_as_it_says() -> None:
    async def story() -> None:
        limited = html(429, "Error 1015: You are being rate limited", retry_after="90")
        async with account(in_turn(limited, page(rows(0, 1)))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert (error.code, error.after) == (1015, 90)
            assert [fact.seconds for fact in it.seen(RateLimited)] == [90]

    run(story())


@pytest.mark.parametrize("status", [403, 409, 429, 530])
def test_the_emulators_pages_cost_no_record(status: int) -> None:
    behaviour = Behaviour()
    behaviour.script([None, Fault("edge_error", status=status, code=1015, retry_after=30)])

    async def story() -> None:
        async with simulated(behaviour) as it:
            try:
                found = await collect(it.source)
            except SourceError as error:
                raise AssertionError(f"{error} is no lasting matter") from error
            assert it.expected <= found

    run(story())
