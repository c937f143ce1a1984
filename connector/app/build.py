"""Everything that can be built before the first door opens: a configuration that is wrong fails here."""

from __future__ import annotations

import socket
import ssl
import sys
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from connector import __version__
from connector.app.collectors import FeedPlan, plan_feeds
from connector.app.routes import Route, build_routes, expression_warnings, mapping_notes
from connector.app.sources import check_http_clients
from connector.errors import ConfigurationError, Problem
from connector.facts import ConfigurationWarning, Fact
from connector.interfaces import Clock
from connector.journal import SQLITE
from connector.model import Backlog, Feed
from connector.settings import Loaded, Settings
from connector.telemetry.endpoint import Board, bind
from connector.telemetry.log_writer import LogWriter
from connector.telemetry.logs import Format, Logs, dropped_line
from connector.telemetry.metrics import Metrics
from connector.telemetry.observer import Telemetry
from connector.telemetry.status import Status


@dataclass(frozen=True, slots=True)
class App:
    """The built parts; the journal and what needs it come later."""

    settings: Settings
    clock: Clock
    telemetry: Telemetry
    metrics: Metrics
    board: Board
    sock: socket.socket | None
    tls: ssl.SSLContext | None
    feeds: tuple[FeedPlan, ...]
    routes: tuple[Route, ...]
    log: LogWriter | None = None

    def observe(self, fact: Fact) -> None:
        """Tell telemetry."""
        self.telemetry.observe(fact)

    def post(self) -> None:
        """Show the present status at the endpoint."""
        self.board.post(self.telemetry.snapshot())


def build_app(loaded: Loaded, clock: Clock, log: LogWriter | None = None) -> App:
    """Build what *loaded* describes and bind the endpoint's socket; *log* is where log lines go, or stderr.

    Raises ``ConfigurationError`` with every problem of the part that is wrong.
    """
    settings = loaded.settings
    feeds = plan_feeds(loaded, clock)
    names, limits, fresh = _names(settings), _limits(settings), _fresh(feeds)
    metrics = Metrics(__version__, SQLITE)
    logs = _logs(settings, metrics, log)
    status = Status(__version__, clock, fresh, limits, names, sqlite=SQLITE)
    telemetry = Telemetry(logs, metrics, status, limits)
    routes = build_routes(loaded, telemetry.observe, names)
    tls = endpoint_tls(settings)
    sock = bind(settings.server.listen) if settings.server.listen else None
    for note in (*loaded.notes, *mapping_notes(loaded), *expression_warnings(loaded)):
        telemetry.observe(ConfigurationWarning(note))
    return App(settings, clock, telemetry, metrics, Board(), sock, tls, feeds, routes, log)


def rebuild_app(app: App, loaded: Loaded) -> App:
    """What *loaded* describes, on the ground of *house*: its endpoint, telemetry and state stay as they are.

    Nothing of *house* changes. Raises ``ConfigurationError`` with every problem of the part that is wrong.
    """
    fixed = {"state": app.settings.state, "server": app.settings.server}
    settings = loaded.settings.model_copy(update=fixed)
    check_http_clients(loaded)
    feeds = plan_feeds(loaded, app.clock)
    routes = build_routes(loaded, app.observe, _names(settings))
    return replace(app, settings=settings, feeds=feeds, routes=routes)


def switch_telemetry(app: App) -> None:
    """Let telemetry tell of *house* from now on."""
    settings = app.settings
    logs = _logs(settings, app.metrics, app.log)
    app.telemetry.watch(logs, _fresh(app.feeds), _limits(settings), _names(settings))


def endpoint_tls(settings: Settings) -> ssl.SSLContext | None:
    """TLS context of the HTTP endpoint; ``None`` for plain HTTP.

    Raises ``ConfigurationError`` for a certificate, key or authority that cannot be used.
    """
    tls = settings.server.tls
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.minimum == "1.3" else ssl.TLSVersion.TLSv1_2
    password = None if tls.key_password is None else tls.key_password.reveal()
    try:
        # Without a password OpenSSL would ask for one on the terminal and block the start.
        context.load_cert_chain(tls.cert_file, tls.key_file, password=password or (lambda: ""))
        if tls.client_ca_file is not None:
            context.load_verify_locations(tls.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__
        raise ConfigurationError(
            Problem(f"server.tls: cannot use the certificate or key: {why}", hint="check the PEM files")
        ) from None
    return context


def _names(settings: Settings) -> dict[str, str]:
    return {account.account_id: name for name, account in settings.accounts.items()}


def _limits(settings: Settings) -> dict[str, Backlog]:
    return {name: output.journal_limits() for name, output in settings.outputs.items()}


def _fresh(feeds: tuple[FeedPlan, ...]) -> dict[Feed, timedelta]:
    return {feed.plan.feed: feed.fresh_within for feed in feeds}


def log_format(settings: Settings) -> Format:
    """The format of the log on stderr. In JSON the stream holds nothing but JSON lines."""
    if settings.log.format != "auto":
        return settings.log.format
    return "text" if sys.stderr.isatty() else "json"


def _logs(settings: Settings, metrics: Metrics, log: LogWriter | None) -> Logs:
    form = log_format(settings)
    if log is not None:
        log.dropped, log.notice = metrics.dropped, partial(dropped_line, form)
    return Logs(settings.log.level, form, stream=log, monotonic=time.monotonic, suppressed=metrics.suppressed)
