"""HTML instead of JSON comes from the edge, a proxy or a portal: never an answer, never an empty result."""

from __future__ import annotations

import pytest

from connector.errors import Unavailable
from connector.simulator import Behaviour, Fault
from tests.scenarios.source.account import account, html, in_turn, page, rows, run
from tests.scenarios.source.simulated import collect, simulated

STATUSES = (200, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530)


@pytest.mark.parametrize("status", STATUSES)
def test_in_the_middle_of_a_walk_the_page_is_asked_for_again(status: int) -> None:
    async def story() -> None:
        replies = in_turn(page(rows(0, 1), next="a"), html(status), html(status), page(rows(1, 1)))
        async with account(replies) as it:
            assert await it.ids() == ["record-0", "record-1"]
            assert [asked.params.get("cursor") for asked in it.searches] == [None, "a", "a", "a"]

    run(story())


@pytest.mark.parametrize("status", [status for status in STATUSES if status not in {504, 524}])
def test_where_it_lasts_a_person_reads_title_status_and_ray(status: int) -> None:
    async def story() -> None:
        async with account(in_turn(html(status, "Web server <b>is</b> down", cf_ray="8e1f-FRA"))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            reported = str(error)
            assert all(
                part in reported for part in ("text/html instead of JSON", "8e1f-FRA", f"HTTP {status}")
            )
            assert "down" in reported
            assert "<" not in reported

    run(story())


def test_a_portal_that_answers_everything_is_named_as_such() -> None:
    async def story() -> None:
        async with account(in_turn(html(200, "Sign in to the network"))) as it:
            _, error = await it.read_until_error()
            assert "Sign in to the network" in str(error)
            assert "check base_url and proxies" in str(error)

    run(story())


def test_a_page_of_any_size_gives_a_short_text() -> None:
    async def story() -> None:
        async with account(in_turn(html(502, "x\r\nforged: line " * 5000))) as it:
            _, error = await it.read_until_error()
            assert len(str(error)) < 400
            assert "\n" not in str(error)

    run(story())


def test_the_emulators_pages_cost_no_record() -> None:
    behaviour = Behaviour()
    pages = [Fault("html_error", status=status) for status in (502, 504, 520, 524)]
    behaviour.script([*pages[:2], None, *pages[2:], "not_json"])

    async def story() -> None:
        async with simulated(behaviour) as it:
            assert it.expected <= await collect(it.source)

    run(story())
