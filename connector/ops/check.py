"""``check``: verify configuration, accounts, searches, mappings and outputs; one result and hint per item."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from connector.app.build import server_tls
from connector.app.collectors import FeedPlan, changed_sources, plan_feeds
from connector.app.control.server import NoDaemon, ask
from connector.app.journals import open_journal
from connector.app.routes import Route, build_routes, expression_warnings, mapping_library
from connector.app.source_mappers import other_sources
from connector.app.sources import credentials_of, open_sources
from connector.collect.revisions import PAD, time_of
from connector.errors import (
    ConnectorError,
    DeliveryError,
    JournalError,
    JournalInUse,
    Refused,
    Retryable,
    SourceError,
)
from connector.facts import Fact, RateLimited
from connector.formats.json import instant
from connector.interfaces import Probe, Setup, Source
from connector.mapping import Library, lint, run_tests
from connector.model import (
    Event,
    Feed,
    FeedOutline,
    JsonObject,
    Query,
    Record,
    Revision,
    SearchSource,
    Window,
)
from connector.net.clock import utc_now
from connector.net.no_proxy import ProxyEnvironment, route_of
from connector.ops.client import ignore_fact
from connector.ops.request_plan import SearchLoad, assess, describe_load, polls_a_day
from connector.outputs.shared.failover import MultiUrlSettings
from connector.outputs.shared.http_client import SingleUrlSettings
from connector.quantities import count_of, format_duration
from connector.secret import Secret, urlsplit_uncached
from connector.settings import Loaded, Settings, StateSettings, require_paths
from connector.source.budget import stored_pause
from connector.source.client import CloudflareSource
from connector.source.probe import Level, ProbeResult

Outcome: TypeAlias = Literal["ok", "note", "failed"]
_OUTCOMES: Mapping[Level, Outcome] = {Level.OK: "ok", Level.WARNING: "note", Level.FAILED: "failed"}
_LEVELS: Mapping[str, Outcome] = {"enough": "ok", "tight": "note", "short": "failed"}

_PATIENCE = 90.0
"""Longest that the requests to one account may take, in seconds; a rate limit ends them at once."""

_SAMPLE = (timedelta(hours=24), timedelta(hours=1))
"""Window of the sample of records, back from now. It ends an hour ago, so that records near its end show
whether the API filters by another timestamp than expected."""

_NO_TIME = datetime.max.replace(tzinfo=UTC)
_SHARPER = {
    "credential is valid": "the token is valid: grant it the permission Cloud Email Security: Read "
    "for this account, and check that account_id is the account it belongs to",
    "filters of this search": "this search has no filters: check account_id and base_url",
}
"""More specific hints for a token known to be valid, by a part of the general hint."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check."""

    item: str
    outcome: Outcome
    text: str
    hint: str = ""


async def check(
    loaded: Loaded,
    *,
    offline: bool,
    with_files: bool = True,
    volume: int | None = None,
    setup: bool = False,
    send_test: bool = False,
) -> Sequence[CheckResult]:
    """Check everything that *loaded* describes; raises ``ConfigurationError`` like ``run`` would.

    Args:
        loaded: the configuration.
        offline: skip what needs the network.
        with_files: look at certificates, keys and the journal on this host.
        volume: expected records a day per search, for the request plan.
        setup: let outputs prepare their collectors first.
        send_test: send one test event to each output. No other event is sent.
    """
    settings = loaded.settings
    names = {account.account_id: name for name, account in settings.accounts.items()}
    require_paths(loaded, with_files=with_files)
    if with_files:
        server_tls(settings.server.tls, "server.tls")
        server_tls(None if settings.actions is None else settings.actions.tls, "actions.tls")
    library = mapping_library(loaded)
    feeds = plan_feeds(loaded, utc_now, library)
    routes = build_routes(loaded, ignore_fact, names, library)
    results = [CheckResult("configuration", "ok", str(loaded.file or "from the environment"))]
    results += [
        CheckResult("configuration", "note", note)
        for note in (*loaded.notes, *expression_warnings(loaded, library))
    ]
    results += list(_plan(settings, feeds, volume))
    results += list(_mappings(library, routes, other_sources(settings)))
    if with_files:
        results += list(network_routes(settings, routes))
        results += await _state(settings.state, feeds)
        results += await _pauses(settings)
    if not offline:
        results += [result async for result in _accounts(settings, feeds)]
        results += [await _install(route) for route in routes if setup and isinstance(route.output, Setup)]
        outputs = [await _output(route) for route in routes]
        results += outputs
        if send_test:
            results += [
                await _test_event(route, output, utc_now())
                for route, output in zip(routes, outputs, strict=True)
            ]
    return results


