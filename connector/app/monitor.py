"""The main loop's heartbeat, and the look at the journal's sizes: what the endpoint shows is made here."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress

from connector.app.build import House
from connector.facts import LoopBeat, StateDiskMeasured
from connector.interfaces import OperatorLog

_BEAT = 1.0
_LOOK = 5.0


async def beat(house: House) -> None:
    """Post the status every second, with how late that is."""
    clock = asyncio.get_running_loop().time
    while True:
        planned = clock() + _BEAT
        house.post()
        await asyncio.sleep(_BEAT)
        house.observe(LoopBeat(max(0.0, clock() - planned)))


async def look(house: House, log: OperatorLog) -> None:
    """Take the sizes of the journal and of its disk every few seconds."""
    while True:
        house.telemetry.outline(await log.outline())
        await _measure_disk(house)
        await asyncio.sleep(_LOOK)


async def _measure_disk(house: House) -> None:
    """In a thread: a disk that hangs must not take the main loop with it."""
    with suppress(OSError):
        disk = await asyncio.to_thread(shutil.disk_usage, house.settings.state.directory)
        house.observe(StateDiskMeasured(disk.free, disk.total))
