"""Build the program from a configuration: everything that can fail for a configuration error fails here.

Nothing is opened except the listening socket of the HTTP endpoint, so that a reload can build a second
``App`` beside the running one and discard it if the configuration is refused.
"""

from __future__ import annotations

import socket
import ssl
import sys
import time
from datetime import timedelta
from functools import partial

from connector import __version__
from connector.app.collectors import FeedPlan, plan_feeds
from connector.app.journals import SQLITE, check_driver
from connector.app.routes import Route, build_routes, expression_warnings, mapping_library, mapping_notes
from connector.app.sources import check_http_clients
from connector.errors import ConfigurationError, Problem
from connector.facts import CertificateRefused, CertificateRenewed, ConfigurationWarning, Fact
from connector.interfaces import Clock
from connector.mapping import MappingCache
from connector.masking import SecretMasker, secrets_in
from connector.model import Backlog, Feed
from connector.net.certificate import ServerCertificate
from connector.net.no_proxy import ProxyEnvironment
from connector.settings import Loaded, ServerSettings, Settings, StateSettings, require_paths
from connector.settings.process import ServerTls
from connector.telemetry.endpoint import SnapshotHolder, bind
from connector.telemetry.log_writer import LogWriter
from connector.telemetry.logs import Format, Logs, dropped_line
from connector.telemetry.metrics import Metrics
from connector.telemetry.observer import Telemetry
from connector.telemetry.status import Status
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class ActionsSocket:
    """Where the HTTP API of actions listens."""

    listen: str
    sock: socket.socket
    tls: ServerCertificate | None
    tls_settings: ServerTls | None

    @property
    def is_open(self) -> bool:
        """Whether it listens still: a reload without ``actions`` closes it for good."""
        return self.sock.fileno() >= 0


@dataclass(frozen=True, slots=True)
class Core:
    """What lives as long as the process and survives a reload.

    It MUST NOT refer to an ``App``: what a reload replaces could never be freed.
    """

    clock: Clock
    telemetry: Telemetry
    metrics: Metrics
    snapshots: SnapshotHolder
    sock: socket.socket | None
    tls: ServerCertificate | None
    state: StateSettings
    server: ServerSettings
    log: LogWriter | None = None
    actions: ActionsSocket | None = None

    def observe(self, fact: Fact) -> None:
        """Report *fact* to telemetry."""
        self.telemetry.observe(fact)

    def refresh_certificates(self) -> None:
        """Use certificates of listeners whose files were replaced; one that cannot be used is reported."""
        actions = None if self.actions is None else self.actions.tls
        for setting, certificate in (("server.tls", self.tls), ("actions.tls", actions)):
            try:
                if certificate is not None and certificate.refresh():
                    self.observe(CertificateRenewed(setting))
            except ConfigurationError as error:
                self.observe(CertificateRefused(setting, str(error)))

    def post_status(self) -> None:
        """Publish the current status at the endpoint."""
        self.snapshots.publish(self.telemetry.snapshot())


@dataclass(frozen=True, slots=True)
class App:
    """The program as one configuration describes it; a reload replaces it.

    *overrides* are the built-in mappings that files of the configured directory replace; *mappings* is what
    was made of mapping files, for the next reload.
    """

    core: Core
    settings: Settings
    feeds: tuple[FeedPlan, ...]
    routes: tuple[Route, ...]
    overrides: frozenset[str]
    mappings: MappingCache


def build_app(loaded: Loaded, clock: Clock, log: LogWriter | None = None) -> App:
    """Build what *loaded* describes and bind the endpoint's socket; *log* takes log lines instead of stderr.

    Raises ``ConfigurationError`` with every problem found.
    """
    settings = loaded.settings
    require_paths(loaded)
    check_driver(settings.state)
    library = mapping_library(loaded)
    feeds = plan_feeds(loaded, clock, library)
    names, limits, fresh = _account_names(settings), _backlog_limits(settings), _freshness(feeds)
    metrics = Metrics(__version__, SQLITE)
    logs = _build_logs(settings, metrics, log)
    status = Status(__version__, clock, fresh, limits, names, sqlite=SQLITE)
    telemetry = Telemetry(logs, metrics, status, limits, _masker(settings))
    routes = build_routes(loaded, telemetry.observe, names, library)
    tls = server_tls(settings.server.tls, "server.tls")
    actions = _actions_socket(settings)
    sock = bind(settings.server.listen) if settings.server.listen else None
    for note in (*loaded.notes, *mapping_notes(loaded, library), *expression_warnings(loaded, library)):
        telemetry.observe(ConfigurationWarning(note))
    core = Core(
        clock,
        telemetry,
        metrics,
        SnapshotHolder(),
        sock,
        tls,
        settings.state,
        settings.server,
        log,
        actions,
    )
    return App(core, settings, feeds, routes, library.overrides(), library.cache)