def network_routes(
    settings: Settings, routes: Sequence[Route], environ: Mapping[str, str] | None = None
) -> Iterator[CheckResult]:
    """How each host is reached, where a proxy is configured at all."""
    environment = ProxyEnvironment(environ)
    urls = {account.base_url: account.proxy for account in settings.accounts.values()}
    for route in routes:
        output = route.settings
        if isinstance(output, SingleUrlSettings):
            urls[output.url.origin] = output.proxy
        elif isinstance(output, MultiUrlSettings):
            urls.update((url.origin, output.proxy) for url in output.urls)
    if not environment.proxies and not any(urls.values()):
        return
    for entry in environment.exceptions.invalid:
        hint = "expected a host name, an address or a network, each optionally with :port"
        yield CheckResult("proxy", "note", f"NO_PROXY: ignored the entry {entry!r}", hint)
    for url, proxy in urls.items():
        way = route_of(url, proxy.reveal() if proxy else None, environ)
        yield CheckResult(f"proxy {urlsplit_uncached(url).netloc.rpartition('@')[2]}", "ok", f"reached {way}")


def _plan(settings: Settings, feeds: Sequence[FeedPlan], volume: int | None) -> Iterator[CheckResult]:
    """Requests needed for collecting, compared with the budget of each credential."""
    sharing: dict[Secret, list[str]] = {}
    for name, account in settings.accounts.items():
        sharing.setdefault(credentials_of(account).secret, []).append(name)
    for names in sharing.values():
        budget = settings.accounts[names[0]].budget
        loads = [(feed.account, _search_load(settings, feed)) for feed in feeds if feed.account in names]
        assessment = assess([load for _, load in loads], volume, budget.requests, budget.window)
        item = f"request plan {', '.join(names)}"
        shared = "; these accounts share a credential and its budget" if len(names) > 1 else ""
        yield CheckResult(item, _LEVELS[assessment.level], assessment.text + shared, assessment.hint)
        for name, load in loads:
            text = f"in {format_duration(budget.window)}: {describe_load(load, volume or 0, budget.window)}"
            yield CheckResult(f"request plan {name}/{load.search}", "ok", text)


def _search_load(settings: Settings, feed: FeedPlan) -> SearchLoad:
    search = settings.searches[feed.plan.feed.search]
    dispositions = search.filters.get("final_disposition")
    return SearchLoad(
        search=feed.plan.feed.search,
        polls=polls_a_day(search.every, search.cron),
        even=search.cron is None,
        walks=len(dispositions) if isinstance(dispositions, tuple) else 1,
        per_page=search.per_page,
        overlap=search.overlap,
        ages=search.revisit,
        details=len(search.enrich.endpoints) if search.enrich else 0,
        audit=(search.audit.every, search.audit.reach) if search.audit else None,
    )


def _mappings(
    library: Library, routes: Sequence[Route], sources: Sequence[SearchSource]
) -> Iterator[CheckResult]:
    names = sorted({route.settings.mapping for route in routes})
    packs = {name: library.load(name) for name in names}
    for name, pack in packs.items():
        yield from (CheckResult(f"mapping {name}", "note", str(problem)) for problem in lint(pack))
    for form in sorted({pack.format for pack in packs.values()}):
        packs |= {f"{source}/{form}": library.of_source(source).load(form) for source in sources}
    for name, pack in packs.items():
        outcomes = run_tests(pack)
        failed = [outcome for outcome in outcomes if not outcome.passed]
        if failed:
            text, hint = (
                f"{len(failed)} of {count_of(len(outcomes), 'test')} failed",
                f"email-connector mapping test {name}",
            )
            yield CheckResult(f"mapping {name}", "failed", text, hint)
        else:
            yield CheckResult(f"mapping {name}", "ok", f"{count_of(len(outcomes), 'test')} passed")


