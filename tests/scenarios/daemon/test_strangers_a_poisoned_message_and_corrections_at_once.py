"""Idle strangers at the endpoint, a message that a firewall refuses, and corrected verdicts at the same time.

Everything arrives, corrections too; the refused message becomes the only dead letter; the log stays small.
"""

from __future__ import annotations

import resource
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from connector.simulator import Behaviour, Simulator, running
from tests.scenarios.daemon.test_strangers_at_the_endpoint_stop_nothing import (
    DESCRIPTORS,
    STRANGERS,
    room_for,
    silent,
)
from tests.support.process import ACCOUNT, TOKEN, command, daemon, environment, until
from tests.support.receivers import HttpReceiver, http_receiver

CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}",
          budget: {{requests: 100000, window: 1m}}}}
searches:
  detections: {{every: 1s, start: 1h, revisit: [10s, 60s], filters: {{detections_only: false}}}}
outputs:
  lake: {{type: http, url: "{url}", mapping: raw, batch: {{events: 50, linger: 100ms}}}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
"""
CORRECTED = 20


def fresh(lake: HttpReceiver, backlog: Sequence[str]) -> list[str]:
    """Ids that arrived at the collector and were not there at the start, in order."""
    known = set(backlog)
    return [event["id"] for event in lake.events if event["id"] not in known]


def updates(lake: HttpReceiver) -> set[str]:
    """Ids of the records whose update arrived."""
    return {event["id"] for event in lake.events if event["connector"].get("change")}


@pytest.mark.timeout(900)
def test_everything_arrives_but_the_poisoned_one(tmp_path: Path) -> None:
    behaviour = Behaviour(quota=None)
    simulator = Simulator(seed=5, backlog=300, span=timedelta(minutes=50), rate=5.0, behaviour=behaviour)
    with (
        running(simulator) as base_url,
        http_receiver() as lake,
        room_for(STRANGERS + 500),
        ExitStack() as strangers,
    ):
        backlog = list(simulator.ledger.issued())
        poisoned = backlog[100]
        lake.refusal = 403
        lake.refuse = lambda event: event["id"] == poisoned
        (tmp_path / "connector.yaml").write_text(
            CONFIG.format(account=ACCOUNT, base_url=base_url, url=lake.url)
        )
        environ = environment(TOKEN=TOKEN)
        with daemon(tmp_path, environ) as connector:
            until(lambda: len(lake.events) >= 50, "the first events")
            resource.prlimit(connector.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
            connections: list[socket.socket] = [
                strangers.enter_context(silent(connector)) for _ in range(STRANGERS)
            ]
            assert len(connections) == STRANGERS
            # Delivered a moment ago, so that the revisits still look at them.
            until(lambda: len(fresh(lake, backlog)) >= CORRECTED, "messages that arrived meanwhile")
            corrected = fresh(lake, backlog)[-CORRECTED:]
            for message in corrected:
                simulator.world.apply(message, "mark_malicious")

            def settled() -> bool:
                output = connector.status()["outputs"][0]
                return bool(output["dead_letters"] == 1 and output["backlog"] == 0)

            until(settled, "one dead letter and an empty backlog", patience=400)
            simulator.world.rate = 0
            updated = set(corrected)
            until(lambda: updated <= updates(lake), "every correction", patience=200)
            until(settled, "an empty backlog")
            assert connector.healthy()
            expected = set(simulator.ledger.issued())
            code, listed, _ = command("deadletters", "list", "--json", environ=environ, cwd=tmp_path)
            assert connector.terminate() == 0

    delivered = {event["id"] for event in lake.events}
    assert delivered == expected - {poisoned}
    assert code == 0
    assert poisoned in listed
    assert len(listed.splitlines()) == 1
    assert sum(map(len, connector.logs)) < 1_000_000
