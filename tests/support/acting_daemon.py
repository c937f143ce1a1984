"""A daemon that offers response actions over a simulator: for programs that call it over sockets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.simulator import Behaviour, Simulator, running
from tests.support.acting import DELIVERED, HELD
from tests.support.process import ACCOUNT, TOKEN, daemon, environment, until

CALLER_TOKEN = "canary-soc-1a2b3c4d5e6f"
EVERY_TOKEN = "canary-all-1a2b3c4d5e6f"
OBSERVER_TOKEN = "canary-obs-1a2b3c4d5e6f"
ASKER_TOKEN = "canary-ask-1a2b3c4d5e6f"
_CONFIG = f"""
accounts:
  prod:
    account_id: {ACCOUNT}
    api_token: "${{env:TOKEN}}"
    write_token: write-token-of-the-account
    base_url: "${{env:BASE}}"
    budget: {{requests: 1000000}}
searches:
  detections: {{every: 1s, start: 1h}}
  reports: {{every: 1s, start: 1h, source: submissions}}
  changes: {{every: 1s, start: 1h, overlap: 5s, source: audit_logs}}
outputs: {{disk: {{type: file, path: events.ndjson, actions: true}}}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
actions:
  listen: 127.0.0.1:0
  # TLS
  budget: {{requests: 1000000}}
  callers:
    soc: {{token: {CALLER_TOKEN}, may: [search, get, events, move, release, submit, block]}}
    every: {{token: {EVERY_TOKEN}, per_hour: 100000, destinations: [JunkEmail, Inbox],
            may: [search, get, preview, raw, events, move, release, submit, block, approve]}}
    observer: {{token: {OBSERVER_TOKEN}, may: [search, get]}}
    asker: {{token: {ASKER_TOKEN}, may: [release, move, events], approval: operator}}
"""


@dataclass
class ActingDaemon:
    """The simulator behind it, where it listens, and the lines that it logged."""

    simulator: Simulator
    url: str
    api_url: str
    logs: list[str]

    def held(self, **fields: Any) -> str:
        """A message in quarantine."""
        return self.simulator.world.add({**HELD, "alert_id": f"alert-{len(self.simulator.world)}", **fields})

    def undetected(self) -> str:
        """A message in a mailbox, in which nothing was detected."""
        return self.delivered(final_disposition=None)

    def delivered(self, **fields: Any) -> str:
        """A message in a mailbox."""
        return self.held(**{**DELIVERED, **fields})


@contextmanager
def acting_daemon(directory: Path, tls: str = "") -> Iterator[ActingDaemon]:
    """A daemon with four callers: one may act, one may do everything, one may read, one needs an operator.

    *tls* is a line of its section ``actions``.
    """
    simulator = Simulator(behaviour=Behaviour(quota=None))
    directory.mkdir(exist_ok=True)
    (directory / "connector.yaml").write_text(_CONFIG.replace("# TLS", tls))
    with (
        running(simulator) as base_url,
        daemon(directory, environment(TOKEN=TOKEN, BASE=base_url)) as connector,
    ):
        found: list[str] = []

        def announced() -> bool:
            found.extend(re.findall(r'"url":"(http[^"]+)"', "".join(connector.logs)))
            return bool(found)

        until(announced, "the API's URL")
        until(connector.ready, "readiness")
        yield ActingDaemon(simulator, found[0].rstrip("/"), base_url, connector.logs)
        assert connector.terminate() == 0
