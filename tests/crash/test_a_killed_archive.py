"""kill -9 around every step of storing a batch in a bucket: no record twice in it, none missing."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import orjson
import pytest

from connector.simulator import Behaviour, Simulator, running
from tests.crash.site import FORKS
from tests.crash.victim import KILLED, Fuse, daemon
from tests.support.bucket import Bucket, in_a_thread
from tests.support.process import ACCOUNT, TOKEN

RECORDS = 3000
PATIENCE = 120.0
CONFIG = """
accounts:
  prod:
    account_id: {account}
    api_token: "${{env:TOKEN}}"
    base_url: "{base_url}"
    budget: {{requests: 100000, window: 1m}}
searches:
  everything: {{every: 1s, start: 25h, filters: {{detections_only: false}}, per_page: 100}}
outputs:
  lake:
    type: s3
    bucket: mail
    region: eu-central-1
    endpoint: "{bucket}"
    auth: {{static: {{access_key_id: key, secret_access_key: secret}}}}
    mapping: raw
    from: beginning
    batch: {{events: {events}, linger: 100ms}}
state: {{directory: "{directory}/state"}}
server: {{listen: "127.0.0.1:0"}}
"""
STEPS = ("BatchSending", "BatchSent", "JournalAcknowledged", "OutputPosition")
"""The name is durable; the object is stored; the position is durable; the name is forgotten."""


def run(directory: Path, config: Path, fuse: Fuse | None) -> int | None:
    """Run a daemon until it kills itself, or catches up; return its exit code."""

    process = FORKS.Process(target=daemon, args=(config, directory / "log", {"TOKEN": TOKEN}, fuse))
    process.start()
    try:
        process.join(PATIENCE if fuse else 8)
        if fuse is None:
            process.terminate()
            process.join(PATIENCE)
        return process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()


def killed_everywhere(directory: Path, store: Bucket, kills: list[tuple[str, int, int]]) -> None:
    simulator = Simulator(seed=3, backlog=RECORDS, behaviour=Behaviour(quota=None))
    with running(simulator) as base_url:
        expected = simulator.ledger.ids({"detections_only": False})
        config, chance = directory / "connector.yaml", random.Random(20261130)
        for number, (kind, nth, micros) in enumerate([*kills, ("", 0, 0)]):
            # Other limits in every run: the batch under way must keep its own.
            text = CONFIG.format(
                account=ACCOUNT, base_url=base_url, bucket=store.url, directory=directory,
                events=chance.randrange(20, 90) if kind else 500,
            )  # fmt: skip
            config.write_text(text)
            fuse = Fuse(kind, nth, micros, directory / f"fired-{number}") if kind else None
            code = run(directory, config, fuse)
            log = (directory / "log").read_text()[-3000:]
            assert code == (KILLED if kind else 0), f"{kind} {nth}: {code}\n{log}"
    counts = Counter(line_id(line) for line in store.lines())
    assert set(counts) == expected
    assert set(counts.values()) == {1}


def line_id(line: bytes) -> str:

    return str(orjson.loads(line)["id"])


@pytest.mark.slow
def test_kills_between_store_and_acknowledgement_store_nothing_twice(tmp_path: Path) -> None:
    with in_a_thread() as store:
        killed_everywhere(tmp_path, store, [("BatchSent", 2, 0), ("BatchSending", 1, 3000)])
        assert store.repetitions >= 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_at_every_step_store_everything_once(tmp_path: Path) -> None:
    chance = random.Random(20261201)
    kills = [(kind, nth, 0) for kind in STEPS for nth in (1, 3)]
    kills += [("BatchSending", 2, chance.randrange(100, 30_000)) for _ in range(8)]
    with in_a_thread() as store:
        killed_everywhere(tmp_path, store, kills)
        assert store.repetitions >= 2
