"""Slow searches answer 202 with a place to poll, in every form that is not excluded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from connector.simulator import Fault, Simulator
from tests.unit.simulator.client import Client, Clock


def _location(client: Client, **parameters: str) -> str:
    reply = client.search(**parameters)
    assert reply.status == 202
    assert reply.ids == []
    assert reply.json["success"] is True
    return reply.headers["location"]


def test_a_search_is_pending_for_as_many_polls_as_said(client: Client, simulator: Simulator) -> None:
    plain = client.search(per_page="10").ids
    simulator.behaviour.pending = 2
    place = _location(client, per_page="10")
    answers = [client.send(place) for _ in range(4)]

    assert [one.status for one in answers] == [202, 202, 200, 200]
    assert answers[0].headers["location"] == place
    assert answers[2].ids == plain


def test_the_walk_goes_on_after_a_poll(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.pending = 0
    page = client.send(_location(client, per_page="50"))
    found = page.ids
    while page.next:
        page = client.search(per_page="50", cursor=page.next)
        assert page.status == 200
        found += page.ids

    assert set(found) == simulator.ledger.ids({})


def test_every_page_can_be_slow(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.pending, simulator.behaviour.pending_on = 0, "every"
    page = client.send(_location(client))

    assert client.send(_location(client, cursor=str(page.next))).ids


def test_asking_the_same_again_finds_the_same_search(client: Client, simulator: Simulator) -> None:
    """A client may confirm an empty answer by searching again."""
    simulator.behaviour.pending = 1
    place = _location(client)
    assert _location(client) == place
    assert client.search().status == 200
    assert client.search().status == 200


def test_a_search_can_be_pending_for_ever(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.pending = "forever"
    place = _location(client)

    assert {client.send(place).status for _ in range(20)} == {202}


def test_pending_can_look_like_an_empty_result(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.pending, simulator.behaviour.pending_shown = 1, "200-empty"
    place = _location(client)
    empty = client.send(place)

    assert (empty.status, empty.ids, empty.next) == (200, [], None)
    assert client.send(place).ids


@pytest.mark.parametrize(("form", "start"), [("relative", "/client/v4/"), ("absolute", "http://127.0.0.1:")])
def test_the_location_is_relative_or_absolute(
    client: Client, simulator: Simulator, form: Any, start: str
) -> None:
    simulator.behaviour.pending, simulator.behaviour.pending_location = 0, form

    place = _location(client)

    assert place.startswith(start)
    assert client.send(place).ids


def test_the_location_can_lead_to_a_foreign_host(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.pending, simulator.behaviour.pending_location = 0, "foreign"

    assert urlsplit(_location(client)).netloc == "foreign.example"


@pytest.mark.parametrize("status", [404, 410])
def test_results_expire(client: Client, simulator: Simulator, clock: Clock, status: int) -> None:
    simulator.behaviour.pending, simulator.behaviour.pending_expired = 0, status
    simulator.behaviour.pending_lifetime = timedelta(seconds=30)
    place = _location(client)
    clock.forward(seconds=30)

    assert client.send(place).status == status
    assert _location(client) != place
    assert client.send(place.rpartition("/")[0] + "/unknown").status == status


def test_a_202_can_say_when_to_come_back(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.pending, simulator.behaviour.pending_retry_after = 0, 7

    assert client.search().headers["retry-after"] == "7"


def test_long_ranges_are_too_slow(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.long_window = timedelta(hours=1)
    short = {"start": "2026-11-20T10:00:00Z", "end": "2026-11-20T11:00:00Z"}
    assert client.search(**short).status == 200
    place = _location(client)
    assert {client.send(place).status for _ in range(5)} == {202}
    simulator.behaviour.long_window_answer = "timeout"
    reply = client.search()
    assert (reply.status, reply.headers["content-type"]) == (504, "text/html; charset=UTF-8")
    assert client.search(**short).status == 200


def test_one_search_can_be_scripted_to_be_slow(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.script([Fault("pending", times=1)])
    place = _location(client)
    assert [client.send(place).status for _ in range(2)] == [202, 200]
    simulator.behaviour.script(["pending"])
    assert client.search().status == 202
