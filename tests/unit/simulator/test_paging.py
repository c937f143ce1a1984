"""A walk by cursor is complete and consistent; every fault of paging is the fault it says it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.simulator import Simulator
from connector.simulator.api import Api
from connector.simulator.exchange import ApiReply, SimulatedRequest
from tests.support.examples import examples
from tests.unit.simulator.client import ACCOUNT, EVERYTHING, Client, Clock, Reply

_STABLE = ("newest", "oldest", "unordered")


def _walk(simulator: Simulator, api: Api, per_page: int) -> list[str]:
    """Walk without a network, so that many walks take no time."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        query = (("per_page", str(per_page)), *((("cursor", cursor),) if cursor else ()))
        kind: Any = "next" if cursor else "first"
        answer: ApiReply = api.answer(
            SimulatedRequest(kind, "GET", "/x", ACCOUNT, None, query, {}, ""), simulator.behaviour, None
        )
        page = Reply(answer.status, {}, answer.body)
        found += page.ids
        cursor = page.next
        if not cursor:
            return found


@given(order=st.sampled_from(_STABLE), per_page=st.integers(1, 60), trailing=st.booleans())
@settings(max_examples=examples(40), deadline=None)
def test_a_walk_returns_every_record_once(order: Any, per_page: int, trailing: bool) -> None:
    simulator = Simulator(clock=Clock(), backlog=90, changes=0.5)
    simulator.behaviour.order = order
    simulator.behaviour.trailing_empty_page = trailing
    found = _walk(
        simulator,
        Api(simulator.world, 1, simulator.submissions, simulator.blocked_senders, simulator.audit_logs),
        per_page,
    )

    assert len(found) == len(set(found))
    assert set(found) == simulator.ledger.ids({})


def test_the_orders_are_what_they_say(client: Client, simulator: Simulator) -> None:
    def times() -> list[str]:
        return [one["scanned_at"] for page in client.pages(**EVERYTHING) for one in page.json["result"]]

    simulator.behaviour.order = "newest"
    assert times() == sorted(times(), reverse=True)
    simulator.behaviour.order = "oldest"
    assert times() == sorted(times())
    simulator.behaviour.order = "unordered"
    shuffled = times()
    assert shuffled not in (sorted(shuffled), sorted(shuffled, reverse=True))


@pytest.mark.parametrize("order", _STABLE)
def test_a_walk_is_not_disturbed_by_what_happens_meanwhile(
    client: Client, simulator: Simulator, clock: Clock, order: Any
) -> None:
    simulator.behaviour.order = order
    before = simulator.ledger.ids({"detections_only": False})
    parameters = {**EVERYTHING, "per_page": "40"}
    page = client.search(**parameters)
    found = page.ids
    simulator.world.rate = 2.0
    while page.next:
        clock.forward(seconds=5)
        gone = next(iter(before - set(found)))
        simulator.world.remove(gone)
        page = client.search(**parameters, cursor=page.next)
        found += page.ids

    assert len(found) == len(set(found))
    assert set(found) == before


def test_a_shifting_list_repeats_records_while_mail_arrives(
    client: Client, simulator: Simulator, clock: Clock
) -> None:
    simulator.behaviour.order = "shifting"
    first = client.search(**{**EVERYTHING, "per_page": "40"})
    for _ in range(3):
        simulator.world.add()
        clock.forward(seconds=1)
    second = client.search(**{**EVERYTHING, "per_page": "40"}, cursor=str(first.next))

    assert second.ids[:1] != first.ids[-1:]
    simulator.behaviour.default_window = timedelta(days=30)
    bound = {**EVERYTHING, "per_page": "40", "end": "2026-11-20T13:00:00Z"}
    first = client.search(**bound)
    for _ in range(3):
        simulator.world.add()
        clock.forward(seconds=1)
    second = client.search(**bound, cursor=str(first.next))
    assert second.ids[:3] == first.ids[-3:]


@pytest.mark.parametrize(("switch", "expected"), [("null", None), ("absent", "none"), ("empty", "")])
def test_the_last_page_says_so_in_three_ways(
    client: Client, simulator: Simulator, switch: Any, expected: str | None
) -> None:
    simulator.behaviour.last_page = switch
    info = client.search(**EVERYTHING).json["result_info"]

    assert info.get("next", "none") == expected


