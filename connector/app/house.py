"""Everything that can be built before the first door opens: a configuration that is wrong fails here."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import dataclass

from connector import __version__
from connector.app.collection import FeedPlan, plan_feeds
from connector.app.delivery import Route, build_routes
from connector.facts import ConfigurationNoted, Fact
from connector.interfaces import Clock
from connector.journal import SQLITE
from connector.settings import Loaded, Settings
from connector.telemetry.endpoint import Board, bind
from connector.telemetry.logs import Logs
from connector.telemetry.metrics import Metrics
from connector.telemetry.observer import Telemetry
from connector.telemetry.status import Status


@dataclass(frozen=True, slots=True)
class House:
    """The built parts; the journal and what needs it come later."""

    settings: Settings
    clock: Clock
    telemetry: Telemetry
    metrics: Metrics
    board: Board
    sock: socket.socket | None
    feeds: tuple[FeedPlan, ...]
    routes: tuple[Route, ...]

    def observe(self, fact: Fact) -> None:
        """Tell telemetry."""
        self.telemetry.observe(fact)

    def post(self) -> None:
        """Show the present status at the endpoint."""
        self.board.post(self.telemetry.snapshot())


def build_house(loaded: Loaded, clock: Clock) -> House:
    """Build what *loaded* describes and bind the endpoint's socket.

    Raises ``ConfigurationError`` with every problem of the part that is wrong.
    """
    settings = loaded.settings
    feeds = plan_feeds(loaded, clock)
    names = {account.account_id: name for name, account in settings.accounts.items()}
    limits = {name: output.backlog.value() for name, output in settings.outputs.items()}
    metrics = Metrics(__version__, SQLITE)
    logs = _logs(settings, metrics)
    fresh = {feed.plan.feed: feed.fresh_within for feed in feeds}
    telemetry = Telemetry(logs, metrics, Status(__version__, clock, fresh, limits, names), limits)
    routes = build_routes(loaded, telemetry.observe, names)
    sock = bind(settings.server.listen) if settings.server.listen else None
    for note in loaded.notes:
        telemetry.observe(ConfigurationNoted(note))
    return House(settings, clock, telemetry, metrics, Board(), sock, feeds, routes)


def _logs(settings: Settings, metrics: Metrics) -> Logs:
    form = settings.log.format
    if form == "auto":
        form = "text" if sys.stderr.isatty() else "json"
    return Logs(settings.log.level, form, monotonic=time.monotonic, suppressed=metrics.suppressed)
