"""``check``: a verdict per item, and what to do, before anything runs. It sends no event."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from connector.app.accounts import open_sources
from connector.app.clock import utc_now
from connector.app.collection import FeedPlan, plan_feeds
from connector.app.delivery import Route, build_routes, library_of
from connector.errors import DeliveryError, JournalError, JournalInUse
from connector.facts import Fact
from connector.interfaces import Probe
from connector.journal import Journal
from connector.mapping import run_tests
from connector.settings import Loaded, Settings
from connector.source.check import Level

Outcome: TypeAlias = Literal["ok", "note", "failed"]
_OUTCOMES: Mapping[Level, Outcome] = {Level.OK: "ok", Level.WARNING: "note", Level.FAILED: "failed"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was looked at."""

    item: str
    outcome: Outcome
    text: str
    hint: str = ""


async def check(loaded: Loaded, *, offline: bool) -> Sequence[Verdict]:
    """Look at everything that *loaded* describes; raises ``ConfigurationError`` like ``run`` would."""
    settings = loaded.settings
    names = {account.account_id: name for name, account in settings.accounts.items()}
    feeds = plan_feeds(settings, utc_now)
    routes = build_routes(loaded, _ignore, names)
    verdicts = [Verdict("configuration", "ok", str(loaded.file or "from the environment"))]
    verdicts += [Verdict("configuration", "note", note) for note in loaded.notes]
    verdicts += list(_plan(settings, feeds))
    verdicts += list(_mappings(loaded, routes))
    verdicts.append(await _state(settings.state.directory))
    if not offline:
        verdicts += [verdict async for verdict in _accounts(settings)]
        verdicts += [await _output(route) for route in routes]
    return verdicts


def _plan(settings: Settings, feeds: Sequence[FeedPlan]) -> Iterator[Verdict]:
    """How many requests polling alone will make, against the budget, per account."""
    for name, account in settings.accounts.items():
        own = [feed for feed in feeds if feed.account == name]
        window = account.budget.window.total_seconds()
        requests = math.ceil(sum(_requests(settings, feed, window) for feed in own))
        text = (
            f"at least {requests} of {account.budget.requests} requests in "
            f"{window:.0f} s for {len(own)} search(es), and one more per 1000 records"
        )
        enough = requests <= account.budget.requests
        hint = "" if enough else "poll less often, revisit less, or raise the budget"
        yield Verdict(f"request plan {name}", "ok" if enough else "failed", text, hint)


def _requests(settings: Settings, feed: FeedPlan, window: float) -> float:
    """Requests of one feed's sweeps within *window* seconds, if every slice is one page."""
    every = settings.searches[feed.plan.feed.search].every
    period = every.total_seconds() if every else feed.fresh_within.total_seconds() / 3
    dispositions = feed.plan.query.filters.get("final_disposition")
    walks = len(dispositions) if isinstance(dispositions, tuple) else 1
    revisits = sum(
        max(window / max(age.total_seconds() / 10, 1.0), window / 3600.0) for age in feed.plan.ages
    )
    return walks * (window / period + revisits)


def _mappings(loaded: Loaded, routes: Sequence[Route]) -> Iterator[Verdict]:
    library = library_of(loaded)
    for name in sorted({route.settings.mapping for route in routes}):
        outcomes = run_tests(library.load(name))
        failed = [outcome for outcome in outcomes if not outcome.passed]
        if failed:
            text, hint = f"{len(failed)} of its tests fail", f"email-connector mapping test {name}"
            yield Verdict(f"mapping {name}", "failed", text, hint)
        else:
            yield Verdict(f"mapping {name}", "ok", f"{len(outcomes)} tests pass")


async def _state(directory: Path) -> Verdict:
    """Open the journal, unless a daemon has it."""
    try:
        async with Journal.open(directory, observe=_ignore, clock=utc_now) as journal:
            head, about = (await journal.outline()).head, journal.about
    except JournalInUse as error:
        return Verdict("state", "note", f"a connector runs on {directory} (process {error.pid})")
    except JournalError as error:
        return Verdict("state", "failed", str(error))
    return Verdict("state", "ok", f"{directory}, {head} revisions so far, SQLite {about.sqlite}")


async def _accounts(settings: Settings) -> AsyncIterator[Verdict]:
    async with open_sources(settings, None, observe=_ignore, clock=utc_now) as sources:
        for name, source in sources.items():
            for finding in await source.verify():
                yield Verdict(
                    f"account {name} {finding.item}", _OUTCOMES[finding.level], finding.text, finding.hint
                )


async def _output(route: Route) -> Verdict:
    item = f"output {route.name}"
    output = route.output
    if not isinstance(output, Probe):
        return Verdict(item, "note", "this type of output cannot be checked without sending")
    try:
        return Verdict(item, "ok", await output.check())
    except DeliveryError as error:
        return Verdict(item, "failed", str(error))
    finally:
        await output.close()


def _ignore(_: Fact) -> None:
    """A check tells its verdicts, not its facts."""