def rebuild_app(app: App, loaded: Loaded) -> tuple[App, tuple[str, ...]]:
    """Build what *loaded* describes beside the running *app*; endpoint and state directory do not change.

    Returns the successor and its warnings. Raises ``ConfigurationError`` with every problem found; nothing
    has changed then.
    """
    core = app.core
    settings = loaded.settings.model_copy(update={"state": core.state, "server": core.server})
    require_paths(loaded)
    check_http_clients(loaded)
    library = mapping_library(loaded, app.mappings)
    feeds = plan_feeds(loaded, core.clock, library)
    routes = build_routes(loaded, core.observe, _account_names(settings), library)
    notes = (*loaded.notes, *mapping_notes(loaded, library), *expression_warnings(loaded, library))
    library.cache.complete()
    return App(core, settings, feeds, routes, library.overrides(), library.cache), notes


def switch_telemetry(app: App) -> None:
    """Make logs, metrics and status describe *app* from now on."""
    core, settings = app.core, app.settings
    logs = _build_logs(settings, core.metrics, core.log)
    core.telemetry.watch(
        logs,
        _freshness(app.feeds),
        _backlog_limits(settings),
        _account_names(settings),
        _masker(settings),
    )


def _masker(settings: Settings) -> SecretMasker:
    """A masker of every secret of the configuration, and of the proxies of the environment."""
    proxies = [url for _, url in ProxyEnvironment().proxies.values() if "@" in url]
    return SecretMasker([*secrets_in(settings), *(partial(str, url) for url in proxies)])


def _actions_socket(settings: Settings) -> ActionsSocket | None:
    actions = settings.actions
    if actions is None or actions.listen is None:
        return None
    tls = server_tls(actions.tls, "actions.tls")
    return ActionsSocket(actions.listen, bind(actions.listen, "actions.listen"), tls, actions.tls)


def server_tls(tls: ServerTls | None, setting: str) -> ServerCertificate | None:
    """Certificate of an HTTP server; ``None`` for plain HTTP. *setting* is named in errors.

    Raises ``ConfigurationError`` for a certificate, key or authority that cannot be used.
    """
    if tls is None:
        return None
    files = [file for file in (tls.cert_file, tls.key_file, tls.client_ca_file) if file is not None]
    return ServerCertificate(files, partial(_server_context, tls, setting))


def _server_context(tls: ServerTls, setting: str) -> ssl.SSLContext:
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
            Problem(f"{setting}: cannot use the certificate or key: {why}", hint="check the PEM files")
        ) from None
    return context


def _account_names(settings: Settings) -> dict[str, str]:
    return {account.account_id: name for name, account in settings.accounts.items()}


def _backlog_limits(settings: Settings) -> dict[str, Backlog]:
    return {name: output.journal_limits() for name, output in settings.outputs.items()}


def _freshness(feeds: tuple[FeedPlan, ...]) -> dict[Feed, timedelta]:
    return {feed.plan.feed: feed.fresh_within for feed in feeds}


def _build_logs(settings: Settings, metrics: Metrics, log: LogWriter | None) -> Logs:
    form = log_format(settings)
    if log is not None:
        log.dropped, log.notice = metrics.dropped, partial(dropped_line, form)
    return Logs(settings.log.level, form, stream=log, monotonic=time.monotonic, suppressed=metrics.suppressed)


def log_format(settings: Settings) -> Format:
    """``text`` or ``json``, with ``auto`` resolved: text on a terminal, JSON elsewhere."""
    if settings.log.format != "auto":
        return settings.log.format
    return "text" if sys.stderr.isatty() else "json"
