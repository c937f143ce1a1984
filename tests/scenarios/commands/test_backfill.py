"""A range of time is read again on request, with and without a daemon, whatever is killed in between."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from connector.simulator import Behaviour, Fault, Simulator, running
from tests.support.process import ACCOUNT, TOKEN, Daemon, command, daemon, environment, until

CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}"}}
searches:
  everything: {{every: 1s, start: 1h, per_page: 20, filters: {{detections_only: false}}}}
outputs:
  disk: {{type: file, path: events.ndjson, mapping: raw, batch: {{events: 20, linger: 50ms}}}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
"""
ASK = ("backfill", "everything", "--from", "3d", "--yes")


@dataclass
class Site:
    """A connector that began an hour ago, on an account with mail of two days."""

    directory: Path
    simulator: Simulator
    delays: dict[str | Fault, float]

    @property
    def expected(self) -> set[str]:
        return set(self.simulator.ledger.ids({"detections_only": False}))

    @property
    def delivered(self) -> Counter[str]:
        path = self.directory / "events.ndjson"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return Counter(json.loads(line)["id"] for line in lines)

    def run(self, *arguments: str) -> tuple[int, str]:
        code, out, err = command(*arguments, environ=environment(TOKEN=TOKEN), cwd=self.directory)
        assert "Traceback" not in err, err
        assert TOKEN not in out + err
        assert out == ""
        return code, err

    def hang(self) -> None:
        """The API answers no further search: a backfill stays where it is, however long a command takes."""
        self.simulator.behaviour.script(["hang"] * 1000)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        words = [sys.executable, "-m", "connector", *arguments]
        environ = environment(TOKEN=TOKEN)
        with subprocess.Popen(words, cwd=self.directory, env=environ, stderr=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def daemon(self) -> Iterator[Daemon]:
        with daemon(self.directory, environment(TOKEN=TOKEN)) as started:
            yield started


@contextmanager
def site(directory: Path, slow: float = 0.0) -> Iterator[Site]:
    delays: dict[str | Fault, float] = {Fault("delay", seconds=slow): 1.0} if slow else {}
    behaviour = Behaviour(quota=None, rates=delays)
    simulator = Simulator(backlog=400, span=timedelta(days=2), behaviour=behaviour)
    with running(simulator) as base_url:
        (directory / "connector.yaml").write_text(CONFIG.format(account=ACCOUNT, base_url=base_url))
        yield Site(directory, simulator, delays)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, err.decode()


def test_a_running_daemon_delivers_what_it_never_read_once_and_says_what_it_found(tmp_path: Path) -> None:
    with site(tmp_path) as here, here.daemon() as connector:
        until(connector.ready, "readiness")
        live = sum(here.delivered.values())
        code, reported = here.run(*ASK)
        until(lambda: here.delivered.keys() == here.expected, "everything")
        again, _ = here.run(*ASK, "--all")
        until(lambda: sum(here.delivered.values()) >= 2 * len(here.expected), "everything again")
        until(lambda: connector.status()["outputs"][0]["backlog"] == 0, "the end of the backlog")
        detached, said = here.run(*ASK, "--detach")
        assert connector.terminate() == 0

    assert (code, again, detached) == (0, 0, 0)
    assert live < len(here.expected)
    assert re.search(rf"{len(here.expected)} records read in \d+ slices", reported)
    assert "older than the connector's memory" in reported
    assert "started in the daemon" in said
    assert set(here.delivered.values()) == {2}


def test_without_a_daemon_the_command_delivers_by_itself(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        code, reported = here.run(*ASK)
        first = here.delivered
        with here.daemon() as connector:
            until(connector.ready, "readiness")
            assert connector.terminate() == 0

    assert code == 0, reported
    assert re.search(rf"{len(here.expected)} records read in \d+ slices: {len(here.expected)} new", reported)
    assert first.keys() == here.expected
    assert here.delivered == first


def test_a_daemon_that_is_killed_in_the_middle_goes_on_by_itself(tmp_path: Path) -> None:
    with site(tmp_path, slow=0.3) as here:
        with here.daemon() as connector:
            until(connector.ready, "readiness")
            already = len(here.delivered)
            with here.started(*ASK) as following:
                until(lambda: len(here.delivered) > already, "the middle")
                here.hang()
                shown, err, _ = command("status", environ=environment(TOKEN=TOKEN), cwd=tmp_path)
                connector.kill()
                code, reported = ended(following)
            assert (shown, "backfill: prod/everything" in err) == (0, True)
            assert (code, "resumes when it starts again" in reported) == (1, True)
        here.simulator.behaviour.faults.clear()
        here.delays.clear()
        before = sum(here.delivered.values())
        with here.daemon() as connector:
            until(lambda: any("backfill_ended" in line for line in connector.logs), "its end")
            until(lambda: here.delivered.keys() == here.expected, "everything")
            (end,) = [json.loads(line) for line in connector.logs if "backfill_ended" in line]
            assert connector.terminate() == 0

    assert (end["complete"], end["read"]) == (True, len(here.expected))
    assert end["new"] + end["known"] == end["read"]
    assert 0 < before < len(here.expected)
    repeated = sum(here.delivered.values()) - len(here.expected)
    assert repeated <= 20


def test_ctrl_c_leaves_it_to_the_same_command(tmp_path: Path) -> None:
    with site(tmp_path, slow=0.1) as here:
        with here.started(*ASK) as process:
            until(lambda: len(here.delivered) > 50, "the middle")
            process.send_signal(signal.SIGINT)
            stopped, why = ended(process)
        time.sleep(1.1)
        here.delays.clear()
        code, reported = here.run(*ASK)

    assert stopped == 1
    assert "it resumes with the same command" in why
    assert code == 0
    assert "resuming an earlier backfill" in reported
    assert re.search(rf"{len(here.expected)} records read in \d+ slices: {len(here.expected)} new", reported)
    assert here.delivered.keys() == here.expected
    assert set(here.delivered.values()) == {1}


def test_what_was_asked_for_is_dropped_or_refused_in_one_line(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        wrong, nearest = here.run("backfill", "everythin", "--from", "3d", "--yes")
        future, never = here.run("backfill", "everything", "--from", "1h", "--to", "2h", "--yes")
        silent, unasked = here.run("backfill", "everything", "--from", "3d")
        with here.daemon() as connector:
            until(connector.ready, "readiness")
            here.hang()
            handed, _ = here.run(*ASK, "--detach")
            dropped, gone = here.run(*ASK, "--cancel")
            twice, nothing = here.run(*ASK, "--cancel")
            until(lambda: connector.status()["feeds"][0]["backfill"] is None, "a status without a backfill")
            assert connector.terminate() == 0

    assert (wrong, future, silent, handed, dropped, twice) == (2, 1, 2, 0, 0, 0)
    assert (nearest.count("\n"), "did you mean everything?" in nearest) == (1, True)
    assert "empty time range" in never
    assert "add --yes" in unasked
    assert "cancelled the backfill" in gone
    assert "no such backfill" in nothing
