"""A process that writes to a journal until it is killed: ``python -m tests.unit.journal.killed_writer DIR``.

Commit *n* holds two revisions and two seen rows and moves the checkpoint by a second; each is then
acknowledged. What is durable is told on stdout: ``committed n`` and ``acknowledged position``.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.journal import Journal, JournalOptions
from connector.model import Backlog, Commit, Entry, Step
from connector.testing.journal import FEED, START, letter, revision, seen_row

SECOND = timedelta(seconds=1)


def commit_number(number: int) -> Commit:
    """The commit that moves the checkpoint to *number* seconds."""
    names = (f"{number}a", f"{number}b")
    padding = {name: f"{name} " * 2000 for name in names}
    since = None if number == 0 else START + (number - 1) * SECOND
    return Commit(
        FEED,
        f"print {number}",
        tuple(revision(name, {"text": padding[name]}) for name in names),
        tuple(seen_row(name, START, START, text=name) for name in names),
        Step("live", since, START + number * SECOND),
    )


def _tell(what: str, number: int) -> None:
    sys.stdout.write(f"{what} {number}\n")
    sys.stdout.flush()


async def _deliver(journal: Journal, position: int) -> int:
    entry: Entry = await journal.read("siem", position)
    dead = [letter("siem", entry.last, entry.revisions[-1])]
    await journal.acknowledge("siem", after=position, upto=entry.last, dead=dead)
    return entry.last


async def _run(directory: Path) -> None:
    options = JournalOptions(retain=timedelta(days=1), ballast=0)
    async with Journal.open(
        directory, observe=lambda _: None, clock=lambda: datetime.now(UTC), options=options
    ) as journal:
        checkpoint = (await journal.progress(FEED)).checkpoints.get("live")
        number = 0 if checkpoint is None else (checkpoint - START) // SECOND + 1
        position = await journal.attach("siem", "beginning", Backlog())
        _tell("ready", 0)
        while True:
            await journal.commit(commit_number(number))
            _tell("committed", number)
            position = await _deliver(journal, position)
            _tell("acknowledged", position)
            number += 1


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