async def _state(state: StateSettings, feeds: Sequence[FeedPlan]) -> Sequence[CheckResult]:
    """Open the journal, or ask the daemon that holds it; compare its feeds with the configured ones."""
    known: Sequence[FeedOutline] | None
    try:
        async with open_journal(state, observe=ignore_fact, clock=utc_now) as journal:
            outline, cautions = await journal.outline(), await journal.cautions()
            description = journal.description
    except JournalInUse as error:
        note = f"a connector is running on {state.directory} (process {error.pid})"
        results = [CheckResult("state", "note", note)]
        known = await _feeds_of_daemon(state)
    except JournalError as error:
        return [CheckResult("state", "failed", str(error))]
    else:
        text = f"{description}, {count_of(outline.head, 'revision')} so far"
        results = [CheckResult("state", "ok", text)]
        results += [CheckResult("state", "note", caution) for caution in cautions]
        known = outline.feeds
    if known is None:
        note = "it did not tell what each search has read so far: a changed source is found by `reload` only"
        return [*results, CheckResult("state", "note", note)]
    for problem in changed_sources(feeds, known):
        results.append(CheckResult("state", "failed", str(replace(problem, hint="")), problem.hint))
    return results


async def _feeds_of_daemon(state: StateSettings) -> Sequence[FeedOutline] | None:
    """The feeds in the journal of the running daemon that have read something; ``None`` if it is silent."""
    try:
        answer = await ask(state.directory, "state")
    except ConnectorError:
        return None
    return [
        FeedOutline(
            Feed(feed["account"], feed["search"]), {}, (), feed["seen"], source=SearchSource(feed["source"])
        )
        for feed in (answer["feeds"] if isinstance(answer, dict) else ())
        if feed["source"] is not None
    ]


async def _pauses(settings: Settings) -> Sequence[CheckResult]:
    """Accounts paused by a rate limit, according to the running connector or to the journal."""
    directory = settings.state.directory
    until: dict[str, datetime] = {}
    try:
        status = await ask(directory, "status")
        for account in status["accounts"] if isinstance(status, dict) else ():
            if account.get("rate_limited_until"):
                until[str(account["account"])] = datetime.fromisoformat(account["rate_limited_until"])
    except NoDaemon:
        try:
            async with open_journal(settings.state, observe=ignore_fact, clock=utc_now) as journal:
                for configured in settings.accounts.values():
                    end = await stored_pause(journal, configured.account_id, utc_now())
                    if end is not None:
                        until[configured.account_id] = end
        except JournalError:
            return ()
    except ConnectorError:
        return ()
    names = {account.account_id: name for name, account in settings.accounts.items()}
    return [
        CheckResult(
            f"account {names.get(account, account)}",
            "note",
            f"a rate limit of the API stops all requests until {instant(end)}",
            f"wait, or run: email-connector resume {names.get(account, account)}",
        )
        for account, end in until.items()
    ]


async def _accounts(settings: Settings, feeds: Sequence[FeedPlan]) -> AsyncIterator[CheckResult]:
    limits = _Limits()
    async with open_sources(settings, None, observe=limits.observe, clock=utc_now) as sources:
        for name, source in sources.items():
            account = settings.accounts[name]
            own = [feed for feed in feeds if feed.account == name]
            secret = credentials_of(account).secret
            results: list[CheckResult] = []
            why = await limits.bound(_account(name, source, own, results), secret)
            for verdict in results:
                yield verdict
            if why is not None:
                yield CheckResult(f"account {name}", "failed", *why)


