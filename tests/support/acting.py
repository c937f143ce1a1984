"""Response actions over a simulator: everything between the HTTP API and Cloudflare's, on a jumping loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from connector.actions.action import Action
from connector.actions.callers import Caller
from connector.actions.events import Events
from connector.actions.executor import Executor
from connector.actions.http.app import ActionsApp
from connector.actions.http.tokens import Tokens
from connector.actions.ledger import Ledger
from connector.actions.options import ActionOptions
from connector.actions.service import Service
from connector.app.actions import caller_of, open_accounts
from connector.app.sources import Budgets, open_sources
from connector.facts import Fact
from connector.interfaces import Mapper
from connector.journal import Journal
from connector.model import ACTIONS, Body
from connector.settings import Settings, load
from connector.simulator import Simulator, listening
from tests.support.jumping_loop import wall_clock

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
RECIPIENTS = ["a@corp.example", "b@corp.example"]
HELD: Mapping[str, Any] = {
    "client_recipients": RECIPIENTS, "is_quarantined": True, "delivery_status": ["quarantined"],
    "final_disposition": "MALICIOUS", "post_delivery_operations": [], "action_log": [],
}  # fmt: skip
DELIVERED: Mapping[str, Any] = {**HELD, "is_quarantined": False, "delivery_status": ["delivered"]}
EVERYTHING = "[search, get, preview, raw, events, move, release, submit, block, approve]"
DEFAULT_CALLERS = f"""
    soc: {{token: soc-token-0123456789, may: {EVERYTHING}}}
"""


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Acting:
    """What a test needs of running actions."""

    simulator: Simulator
    journal: Journal
    ledger: Ledger
    executor: Executor
    service: Service
    callers: Mapping[str, Caller]
    client: httpx.AsyncClient
    clock: Callable[[], datetime]
    facts: list[Fact]
    crashes: list[BaseException] = field(default_factory=list)

    def held(self, **fields: Any) -> str:
        """A message in quarantine."""
        return self.simulator.world.add({**HELD, "alert_id": f"alert-{len(self.simulator.world)}", **fields})

    def delivered(self, **fields: Any) -> str:
        """A message in a mailbox."""
        fields.setdefault("alert_id", f"alert-{len(self.simulator.world)}")
        return self.simulator.world.add({**DELIVERED, **fields})

    async def call(
        self, method: str, path: str, body: object = None, *, by: str = "soc", **headers: str
    ) -> httpx.Response:
        """Call the HTTP API as the caller *by*."""
        own = {"authorization": f"Bearer {by}-token-0123456789"} if by else {}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.request(
            method,
            path,
            content=None if body is None else json.dumps(body),
            headers={**own, **({} if body is None else {"content-type": "application/json"}), **names},
        )

    async def settled(self, action_id: str) -> Action:
        """The action once it has ended, however long that takes."""
        action = await self.ledger.get(action_id)
        assert action is not None
        return await self.service.wait(action, 2 * 86_400)

    async def audit(self) -> list[Body]:
        """Every audit event that outputs get, in order."""
        events: list[Body] = []
        position, head = 0, (await self.journal.outline()).head
        while position < head:
            entry = await self.journal.read("test", position)
            position = entry.last
            events += [one.record.body for one in entry.revisions if one.feed.search == ACTIONS]
        return events


def settings_of(directory: Path, url: str, callers: str, *, budget: int = 100_000) -> Settings:
    """Settings with one account and *callers* (YAML)."""
    file = directory / "connector.yaml"
    file.write_text(f"""
accounts:
  prod:
    account_id: {ACCOUNT}
    api_token: read-token
    write_token: write-token
    base_url: {url}
    budget: {{requests: 100000}}
searches: {{detections: {{every: 60s}}}}
outputs: {{siem: {{type: stdout, actions: true}}}}
state: {{directory: {directory / "state"}}}
actions:
  listen: null
  budget: {{requests: {budget}}}
  callers: {callers}
""")
    return load(file, {}).settings


@contextlib.asynccontextmanager
async def acting(
    directory: Path,
    simulator: Simulator | None = None,
    *,
    callers: str = DEFAULT_CALLERS,
    options: ActionOptions | None = None,
    killed_at: Callable[[Fact], bool] = lambda _: False,
    mapper: Callable[[str], Mapper | None] = lambda _: None,
    budget: int = 100_000,
) -> AsyncIterator[Acting]:
    """Actions over *simulator*, until the end of the block or until ``Killed``.

    *killed_at* ends everything, as a kill would, when it returns true for a fact: the block then sees
    ``crashes``, and another ``acting`` on the same directory goes on from there.
    """
    clock = wall_clock(asyncio.get_running_loop())
    simulator = simulator or Simulator(clock=clock)
    facts: list[Fact] = []
    crashes: list[BaseException] = []

    def observe(fact: Fact) -> None:
        facts.append(fact)
        if not crashes and killed_at(fact):
            crashes.append(Killed())
        if crashes:
            raise crashes[0]

    def crashed(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            crashes.append(error)

    state = directory / "state"
    state.mkdir(exist_ok=True)
    budgets: Budgets = {}
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(simulator))
        settings = settings_of(directory, url, callers, budget=budget)
        assert settings.actions is not None
        journal = await stack.enter_async_context(Journal.open(state, observe=facts.append, clock=clock))
        await stack.enter_async_context(
            open_sources(settings, journal, observe=facts.append, clock=clock, budgets=budgets)
        )
        accounts = await stack.enter_async_context(
            open_accounts(settings, settings.actions, journal, budgets, observe=facts.append, clock=clock)
        )
        options = options or ActionOptions()
        ledger = Ledger(journal, observe, clock)
        executor = Executor(
            ledger, {name: one.performing for name, one in accounts.items()}, observe, options
        )
        service = Service(ledger, executor, accounts, journal, observe, options)
        known = {name: caller_of(name, one) for name, one in settings.actions.callers.items()}
        tokens = [(known[name], one.token.reveal()) for name, one in settings.actions.callers.items()]
        app = ActionsApp(service, Events(journal, {ACCOUNT: "prod"}, mapper), Tokens(tokens), _fail)
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=True), base_url="http://actions"
        )
        stack.push_async_callback(client.aclose)
        running = asyncio.create_task(executor.run())
        running.add_done_callback(crashed)
        try:
            yield Acting(simulator, journal, ledger, executor, service, known, client, clock, facts, crashes)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def _fail(error: Exception) -> None:
    raise AssertionError("an error that nothing foresaw") from error


def states(answer: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """State and detail of each result of an action as answered."""
    return [(row["state"], row["detail"]) for row in answer["results"]]


SOON = timedelta(minutes=1)
