"""Files on a real file system: durable whole lines, through crashes, rotation and full disks."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Hold, Retryable
from connector.model import Event
from connector.outputs.file.appender import Appender
from connector.outputs.file.output import FileOutput, FileSettings
from connector.outputs.file.rotation import Rotation
from connector.testing.outputs import events
from tests.support.collectors import unobserved


def output(path: Path, **options: Any) -> FileOutput:
    settings = FileSettings.model_validate({"type": "file", "path": str(path), **options})
    return settings.build("file", unobserved)


def lines(sent: list[Event]) -> bytes:
    return b"".join(event.payload + b"\n" for event in sent)


async def test_events_are_appended_to_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "events"
    for label in ("first", "second"):
        file = output(path)
        await file.open()
        await file.send(events(2, label=label))
        await file.close()
    assert path.read_bytes() == lines([*events(2, label="first"), *events(2, label="second")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_line_break_in_a_payload_does_not_make_a_second_line(tmp_path: Path) -> None:
    path = tmp_path / "events"
    file = output(path)
    await file.send([dataclasses.replace(events(1)[0], payload=b'{"a":1}\r\n{"forged":true}')])
    await file.close()
    assert path.read_bytes() == b'{"a":1}  {"forged":true}\n'


@pytest.mark.parametrize("torn", [b'{"torn', b"\0" * 70_000, b'{"torn":"' + b"x" * 200_000])
async def test_a_line_that_a_crash_left_unfinished_is_cut(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "events"
    path.write_bytes(lines(events(2)) + torn)
    file = output(path)
    await file.open()
    await file.send(events(1, label="after"))
    await file.close()
    assert path.read_bytes() == lines([*events(2), *events(1, label="after")])


async def test_a_file_of_nothing_but_a_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"no line end anywhere")
    file = output(path)
    await file.open()
    await file.close()
    assert path.read_bytes() == b""


async def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "events"
    file = output(path)
    await file.send(events(1, label="before"))
    path.rename(tmp_path / "events.old")
    await file.send(events(1, label="after"))
    await file.close()
    assert (tmp_path / "events.old").read_bytes() == lines(events(1, label="before"))
    assert path.read_bytes() == lines(events(1, label="after"))


async def test_rotation_keeps_as_many_files_as_asked_and_no_event_is_split(tmp_path: Path) -> None:
    path = tmp_path / "events"
    file = output(path, rotate={"size": "2KiB", "keep": 2})
    batches = [events(3, 500, label=f"batch-{number}") for number in range(5)]
    for batch in batches:
        await file.send(batch)
    await file.close()
    found = [(tmp_path / name).read_bytes() for name in ("events.2", "events.1", "events")]
    assert found == [lines(batch) for batch in batches[2:]]
    assert sorted(os.listdir(tmp_path)) == ["events", "events.1", "events.2"]  # noqa: PTH208, no event loop waits


async def test_a_rotation_that_a_crash_interrupted_loses_no_older_file(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(lines(events(3, 500, label="current")))
    (tmp_path / "events.2").write_bytes(b"older\n")
    file = output(path, rotate={"size": "1KiB", "keep": 2})
    await file.send(events(1, label="new"))
    await file.close()
    assert (tmp_path / "events.2").read_bytes() == b"older\n"
    assert (tmp_path / "events.1").read_bytes() == lines(events(3, 500, label="current"))


async def test_a_rotated_file_passes_its_permissions_on(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.touch()
    path.chmod(0o640)
    file = output(path, rotate={"size": "1KiB"})
    await file.send(events(3, 500))
    await file.send(events(1, label="new"))
    await file.close()
    assert [stat.S_IMODE(item.stat().st_mode) for item in (path, tmp_path / "events.1")] == [0o640, 0o640]


async def test_two_outputs_cannot_share_a_file(tmp_path: Path) -> None:
    first, second = output(tmp_path / "events"), output(tmp_path / "events")
    await first.open()
    with pytest.raises(Hold, match="another process or output"):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    file = output(tmp_path / "events")
    await file.send(events(1))
    await file.close()
    assert (tmp_path / "events").read_bytes() == lines(events(1))


def failing(real: Callable[..., int], after: int) -> Callable[..., int]:
    """A disk that takes *after* bytes of a write and then is full."""

    def write(descriptor: int, data: bytes) -> int:
        if 0 < after < len(data):
            return real(descriptor, data[:after])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return write


class Follower:
    """Reads a file as forwarders do: from where it stopped, and all of it again when the file shrank."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self.shrank = False
        self.lines: list[bytes] = []

    def look(self) -> None:
        data = self._path.read_bytes()
        self.shrank = self.shrank or len(data) < self._offset
        *whole, self._rest = (self._rest + data[self._offset :]).split(b"\n")
        self.lines += whole
        self._offset = len(data)