async def _account(
    name: str, source: CloudflareSource, feeds: Sequence[FeedPlan], results: list[CheckResult]
) -> None:
    """Check one account and append the results to *results*."""
    wanted = {feed.plan.source for feed in feeds} or {SearchSource.INVESTIGATE}
    findings = _sharper(await source.verify(wanted))
    results += [
        CheckResult(f"account {name} {finding.item}", _OUTCOMES[finding.level], finding.text, finding.hint)
        for finding in findings
    ]
    permitted = {
        kind
        for kind in wanted
        if not any(finding.source is kind and finding.level is Level.FAILED for finding in findings)
    }
    if any(finding.source is None and finding.level is Level.FAILED for finding in findings):
        return
    for feed in feeds:
        if feed.plan.source in permitted:
            reading = source.reading(feed.plan.source)
            results.append(await _search(f"search {name}/{feed.plan.feed.search}", reading, feed.plan.query))
    if SearchSource.INVESTIGATE in permitted:
        results.append(await _window(f"account {name} window", source))


def _sharper(findings: Sequence[ProbeResult]) -> tuple[ProbeResult, ...]:
    """Replace general hints by more specific ones, now that all findings are known."""
    valid = any(finding.item == "token" and finding.level is Level.OK for finding in findings)
    return tuple(
        replace(
            finding, hint=next((new for old, new in _SHARPER.items() if old in finding.hint), finding.hint)
        )
        if valid and finding.level is Level.FAILED
        else finding
        for finding in findings
    )


async def _search(item: str, source: Source, query: Query) -> CheckResult:
    """Request one record with the filters of a search."""
    now = source.now()
    try:
        first_record = await _first(
            source, replace(query, per_page=1), Window(now - timedelta(hours=24), now)
        )
    except SourceError as error:
        return _failed(item, error)
    return CheckResult(
        item,
        "ok",
        "the API accepts its filters" + ("" if first_record else "; no records in the last 24 hours"),
    )


async def _window(item: str, source: CloudflareSource) -> CheckResult:
    """Check that the API filters by the timestamp that the connector expects."""
    begin, end = (source.now() - back for back in _SAMPLE)
    try:
        records = await _first(source, Query({"detections_only": False}), Window(begin, end))
    except SourceError as error:
        return replace(_failed(item, error), outcome="note")
    times = [moment for record in records if (moment := time_of(record, _NO_TIME)) is not _NO_TIME]
    outside = sum(not begin - PAD <= moment < end + PAD for moment in times)
    if not times:
        return CheckResult(item, "note", "no record of the last 24 hours to compare")
    if not outside:
        return CheckResult(
            item, "ok", f"all {count_of(len(times), 'record')} were scanned within the requested window"
        )
    return CheckResult(
        item,
        "note",
        f"{outside} of {count_of(len(times), 'record')} were scanned outside the requested window: "
        "the API filters by another time than scanned_at",
        "nothing is lost, but records may appear late: keep revisit enabled, and set overlap "
        "to the delivery time of your email",
    )


async def _first(source: Source, query: Query, window: Window) -> Sequence[Record]:
    async with aclosing(source.search(query, window)) as pages:
        async for page in pages:
            return page.records
    return ()


def _failed(item: str, error: SourceError) -> CheckResult:
    text = str(error).removesuffix(f"; {error.hint}") if error.hint else str(error)
    return CheckResult(item, "failed", text, error.hint)


