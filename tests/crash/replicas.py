"""Replicas on one PostgreSQL that are killed, frozen and cut off: ``python -m tests.crash.replicas SECONDS``.

A simulator with live mail, three outputs to an HTTP collector, two or three daemons as real processes, each
behind
a proxy of its own to the database. The conservation oracle judges what every output received in the end.
"""

from __future__ import annotations

import asyncio
import gzip
import http.server
import logging
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import psycopg

from connector.journal.postgres import PostgresJournal, Server
from connector.model import Feed
from connector.secret import Secret
from connector.simulator import Behaviour, Changes, Late, Simulator, running
from tests.crash.site import FORKS
from tests.crash.victim import daemon
from tests.support.oracle import Verdict, judge, revisions_in
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.process import ACCOUNT, TOKEN

BATCH = 40
"""Events of one request: what a takeover may repeat per output."""

OUTPUTS = ("one", "two", "three")
SCHEMA = "replicas"

_AGES = (2, 4)
_LONGEST = timedelta(seconds=3)
_PATIENCE = 120.0
_LOOK = 0.05

_CONFIG = f"""
accounts:
  prod:
    account_id: {ACCOUNT}
    api_token: "${{env:TOKEN}}"
    base_url: "%(api)s"
    budget: {{requests: 100000, window: 1m}}
searches:
  detections: {{every: 1s, overlap: 1s, start: 5m, per_page: 50, revisit: [{_AGES[0]}s, {_AGES[1]}s]}}
outputs:
%(outputs)s
state:
  directory: "%(directory)s"
  retain: %(retain)s
  postgres: {{url: "postgresql://postgres@127.0.0.1:%(port)d/postgres", schema: {SCHEMA}}}
server: {{listen: "127.0.0.1:0"}}
drain: 10s
log: {{level: warning}}
"""

_OUTPUT = """  %(name)s:
    type: http
    url: "%(url)s/%(name)s"
    body: ndjson
    mapping: raw
    from: beginning
    batch: {events: 40, linger: 100ms}
"""


