"""One output is stuck in a send when the daemon is told to end: it waits for it, unless it is told twice."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

from tests.scenarios.commands.two_outputs import ids, site
from tests.support.process import until


def test_the_stuck_batch_is_sent_again_at_the_next_start(tmp_path: Path) -> None:
    with site(tmp_path, mail=100) as here:
        file = tmp_path / "connector.yaml"
        file.write_text(file.read_text() + "drain: 10m\n")
        here.siem.gate.clear()
        with here.daemon() as connector:
            assert here.siem.waiting.wait(60), "the SIEM was never sent to"
            until(lambda: len(here.lake.events) >= len(here.expected), "everything in the lake")
            connector.process.send_signal(signal.SIGTERM)
            until(lambda: "daemon_stopping" in "".join(connector.logs), "the first signal's effect")
            assert connector.process.poll() is None
            assert connector.terminate() == 0
            assert "daemon_stopped" in "".join(connector.logs)

        here.siem.gate.set()
        with here.daemon() as connector:
            until(connector.ready, "readiness")
            until(lambda: set(ids(here.siem)) == set(here.expected), "everything in the SIEM")
            assert connector.terminate() == 0
        assert ids(here.lake) == here.expected
        assert max(Counter(ids(here.siem)).values()) <= 2