class _Limits:
    """Bounds the requests of a check: ends them at a rate limit, or when the API does not answer."""

    def __init__(self) -> None:
        self._limited: set[Secret] = set()
        self._hit = asyncio.Event()
        self._seconds = 0.0

    def observe(self, fact: Fact) -> None:
        """Note a rate limit."""
        if isinstance(fact, RateLimited):
            self._seconds = fact.seconds
            self._hit.set()

    async def bound(self, work: Awaitable[None], secret: Secret) -> tuple[str, str] | None:
        """Wait for *work*; returns why it was abandoned and what to do, or ``None``."""
        task = asyncio.ensure_future(work)
        hit = asyncio.ensure_future(self._hit.wait())
        try:
            if secret not in self._limited:
                await asyncio.wait({task, hit}, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if self._hit.is_set():
                self._limited.add(secret)
                self._hit.clear()
            if task.done():
                task.result()
                return None
            if secret in self._limited:
                return self._rate_limited()
            return f"the API did not answer within {_PATIENCE:.0f} s", "check base_url, proxy and network"
        finally:
            for one in (task, hit):
                one.cancel()
            await asyncio.gather(task, hit, return_exceptions=True)

    def _rate_limited(self) -> tuple[str, str]:
        return (
            f"rate limited by the API for {self._seconds:.0f} s",
            "find out what else uses this credential, or lower budget.requests; then check again",
        )


async def _install(route: Route) -> CheckResult:
    item = f"setup {route.name}"
    if not isinstance(route.output, Setup):
        return CheckResult(item, "note", "this output type has nothing to set up")
    try:
        return CheckResult(item, "ok", await route.output.install())
    except DeliveryError as error:
        return CheckResult(item, "failed", str(error))


async def _output(route: Route) -> CheckResult:
    item = f"output {route.name}"
    output = route.output
    if not isinstance(output, Probe):
        return CheckResult(item, "note", "this output type cannot be checked without sending an event")
    try:
        return CheckResult(item, "ok", await output.check())
    except DeliveryError as error:
        return CheckResult(item, "failed", str(error))
    finally:
        await output.close()


async def _test_event(route: Route, output: CheckResult, now: datetime) -> CheckResult:
    """Send a test event, unless *output*, the check of its output, failed.

    One event is enough to make a collector create what the check reports missing, with guessed types.
    """
    item = f"test event {route.name}"
    if output.outcome == "failed":
        return CheckResult(item, "failed", f"not sent, because the check of {output.item} failed")
    try:
        return CheckResult(item, "ok", await send_test_event(route, now))
    except DeliveryError as error:
        return CheckResult(item, "failed", str(error))


_FEED = Feed("", "check")
_TEXT = "Test event of the Cloudflare Email Security connector; no action required"


async def send_test_event(route: Route, now: datetime) -> str:
    """Send one test event to the collector of *route*; its ``when`` does not apply.

    Returns one line that says how to find it. Raises ``DeliveryError``, also for an event that cannot be
    mapped or is not accepted.
    """
    event = _event(route, now)
    try:
        await route.output.open()
        receipt = await route.output.send([event])
    finally:
        await route.output.close()
    if receipt.rejected:
        raise Refused(f"refused by the collector: {receipt.rejected[0]}")
    if receipt.retry:
        raise Retryable("the collector asked to retry later")
    return f"accepted; look for {event.revision.record.id}"


def _event(route: Route, now: datetime) -> Event:
    revision = build_test_revision(now)
    try:
        event = route.unfiltered()(revision)
    except Exception as error:
        raise Refused(f"the mapping failed: {error}") from error
    if event is None:
        raise Refused("the mapping produces no event")
    most = route.output.limits.event_bytes
    if most is not None and len(event.payload) > most:
        raise Refused(f"the event has {len(event.payload)} bytes, the output accepts {most}", too_large=True)
    return event


def build_test_revision(now: datetime) -> Revision:
    """A harmless record with the fields of the API; its subject says that it is a test."""
    name = f"test-{instant(now)}"
    body: JsonObject = {
        "id": name,
        "alert_id": name,
        "subject": _TEXT,
        "from": "connector@test.invalid",
        "from_name": "Connector",
        "to": ["soc@test.invalid"],
        "to_name": [],
        "message_id": f"<{name}@test.invalid>",
        "scanned_at": instant(now),
        "sent_date": instant(now),
        "final_disposition": "NONE",
        "detection_reasons": [_TEXT],
        "is_phish_submission": False,
        "is_quarantined": False,
    }
    return Revision(_FEED, Record(name, body), "test", 1, now)
