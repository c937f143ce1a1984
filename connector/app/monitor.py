"""Periodic tasks: publish and sum up the status, watch certificates, measure loop lag, journal and disk."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from connector.app.build import Core
from connector.app.summary import summarize
from connector.facts import LoopLagMeasured, StateDiskMeasured
from connector.interfaces import OperatorLog
from connector.telemetry.observer import Telemetry

_STATUS_SECONDS = 1.0
"""The endpoint's ``/healthz`` counts the process as hanging after 30 of these."""

_CERTIFICATE_SECONDS = 60.0
"""Certificates are renewed weeks before they expire."""

_MEASURE_SECONDS = 5.0
"""A measurement reads a few rows of the journal; more often would add load, not information."""


async def post_status(core: Core) -> None:
    """Publish the status every second, and report how late the event loop ran."""
    clock = asyncio.get_running_loop().time
    while True:
        planned = clock() + _STATUS_SECONDS
        core.post_status()
        await asyncio.sleep(_STATUS_SECONDS)
        core.observe(LoopLagMeasured(max(0.0, clock() - planned)))


async def watch_certificates(core: Core) -> None:
    """Use certificates of listeners soon after their files were replaced."""
    while True:
        await asyncio.sleep(_CERTIFICATE_SECONDS)
        core.refresh_certificates()


async def measure_journal(telemetry: Telemetry, log: OperatorLog, directory: Path | None) -> None:
    """Measure the journal, and the disk of *directory* if it is there, every few seconds."""
    while True:
        telemetry.outline(await log.outline())
        with suppress(OSError):
            if directory is None:
                await asyncio.sleep(_MEASURE_SECONDS)
                continue
            # In a thread: a hanging disk must not block the event loop.
            disk = await asyncio.to_thread(shutil.disk_usage, directory)
            telemetry.observe(StateDiskMeasured(disk.free, disk.total))
        await asyncio.sleep(_MEASURE_SECONDS)


async def log_summaries(telemetry: Telemetry, every: timedelta) -> None:
    """Log what each interval of *every* brought."""
    before = telemetry.snapshot()
    while True:
        await asyncio.sleep(every.total_seconds())
        now = telemetry.snapshot()
        telemetry.observe(summarize(before, now, every.total_seconds()))
        before = now
