"""A ``Location`` of another origin is never asked: a credential would be given away."""

from __future__ import annotations

import pytest

from connector.errors import SearchIncomplete
from connector.model import Query
from connector.simulator import Behaviour
from tests.scenarios.source.account import POLL, account, deferred, in_turn, page, rows, run
from tests.scenarios.source.simulated import SPAN, simulated
from tests.support.scripted_http import Asked, Reply, scripted


def test_an_address_elsewhere_gets_no_credential() -> None:
    async def story() -> None:
        async with scripted(lambda _: page(rows(0, 1))) as elsewhere:
            for location in (
                f"{elsewhere.url}{POLL}",
                f"//127.0.0.1:{elsewhere.port}{POLL}",
                "http://[broken",
            ):
                async with account(in_turn(deferred(location))) as it:
                    _, error = await it.read_until_error()
                    assert isinstance(error, SearchIncomplete)
                    assert error.reason == "foreign_location"
            assert elsewhere.asked == []

    run(story())


def test_an_address_with_a_user_in_it_cannot_replace_the_credential() -> None:
    def answer(asked: Asked) -> Reply:
        return deferred(f"http://user:password@{asked.headers['host']}{POLL}")

    async def story() -> None:
        async with account(answer) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, SearchIncomplete)
            assert len(it.server.asked) == 1

    run(story())


def test_a_chain_that_leads_elsewhere_is_left_there() -> None:
    async def story() -> None:
        async with (
            scripted(lambda _: page(rows(0, 1))) as elsewhere,
            account(in_turn(deferred(), deferred(f"{elsewhere.url}{POLL}"))) as it,
        ):
            _, error = await it.read_until_error()
            assert isinstance(error, SearchIncomplete)
            assert error.reason == "foreign_location"
            assert len(it.server.asked) == 2
            assert elsewhere.asked == []

    run(story())


def test_the_emulators_foreign_address_is_a_classed_error() -> None:
    async def story() -> None:
        async with simulated(Behaviour(pending=1, pending_location="foreign")) as it:
            with pytest.raises(SearchIncomplete, match="foreign_location"):
                await anext(it.source.search(Query(), SPAN))

    run(story())
