"""The keeper grants work that this replica holds, and ends it when the lease is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from connector.app import replicas
from connector.app.replicas import Keeper
from connector.errors import JournalUnavailable, LeaseLost
from connector.facts import Fact, LeaseExpired, LeaseReleased, LeaseTaken
from connector.leases import Lease, Replica, Replicas, Request, Unit, output_unit

SIEM = output_unit("siem")


_TOLD = LeaseTaken | LeaseReleased | LeaseExpired


class FakeLeases:
    """A database with one row per lease; *others* are replicas that live elsewhere."""

    replica = "me"

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str | None, int]] = {}
        self.others: list[Replica] = []
        self.is_away = False
        self.woken = asyncio.Event()

    async def renew(self, serves: Sequence[str], held: Mapping[str, int]) -> Replicas:
        self._reach()
        me = Replica("me", "here", 1, "1", frozenset(serves), 60.0)
        leases = tuple(Lease(name, holder, token, 15.0, 1.0) for name, (holder, token) in self.rows.items())
        return Replicas((me, *self.others), leases)

    async def take(self, names: Sequence[str]) -> Mapping[str, int] | None:
        self._reach()
        if any(self.rows.get(name, (None, 0))[0] not in {None, "me"} for name in names):
            return None
        for name in names:
            self.rows[name] = ("me", self.rows.get(name, (None, 0))[1] + 1)
        return {name: self.rows[name][1] for name in names}

    async def release(self, held: Mapping[str, int]) -> None:
        self._reach()
        self.rows.update({name: (None, token) for name, token in held.items()})

    async def leave(self) -> None:
        self._reach()

    async def changed(self) -> None:
        await self.woken.wait()
        self.woken.clear()

    async def request(self, command: str, arguments: Mapping[str, object]) -> None:
        raise NotImplementedError

    async def requests(self) -> Sequence[Request]:
        raise NotImplementedError

    def _reach(self) -> None:
        if self.is_away:
            raise JournalUnavailable("away")


class Kept:
    """A keeper that runs, and what it reported."""

    def __init__(self, leases: FakeLeases, units: Sequence[Unit]) -> None:
        self.facts: list[Fact] = []
        self.keeper = Keeper(leases, self.facts.append)
        self.keeper.serve(units)

    def told(self) -> list[type[Fact]]:
        return [type(fact) for fact in self.facts if isinstance(fact, _TOLD)]


async def test_a_free_lease_is_taken_and_given_back() -> None:
    leases = FakeLeases()
    kept = Kept(leases, [SIEM])
    running = asyncio.create_task(kept.keeper.run())
    async with asyncio.timeout(5), kept.keeper.hold(SIEM) as grant:
        assert grant.is_valid
        assert kept.keeper.proofs(SIEM)() == [("output/siem", 1)]
    assert leases.rows == {"output/siem": (None, 1)}
    assert kept.told() == [LeaseTaken, LeaseReleased]
    with pytest.raises(LeaseLost):
        kept.keeper.proofs(SIEM)()
    running.cancel()


async def test_work_ends_when_another_replica_has_taken_it() -> None:
    leases = FakeLeases()
    kept = Kept(leases, [SIEM])
    running = asyncio.create_task(kept.keeper.run())
    async with asyncio.timeout(5), kept.keeper.hold(SIEM) as grant:
        leases.rows["output/siem"] = ("other", 2)
        leases.woken.set()
        await grant.ended.wait()
        assert not grant.is_valid
    assert leases.rows["output/siem"] == ("other", 2)
    assert kept.told() == [LeaseTaken, LeaseExpired]
    running.cancel()


async def test_work_ends_when_the_lease_could_not_be_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(replicas, "boot_time", lambda: now)
    leases = FakeLeases()
    kept = Kept(leases, [SIEM])
    running = asyncio.create_task(kept.keeper.run())
    async with asyncio.timeout(5), kept.keeper.hold(SIEM) as grant:
        leases.is_away = True
        now += 13.9
        assert grant.is_valid
        now += 0.2
        assert not grant.is_valid
        await grant.ended.wait()
    running.cancel()


async def test_work_is_left_to_a_replica_that_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "RENEW", 0.05)
    leases, units = FakeLeases(), [output_unit(f"output{number}") for number in range(4)]
    kept = Kept(leases, units)
    running = asyncio.create_task(kept.keeper.run())
    async with asyncio.timeout(10):
        holds = [kept.keeper.hold(unit) for unit in units]
        grants = [await hold.__aenter__() for hold in holds]
        serves = frozenset(lease for unit in units for lease in unit.leases)
        leases.others = [Replica("other", "there", 2, "1", serves, 60.0)]
        while sum(grant.wanted.is_set() for grant in grants) < 2:  # noqa: ASYNC110, any two of them
            await asyncio.sleep(0.02)
        for hold in holds:
            await hold.__aexit__(None, None, None)
    assert sum(grant.wanted.is_set() for grant in grants) == 2
    running.cancel()


async def test_alone_everything_is_held_for_ever() -> None:
    keeper = Keeper(None, lambda _: None)
    async with keeper.hold(SIEM) as grant:
        assert grant.is_valid
        assert list(keeper.proofs(SIEM)()) == []
    await keeper.run()
