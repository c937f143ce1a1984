"""A simulator with live mail, and daemons on one state directory that are killed one after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from connector.journal import Journal
from connector.model import Feed
from connector.settings import load
from connector.simulator import Behaviour, Changes, Fault, Late, Simulator, running
from tests.crash.victim import KILLED, Fuse, daemon
from tests.support.oracle import Verdict, judge, revisions_in
from tests.support.process import ACCOUNT, TOKEN

BATCH = 40
"""Events of one write of the output: what a kill may repeat."""

_PATIENCE = 60.0
_AGES = (2, 4)
_LONGEST = timedelta(seconds=3)
"""Late records and changes come within this time: before the last revisit passes."""

_KEPT = 1_000_000
"""Messages that the simulator keeps for the oracle: enough for hours."""

_CONFIG = f"""
accounts:
  prod:
    account_id: {ACCOUNT}
    api_token: "${{env:TOKEN}}"
    base_url: "%(url)s"
    budget: {{requests: 100000, window: 1m}}
searches:
  detections: {{every: 1s, overlap: 1s, start: 5m, per_page: 50, revisit: [{_AGES[0]}s, {_AGES[1]}s]}}
outputs:
  disk:
    type: file
    path: "%(directory)s/events.ndjson"
    mapping: raw
    from: beginning
    batch: {{events: {BATCH}, linger: 100ms}}
state: {{directory: "%(state)s", retain: 0s}}
server: {{listen: "%(listen)s"}}
log: {{level: %(level)s}}
"""


FORKS = get_context("forkserver")
"""Imports the product once; each daemon is a fork of that, so that a kill costs no start."""

FORKS.set_forkserver_preload(["tests.crash.victim"])


@dataclass
class Site:
    """What the daemons of one test share."""

    simulator: Simulator
    directory: Path
    config: Path
    kills: int = 0
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def events(self) -> Path:
        """The file that the output writes."""
        return self.directory / "events.ndjson"

    @property
    def log(self) -> str:
        """The end of what the daemons logged."""
        log = self.directory / "log"
        return log.read_text()[-4000:] if log.exists() else ""

    def kill_at(self, kind: str, nth: int = 1, micros: int = 0) -> None:
        """Run a daemon until it kills itself at the *nth* fact of *kind*; fails when that never comes."""
        fuse = Fuse(kind, nth, micros, self.directory / "fired")
        fuse.reported.unlink(missing_ok=True)
        with self._daemon(fuse) as victim:
            victim.join(_PATIENCE)
            assert victim.exitcode == KILLED, f"{kind} number {nth}: {victim.exitcode}\n{self.log}"
        assert fuse.reported.exists(), f"{kind} number {nth} never came"
        self.kills += 1

    def kill_after(self, seconds: float) -> None:
        """Run a daemon and kill it from outside after *seconds*."""
        with self._daemon() as victim:
            victim.join(seconds)
            assert victim.exitcode is None, self.log
        self.kills += 1

    def finish(self) -> None:
        """Let no more mail arrive, run until every sweep has passed all of it, and end well."""
        self.simulator.world.rate = 0
        self.simulator.behaviour.rates = {}
        self.simulator.behaviour.faults.clear()
        quiet, deadline = datetime.now(UTC), time.monotonic() + 4 * _PATIENCE
        enough = _LONGEST.total_seconds() + 1.2 * _AGES[-1] + 2
        while self._slowest() < quiet:
            assert time.monotonic() < deadline, f"not every sweep caught up\n{self.log}"
            with self._daemon() as last:
                last.join(enough)
                last.terminate()
                last.join(_PATIENCE)
                assert last.exitcode == 0, self.log
            # A busy machine needs longer from the start of a daemon to its first walk.
            enough *= 2

    def _slowest(self) -> datetime:
        """Where the slowest sweep stands."""

        async def look() -> datetime:
            state = load(self.config, {"TOKEN": TOKEN}).settings.state.directory
            clock = lambda: datetime.now(UTC)  # noqa: E731
            async with Journal.open(state, observe=lambda _: None, clock=clock) as journal:
                progress = await journal.progress(Feed(ACCOUNT, "detections"))
            return min(progress.checkpoints.values(), default=self.began)

        return asyncio.run(look())

    @contextmanager
    def _daemon(self, fuse: Fuse | None = None) -> Iterator[BaseProcess]:
        """A daemon that does not outlive the block."""
        arguments = (self.config, self.directory / "log", {"TOKEN": TOKEN}, fuse)
        process = FORKS.Process(target=daemon, args=arguments)
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()
            process.close()

    def verdict(self) -> Verdict:
        """What the oracle says of the output's file."""
        reported = revisions_in(self.events.read_bytes())
        # Far less than the search's start: a busy machine takes long to the first poll.
        window = (self.began - timedelta(seconds=55), datetime.now(UTC))
        filters = {"detections_only": True}
        return judge(self.simulator, reported, filters, window, all_handed_out=False, lean=True)


@contextmanager
def site(
    directory: Path, *, rate: float = 60.0, state: Path | None = None, level: str = "info"
) -> Iterator[Site]:
    """A simulator with *rate* messages per second, and a configuration for daemons on it."""
    simulator = Simulator(
        seed=11,
        backlog=400,
        span=timedelta(seconds=50),
        rate=rate,
        keep=_KEPT,
        late=Late(share=0.1, shortest=timedelta(milliseconds=500), longest=_LONGEST),
        changes=Changes(share=0.3, earliest=timedelta(milliseconds=500), latest=_LONGEST),
        behaviour=Behaviour(quota=None, gzip=None, rates={Fault("lost_cursor"): 0.02}),
    )
    with running(simulator) as url:
        config = directory / "connector.yaml"
        words = {"url": url, "directory": directory, "state": state or directory / "state", "level": level}
        config.write_text(_CONFIG % {**words, "listen": "127.0.0.1:0"})
        yield Site(simulator, directory, config)
