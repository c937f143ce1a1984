"""A real OpenSearch whose write queue is full refuses requests with 429; delivery keeps its speed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.simulator import Behaviour, Recipe, Simulator, running
from tests.support.opensearch import OpenSearch, opensearch_server
from tests.support.process import ACCOUNT, TOKEN, command, daemon, environment, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("opensearch")]

MESSAGES = 3000
BATCH = 25

ONE_AT_A_TIME = ("node.processors=1", "thread_pool.write.size=1", "thread_pool.write.queue_size=1")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OpenSearch]:
    with opensearch_server(tmp_path / "opensearch", *ONE_AT_A_TIME) as running_server:
        yield running_server


@dataclass(frozen=True)
class Delivered:
    """How long delivery of all took, in seconds, and the retries that the log tells of."""

    seconds: float
    retried: list[str]


def deliver(directory: Path, base_url: str, server: OpenSearch, concurrency: int) -> Delivered:
    """Deliver ``MESSAGES`` to an index of its own; the output's backlog is complete when it starts."""
    directory.mkdir()
    configuration: dict[str, Any] = {
        "accounts": {
            "prod": {
                "account_id": ACCOUNT,
                "api_token": "${env:TOKEN}",
                "base_url": base_url,
                "budget": {"requests": 100000, "window": "1m"},
            }
        },
        "searches": {
            "all": {"every": "1s", "start": "25h", "filters": {"detections_only": False}, "per_page": 1000}
        },
        "outputs": {"none": {"type": "file", "path": str(directory / "sent"), "mapping": "ecs"}},
        "state": {"directory": str(directory / "state")},
        "log": {"format": "json"},
        "server": {"listen": "127.0.0.1:0"},
    }
    file = directory / "connector.yaml"
    file.write_text(yaml.safe_dump(configuration))
    environ = environment(TOKEN=TOKEN)
    code, _, said = command("run", "--once", "-c", str(file), environ=environ, cwd=directory)
    assert code == 0, said
    configuration["outputs"]["collector"] = {
        "type": "elasticsearch",
        "url": server.url,
        "index": f"mail-{concurrency}",
        "mapping": "ecs",
        "batch": {"events": BATCH},
        "concurrency": concurrency,
        "from": "beginning",
    }
    file.write_text(yaml.safe_dump(configuration))
    code, _, said = command("check", "--setup", "-c", str(file), environ=environ, cwd=directory)
    assert code == 0, said
    with daemon(directory, environ, "-c", str(file)) as connector:

        def sent() -> int:
            return int(next(o for o in connector.status()["outputs"] if o["output"] == "collector")["sent"])

        until(lambda: sent() > 0, "the first events")
        began, first = time.monotonic(), sent()
        until(lambda: sent() >= MESSAGES, "all events", patience=120)
        seconds = (time.monotonic() - began) * MESSAGES / (MESSAGES - first)
        assert connector.terminate() == 0
        lines = [json.loads(line) for line in connector.logs]
        retried = [line["reason"] for line in lines if line["event"] == "batch_retried"]
    return Delivered(seconds, retried)


def test_a_full_write_queue_costs_little_and_is_named(server: OpenSearch, tmp_path: Path) -> None:
    simulator = Simulator(seed=11, backlog=MESSAGES, recipe=Recipe(), behaviour=Behaviour(quota=None))
    with running(simulator) as url:
        alone = deliver(tmp_path / "one", url, server, 1)
        crowded = deliver(tmp_path / "eight", url, server, 8)

    stored = [hit["_source"]["event"]["id"] for hit in server.documents("mail-8")]
    pools = server.json("/_nodes/stats/thread_pool")["nodes"]
    [rejected] = [node["thread_pool"]["write"]["rejected"] for node in pools.values()]

    assert len(stored) == len(set(stored)) == MESSAGES
    assert rejected > 0, "the server really refused requests"
    assert any("the write queue is full" in reason for reason in crowded.retried), crowded.retried[:3]
    assert alone.retried == []
    assert crowded.seconds <= 2 * alone.seconds, (crowded.seconds, alone.seconds, rejected)
