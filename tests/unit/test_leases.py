"""Who should do what: every replica computes the same, evenly, and few units move."""

from __future__ import annotations

from connector.leases import Replica, Unit, assign, output_unit


def replica(name: str, *units: Unit) -> Replica:
    return Replica(name, name, 1, "1", frozenset(lease for unit in units for lease in unit.leases), 60.0)


UNITS = [output_unit(f"output{number}") for number in range(9)]


def test_work_spreads_evenly() -> None:
    chosen = assign(UNITS, [replica(name, *UNITS) for name in "abc"])
    assert sorted(list(chosen.values()).count(name) for name in "abc") == [3, 3, 3]


def test_the_order_of_replicas_does_not_matter() -> None:
    replicas = [replica(name, *UNITS) for name in "abc"]
    assert assign(UNITS, replicas) == assign(list(reversed(UNITS)), list(reversed(replicas)))


def test_work_goes_to_who_can_do_it() -> None:
    replicas = [replica("a", *UNITS[:3]), replica("b", *UNITS)]
    chosen = assign(UNITS, replicas)
    assert {unit for unit, name in chosen.items() if name == "a"} <= {unit.name for unit in UNITS[:3]}
    assert len(chosen) == len(UNITS)


def test_work_that_nobody_can_do_is_left_out() -> None:
    assert assign(UNITS, [replica("a", *UNITS[1:])]).keys() == {unit.name for unit in UNITS[1:]}
    assert assign(UNITS, []) == {}


def test_little_moves_when_a_replica_ends() -> None:
    before = assign(UNITS, [replica(name, *UNITS) for name in "abc"])
    after = assign(UNITS, [replica(name, *UNITS) for name in "ab"])
    stayed = sum(after[name] == before[name] for name in before if before[name] != "c")
    assert stayed >= 4
