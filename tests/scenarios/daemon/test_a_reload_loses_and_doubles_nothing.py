"""SIGHUP: a valid change is in effect at once, a wrong one changes nothing, and no record pays for either."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.simulator import Behaviour, Changes, Late, Simulator, running
from tests.support.oracle import ReportedRevision, Verdict, judge, revision_of, revisions_in
from tests.support.process import ACCOUNT, TOKEN, Daemon, command, daemon, environment, until
from tests.support.receivers import HttpReceiver, http_receiver

CONFIG = """\
accounts:
  prod:
    account_id: {account}
    api_token: "${{env:TOKEN}}"
    base_url: "{url}"
    budget: {{requests: 100000, window: 1m}} # 150 messages per second need more than the default
searches:
  everything: {{every: 1s, overlap: 2s, start: 1m, per_page: 100, filters: {{detections_only: false}}}}
outputs:
  disk: {{type: file, path: disk.ndjson, mapping: raw, from: beginning}}
  web: {{type: http, url: "{web}", body: ndjson, mapping: raw, from: beginning, batch: {{events: 20}}}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
log: {{level: info, format: json}}
"""
LAKE = "  lake: {type: file, path: lake.ndjson, mapping: raw, from: beginning}\n"
GONE = "  siem: {type: syslog, address: 'tcp://127.0.0.1:1', mapping: cef, from: beginning}\n"


class Site:
    """A daemon over a simulator with live mail, and the file that configures it."""

    def __init__(self, directory: Path, simulator: Simulator, url: str, web: HttpReceiver) -> None:
        self.directory = directory
        self.simulator = simulator
        self.web = web
        self.text = CONFIG.format(account=ACCOUNT, url=url, web=web.url)
        self.began = datetime.now(UTC)
        self.reloads = 0
        self.connector: Daemon

    def write(self, outputs: str = "") -> None:
        head, state, tail = self.text.partition("state:")
        (self.directory / "connector.yaml").write_text(head + outputs + state + tail)

    def reload(self) -> None:
        """SIGHUP, and wait until it was dealt with."""
        self.reloads += 1
        self.connector.process.send_signal(signal.SIGHUP)
        until(lambda: self.tried() == self.reloads, "the reload")

    def tried(self) -> int:
        return sum(
            self.metric(f'config_reloads_total{{outcome="{kind}"}}') for kind in ("success", "failure")
        )

    def metric(self, name: str) -> int:
        lines = self.connector.get("/metrics").decode().splitlines()
        return next(
            int(float(line.split()[-1])) for line in lines if line.startswith(f"email_connector_{name} ")
        )

    def logged(self, event: str) -> dict[str, object]:
        lines = [json.loads(line) for line in self.connector.logs if line.startswith("{")]
        found: dict[str, object] = next(line for line in reversed(lines) if line["event"] == event)
        return found

    def verdict(self, reported: list[ReportedRevision]) -> Verdict:
        window = (self.began - timedelta(seconds=55), datetime.now(UTC))
        return judge(
            self.simulator, reported, {"detections_only": False}, window, all_handed_out=False, lean=True
        )


@contextmanager
def site(directory: Path, *, rate: float) -> Iterator[Site]:
    simulator = Simulator(
        seed=5,
        backlog=300,
        span=timedelta(seconds=50),
        rate=rate,
        late=Late(share=0.0),
        changes=Changes(share=0.0),
        behaviour=Behaviour(quota=None, gzip=None),
    )
    with running(simulator) as url, http_receiver() as web:
        made = Site(directory, simulator, url, web)
        made.write()
        with daemon(directory, environment(TOKEN=TOKEN)) as made.connector:
            until(made.connector.ready, "readiness")
            yield made


def test_a_valid_change_adds_an_output_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    with site(tmp_path, rate=150) as here:
        here.write(LAKE)
        here.reload()
        assert {output["output"] for output in here.connector.status()["outputs"]} == {"disk", "web", "lake"}
        assert here.logged("configuration_reloaded")["changes"] == ["output lake added"]

        for outputs in (LAKE + GONE, LAKE, LAKE + GONE, LAKE):
            here.write(outputs)
            here.reload()
        scrape = here.connector.get("/metrics").decode()
        assert 'output="lake"' in scrape
        assert 'output="siem"' not in scrape, "series of an output that is gone would never move again"

        here.simulator.world.rate = 0
        quiet = datetime.now(UTC)
        until(lambda: _passed(here.connector, quiet), "the live sweep to pass the last mail")
        assert here.connector.terminate() == 0

        assert here.reloads == 5
        took = {name: revisions_in((tmp_path / f"{name}.ndjson").read_bytes()) for name in ("disk", "lake")}
        for name, reported in {**took, "web": list(map(revision_of, here.web.events))}.items():
            verdict = here.verdict(reported)
            assert verdict.faults == {}, name
            assert verdict.repeats == 0, name


def test_an_invalid_file_changes_nothing_and_says_where_it_is_wrong(tmp_path: Path) -> None:
    with site(tmp_path, rate=20) as here:
        before = here.connector.status()
        here.write("  lake: {type: fil, path: lake.ndjson}\n")
        here.reload()

        after = here.connector.status()
        assert after["configuration"]["successful"] is False
        assert "connector.yaml:12:10: " in after["configuration"]["problems"][0]
        assert here.logged("configuration_refused")["problems"] == after["configuration"]["problems"]
        assert here.metric("config_last_reload_successful") == 0
        assert [one["output"] for one in after["outputs"]] == [one["output"] for one in before["outputs"]]
        assert after["ready"] is True, "the former configuration works on"

        sent = after["outputs"][0]["sent"]
        until(
            lambda: here.connector.status()["outputs"][0]["sent"] > sent,
            "more mail with the former configuration",
        )

        here.write("  lake: {type: file, path: lake.ndjson, mapping: no_such}\n")
        here.reload()
        assert "connector.yaml:12:" in here.connector.status()["configuration"]["problems"][0]

        code, _, said = command("reload", environ=environment(TOKEN=TOKEN), cwd=tmp_path)
        assert code == 2, "refused, with the reason"
        assert "connector.yaml:12:" in said

        here.write(LAKE)
        probing = environment(CONNECTOR_STATE__DIRECTORY=str(tmp_path / "state"))
        code, _, said = command("reload", environ=probing, cwd=tmp_path)
        assert (code, said) == (0, "output lake added\nreloaded\n")
        assert here.connector.status()["configuration"] == {
            "at": here.connector.status()["configuration"]["at"],
            "successful": True,
            "problems": [],
        }
        until(lambda: here.metric("config_last_reload_successful") == 1, "metrics, which are cached")
        assert here.connector.terminate() == 0


def _passed(connector: Daemon, moment: datetime) -> bool:
    (feed,) = connector.status()["feeds"]
    return bool(feed["checkpoint"]) and datetime.fromisoformat(feed["checkpoint"]) > moment
