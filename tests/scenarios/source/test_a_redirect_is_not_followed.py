"""Redirects are never followed, not even within the origin: they are no part of the API, and leak."""

from __future__ import annotations

import pytest

from connector.errors import SearchIncomplete, SourceError, Unavailable
from connector.simulator import Behaviour, Fault
from tests.scenarios.source.account import POLL, SEARCH, account, deferred, in_turn, page, rows, run
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Asked, Reply, scripted


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("within", [True, False])
def test_it_is_named_and_its_target_is_not_asked(status: int, *, within: bool) -> None:
    async def story() -> None:
        async with scripted(in_turn(page(rows(0, 1)))) as elsewhere:
            target = "/client/v4/elsewhere" if within else f"{elsewhere.url}/x"
            async with account(in_turn(Reply(status, b"", {"location": target}))) as it:
                _, error = await it.read_until_error()
                assert isinstance(error, Unavailable)
                assert error.status == status
                assert all(text in str(error) for text in ("redirected", "base_url"))
                assert [asked.path for asked in it.server.asked] == [SEARCH]
            assert elsewhere.asked == []

    run(story())


def test_a_deferred_search_is_not_led_elsewhere_by_one() -> None:
    async def story() -> None:
        async with scripted(in_turn(page(rows(0, 1)))) as elsewhere:

            def answer(asked: Asked) -> Reply:
                moved = Reply(302, b"", {"location": f"{elsewhere.url}/x"})
                return moved if asked.path == POLL else deferred()

            async with account(answer) as it:
                _, error = await it.read_until_error()
                assert isinstance(error, (Unavailable, SearchIncomplete))
            assert elsewhere.asked == []

    run(story())


def test_the_emulators_redirects_cost_no_record() -> None:
    behaviour = Behaviour()
    behaviour.script([None, Fault("redirect", status=307), None, "redirect"])

    async def story() -> None:
        async with simulated(behaviour) as it:
            try:
                assert it.expected <= await collect(it.source)
            except SourceError as error:
                raise AssertionError("a redirect that went away is no lasting matter") from error

    run(story())
