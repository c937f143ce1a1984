"""An operator watches one output of a running daemon: what it sends, as it sends it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.scenarios.commands.two_outputs import Site, site
from tests.support.process import TOKEN, environment, until


def send_again(place: Site) -> None:
    """Rewind the output and wait for what it repeats."""
    before = len(place.siem.events)
    code, _, err = place.operator("state", "rewind", "siem", "--to", "0", "--yes")
    assert code == 0, err
    until(lambda: len(place.siem.events) > before, "a repetition")


def test_tap_prints_what_the_output_sends(tmp_path: Path) -> None:
    with site(tmp_path) as place, place.daemon():
        delivered = len(place.expected)
        until(lambda: len(place.siem.events) >= delivered, "the first delivery")
        watching = subprocess.Popen(
            [sys.executable, "-m", "connector", "tap", "siem", "--count", "5", "--json"],
            env=environment(TOKEN=TOKEN),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Events that pass before it watches are not shown, so send them again until it has seen enough.
        while watching.poll() is None:
            send_again(place)
        out, err = watching.communicate(timeout=30)

        assert watching.returncode == 0, err
        shown = [json.loads(line) for line in out.splitlines()]
        assert len(shown) == 5
        assert {event["outcome"] for event in shown} == {"accepted"}
        sent = [event["event"]["id"] for event in place.siem.events]
        assert all(json.loads(event["payload"])["event"]["id"] in sent for event in shown)

    code, out, err = place.operator("tap", "siem")
    assert (code, out) == (1, "")
    assert "no daemon is running" in err