@pytest.mark.parametrize("after", [0, 10, 100, 200])
async def test_a_full_disk_heals_without_a_line_twice_and_without_shrinking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    path = tmp_path / "events"
    file = output(path)
    await file.send(events(1, label="before"))
    follower = Follower(path)
    follower.look()
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", failing(os.write, after))
            with pytest.raises(Retryable, match="No space left"):
                await file.send(events(3, 300, label="during"))
        follower.look()
    await file.send(events(3, 300, label="during"))
    await file.send(events(1, label="later"))
    await file.close()
    follower.look()
    expected = [*events(1, label="before"), *events(3, 300, label="during"), *events(1, label="later")]
    assert path.read_bytes() == lines(expected)
    assert follower.lines == [event.payload for event in expected]
    assert not follower.shrank


async def test_what_was_not_durable_is_written_again_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fsync, only pages that were written anew are proven by the next one."""
    path = tmp_path / "events"
    file = output(path)
    await file.send(events(1, label="before"))
    written: list[tuple[bytes, int]] = []
    real = os.pwrite

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def note(descriptor: int, data: bytes, offset: int) -> int:
        written.append((bytes(data), offset))
        return real(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(Retryable, match="Input/output error"):
            await file.send(events(3, label="during"))
    monkeypatch.setattr(os, "pwrite", note)
    await file.send(events(3, label="during"))
    await file.close()
    assert written == [(lines(events(3, label="during")), len(lines(events(1, label="before"))))]
    assert path.read_bytes() == lines([*events(1, label="before"), *events(3, label="during")])


@pytest.mark.parametrize("ending", ["another batch", "closed", "moved away"])
async def test_a_line_that_was_broken_off_is_never_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    path = tmp_path / "events"
    file = output(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing(os.write, 400))
        with pytest.raises(Retryable):
            await file.send(events(2, 300, label="broken"))
    assert path.stat().st_size == 400
    if ending == "closed":
        await file.close()
        file = output(path)
    if ending == "moved away":
        path.rename(tmp_path / "events.old")
    await file.send(events(1, label="other"))
    await file.close()
    names = ["events.old"] if ending == "moved away" else []
    found = b"".join((tmp_path / name).read_bytes() for name in [*names, "events"])
    assert found == lines([*events(2, 300, label="broken")[:1], *events(1, label="other")])


class Wall:
    """A wall clock that a test sets."""

    def __init__(self, now: str) -> None:
        self.now = datetime.fromisoformat(now)

    def __call__(self) -> datetime:
        return self.now


def stamped(path: Path, clock: Wall) -> None:
    os.utime(path, (clock.now.timestamp(), clock.now.timestamp()))


def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    path, clock = tmp_path / "events", Wall("2026-05-01T23:59:59Z")
    file = Appender(path, Rotation(None, 86_400, 2), clock)
    file.append(b"first\n")
    file.append(b"still first\n")
    clock.now += timedelta(seconds=1)
    file.append(b"second\n")
    clock.now += timedelta(hours=23)
    file.append(b"still second\n")
    clock.now -= timedelta(days=3)
    file.append(b"a clock that was wrong\n")
    clock.now += timedelta(days=9)
    file.append(b"third\n")
    file.close()
    assert [(tmp_path / name).read_bytes() for name in ("events.2", "events.1", "events")] == [
        b"first\nstill first\n",
        b"second\nstill second\na clock that was wrong\n",
        b"third\n",
    ]


@pytest.mark.parametrize("torn", [b"", b"torn by a crash"])
def test_a_file_of_yesterday_is_known_after_a_restart(tmp_path: Path, torn: bytes) -> None:
    path, clock = tmp_path / "events", Wall("2026-05-01T12:00:00Z")
    path.write_bytes(b"yesterday\n" + torn)
    stamped(path, clock)
    clock.now += timedelta(days=1)
    for _ in range(2):  # opening and cutting alone does not make it younger
        file = Appender(path, Rotation(None, 86_400, 2), clock)
        file.open()
        file.close()
    file = Appender(path, Rotation(1 << 20, 86_400, 2), clock)
    file.append(b"today\n")
    file.close()
    assert (tmp_path / "events.1").read_bytes() == b"yesterday\n"
    assert path.read_bytes() == b"today\n"


async def test_a_file_that_moves_on_keeps_its_name_for_whoever_reads_it_to_the_end(tmp_path: Path) -> None:
    """A forwarder that holds the file open reads the rest under the new name, nothing was copied or cut."""
    path = tmp_path / "events"
    file = output(path, rotate={"size": "1KiB"})
    await file.send(events(2, 400, label="first"))
    with path.open("rb") as held:
        await file.send(events(2, 400, label="second"))
        await file.close()
        assert held.read() == lines(events(2, 400, label="first"))
        assert os.fstat(held.fileno()).st_ino == (tmp_path / "events.1").stat().st_ino


@pytest.mark.parametrize("kind", ["directory", "pipe", "absent directory"])
async def test_a_path_that_is_no_file_is_for_an_operator(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "events"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = path / "deeper"
    file = output(path)
    for attempt in (file.open, file.check):
        with pytest.raises(Hold, match=r"regular file|cannot be written"):
            await attempt()
    await file.close()


async def test_check_creates_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events"
    assert "is writable" in await output(path).check()
    assert not path.exists()
    path.write_bytes(b"torn")
    assert "is writable" in await output(path).check()
    assert path.read_bytes() == b"torn"
