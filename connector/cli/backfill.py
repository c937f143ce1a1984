"""``backfill``: a range of time is read again, and what is missing or changed is delivered."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.cli import FAILED
from connector.cli.common import config_option, load_config, say
from connector.cli.param_types import EXPECTED_TIME, parse_time
from connector.cli.terminal import confirm, count_of, format_time, unknown_name
from connector.errors import ConfigurationError, Problem
from connector.model import JsonObject
from connector.net.clock import utc_now
from connector.settings import Settings

if TYPE_CHECKING:
    from connector.ops.backfill import Outcome

_NOW = "now"


@click.command("backfill")
@click.argument("search")
@click.option(
    "--from", "start", required=True, metavar="TIME|AGO", help="Where to begin, such as 24h or 2026-01-31."
)
@click.option("--to", "end", default=_NOW, show_default=True, metavar="TIME|AGO|now", help="Where to end.")
@click.option("--account", help="Account of the search; needed where several are polled.")
@click.option("--all", "everything", is_flag=True, help="Deliver also what was delivered before.")
@click.option("--detach", is_flag=True, help="Hand it to the running connector and do not wait for its end.")
@click.option("--cancel", "dropping", is_flag=True, help="Drop the unfinished backfill of this range.")
@click.option("-y", "--yes", is_flag=True, help="Do it without asking.")
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
    """Read a range of time of SEARCH again and deliver what is missing or changed to every output.

    A running connector does it behind its other work; where none runs, the command does it by itself.
    Interrupted, it goes on where it was with the same command, or when the connector runs again.

    Exits with 1 when it did not come to its end.
    """
    from connector.app.control.backfill import BackfillRequest  # noqa: PLC0415
    from connector.app.runtime import run  # noqa: PLC0415
    from connector.ops import backfill  # noqa: PLC0415

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
        found = asyncio.run(backfill.cancel(configuration, backfill_request))
        say(
            f"the backfill of {name} is dropped; what it delivered stays"
            if found
            else "there is no such backfill"
        )
        return
    what = "everything" if everything else "what is missing or changed"
    say(f"backfill of {name}: {what} goes to every output")
    confirm("Begin?", yes=yes)
    screen = _Screen()
    try:
        outcome = run(backfill.backfill(configuration, backfill_request, screen.tell, detach=detach))
    except KeyboardInterrupt:
        screen.end()
        say("no longer followed; the running connector goes on with it. The same command follows it again")
        context.exit(FAILED)
    screen.end()
    if not _told(outcome, detach):
        context.exit(FAILED)


def _told(outcome: Outcome, detach: bool) -> bool:
    """Say what came of it, and whether that is what was wanted."""
    progress = outcome.progress
    if detach and not progress["done"]:
        say("the running connector does it; the same command without --detach follows it")
        return True
    for line in summary(progress):
        say(line)
    for output, revisions in outcome.waiting:
        say(f"{output}: {count_of(revisions, 'revision')} wait in the journal for the next run")
    if not progress["done"]:
        say("stopped; the same command goes on where it was, and so does the connector when it runs")
    return bool(progress["done"])


def summary(progress: JsonObject) -> list[str]:
    """What a backfill found, in words."""
    window = f"{format_time(progress['start'])} to {format_time(progress['end'])} UTC"
    upto = "done" if progress["done"] else f"read up to {format_time(progress['position'])}"
    told = [f"{progress['new']} new", f"{progress['changed']} changed"]
    told += [f"{progress['completed']} completed"] if progress["completed"] else []
    told += [
        f"{progress['again']} told again" if progress["everything"] else f"{progress['known']} already known"
    ]
    read = f"{count_of(progress['read'], 'record')} read in {count_of(progress['slices'], 'slice')}"
    lines = [f"{window}: {upto}; {read}: {', '.join(told)}"]
    if progress["before_floor"]:
        floor = f" ({format_time(progress['floor'])} UTC)" if progress["floor"] else ""
        lines.append(
            f"{progress['before_floor']} of the new ones lie before the floor{floor}, from which on the "
            "connector remembers what it delivered: they may have been delivered before, "
            "under the same identity"
        )
    if progress["beyond"]:
        lines.append(
            f"the API has nothing before {format_time(progress['beyond'])} UTC any more: that was left out"
        )
    return lines


class _Screen:
    """Progress on a terminal, in one line; nothing elsewhere, but the trouble there is."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._trouble = ""

    def tell(self, progress: JsonObject) -> None:
        """Show how far it is."""
        if progress.get("resumed"):
            say(
                f"resuming an earlier backfill of {format_time(progress['start'])} to "
                f"{format_time(progress['end'])} UTC at {format_time(progress['position'])}"
            )
        trouble = str(progress["trouble"])
        if trouble and trouble != self._trouble:
            self.end()
            say(f"waiting: {trouble}")
        self._trouble = trouble
        if self._live:
            start, end, at = (datetime.fromisoformat(progress[key]) for key in ("start", "end", "position"))
            share = (at - start) / (end - start)
            text = f"{share:4.0%}  {format_time(progress['position'])}  {progress['read']} read, "
            click.echo(f"\r{text}{progress['revisions']} delivered", err=True, nl=False)

    def end(self) -> None:
        """Leave the line as it is."""
        if self._live:
            click.echo(err=True)


def _account(settings: Settings, search: str, account: str | None) -> str:
    """The name of the one account that is meant, given by its name or its id."""
    if search not in settings.searches:
        raise unknown_name("search", search, settings.searches)
    accounts = settings.searches[search].accounts
    names = list(settings.accounts) if accounts == "all" else list(accounts)
    found = [name for name in names if account in (None, name, settings.accounts[name].account_id)]
    if not found:
        raise unknown_name(f"account of {search}", account or "", names)
    if len(found) > 1:
        raise ConfigurationError(
            Problem(f"{search} is polled on several accounts", hint=f"add --account {' or '.join(names)}")
        )
    return found[0]


def _when(option: str, text: str, now: datetime) -> datetime:
    try:
        given = parse_time(text)
        return now - given if isinstance(given, timedelta) else given
    except (ValueError, OverflowError) as error:
        told = str(error) if isinstance(error, ValueError) else f"needed is {EXPECTED_TIME}"
        raise click.BadParameter(told, param_hint=option) from None
