"""The ledger tells the truth that a collector's result is compared with."""

from __future__ import annotations

from datetime import timedelta

from connector.simulator import Changes, Late, Simulator
from tests.unit.simulator.client import EVERYTHING, START, Client, Clock

_SPAM = {"final_disposition": "SPAM"}


def test_what_a_perfect_search_finds(simulator: Simulator, client: Client) -> None:
    window = (START - timedelta(hours=3), START)
    asked = {"start": "2026-11-20T09:00:00Z", "end": "2026-11-20T12:00:00Z"}

    assert simulator.ledger.ids({}, window) == set(client.walk(**asked))
    assert simulator.ledger.ids(_SPAM, window) == set(client.walk(**asked, **_SPAM))
    assert len(simulator.ledger.ids(window=window)) == 150
    assert len(simulator.ledger.ids()) == 300


def test_the_window_follows_the_time_that_the_api_filters(simulator: Simulator, client: Client) -> None:
    simulator.behaviour.filter_on = "sent_at"
    window = (START - timedelta(hours=3), START - timedelta(hours=1))
    asked = {"start": "2026-11-20T09:00:00Z", "end": "2026-11-20T11:00:00Z", **EVERYTHING}

    assert simulator.ledger.ids(window=window) == set(client.walk(**asked))


def test_a_record_that_leaves_a_search_was_there_once(simulator: Simulator, clock: Clock) -> None:
    record = simulator.world.add(_SPAM)
    clock.forward(minutes=10)
    simulator.world.apply(record, "clear")
    clock.forward(minutes=10)
    simulator.world.apply(record, "mark_malicious")
    clock.forward(minutes=10)
    simulator.world.remove(record)
    clock.forward(minutes=10)
    minutes = [timedelta(minutes=number) for number in (0, 10, 20, 30)]

    assert record not in simulator.ledger.ids({})
    assert record in simulator.ledger.ever({})
    assert record in simulator.ledger.ids({}, at=START + timedelta(minutes=5))
    assert record not in simulator.ledger.ids({}, at=START + timedelta(minutes=15))
    assert simulator.ledger.matching(record, {}) == [
        (START + minutes[0], START + minutes[1]),
        (START + minutes[2], START + minutes[3]),
    ]
    assert simulator.ledger.matching(record) == [(START, START + minutes[3])]
    assert simulator.ledger.matching(record, {"final_disposition": "MALICIOUS"}) == [
        (START + minutes[2], START + minutes[3])
    ]


def test_every_state_is_on_record_with_its_span(simulator: Simulator, clock: Clock) -> None:
    record = simulator.world.add(is_quarantined=True, subject="x")
    clock.forward(minutes=1)
    simulator.world.apply(record, "release")
    issued = simulator.ledger.record(record)

    assert (issued.scanned_at, issued.searchable_at, issued.gone) == (START, START, None)
    assert [state.until for state in issued.states] == [START + timedelta(minutes=1), None]
    assert [simulator.ledger.body(record, state.number)["is_quarantined"] for state in issued.states] == [
        True,
        False,
    ]
    assert simulator.ledger.issued()[record] == issued


def test_nothing_of_the_future_is_reported(clock: Clock) -> None:
    simulator = Simulator(
        clock=clock, backlog=300, span=timedelta(0), late=Late(0.5), changes=Changes(share=1.0, removed=0.3)
    )
    records = simulator.ledger.issued().values()

    assert 100 < len(records) < 200
    assert all(len(record.states) == 1 and record.gone is None for record in records)


def test_served_names_every_state_that_was_shown(simulator: Simulator, client: Client, clock: Clock) -> None:
    record = simulator.world.add(_SPAM)
    assert simulator.ledger.served() == {}
    clock.forward(minutes=1)
    client.walk()
    assert simulator.ledger.served()[record] == {0}
    assert simulator.ledger.unserved({}) == set()
    assert len(simulator.ledger.unserved()) > 50
    simulator.world.change(record, subject="second")
    clock.forward(minutes=1)
    simulator.world.change(record, subject="third")
    client.record(record)

    assert simulator.ledger.served()[record] == {0, 2}


def test_what_was_served_is_what_the_ledger_says_it_was(simulator: Simulator, client: Client) -> None:
    for page in client.pages(**EVERYTHING):
        for record in page.json["result"]:
            assert record == simulator.ledger.body(record["id"])


def test_requests_are_on_record_without_credentials(simulator: Simulator, client: Client) -> None:
    client.search(**_SPAM)
    client.send("/nowhere")
    first, second = simulator.ledger.requests

    assert (first.kind, first.status, first.query, first.at) == (
        "first",
        200,
        (("final_disposition", "SPAM"),),
        START,
    )
    assert (second.kind, second.status) == ("unknown", 404)
    assert simulator.ledger.answers == {200: 1, 404: 1}
    assert "token-of-a-test" not in repr(simulator.ledger.requests)
