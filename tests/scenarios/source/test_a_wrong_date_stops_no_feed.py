"""Answers with a ``Date`` far in the past stop a feed only until the next one with a right date."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path

from connector.collect.collector import Collector
from connector.collect.feed_config import FeedConfig
from connector.collect.schedule import Interval
from connector.collect.windows import Timing
from connector.facts import CheckpointPulledBack, CollectionFailed
from connector.journal import Journal
from connector.model import Feed, Query
from connector.simulator import Behaviour, Simulator, running
from tests.scenarios.source.account import ACCOUNT, run
from tests.scenarios.source.simulated import simulated
from tests.support.process import TOKEN, daemon, environment, until

YEAR = timedelta(days=365)
CONFIG = """\
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{url}"}}
searches:
  all: {{every: 1s, start: 1h, revisit: [], filters: {{detections_only: false}}}}
outputs:
  out: {{type: stdout, mapping: raw}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
"""


def test_collection_goes_on_and_moves_nothing_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            simulated(Behaviour(), backlog=300) as it,
            Journal.open(tmp_path, observe=it.facts.append, clock=it.clock) as journal,
        ):
            plan = FeedConfig(
                Feed(ACCOUNT, "all"), Query({"detections_only": False}), Timing(start=timedelta(hours=2))
            )
            collector = Collector(
                plan, it.source, it.source, journal,
                observe=it.facts.append, clock=it.clock, forget_time=it.source.forget_time,
            )  # fmt: skip
            collecting = asyncio.create_task(collector.run(Interval(timedelta(minutes=1))))
            await asyncio.sleep(600)
            it.simulator.behaviour.skew = -YEAR
            await asyncio.sleep(1800)
            asked = len(it.asked)
            assert [fact for fact in it.facts if isinstance(fact, CollectionFailed)]
            await asyncio.sleep(600)
            assert len(it.asked) - asked < 60, "asked again and again while no answer is right"
            it.simulator.behaviour.skew = timedelta(0)
            await asyncio.sleep(600)
            name = it.simulator.world.add()
            await asyncio.sleep(180)
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)
            assert name in await journal.seen(plan.feed, [name])
            assert not [fact for fact in it.facts if isinstance(fact, CheckpointPulledBack)]

    run(story())


def test_a_daemon_needs_no_restart(tmp_path: Path) -> None:
    simulator = Simulator(backlog=20)
    with running(simulator) as url:
        (tmp_path / "connector.yaml").write_text(CONFIG.format(account=ACCOUNT, url=url))
        with daemon(tmp_path, environment(TOKEN=TOKEN)) as connector:
            until(lambda: connector.status()["ready"], "the first walk")
            simulator.behaviour.skew = -YEAR
            until(lambda: "already read" in connector.status()["feeds"][0]["reason"], "the failure")
            simulator.behaviour.skew = timedelta(0)
            name = simulator.world.add()
            until(partial(_holds, connector.stdout, name), "a message after the wrong dates")


def _holds(file: Path, name: str) -> bool:
    return name.encode() in file.read_bytes()
