"""``backfill``: reread a time range and deliver what is missing or changed."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.cli import FAILED
from connector.cli.common import config_option, load_config, pick_account, say
from connector.cli.names import complete_account, complete_search
from connector.cli.param_types import EXPECTED_TIME, parse_time
from connector.cli.terminal import confirm, format_time, unknown_name
from connector.model import JsonObject
from connector.net.clock import utc_now
from connector.quantities import count_of

if TYPE_CHECKING:
    from connector.ops.backfill import BackfillOutcome
    from connector.settings import Settings

_NOW = "now"
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No record is older; a time before it is a typing error."""


@click.command("backfill")
@click.argument("search", shell_complete=complete_search)
@click.option("--from", "start", required=True, metavar="TIME|AGO", help="Start, such as 24h or 2026-01-31.")
@click.option("--to", "end", default=_NOW, show_default=True, metavar="TIME|AGO|now", help="End.")
@click.option(
    "--account", shell_complete=complete_account, help="Account of the search; required if it polls several."
)
@click.option("--all", "everything", is_flag=True, help="Redeliver events already delivered.")
@click.option("--detach", is_flag=True, help="Start it in the daemon and return immediately.")
@click.option("--cancel", "dropping", is_flag=True, help="Cancel the unfinished backfill of this range.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
@click.pass_context
def command(
    context: click.Context,
    search: str,
    start: str,
    end: str,
    account: str | None,
    everything: bool,
    detach: bool,
    dropping: bool,
    yes: bool,
    config: Path | None,
) -> None:
    """Reread a time range of SEARCH and deliver what is missing or changed to every output.

    A running connector does it in the background; if none is running, the command does it itself.
    Interrupted, it resumes with the same command, or when the connector starts.

    Exits with 1 if it did not complete.
    """
    from connector.app.control.backfill import BackfillRequest
    from connector.app.runtime import run
    from connector.ops import backfill

    configuration = load_config(config)
    now = utc_now()
    chosen = _account(configuration.settings, search, account)
    backfill_request = BackfillRequest(
        configuration.settings.accounts[chosen].account_id,
        search,
        (start, end),
        _when("--from", start, now),
        now if end == _NOW else _when("--to", end, now),
        everything,
    )
    first, last = (format_time(time.isoformat()) for time in (backfill_request.start, backfill_request.end))
    name = f"{search} on {chosen}, {first} to {last} UTC"
    if dropping:
        cancelled = asyncio.run(backfill.cancel(configuration, backfill_request))
        say(
            f"cancelled the backfill of {name}; events already delivered stay delivered"
            if cancelled
            else "no such backfill"
        )
        return
    what = "everything" if everything else "what is missing or changed"
    say(f"backfill of {name}: delivers {what} to every output")
    length = backfill_request.end - backfill_request.start
    if length > timedelta(0):
        say(f"costs {_cost(configuration.settings, chosen, search, length)}")
    confirm("Start?", yes=yes)
    screen = _Screen()
    try:
        outcome = run(backfill.backfill(configuration, backfill_request, screen.show, detach=detach))
    except KeyboardInterrupt:
        screen.end()
        say("detached; the daemon continues the backfill, and the same command follows it again")
        context.exit(FAILED)
    screen.end()
    if not _report(outcome, detach):
        context.exit(FAILED)


def _cost(settings: Settings, account: str, search: str, length: timedelta) -> str:
    from connector.ops.request_plan import describe_backfill

    budget, options = settings.accounts[account].budget, settings.searches[search]
    dispositions = options.filters.get("final_disposition")
    return describe_backfill(
        length,
        walks=len(dispositions) if isinstance(dispositions, tuple) else 1,
        per_page=options.per_page,
        budget=budget.requests,
        window=budget.window,
    )


def _report(outcome: BackfillOutcome, detach: bool) -> bool:
    """Print the result; false if the backfill did not complete."""
    progress = outcome.progress
    if detach and not progress["done"]:
        say("started in the daemon; the same command without --detach follows it")
        return True
    for line in summary(progress):
        say(line)
    for output, revisions in outcome.waiting:
        say(f"{output}: {count_of(revisions, 'undelivered revision')} left for the next run")
    if not progress["done"]:
        say("stopped; it resumes with the same command, or when the connector starts")
    return bool(progress["done"])


def summary(progress: JsonObject) -> list[str]:
    """The result of a backfill as lines of text."""
    window = f"{format_time(progress['start'])} to {format_time(progress['end'])} UTC"
    upto = "done" if progress["done"] else f"read up to {format_time(progress['position'])}"
    counts = [f"{progress['new']} new", f"{progress['changed']} changed"]
    counts += [f"{progress['completed']} completed"] if progress["completed"] else []
    counts += [
        f"{progress['again']} redelivered" if progress["everything"] else f"{progress['known']} already known"
    ]
    read = f"{count_of(progress['read'], 'record')} read in {count_of(progress['slices'], 'slice')}"
    lines = [f"{window}: {upto}; {read}: {', '.join(counts)}"]
    if progress["before_floor"]:
        floor = f" ({format_time(progress['floor'])} UTC)" if progress["floor"] else ""
        lines.append(
            f"{progress['before_floor']} of the new ones are older than the connector's memory{floor}: they "
            "may have been delivered before, with the same event id"
        )
    if progress["beyond"]:
        lines.append(
            f"the API keeps nothing before {format_time(progress['beyond'])} UTC: that part was skipped"
        )
    return lines


class _Screen:
    """Progress: one updated line on a terminal; elsewhere only resumes and problems."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._problem = ""

    def show(self, progress: JsonObject) -> None:
        """Show *progress*."""
        if progress.get("resumed"):
            say(
                f"resuming an earlier backfill of {format_time(progress['start'])} to "
                f"{format_time(progress['end'])} UTC at {format_time(progress['position'])}"
            )
        problem = str(progress["problem"])
        if problem and problem != self._problem:
            self.end()
            say(f"waiting: {problem}")
        self._problem = problem
        if self._live:
            start, end, at = (datetime.fromisoformat(progress[key]) for key in ("start", "end", "position"))
            share = (at - start) / (end - start)
            text = f"{share:4.0%}  {format_time(progress['position'])}  {progress['read']} read, "
            click.echo(f"\r{text}{progress['revisions']} delivered", err=True, nl=False)

    def end(self) -> None:
        """Finish the line."""
        if self._live:
            click.echo(err=True)


def _account(settings: Settings, search: str, account: str | None) -> str:
    """The name of the account to use; *account* is a name or an id."""
    if search not in settings.searches:
        raise unknown_name("search", search, settings.searches)
    accounts = settings.searches[search].accounts
    names = list(settings.accounts) if accounts == "all" else list(accounts)
    return pick_account(search, {name: settings.accounts[name].account_id for name in names}, account)


def _when(option: str, text: str, now: datetime) -> datetime:
    try:
        given = parse_time(text)
        moment = now - given if isinstance(given, timedelta) else given
    except (ValueError, OverflowError) as error:
        text = str(error) if isinstance(error, ValueError) else f"expected {EXPECTED_TIME}"
        raise click.BadParameter(text, param_hint=option) from None
    if moment < _EARLIEST:
        raise click.BadParameter(
            f"{moment.date()} is before {_EARLIEST.date()}; no record is that old", param_hint=option
        )
    if option == "--from" and moment > now:
        raise click.BadParameter("the time is in the future", param_hint=option)
    return moment