class Sink(http.server.ThreadingHTTPServer):
    """A collector that accepts everything and keeps it in order, per path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: defaultdict[str, list[bytes]] = defaultdict(list)
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert isinstance(self.server, Sink)
        with self.server.lock:
            self.server.received[self.path.strip("/")].append(body.rstrip(b"\n") + b"\n")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""


class Wire:
    """A proxy to the database that can go silent: nothing passes and nothing is closed, as when a cable is
    pulled."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._passing = threading.Event()
        self._passing.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Pass nothing on."""
        self._passing.clear()

    def mend(self) -> None:
        """Pass everything on again."""
        self._passing.set()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
        self._passing.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._passing.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        with client, server:
            back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
            back.start()
            self._pass(client, server)
            back.join()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._passing.wait()
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@dataclass
class Daemon:
    """One replica: its configuration, its wire to the database, its process."""

    config: Path
    log: Path
    wire: Wire
    process: BaseProcess | None = None

    def start(self) -> None:
        """Start the process."""
        self.process = FORKS.Process(target=daemon, args=(self.config, self.log, {"TOKEN": TOKEN}))
        self.process.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self.process is not None
        assert self.process.pid is not None
        return self.process.pid

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def end(self, number: int = signal.SIGKILL) -> int | None:
        """End the process and wait; returns its exit code."""
        assert self.process is not None
        self.send(number)
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        self.process.close()
        self.process = None
        return code


@dataclass
class Site:
    """Everything that one run shares."""

    simulator: Simulator
    sink: Sink
    server: PostgresServer
    daemons: list[Daemon]
    disturbances: int = 0
    ended: list[int | None] = field(default_factory=list)
    takeovers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def held_by(self, pid: int) -> set[str]:
        """The leases that the replica with process *pid* holds."""
        rows = self.server.execute(
            f"SELECT l.name FROM {SCHEMA}.leases l JOIN {SCHEMA}.replicas r ON r.replica = l.holder "
            f"WHERE r.process = {pid}"
        )
        return {str(name) for (name,) in rows}

    def tokens(self) -> dict[str, int]:
        """The token of every lease that a live replica holds."""
        rows = self.server.execute(
            f"SELECT name, token FROM {SCHEMA}.leases WHERE holder IS NOT NULL AND expires > "
            "clock_timestamp()"
        )
        return {str(name): int(str(token)) for name, token in rows}

    def supervise(self) -> None:
        """Start replicas again that ended by themselves: one that finds no database for a minute does."""
        for one in self.daemons:
            if one.process is not None and not one.process.is_alive():
                self.ended.append(one.process.exitcode)
                one.process.close()
                one.start()

    def wait_until_all_is_held(self) -> None:
        """Wait until every output and the account have a holder."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            self.supervise()
            with suppress(psycopg.Error):
                if len(self.tokens()) == len(OUTPUTS) + 1:
                    return
            assert time.monotonic() < deadline, "some lease has no holder"
            time.sleep(0.2)

    def watch_takeover(self, kind: str, names: set[str], before: dict[str, int]) -> None:
        """Measure how long it takes until other replicas have *names*."""
        began = time.monotonic()
        while time.monotonic() - began < _PATIENCE:
            now = self.tokens()
            if all(now.get(name, 0) > before.get(name, 0) for name in names):
                if names:
                    self.takeovers[kind].append(time.monotonic() - began)
                return
            time.sleep(_LOOK)
        raise AssertionError(f"nobody took {sorted(names)} over after {kind}")

    def disturb(self, kind: str, chance: random.Random, frozen: float = 20.0) -> None:
        """Do one thing to a random replica, wait for the others to take over, and repair it."""
        self.disturbances += 1
        victim = chance.choice(self.daemons)
        names, before = self.held_by(victim.pid), self.tokens()
        if kind == "kill":
            victim.end()
            self.watch_takeover(kind, names, before)
            victim.start()
        elif kind == "stop":
            code_of = threading.Thread(target=lambda: self._expect(victim.end(signal.SIGTERM)))
            code_of.start()
            self.watch_takeover(kind, names, before)
            code_of.join()
            victim.start()
        elif kind == "freeze":
            began = time.monotonic()
            victim.send(signal.SIGSTOP)
            self.watch_takeover(kind, names, before)
            time.sleep(max(0.0, frozen - (time.monotonic() - began)))
            victim.send(signal.SIGCONT)
        elif kind == "cut":
            victim.wire.cut()
            self.watch_takeover(kind, names, before)
            victim.wire.mend()
        elif kind == "database":
            self.server.kill()
            time.sleep(chance.uniform(0.2, 2.0))
            self.server.start()
        else:
            raise ValueError(kind)

    @staticmethod
    def _expect(code: int | None) -> None:
        # One that has only just started has no handler for it yet.
        assert code in {0, -signal.SIGTERM}, f"a replica ended with {code} at SIGTERM"

    def finish(self) -> None:
        """Let no more mail arrive, wait until every sweep has passed all of it and every output has it,
        end."""
        self.simulator.world.rate = 0
        quiet = datetime.now(UTC) + _LONGEST
        deadline = time.monotonic() + 2 * _PATIENCE
        while True:
            assert time.monotonic() < deadline, f"not everything was collected and delivered: {self.logs}"
            self.supervise()
            slowest, backlog = asyncio.run(self._look())
            if slowest > quiet + timedelta(seconds=_AGES[-1]) and not backlog:
                break
            time.sleep(0.5)
        for one in self.daemons:
            code = one.end(signal.SIGTERM)
            assert code == 0, f"{code}: {self.logs}"

    async def _look(self) -> tuple[datetime, int]:
        """Where the slowest sweep stands, and what is not delivered."""
        async with PostgresJournal.open(
            Server(Secret(self.server.url()), SCHEMA),
            observe=lambda _: None,
            clock=lambda: datetime.now(UTC),
            patience=10.0,
        ) as journal:
            progress = await journal.progress(Feed(ACCOUNT, "detections"))
            backlog = sum(output.backlog for output in (await journal.outline()).outputs)
        live = progress.checkpoints.get("live", self.began)
        return min(live, *progress.checkpoints.values(), live), backlog

    def verdict(self, output: str) -> Verdict:
        """What the oracle says of what *output* received."""
        reported = revisions_in(b"".join(self.sink.received[output]))
        window = (self.began - timedelta(seconds=55), datetime.now(UTC) - timedelta(seconds=_AGES[-1]))
        return judge(
            self.simulator, reported, {"detections_only": True}, window, all_handed_out=False, lean=True
        )

    @property
    def logs(self) -> str:
        """The ends of what the replicas logged."""
        return "\n".join(one.log.read_text()[-1500:] for one in self.daemons if one.log.exists())

    def report(self) -> str:
        """Takeover times per kind, in seconds: how many, median, maximum."""
        return "; ".join(
            f"{kind}: {len(times)}, median {statistics.median(times):.2f} s, at most {max(times):.2f} s"
            for kind, times in sorted(self.takeovers.items())
        )


