"""kill -9 at any moment: a commit is there as a whole or not at all, and what was reported is there."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from connector.errors import JournalInUse
from connector.model import Backlog
from connector.testing.journal import FEED, START
from tests.unit.journal.journals import Surroundings
from tests.unit.journal.killed_writer import SECOND, commit_number

ROOT = Path(__file__).parents[3]
RANDOM = random.Random(1848)


async def _victim(directory: Path) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.journal.killed_writer", str(directory), cwd=ROOT, stdout=PIPE
    )


async def _kill_after(directory: Path, lines: int, delay: float) -> dict[str, int]:
    """Let a victim work for a while; returns the last number that it reported of each kind."""
    victim = await _victim(directory)
    assert victim.stdout is not None
    reported: dict[str, int] = {}
    for _ in range(lines):
        kind, number = (await victim.stdout.readline()).split()
        reported[kind.decode()] = int(number)
    await asyncio.sleep(delay)
    victim.kill()
    for line in (await victim.stdout.read()).splitlines():
        if len(line.split()) == 2:
            reported[line.split()[0].decode()] = int(line.split()[1])
    await victim.wait()
    return reported


async def _verify(here: Surroundings, reported: dict[str, int]) -> None:
    async with here.journal() as journal:
        progress = await journal.progress(FEED)
        number = (progress.checkpoints["live"] - START) // SECOND
        assert number >= reported.get("committed", 0)
        assert progress.fingerprint == f"print {number}"
        names = [one.record.id for at in range(number + 3) for one in commit_number(at).revisions]
        durable = names[: 2 * (number + 1)]
        assert set(await journal.seen(FEED, names)) == set(durable)
        outline = await journal.outline()
        assert (outline.head, outline.feeds[0].seen) == (len(durable), len(durable))
        position = await journal.attach("siem", "beginning", Backlog())
        assert position >= reported.get("acknowledged", 0)
        assert outline.outputs[0].dead_letters == position // 2
        assert len(await journal.dead_letters(limit=10_000)) == position // 2
        found: list[str] = []
        while len(found) < len(names) and len(found) < outline.head:
            found += [one.record.id for one in (await journal.read("siem", len(found))).revisions]
        assert found == durable


async def test_every_commit_is_whole_or_absent(here: Surroundings) -> None:
    for _ in range(4):
        reported = await _kill_after(here.directory, RANDOM.randrange(3, 40), RANDOM.random() / 50)
        await _verify(here, reported)


async def test_a_second_process_learns_who_has_the_state(here: Surroundings) -> None:
    victim = await _victim(here.directory)
    assert victim.stdout is not None
    await victim.stdout.readline()
    try:
        with pytest.raises(JournalInUse, match=f"in use by process {victim.pid}") as caught:
            async with here.journal():
                pass
        assert caught.value.pid == victim.pid
    finally:
        victim.kill()
        await victim.stdout.read()
        await victim.wait()
    async with here.journal() as journal:
        assert (await journal.outline()).head >= 0
