"""Reading ahead: bounded however long the backlog, and polite to the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from connector.delivery import Deliverer
from connector.interfaces import Start
from connector.model import Backlog, DeadLetter, Entry, Event, Gap, Limits, Revision
from connector.testing.scripted import ScriptedOutput, hang
from tests.support.jumping_loop import run, wall_clock
from tests.unit.delivery.fakes import FactRecorder, MemoryLog, RunningDeliverer, plain, revisions


def test_a_dead_output_holds_a_few_batches_in_memory_and_no_more() -> None:
    async def scenario() -> None:
        mapped = 0

        def counting(found: Revision) -> Event:
            nonlocal mapped
            mapped += 1
            return plain(found)

        output = ScriptedOutput(then=hang, limits=Limits(events=10, concurrency=2, linger=0.0))
        log = MemoryLog(*[revisions(100, first=1 + 100 * number) for number in range(50)])
        async with RunningDeliverer(output, log, mapper=counting):
            await asyncio.sleep(3600)

        assert mapped <= 4 * 10

    run(scenario())


def test_mapping_lets_other_tasks_have_their_turn() -> None:
    async def scenario() -> None:
        turns: list[int] = []
        mapped = 0

        def counting(_: Revision) -> Event | None:
            nonlocal mapped
            mapped += 1
            return None

        async def another() -> None:
            while mapped < 900:
                turns.append(mapped)
                await asyncio.sleep(0)
            turns.append(mapped)

        log = MemoryLog(revisions(1000))
        async with RunningDeliverer(ScriptedOutput(), log, mapper=counting) as running:
            await another()
            await running.delivered()

        pauses = [later - earlier for earlier, later in pairwise(turns)]
        assert max(pauses) <= 100

    run(scenario())


def test_records_that_are_slow_to_map_let_other_tasks_run_after_each() -> None:
    """The author of a message chooses how long its headers take: a page of such must not block liveness."""

    async def scenario() -> None:
        mapped, turns = 0, 0

        def slow(_: Revision) -> Event | None:
            nonlocal mapped
            end = time.monotonic() + 0.06
            while time.monotonic() < end:
                pass
            mapped += 1
            return None

        async def another() -> None:
            nonlocal turns
            while mapped < 20:
                turns += 1
                await asyncio.sleep(0)

        log = MemoryLog(revisions(20))
        async with RunningDeliverer(ScriptedOutput(), log, mapper=slow) as world:
            await another()
            await world.delivered()

        assert turns >= 19

    run(scenario())


class _WithoutEnd:
    """A log that never has anything, and whose head nobody knows."""

    async def attach(self, output: str, start: Start, backlog: Backlog) -> int:
        return 5

    async def detach(self, output: str) -> None:
        raise NotImplementedError

    async def read(self, output: str, after: int) -> Entry:
        await asyncio.Event().wait()
        raise AssertionError

    async def emitted(self, output: str, keys: Sequence[str]) -> Mapping[str, str]:
        raise NotImplementedError

    async def acknowledge(
        self,
        output: str,
        *,
        after: int,
        upto: int,
        dead: Sequence[DeadLetter] = (),
        emitted: Mapping[str, str] = MappingProxyType({}),
        suspects: Sequence[DeadLetter] | None = None,
    ) -> None:
        raise AssertionError

    async def suspects(self, output: str) -> Sequence[DeadLetter]:
        return ()

    async def skipped(self, output: str) -> Gap | None:
        raise NotImplementedError


def test_a_drain_that_does_not_know_the_head_takes_silence_for_the_end() -> None:
    async def scenario() -> None:
        clock = wall_clock(asyncio.get_running_loop())
        deliverer = Deliverer("siem", ScriptedOutput(), _WithoutEnd(), plain, FactRecorder(), clock)
        task = asyncio.create_task(deliverer.run())
        await asyncio.sleep(1)
        assert await deliverer.drain(25)
        await task
        assert deliverer.state.position == 5

    run(scenario())
