"""Files on a real file system: durable whole lines, through crashes, rotation and full disks."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Hold, Retryable
from connector.model import Event
from connector.outputs.file import FileOutput, FileSettings
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


@pytest.mark.parametrize("broken", ["write", "fsync"])
async def test_a_full_disk_leaves_no_part_of_a_batch_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "events"
    file = output(path)
    await file.send(events(1, label="before"))
    real_write = os.write

    def fail(descriptor: int, data: bytes = b"") -> int:
        if broken == "write" and len(data) > 100:
            return real_write(descriptor, data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, fail)
        with pytest.raises(Retryable, match="No space left"):
            await file.send(events(3, label="during"))
    assert path.read_bytes() == lines(events(1, label="before"))
    await file.send(events(3, label="during"))
    await file.close()
    assert path.read_bytes() == lines([*events(1, label="before"), *events(3, label="during")])


@pytest.mark.parametrize("kind", ["directory", "pipe", "absent directory"])
async def test_a_path_that_is_no_file_is_for_a_person(tmp_path: Path, kind: str) -> None:
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
    assert "can be written" in await output(path).check()
    assert not path.exists()
    path.write_bytes(b"torn")
    assert "can be written" in await output(path).check()
    assert path.read_bytes() == b"torn"
