"""What counts is what the body holds: JSON is read whatever it is called, and nothing else is."""

from __future__ import annotations

import pytest

from connector.errors import Unavailable
from connector.simulator import Behaviour
from tests.scenarios.source.account import account, failure, html, in_turn, page, rows, run
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Reply


def _called(reply: Reply, kind: str | None) -> Reply:
    return Reply(reply.status, reply.body, {"content-type": kind} if kind else {})


@pytest.mark.parametrize("kind", ["text/html; charset=UTF-8", "text/plain", "", None, "application/JSON"])
def test_json_under_any_name_is_the_answer(kind: str | None) -> None:
    async def story() -> None:
        async with account(in_turn(_called(page(rows(0, 2)), kind))) as it:
            assert await it.ids() == ["record-0", "record-1"]
            assert len(it.searches) == 1

    run(story())


def test_an_error_under_the_wrong_name_keeps_its_code() -> None:
    async def story() -> None:
        async with account(in_turn(_called(failure(403, 10000, "Authentication error"), "text/html"))) as it:
            _, error = await it.read_until_error()
            assert error.code == 10000

    run(story())


def test_html_that_is_called_json_is_no_answer() -> None:
    async def story() -> None:
        async with account(in_turn(_called(html(200), "application/json"))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert "not a JSON object" in str(error)

    run(story())


def test_the_emulators_wrong_names_cost_nothing() -> None:
    behaviour = Behaviour(rates={"wrong_type": 1.0})

    async def story() -> None:
        async with simulated(behaviour) as it:
            assert it.expected == await collect(it.source)
            assert it.asked.count("first") == 1

    run(story())
