"""Pages of very large messages: collected and delivered within the memory limit of the shipped chart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.simulator import Simulator, running
from tests.support.process import ACCOUNT, TOKEN, Daemon, daemon, environment, until

MESSAGES, RECIPIENTS = 1000, 2000
LIMIT = 384 << 20
"""The memory limit of the shipped Helm chart, in bytes."""

CONFIGURATION = """\
accounts: {{prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{url}"}}}}
searches: {{all: {{filters: {{detections_only: false}}, start: 1h, revisit: [], every: 1s, settle: 1s}}}}
outputs: {{out: {{type: file, path: events.ndjson}}}}
state: {{directory: state}}
"""


def peak_memory(running_daemon: Daemon) -> int:
    """Bytes of resident memory at the daemon's highest."""
    status = Path(f"/proc/{running_daemon.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def large_messages(recipients: int) -> Simulator:
    simulator = Simulator(backlog=0)
    simulator.behaviour.gzip = None
    to = [f"r{number:04}@c.example" for number in range(recipients)]
    start = datetime.now(UTC) - timedelta(minutes=30)
    for number in range(MESSAGES):
        simulator.world.add(
            {"to": to, "client_recipients": to[:1]}, scanned_at=start + timedelta(seconds=number)
        )
    return simulator


def test_a_thousand_messages_to_two_thousand_recipients_arrive_within_the_limit(tmp_path: Path) -> None:
    simulator = large_messages(RECIPIENTS)
    with running(simulator) as url:
        (tmp_path / "connector.yaml").write_text(CONFIGURATION.format(account=ACCOUNT, url=url))
        with daemon(tmp_path, environment(TOKEN=TOKEN)) as it:
            events = tmp_path / "events.ndjson"
            until(
                lambda: (
                    it.process.poll() is not None
                    or (events.exists() and events.read_bytes().count(b"\n") >= MESSAGES)
                ),
                "all messages in the file",
            )
            assert it.process.poll() is None
            assert peak_memory(it) < LIMIT
            it.terminate()
    assert events.read_bytes().count(b"\n") == MESSAGES
