"""Messages arrive, are found late, change and go; the same for everybody with the same seed and clock."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.simulator import CHANGES, Changes, Corpus, Late, Simulator, World
from connector.simulator.values import micros
from tests.support.examples import examples
from tests.unit.simulator.client import START, Clock


def _ids(world: World) -> list[str]:
    return [world.renderer.id(message) for message in world.messages()]


def test_the_backlog_lies_in_the_span_before_the_start(clock: Clock) -> None:
    world = World(Corpus(1), clock, backlog=500, span_of_backlog=timedelta(hours=2))
    times = [message.scanned for message in world.messages()]

    assert len(times) == 500
    assert times == sorted(times)
    assert micros(START - timedelta(hours=2, seconds=1)) <= times[0] < times[-1] < micros(START)


@given(st.lists(st.floats(0.01, 60), min_size=1, max_size=8))
@settings(max_examples=examples(25), deadline=None)
def test_what_arrives_does_not_depend_on_who_looks_when(steps: list[float]) -> None:
    busy, lazy = Clock(), Clock()
    watched = World(Corpus(2, templates=20), busy, rate=0.7, late=Late(0.3), changes=Changes(0.3))
    unwatched = World(Corpus(2, templates=20), lazy, rate=0.7, late=Late(0.3), changes=Changes(0.3))
    for step in steps:
        busy.forward(seconds=step)
        lazy.forward(seconds=step)
        watched.advance()

    def facts(world: World) -> list[tuple[int, int, int, object]]:
        return [(one.index, one.scanned, one.searchable, one.versions) for one in world.messages()]

    assert facts(watched) == facts(unwatched)


def test_messages_arrive_at_the_rate_and_stop_on_request(clock: Clock) -> None:
    world = World(Corpus(1), clock, rate=2.0)
    clock.forward(seconds=600)
    assert len(world) == pytest.approx(1200, abs=2)
    world.rate = 0
    before = len(world)
    clock.forward(hours=5)
    assert len(world) == before
    world.rate = 1.0
    clock.forward(seconds=100)
    assert len(world) == pytest.approx(before + 100, abs=2)


def test_nothing_is_found_before_it_is_indexed(clock: Clock) -> None:
    late = Late(share=1.0, shortest=timedelta(minutes=10), longest=timedelta(minutes=20))
    simulator = Simulator(clock=clock, rate=1.0, late=late)
    clock.forward(minutes=5)
    assert len(simulator.world) > 250
    assert simulator.ledger.ids() == set()
    clock.forward(minutes=25)
    assert len(simulator.ledger.ids()) > 500
    for record in simulator.ledger.issued().values():
        assert (
            timedelta(minutes=10)
            <= record.searchable_at - record.scanned_at
            <= timedelta(minutes=20, seconds=1)
        )


def test_changing_messages_change_when_the_clock_gets_there(clock: Clock) -> None:
    simulator = Simulator(clock=clock, backlog=400, span=timedelta(0), changes=Changes(share=1.0))
    assert all(len(one.states) == 1 for one in simulator.ledger.issued().values())
    clock.forward(days=3)
    records = simulator.ledger.issued()
    changed = [one for one in records.values() if len(one.states) > 1]
    gone = [one for one in records.values() if one.gone]

    assert len(changed) + len(gone) == 400
    assert 5 <= len(gone) <= 50
    for record in changed:
        assert all(before.until == after.since for before, after in pairwise(record.states))
        assert record.states[-1].until is None
    assert not simulator.ledger.ids() & {one.id for one in gone}


def test_released_quarantined_released_are_three_changes() -> None:
    """Some messages return to a state they had: a digest alone does not tell revisions apart."""
    clock = Clock()
    simulator = Simulator(clock=clock, backlog=3_000, changes=Changes(share=1.0))
    clock.forward(days=3)
    histories = [
        [state.changed.get("is_quarantined") for state in record.states]
        for record in simulator.ledger.issued().values()
    ]

    assert [None, False, True, False] in histories


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_every_change_changes_a_watched_field_and_only_known_ones(name: str, clock: Clock) -> None:
    simulator = Simulator(clock=clock)
    first = simulator.world.add(
        final_disposition="NONE" if name == "mark_malicious" else "SPAM", delivery_status=["queued"],
        is_quarantined=name in {"release", "clear"}, is_phish_submission=False, post_delivery_operations=None,
    )  # fmt: skip
    before = simulator.ledger.body(first)
    clock.forward(minutes=1)

    simulator.world.apply(first, name)

    after = simulator.ledger.body(first)
    changed = {field for field in after if after[field] != before[field]}
    assert changed - {"action_log"}
    assert set(after) == set(before)
    assert (after["id"], after["scanned_at"]) == (before["id"], before["scanned_at"])


def test_a_test_can_add_change_and_remove(clock: Clock) -> None:
    world = Simulator(clock=clock).world
    own = world.add({"from": "boss@corp.example"}, id="my-id", subject="hello", brand_new={"a": 1})
    message = world.find(own)
    assert own == "my-id"
    assert message is not None
    assert message.visible(world.now())
    clock.forward(seconds=10)
    world.change(own, subject="changed")
    clock.forward(seconds=10)
    world.remove(own)

    assert [version.fields["subject"] for version in message.versions] == ["hello", "changed"]
    assert message.versions[1].fields["from"] == "boss@corp.example"
    assert not message.visible(world.now())
    with pytest.raises(KeyError, match="no message has the id other"):
        world.change("other", subject="x")


def test_a_hand_made_change_replaces_what_was_planned(clock: Clock) -> None:
    simulator = Simulator(clock=clock, backlog=200, span=timedelta(0), changes=Changes(1.0, removed=0))
    record = next(iter(simulator.ledger.ids()))
    clock.forward(seconds=1)
    simulator.world.change(record, subject="by hand")
    clock.forward(days=5)

    assert [state.changed.get("subject") for state in simulator.ledger.record(record).states] == [
        None,
        "by hand",
    ]


def test_added_messages_can_be_late_old_or_all_in_one_second(clock: Clock) -> None:
    simulator = Simulator(clock=clock)
    old = simulator.world.add(scanned_at=START - timedelta(days=2))
    late = simulator.world.add(searchable_at=START + timedelta(hours=1))
    same = {simulator.world.add(scanned_at=START) for _ in range(1_500)}

    assert simulator.ledger.ids() == {old} | same
    assert len(same) == 1_500
    clock.forward(hours=1)
    assert late in simulator.ledger.ids()


def test_the_oldest_are_forgotten_when_too_many_arrive(clock: Clock) -> None:
    world = World(Corpus(1, templates=20), clock, backlog=500, rate=10.0, keep=1_000)
    for _ in range(30):
        clock.forward(seconds=20)
        assert len(world) <= 1_200 + 200
    assert _ids(world)[0].startswith("4W")
    assert world.messages()[0].scanned > micros(START)
    assert world.get(0) is None
    clock.forward(days=400)
    assert len(world) <= 1_200


def test_times_have_fractions_only_when_asked_for(clock: Clock) -> None:
    whole = World(Corpus(1), clock, backlog=50)
    fine = World(Corpus(1), clock, backlog=50, subsecond=True)

    assert all(message.scanned % 1_000_000 == 0 for message in whole.messages())
    assert any(message.scanned % 1_000_000 for message in fine.messages())
