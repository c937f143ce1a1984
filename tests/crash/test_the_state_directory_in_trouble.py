"""A full disk, a second daemon, a damaged journal: what happens, what is said, and that nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.site import Site, site
from tests.support.process import TOKEN, Daemon, command, daemon, environment, until

_DISK = 24 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes of its own."""
    place, mount = tmp_path / "disk", shutil.which("mount")
    place.mkdir()
    options = ("-t", "tmpfs", "-o", f"size={_DISK},mode=700", "test", str(place))
    if not mount or os.getuid() != 0 or subprocess.run([mount, *options], check=False).returncode:
        pytest.skip("mounting a small disk needs root, and an environment that lets it")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def _feed(connector: Daemon) -> dict[str, Any]:
    (feed,) = connector.status()["feeds"]
    return dict(feed)


def _refused_writes(connector: Daemon) -> int:
    problems = connector.status()["recent_problems"]
    return sum(one["count"] for one in problems if one["event"] == "journal_write_failed")


def _lines(place: Site) -> int:
    return place.events.read_bytes().count(b"\n") if place.events.exists() else 0


@pytest.mark.slow
def test_a_full_disk_pauses_collection_and_all_goes_on_by_itself_when_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    filler = small_disk / "filler"
    with site(tmp_path, state=small_disk / "state") as place:
        with daemon(tmp_path, environment(TOKEN=TOKEN)) as connector:
            until(lambda: _lines(place) > 100, "the first events")
            _fill(filler)
            until(lambda: _feed(connector)["state"] == "paused", "a feed that says it is paused")
            assert "free disk space, then writing resumes" in _feed(connector)["reason"].lower()
            assert not connector.ready()
            # All that is in the journal still reaches the output, although nothing can be written but that.
            until(lambda: connector.status()["outputs"][0]["backlog"] == 0, "an empty backlog")
            held, refused = _lines(place), _refused_writes(connector)
            until(lambda: _refused_writes(connector) >= refused + 2, "further attempts to write")
            assert _lines(place) == held
            filler.unlink()
            until(connector.ready, "readiness once there is room")
            assert connector.terminate() == 0
        place.finish()
        verdict = place.verdict()

    assert verdict.faults == {}
    assert verdict.repeats == 0


@pytest.mark.slow
def test_a_second_daemon_on_the_same_state_says_who_has_it_and_ends(tmp_path: Path) -> None:
    with site(tmp_path) as place, daemon(tmp_path, environment(TOKEN=TOKEN)) as connector:
        until(lambda: _lines(place) > 0, "the first event")

        code, _, reported = command("run", environ=environment(TOKEN=TOKEN), cwd=tmp_path)

        assert code == 1
        (line,) = [line for line in reported.splitlines() if "command_failed" in line]
        assert f"in use by process {connector.process.pid}; stop that process" in line
        assert connector.terminate() == 0


@pytest.mark.slow
def test_a_damaged_journal_ends_the_start_with_a_way_out_that_gets_everything_back(tmp_path: Path) -> None:
    """It is left as it is. Moved away, the API is the source of truth: all of it comes from there again."""
    with site(tmp_path) as place:
        with daemon(tmp_path, environment(TOKEN=TOKEN)) as connector:
            until(lambda: _lines(place) > 0, "the first event")
            assert connector.terminate() == 0
        journal = tmp_path / "state" / "journal.db"
        whole = journal.read_bytes()
        for damaged in (b"\xff" * 8192 + whole[8192:], whole[: len(whole) // 3], b""):
            journal.write_bytes(damaged)

            code, _, reported = command("run", environ=environment(TOKEN=TOKEN), cwd=tmp_path)

            assert code == 1
            assert "journal.db is damaged" in reported
            assert "restore the file from a backup, or run `email-connector state recover`" in reported
            assert "Traceback" not in reported
            assert journal.read_bytes() == damaged
        away = tmp_path / "away"
        away.mkdir()
        for file in journal.parent.glob("journal.db*"):
            file.rename(away / file.name)
        place.config.write_text(place.config.read_text().replace("start: 1m", "start: 1h"))
        delivered = _lines(place)
        place.finish()
        verdict = place.verdict()

        # A verdict that was corrected to clean meanwhile is not told: only the old file knew of the mail.
        assert (verdict.lost, verdict.unknown, verdict.forged) == (set(), set(), set())
        assert 0 < verdict.repeats <= delivered
