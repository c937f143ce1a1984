"""Daemons that perform response actions and are killed; a client that insists; what must be true then."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import connector.app.actions
from connector.actions.action import ENDED, Action, Outcome, State, from_row
from connector.actions.options import ActionOptions
from connector.interfaces import ActionLog
from connector.journal import Journal
from connector.journal.postgres import PostgresJournal, Server
from connector.secret import Secret
from connector.simulator import Behaviour, Simulator, running
from tests.crash.replicas import Sink
from tests.crash.site import FORKS
from tests.crash.victim import KILLED, Fuse, daemon
from tests.support.acting import DELIVERED, HELD
from tests.support.postgres import PostgresServer
from tests.support.process import ACCOUNT, TOKEN

SETTLE = 6.0
"""Seconds after which an action without a trace has failed here; thirty minutes in life."""

_PATIENCE = 90.0
_SCHEMA = "acting"
_CONFIG = f"""
accounts:
  prod:
    account_id: {ACCOUNT}
    api_token: "${{env:TOKEN}}"
    write_token: write-token-of-the-account
    base_url: "%(api)s"
    budget: {{requests: 1000000}}
searches: {{detections: {{every: 1s, start: 5m}}}}
outputs:
  siem: {{type: http, url: "%(sink)s/siem", body: ndjson, mapping: ecs, actions: true, from: beginning,
         batch: {{linger: 50ms}}}}
state: {{directory: "%(state)s"%(database)s}}
server: {{listen: "127.0.0.1:0"}}
drain: 10s
actions:
  listen: 127.0.0.1:0
  budget: {{requests: 1000000}}
  callers:
    soc: {{token: soc-token-0123456789, may: [search, get, events, move, release, submit, block]}}
    asks: {{token: asks-token-0123456789, may: [release], approval: second_caller}}
    lead: {{token: lead-token-0123456789, may: [release, approve]}}
    few: {{token: few-token-0123456789, may: [move], per_hour: 5}}
