"""kill -9 in the middle of a backlog, ten times: nothing is lost, repeats are what was in flight."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from pathlib import Path

import orjson
import pytest

from connector.simulator import Behaviour, Simulator, running
from tests.support.cef_parser import parse
from tests.support.process import ACCOUNT, TOKEN, daemon, environment, until
from tests.support.receivers import http_receiver, line_receiver

RECORDS = 20_000
KILLS = 10
BATCH = 250
CONFIG = """
accounts:
  prod:
    account_id: {account}
    api_token: "${{env:TOKEN}}"
    base_url: "{base_url}"
    budget: {{requests: 100000, window: 1m}}
searches:
  everything: {{every: 1s, start: 25h, filters: {{detections_only: false}}, per_page: 500}}
outputs:
  disk: {{type: file, path: {directory}/events.ndjson, mapping: ecs, batch: {{events: {batch}}}}}
  siem: {{type: syslog, address: "tcp://127.0.0.1:{port}", mapping: cef, batch: {{events: {batch}}}}}
  lake: {{type: http, url: "{url}", mapping: ecs, batch: {{events: {batch}}}}}
state: {{directory: {directory}/state}}
server: {{listen: "127.0.0.1:0"}}
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_everything_arrives_and_repeats_are_bounded_by_a_batch_per_kill(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    simulator = Simulator(seed=3, backlog=RECORDS, behaviour=Behaviour(quota=None))
    disk = tmp_path / "events.ndjson"
    with running(simulator) as base_url, http_receiver() as lake, line_receiver() as siem:
        config = CONFIG.format(
            account=ACCOUNT, base_url=base_url, port=siem.port, url=lake.url, directory=tmp_path, batch=BATCH
        )
        (tmp_path / "connector.yaml").write_text(config)
        environ = environment(TOKEN=TOKEN)
        for _ in range(KILLS):
            goal = len(lake.events) + chance.randrange(BATCH, 6 * BATCH)
            with daemon(tmp_path, environ) as connector:
                until(partial(lake.reached, goal), "progress before the kill")
                connector.kill()
        at_kill = len(lake.events)
        expected = simulator.ledger.ids({"detections_only": False})
        with daemon(tmp_path, environ) as connector:
            # Collection keeps pace with delivery, so a feed is fresh when most of its backlog has been sent.
            until(connector.ready, "readiness after the kills", patience=180)
            until(lambda: all(o["backlog"] == 0 for o in connector.status()["outputs"]), "empty backlogs")
            assert connector.terminate() == 0
            assert not any("dead_letters" in line and '"reason"' in line for line in connector.logs)

    delivered = {
        "lake": [event["event"]["id"] for event in lake.events],
        "disk": [orjson.loads(line)["event"]["id"] for line in disk.read_bytes().splitlines()],
        "siem": [parse(line[line.index(b"CEF:") :]).extension["devicePayloadId"] for line in siem.lines],
    }
    assert at_kill < RECORDS, "the kills came after the backlog, they prove nothing"
    for output, ids in delivered.items():
        counts = Counter(ids)
        repeats = sum(counts.values()) - len(counts)
        assert set(counts) == expected, output
        assert repeats <= KILLS * BATCH, output