@contextmanager
def site(directory: Path, replicas: int, *, rate: float = 30.0, retain: str = "0s") -> Iterator[Site]:
    """A simulator, a collector, a database and *replicas* daemons."""
    simulator = Simulator(
        seed=11,
        backlog=400,
        span=timedelta(seconds=50),
        rate=rate,
        keep=1_000_000,
        late=Late(share=0.1, shortest=timedelta(milliseconds=500), longest=_LONGEST),
        changes=Changes(share=0.3, earliest=timedelta(milliseconds=500), latest=_LONGEST),
        behaviour=Behaviour(quota=None, gzip=None),
    )
    sink = Sink()
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    with postgres_server() as server, running(simulator) as api:
        daemons = []
        for number in range(replicas):
            place = directory / f"replica{number}"
            place.mkdir()
            wire = Wire(server.port)
            outputs = "".join(_OUTPUT % {"name": name, "url": sink.url} for name in OUTPUTS)
            config = place / "connector.yaml"
            words = {"api": api, "outputs": outputs, "directory": place / "state", "port": wire.port}
            words["retain"] = retain
            config.write_text(_CONFIG % words)
            daemons.append(Daemon(config, place / "log", wire))
        made = Site(simulator, sink, server, daemons)
        try:
            for one in daemons:
                one.start()
            made.wait_until_all_is_held()
            yield made
        finally:
            for one in daemons:
                if one.process is not None:
                    one.process.kill()
                    one.process.join()
                one.wire.close()
            sink.shutdown()
            sink.server_close()


_KINDS = ("kill", "kill", "stop", "freeze", "cut", "database")


def soak(seconds: float, seed: int) -> bool:
    """Disturb three replicas for *seconds*; prints what came of it, and says whether all is well."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name, site(Path(name), 3) as place:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            time.sleep(chance.uniform(0.5, 4.0))
            place.disturb(chance.choice(_KINDS), chance, frozen=30.0)
            place.wait_until_all_is_held()
        place.server.stop("immediate")
        time.sleep(60.0 if seconds >= 600 else 5.0)
        place.server.start()
        place.disturbances += 1
        place.finish()
        verdicts = {output: place.verdict(output) for output in OUTPUTS}
        issued = len(place.simulator.ledger.issued())
    bound = place.disturbances * BATCH
    _say(f"seed {seed}: {place.disturbances} disturbances, {issued} records issued")
    _say(f"takeovers: {place.report()}; replicas that ended by themselves: {place.ended}")
    for output, verdict in verdicts.items():
        repeats = f"{verdict.repeats} repeats (bound {bound})"
        _say(f"{output}: {len(verdict.lost)} lost, {repeats}, {verdict.faults or 'no fault'}")
    return all(not verdict.faults and verdict.repeats <= bound for verdict in verdicts.values())


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201, a command that reports


if __name__ == "__main__":
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    sys.exit(0 if soak(float(sys.argv[1]), wanted) else 1)