def test_next_can_be_a_whole_url(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.next_form = "url"
    first = client.search(detections_only="false", per_page="100", query="example")
    url = urlsplit(str(first.next))
    assert url.netloc == urlsplit(client.base_url).netloc
    assert parse_qs(url.query)["query"] == ["example"]

    second = client.send(str(first.next))

    assert second.ids
    assert not set(second.ids) & set(first.ids)


def test_a_cursor_is_bound_to_its_filters_and_account(client: Client, simulator: Simulator) -> None:
    cursor = str(client.search(detections_only="false").next)
    assert client.search(detections_only="false", cursor=cursor).status == 200
    assert (
        client.search(detections_only="false", per_page="7", cursor=cursor).json["result_info"]["count"] == 7
    )
    assert client.search(cursor=cursor).status == 400
    other = f"/accounts/{'b' * 32}/email-security/investigate?detections_only=false&cursor={cursor}"
    assert client.send(other).status == 400
    simulator.behaviour.cursor_bound = False
    assert client.search(cursor=cursor).status == 200


def test_a_cursor_expires(client: Client, simulator: Simulator, clock: Clock) -> None:
    simulator.behaviour.cursor_lifetime = timedelta(seconds=60)
    simulator.behaviour.cursor_expired = 404
    cursor = str(client.search().next)
    clock.forward(seconds=60)
    assert client.search(cursor=cursor).status == 200
    clock.forward(seconds=1)
    assert client.search(cursor=cursor).status == 404


def test_the_same_cursor_can_be_asked_again(client: Client) -> None:
    """A client that lost an answer repeats the request."""
    cursor = str(client.search().next)

    assert client.search(cursor=cursor).ids == client.search(cursor=cursor).ids


def test_a_page_can_be_smaller_than_asked_for(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.page_limit = 25
    pages = list(client.pages(**EVERYTHING))

    assert [len(page.ids) for page in pages] == [25] * 12
    assert {page.json["result_info"]["per_page"] for page in pages} == {1000}


def test_a_full_last_page_can_be_followed_by_an_empty_one(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.trailing_empty_page = True

    assert [len(page.ids) for page in client.pages(detections_only="false", per_page="100")] == [
        100,
        100,
        100,
        0,
    ]


_Pages = Callable[[], list[list[str]]]


def _pages(client: Client) -> list[list[str]]:
    return [page.ids for page in client.pages(detections_only="false", per_page="100")]


def test_fault_repeat_page_gives_the_same_page_under_a_new_cursor(
    client: Client, simulator: Simulator
) -> None:
    simulator.behaviour.script([None, "repeat_page"])
    pages = _pages(client)

    assert len(pages) == 4
    assert pages[1] == pages[2]
    assert len({one for page in pages for one in page}) == 300


def test_fault_repeat_cursor_gives_back_what_was_asked(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.script(["repeat_cursor"])
    first = client.search()
    assert simulator.behaviour.faults.left == 1
    second = client.search(cursor=str(first.next))

    assert second.next == first.next


def test_fault_empty_page_leads_on(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.script(["empty_page", "empty_page", None, "empty_page"])
    pages = _pages(client)

    assert [len(page) for page in pages] == [0, 0, 100, 0, 100, 100]


def test_fault_small_page_loses_nothing(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.script(["small_page", None, "small_page"])

    assert [len(page) for page in _pages(client)] == [50, 100, 50, 100]


def test_fault_missing_next_ends_a_walk_too_early(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.script(["missing_next"])

    assert [len(page) for page in _pages(client)] == [100]


def test_fault_lost_cursor_refuses_a_good_one(client: Client, simulator: Simulator) -> None:
    cursor = str(client.search().next)
    simulator.behaviour.script(["lost_cursor"], on="next")

    assert client.search(cursor=cursor).status == 400
    assert client.search(cursor=cursor).status == 200


def test_thousands_of_records_of_one_second_can_be_walked(
    client: Client, simulator: Simulator, clock: Clock
) -> None:
    burst = {simulator.world.add(final_disposition="SPAM") for _ in range(2_500)}
    clock.forward(seconds=1)
    walked = client.walk(per_page="1000", start="2026-11-20T12:00:00Z", end="2026-11-20T12:00:01Z")

    assert len(walked) == 2_500
    assert set(walked) == burst
    assert all(before != after for before, after in pairwise(walked))
