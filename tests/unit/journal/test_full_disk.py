"""A full disk: collection waits, acknowledgements go on, nothing is half stored, all resumes by itself."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector.errors import JournalBroken, JournalFull
from connector.facts import JournalWriteFailed
from connector.journal import Journal, JournalOptions
from connector.model import Backlog, Commit, Revision
from connector.testing.journal import FEED, letter, revision, seen_row
from tests.unit.journal.journals import Surroundings

DISK = 20 << 20
OPTIONS = JournalOptions(cache=0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.getuid() != 0 or not _mount("-t", "tmpfs", "-o", f"size={DISK},mode=700", "test", str(place)):
        pytest.skip("mounting a small disk needs root, and an environment that lets it")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _mount(*options: str) -> bool:
    mount = shutil.which("mount")
    return (
        bool(mount)
        and subprocess.run([str(mount), *options], capture_output=True, check=False).returncode == 0
    )


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing beyond *size* of any file fails, as beyond a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill(path: Path) -> None:
    """Take what is left of the disk."""
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        while file.write(os.urandom(4096)):
            pass


def large(name: str) -> Commit:
    """A commit that compresses badly: a hundred kilobytes."""
    one: Revision = revision(name, {"noise": os.urandom(75_000).hex()})
    return Commit(FEED, "print", (one,), (seen_row(name),))


async def commit_until_full(journal: Journal) -> int:
    """Commit until there is no room; returns how many commits were stored."""
    for number in range(1000):
        try:
            await journal.commit(large(f"r{number}"))
        except JournalFull:
            return number
    raise AssertionError("the disk was never full")


async def delivered(journal: Journal, position: int, head: int) -> int:
    """Read and acknowledge everything up to *head*."""
    while position < head:
        last = (await journal.read("siem", position)).last
        await journal.acknowledge("siem", after=position, upto=last)
        position = last
    return position


async def test_a_full_disk_pauses_and_acknowledging_makes_room(small_disk: Path) -> None:
    here = Surroundings(small_disk / "state")
    async with here.journal(OPTIONS) as journal:
        await journal.attach("siem", "beginning", Backlog())
        stored = await commit_until_full(journal)
        assert here.reported(JournalWriteFailed)[0].operation == "commit"
        assert (await journal.outline()).head == stored
        assert await journal.seen(FEED, [f"r{stored}"]) == {}
        position = await delivered(journal, 0, stored)
        for number in range(5):
            await journal.commit(large(f"again {number}"))
        await delivered(journal, position, stored + 5)
    async with here.journal(OPTIONS) as journal:
        assert (await journal.outline()).outputs[0].position == stored + 5


async def test_acknowledgements_go_on_while_another_program_fills_the_disk(small_disk: Path) -> None:
    here, filler = Surroundings(small_disk / "state"), small_disk / "filler"
    async with here.journal(OPTIONS) as journal:
        await journal.attach("siem", "beginning", Backlog())
        for number in range(10):
            await journal.commit(large(f"r{number}"))
        fill(filler)
        await commit_until_full(journal)
        assert "resumes automatically" in here.reported(JournalWriteFailed)[0].reason
        head = (await journal.outline()).head
        assert await delivered(journal, 0, head) == head
        filler.unlink()
        await journal.commit(large("after"))
        assert (here.directory / "ballast").stat().st_size == OPTIONS.ballast


async def test_delivery_resumes_on_a_full_disk_after_a_restart(small_disk: Path) -> None:
    here, filler = Surroundings(small_disk / "state"), small_disk / "filler"
    async with here.journal(OPTIONS) as journal:
        await journal.attach("siem", "beginning", Backlog())
        stored = await commit_until_full(journal)
        fill(filler)
    async with here.journal(OPTIONS) as journal:
        assert await journal.attach("siem", "beginning", Backlog(max_bytes=1)) == 0
        await journal.set_value("rate limit", "until then")
        assert await delivered(journal, 0, stored) == stored
        filler.unlink()
        await journal.commit(large("after"))
        assert await journal.get_value("rate limit") == "until then"


async def test_an_acknowledgement_that_cannot_be_written_changes_nothing(small_disk: Path) -> None:
    here, filler = Surroundings(small_disk / "state"), small_disk / "filler"
    async with here.journal(JournalOptions(ballast=0, cache=0)) as journal:
        await journal.attach("siem", "beginning", Backlog())
        await journal.commit(large("a"))
        await journal.commit(large("b"))
        fill(filler)
        dead = [letter("siem", 1, revision("a", {"noise": os.urandom(1 << 20).hex()}))]
        with pytest.raises(JournalFull):
            await journal.acknowledge("siem", after=0, upto=1, dead=dead)
        assert [stuck.operation for stuck in here.reported(JournalWriteFailed)] == ["acknowledge"]
        assert await journal.dead_letters() == []
        outline = (await journal.outline()).outputs[0]
        assert (outline.position, outline.dead_letters) == (0, 0)
        filler.unlink()
        await journal.acknowledge("siem", after=0, upto=1, dead=dead)
        assert len(await journal.dead_letters()) == 1


async def test_expiring_on_a_full_disk_is_put_off(small_disk: Path) -> None:
    here, filler = Surroundings(small_disk / "state"), small_disk / "filler"
    async with here.journal(OPTIONS) as journal:
        await journal.attach("siem", "beginning", Backlog())
        rows = tuple(seen_row(f"r{number}") for number in range(5000))
        await journal.commit(Commit(FEED, "print", seen=rows))
        fill(filler)
        await commit_until_full(journal)
        gone = await journal.expire(FEED, rows[0].until)
        filler.unlink()
        kept = {row.feed: row.seen for row in (await journal.outline()).feeds}[FEED]
        assert await journal.expire(FEED, rows[0].until) == kept
        assert gone + kept >= len(rows)


async def test_a_file_size_limit_is_a_full_disk(here: Surroundings) -> None:
    async with here.journal(OPTIONS) as journal:
        await journal.attach("siem", "beginning", Backlog())
        with largest_file(2 << 20):
            stored = await commit_until_full(journal)
            assert (await journal.outline()).head == stored
        await journal.commit(large("after"))
        assert await delivered(journal, 0, stored + 1) == stored + 1


async def test_a_read_only_disk_is_explained(small_disk: Path) -> None:
    _mount("-o", "remount,ro", str(small_disk))
    with pytest.raises(JournalBroken, match="Read-only file system; make it a directory that user id"):
        async with Surroundings(small_disk / "state").journal():
            pass
