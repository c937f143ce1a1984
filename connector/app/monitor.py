"""The main loop's heartbeat, and the look at the journal's sizes: what the endpoint shows is made here."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress

from connector.app.build import App
from connector.facts import LoopLagMeasured, StateDiskMeasured
from connector.interfaces import OperatorLog

_STATUS_SECONDS = 1.0
_MEASURE_SECONDS = 5.0


async def post_status(app: App) -> None:
    """Post the status every second, with how late that is."""
    clock = asyncio.get_running_loop().time
    while True:
        planned = clock() + _STATUS_SECONDS
        app.post()
        await asyncio.sleep(_STATUS_SECONDS)
        app.observe(LoopLagMeasured(max(0.0, clock() - planned)))


async def measure_journal(app: App, log: OperatorLog) -> None:
    """Take the sizes of the journal and of its disk every few seconds."""
    while True:
        app.telemetry.outline(await log.outline())
        await _measure_disk(app)
        await asyncio.sleep(_MEASURE_SECONDS)


async def _measure_disk(app: App) -> None:
    """In a thread: a disk that hangs must not take the main loop with it."""
    with suppress(OSError):
        disk = await asyncio.to_thread(shutil.disk_usage, app.settings.state.directory)
        app.observe(StateDiskMeasured(disk.free, disk.total))
