"""A real Prometheus scrapes a real daemon: rules and dashboard find every metric that they name."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.simulator import Simulator, running
from tests.deploy.artefacts import RULES, dashboard_expressions, metrics_in, rules
from tests.support.collectors import free_port
from tests.support.process import ACCOUNT, TOKEN, Daemon, daemon, environment, until
from tests.support.programs import program

ONLY_IN_TROUBLE = {
    "email_connector_collection_failures_total",
    "email_connector_journal_write_failures_total",
    "email_connector_lateness_max_seconds_bucket",
    "email_connector_records_disappeared_total",
    "email_connector_worker_failures_total",
}
"""What has no series before it happened: the exposition tells name, type and meaning all the same."""

ONLY_WITH_REPLICAS = {"email_connector_lease_free", "email_connector_leases_lost_total"}

CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: email-connector
    static_configs: [{{targets: ["{target}"]}}]
"""


class Prometheus:
    """A running Prometheus on loopback."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of its API."""
        question = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(question, timeout=30) as answer:
            said = json.load(answer)
        assert said["status"] == "success", said
        return said["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that *expression* gives now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def scraped(self) -> bool:
        """Whether it has the daemon's metrics."""
        try:
            return bool(self.query("email_connector_fresh_timestamp_seconds"))
        except OSError:
            return False

    def rules(self) -> list[dict[str, Any]]:
        """What it makes of the rules."""
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def quiet(self) -> bool:
        """Whether it evaluated every rule, and none sees trouble."""
        return all((rule["health"], rule["state"]) == ("ok", "inactive") for rule in self.rules())


@contextmanager
def prometheus(directory: Path, target: str) -> Iterator[Prometheus]:
    binary, port = program("prometheus"), free_port()
    configuration = directory / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(rules=RULES, target=target))
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def connector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("connector")
    with running(Simulator(backlog=200, rate=5.0)) as base_url:
        environ = environment(
            CLOUDFLARE_API_TOKEN=TOKEN,
            CLOUDFLARE_ACCOUNT_ID=ACCOUNT,
            CLOUDFLARE_BASE_URL=base_url,
            CONNECTOR_STATE__DIRECTORY=str(directory / "state"),
            CONNECTOR_SERVER__LISTEN="127.0.0.1:0",
            CONNECTOR_SEARCHES__DETECTIONS__EVERY="1s",
        )
        with daemon(directory, environ) as made:
            until(made.ready, "readiness")
            until(lambda: bool(made.events()), "events")
            yield made


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_everything_that_rules_and_dashboard_name_is_there(connector: Daemon, tmp_path: Path) -> None:
    with prometheus(tmp_path, connector.url.removeprefix("http://")) as watching:
        until(watching.scraped, "a scrape")
        until(watching.quiet, "an evaluation of every rule that finds nothing wrong")

        reported = watching.ask("metadata")
        present = {one["metric"]["__name__"] for one in watching.query('{__name__=~"email_connector_.+"}')}
        judged = watching.rules()
        for _, expression in dashboard_expressions():
            query = expression.replace("$__rate_interval", "1m")
            for name in ("instance", "account", "search", "output"):
                query = query.replace(f"${name}", ".*")
            assert "$" not in query
            watching.query(query)

    named = metrics_in(RULES.read_text()) | {m for _, e in dashboard_expressions() for m in metrics_in(e)}
    families = {name.removesuffix("_bucket") for name in named}
    assert families <= reported.keys()
    assert named - present <= ONLY_IN_TROUBLE | ONLY_WITH_REPLICAS
    assert {rule["name"] for rule in judged} == {rule["alert"] for rule in rules()}


def test_the_exposition_is_what_prometheus_calls_clean(connector: Daemon) -> None:
    promtool = program("promtool", "prometheus")
    text = connector.get("/metrics")

    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    assert text.count(b"# HELP email_connector_") > 50
