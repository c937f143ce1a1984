"""Thousands of silent connections to the endpoint stop neither probes nor collection nor delivery."""

from __future__ import annotations

import resource
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from connector.simulator import Simulator, running
from tests.support.process import ACCOUNT, TOKEN, Daemon, daemon, environment, until

CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}"}}
searches:
  everything: {{every: 1s, start: 1h, filters: {{detections_only: false}}}}
outputs:
  console: {{type: stdout, mapping: raw}}
  disk: {{type: file, path: events.ndjson, mapping: ecs}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
"""
DESCRIPTORS = 1024
STRANGERS = 2000


@contextmanager
def room_for(descriptors: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < descriptors:
        pytest.skip(f"this process may have only {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, descriptors), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def silent(connector: Daemon) -> socket.socket:
    target = urlsplit(connector.url)
    return socket.create_connection((target.hostname, target.port), timeout=10)


def test_silent_connections_at_1024_descriptors(tmp_path: Path) -> None:
    simulator = Simulator(backlog=20, rate=20.0)
    with running(simulator) as base_url, room_for(STRANGERS + 500), ExitStack() as strangers:
        config = CONFIG.format(account=ACCOUNT, base_url=base_url)
        (tmp_path / "connector.yaml").write_text(config)
        with daemon(tmp_path, environment(TOKEN=TOKEN)) as connector:
            until(connector.ready, "readiness")
            resource.prlimit(connector.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
            connections: deque[socket.socket] = deque()
            for number in range(STRANGERS):
                connections.append(strangers.enter_context(silent(connector)))
                if number % 200 == 0:
                    assert connector.healthy()
            before = len(connector.events())

            def delivered() -> bool:
                """Keep up the pressure: whatever the connector closes is opened again."""
                connections.popleft().close()
                connections.append(strangers.enter_context(silent(connector)))
                return len(connector.events()) >= before + 40

            until(delivered, "events that came while the strangers were connected")
            assert connector.healthy()
            assert connector.ready()
            metrics = connector.get("/metrics").decode()
            assert connector.terminate() == 0

    assert 'email_connector_endpoint_connections_dropped_total{reason="limit"}' in metrics
    [line] = [line for line in metrics.splitlines() if line.startswith("process_open_fds")]
    assert float(line.split()[1]) < DESCRIPTORS / 4
    assert len("".join(connector.logs)) < 20_000