"""


def acting_daemon(config: Path, log: Path, variables: dict[str, str], fuse: Fuse | None = None) -> None:
    """The product with short times, in a process of its own."""
    hurried = partial(ActionOptions, settle=timedelta(seconds=SETTLE), look_after=(0.2, 0.5, 1.0), retry=0.5)
    setattr(connector.app.actions, "ActionOptions", hurried)  # noqa: B010
    daemon(config, log, variables, fuse)


@dataclass(frozen=True)
class Request:
    """What the client wants, under one name, however often it has to ask."""

    path: str
    body: dict[str, Any]


@dataclass
class Replica:
    """One daemon: its configuration, and its process while it runs."""

    config: Path
    log: Path
    process: BaseProcess | None = None
    _read_from: int = 0

    def start(self, fuse: Fuse | None = None) -> None:
        """Start the process; with a *fuse* it ends itself."""
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        self.process = FORKS.Process(
            target=acting_daemon, args=(self.config, self.log, {"TOKEN": TOKEN}, fuse)
        )
        self.process.start()

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.is_alive()

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self.process is not None
        assert self.process.pid is not None
        return self.process.pid

    def url(self) -> str:
        """Where this start of it listens; empty until it does."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            found = re.findall(r'"url":"(http://127[^"]+)"', log.read().decode())
        return found[-1].rstrip("/") if found else ""

    def end(self, number: int = signal.SIGKILL) -> int | None:
        """End the process and wait; its exit code."""
        assert self.process is not None
        if self.process.is_alive():
            os.kill(self.pid, number)
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        self.process.close()
        self.process = None
        return code

    def call(
        self, method: str, path: str, body: object = None, by: str = "soc"
    ) -> tuple[int, dict[str, Any]] | None:
        """Call the API; ``None`` without an answer, such as when the process ends meanwhile."""
        url = self.url()
        if not url:
            return None
        content = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {by}-token-0123456789", "content-type": "application/json"}
        try:
            asked = urllib.request.Request(url + path, content, headers, method=method)
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error, suppress(http.client.HTTPException, OSError, ValueError):
                return error.code, json.load(error)
        except (http.client.HTTPException, OSError, ValueError):
            pass
        return None

    def insist(
        self, method: str, path: str, body: object = None, by: str = "soc"
    ) -> tuple[int, dict[str, Any]]:
        """Call until there is an answer that is not 503."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            answer = self.call(method, path, body, by)
            if answer is not None and answer[0] != 503:
                return answer
            assert self.is_alive, self.tail
            time.sleep(0.05)
        raise AssertionError(f"no answer to {method} {path}\n{self.tail}")

    @property
    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-3000:] if self.log.exists() else ""


@dataclass
class Place:
    """What the daemons of one test share."""

    simulator: Simulator
    sink: Sink
    replicas: list[Replica]
    directory: Path
    open_journal: Callable[[], AbstractAsyncContextManager[ActionLog]]
    names: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def held(self) -> str:
        """A message in quarantine."""
        return self.simulator.world.add({**HELD, "alert_id": f"alert-{len(self.simulator.world)}"})

    def delivered(self) -> str:
        """A message in a mailbox."""
        return self.simulator.world.add({**DELIVERED, "alert_id": f"alert-{len(self.simulator.world)}"})

    def want(self, prefix: str) -> None:
        """Have the client want one action of each kind, on messages of their own."""
        common = {"reason": "SOC-4711"}
        submit = {"type": "reclassification", "expected_disposition": "NONE"}
        block = {"pattern": f"{prefix}.example", "pattern_type": "DOMAIN", "expires_in": 86400}
        for kind, path, body in (
            ("release", "/v1/messages/release", {"ids": [self.held()]}),
            ("submit", "/v1/submissions", {"ids": [self.held()], **submit}),
            ("move", "/v1/messages/move", {"ids": [self.delivered()], "destination": "JunkEmail"}),
            ("block", "/v1/senders/block", block),
        ):
            self.requests.append(Request(path, {**body, **common, "request_id": f"{prefix}-{kind}"}))

    def ask_for_all(self, replica: Replica, newest: int) -> None:
        """Ask for the *newest* requests once, and for two older ones; check that answers stay the same."""
        for request in [*self.requests[-newest:], *self.requests[:2]]:
            answer = replica.call("POST", request.path, request.body)
            if answer is None:
                continue
            status, action = answer
            assert status in {200, 202, 503}, answer
            if status != 503:
                self.remember(request.body["request_id"], action)

    def remember(self, name: str, action: dict[str, Any]) -> None:
        """Note which action has the *name*; it must stay the same."""
        assert self.names.setdefault(name, action["id"]) == action["id"], name

    def kill_at(self, kind: str, nth: int, micros: int = 0) -> None:
        """Run the first daemon, asking for everything, until it kills itself at the *nth* fact of *kind*."""
        fuse = Fuse(kind, nth, micros, self.directory / "fired")
        fuse.reported.unlink(missing_ok=True)
        [replica] = self.replicas
        replica.start(fuse)
        deadline = time.monotonic() + _PATIENCE
        while replica.is_alive:
            assert time.monotonic() < deadline, f"{kind} number {nth} never came\n{replica.tail}"
            self.ask_for_all(replica, 4)
            time.sleep(0.02)
        assert replica.end() == KILLED, replica.tail
        assert fuse.reported.exists(), f"{kind} number {nth}"

    def kill_after(self, seconds: float) -> None:
        """Run the first daemon, asking for everything, and send SIGKILL *seconds* after the first answer."""
        [replica] = self.replicas
        replica.start()
        replica.insist("GET", "/v1/caller")
        timer = threading.Timer(seconds, partial(os.kill, replica.pid, signal.SIGKILL))
        timer.start()
        while replica.is_alive:
            self.ask_for_all(replica, 4)
        assert replica.end() == -signal.SIGKILL, replica.tail

    def settle(self, replica: Replica) -> None:
        """Ask for everything once more; wait until every action has ended and its audit events arrived."""
        for request in self.requests:
            status, action = replica.insist("POST", request.path, request.body)
            assert status in {200, 202}, action
            self.remember(request.body["request_id"], action)
        for action_id in self.names.values():
            deadline = time.monotonic() + _PATIENCE
            while not replica.insist("GET", f"/v1/actions/{action_id}?wait=20s")[1]["ended"]:
                assert time.monotonic() < deadline, replica.tail
        deadline = time.monotonic() + _PATIENCE
        while missing := set(self.names.values()) - self.ended_by_audit():
            assert time.monotonic() < deadline, f"no audit event of the end of {missing}\n{replica.tail}"
            time.sleep(0.1)

    async def actions(self) -> list[Action]:
        """Every action as the journal has it."""
        async with self.open_journal() as journal:
            return [from_row(row) for row in await journal.actions(limit=10_000)]

    def audit(self) -> list[dict[str, Any]]:
        """The audit events of actions that arrived, repeats included."""
        with self.sink.lock:
            lines = b"".join(self.sink.received["siem"]).splitlines()
        events = [json.loads(line) for line in lines if b"response-action" in line]
        return [one for one in events if one["event"]["action"] != "call"]

    def ended_by_audit(self) -> set[str]:
        """The actions whose end is among the audit events."""
        told = [one["cloudflare"]["email_security"]["action"] for one in self.audit()]
        return {str(one["action_id"]) for one in told if State(one["state"]) in ENDED}

    @staticmethod
    def _transitions(actions: Sequence[Action]) -> set[str]:
        return {f"{one.id}-{number}" for one in actions for number in range(1, one.transitions + 1)}

    def judge(self) -> Counter[str]:
        """Check that nothing was done twice, that states are true, and that the audit trail is complete.

        Returns how many actions ended in each state.
        """
        actions = asyncio.run(self.actions())
        effects = {"release": "release", "submit": "submission"}
        done = {kind: self.simulator.ledger.effects(name) for kind, name in effects.items()}
        for action in actions:
            assert action.state in ENDED, action
            for target in action.targets:
                if str(action.kind) in done:
                    times = done[str(action.kind)][target.id]
                    assert times == int(target.state is Outcome.SUCCEEDED), (action, times)
        assert all(times == 1 for counts in done.values() for times in counts.values()), done
        patterns = Counter(str(one["pattern"]) for one in self.simulator.blocked_senders.entries.values())
        assert set(patterns.values()) <= {1}, patterns
        assert {one["event"]["id"] for one in self.audit()} == self._transitions(actions)
        return Counter(str(action.state) for action in actions)


@contextmanager
def place_with(directory: Path, replicas: int, server: PostgresServer | None = None) -> Iterator[Place]:
    """A simulator, a collector and *replicas* daemons that are not started; on *server*, or on SQLite."""
    simulator = Simulator(behaviour=Behaviour(quota=None, duplicate_blocks="accepted"))
    sink = Sink()
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    database = ""
    if server is not None:
        url = f"postgresql://postgres@127.0.0.1:{server.port}/postgres"
        database = f', postgres: {{url: "{url}", schema: {_SCHEMA}}}'
    with running(simulator) as api:
        made = []
        for number in range(replicas):
            own = directory / f"replica{number}"
            own.mkdir()
            config = own / "connector.yaml"
            words = {"api": api, "sink": sink.url, "state": own / "state", "database": database}
            config.write_text(_CONFIG % words)
            made.append(Replica(config, own / "log"))
        place = Place(simulator, sink, made, directory, partial(_journal, directory, server))
        try:
            yield place
        finally:
            for one in made:
                if one.process is not None:
                    one.process.kill()
                    one.process.join()
            sink.shutdown()
            sink.server_close()


@asynccontextmanager
async def _journal(directory: Path, server: PostgresServer | None) -> AsyncIterator[ActionLog]:
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731
    if server is None:
        state = directory / "replica0" / "state"
        async with Journal.open(state, observe=lambda _: None, clock=clock) as journal:
            yield journal
    else:
        target = Server(Secret(server.url()), _SCHEMA)
        async with PostgresJournal.open(target, observe=lambda _: None, clock=clock) as shared:
            yield shared
