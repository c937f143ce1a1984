"""``state``: show checkpoints and positions, rewind an output, forget a feed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import click

from connector.cli.common import (
    load_config,
    operator_client,
    operator_target,
    pick_account,
    print_json,
    say,
    state_directory,
    state_options,
)
from connector.cli.names import complete_account, complete_output, complete_search
from connector.cli.param_types import PositionParam
from connector.cli.terminal import confirm, console, format_time, table, unknown_name
from connector.errors import ConfigurationError, ConnectorError, Problem
from connector.model import JsonObject
from connector.net.clock import utc_now
from connector.quantities import count_of, format_duration

_REPORT_SECONDS = 2.0
"""Seconds between two lines about the progress of a copy."""

_yes = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")


@click.group("state")
def command() -> None:
    """Show checkpoints and positions; rewind an output, forget a feed; check and recover the journal.

    Works through the running connector, or on its journal if none is running.
    """


@command.command("show")
@state_options
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def show(config: Path | None, state: Path | None, as_json: bool) -> None:
    """Show each feed's checkpoints, seen rows and gaps, each output's position, backlog and dead letters."""
    target = operator_target(config, state)
    client = operator_client(target)
    answer = asyncio.run(client.call("state"))
    if not client.running and client.shared:
        say("no replica is running here; reading the journal in the database")
    elif not client.running:
        say(f"no connector is running; reading its journal in {target.directory}")
    if as_json:
        print_json(answer)
    else:
        _draw(answer)


@command.command("rewind")
@click.argument("output", shell_complete=complete_output)
@click.option(
    "--to",
    "place",
    type=PositionParam(),
    required=True,
    metavar="TIME|AGO|NUMBER",
    help="Send again what was journaled since this time, or after this sequence number.",
)
@_yes
@state_options
def rewind(output: str, place: int | datetime, yes: bool, config: Path | None, state: Path | None) -> None:
    """Send revisions to OUTPUT again, as far back as the journal retains them (state.retain).

    Times are when a revision was journaled, not when the message was sent. Other outputs are not affected.
    """
    client = operator_client(operator_target(config, state))
    before = asyncio.run(client.call("state"))
    outline = next((entry for entry in before["outputs"] if entry["output"] == output), None)
    if outline is None:
        raise unknown_name("output", output, [entry["output"] for entry in before["outputs"]])
    if outline["position"] is None:
        say(f"{output} has never been started: nothing to send again")
        return
    to = place if isinstance(place, int) else place.isoformat()
    preview = asyncio.run(client.call("rewind_preview", output=output, to=to))
    if not preview["complete"]:
        since = f", journaled since {format_time(before['since'])} UTC" if before["since"] else ""
        say(f"only revisions after {before['floor']}{since} are retained (state.retain)")
    if preview["target"] >= preview["position"]:
        say(f"{output} is at {preview['position']}: nothing to send again")
        return
    count = count_of(preview["revisions"], "revision")
    among = (
        f", including {count_of(preview['dead_letters'], 'dead letter')}" if preview["dead_letters"] else ""
    )
    say(
        f"rewinding {output} from {preview['position']} to {preview['target']}: "
        f"{count} will be sent again{among}"
    )
    confirm(f"Rewind {output}?", yes=yes)
    done = asyncio.run(client.call("rewind", output=output, to=to))
    count = count_of(done["revisions"], "revision")
    say(f"{output} is at {done['position']}: {count} will be sent again{_when(outline, client.when)}")


@command.command("forget")
@click.argument("search", shell_complete=complete_search)
@click.option(
    "--account", shell_complete=complete_account, help="Account of the search; required if it polls several."
)
@_yes
@state_options
def forget(search: str, account: str | None, yes: bool, config: Path | None, state: Path | None) -> None:
    """Delete the checkpoints, gaps and seen records of SEARCH: it starts over, as if it had never run.

    It then collects from its configured start and delivers everything to every output as new, with the same
    event ids. Changes to older messages are not detected. Journaled revisions are kept.
    """
    client = operator_client(operator_target(config, state))
    before = asyncio.run(client.call("state"))
    feed = _choose(before["feeds"], search, account)
    name = f"{search} on {_account(feed)}"
    checkpoints, rows, gaps = len(feed["checkpoints"]), feed["seen"], len(feed["gaps"])
    if not checkpoints and not rows:
        say(f"{name} has not started: nothing to forget")
        return
    dropped = (
        f"{count_of(checkpoints, 'checkpoint')}, {count_of(rows, 'seen record')} and {count_of(gaps, 'gap')}"
    )
    say(f"forgetting {name} deletes {dropped}. {_restart(config, state, feed)}")
    confirm(f"Forget {name}?", yes=yes)
    asyncio.run(client.call("forget", account=feed["account"], search=search))
    say(f"forgot {name}")


@command.command("check")
@state_options
def check_journal(config: Path | None, state: Path | None) -> None:
    """Check all of the journal for damage while the connector is stopped. Exits with 1 if there is any."""
    from connector.app.journals import check_file, journal_file

    directory = state_directory(config, state)
    path = journal_file(directory)
    _require(path, config, state)
    problems = check_file(directory)
    for problem in problems:
        say(f"damaged: {problem}")
    if problems:
        say("`email-connector state recover` saves what can be read")
        raise click.exceptions.Exit(1)
    say(f"{path} is intact")


@command.command("recover")
@_yes
@state_options
def recover_journal(yes: bool, config: Path | None, state: Path | None) -> None:
    """Replace a damaged journal by what can be read of it, while the connector is stopped.

    The damaged file stays beside the new one. Events that are lost are counted, with the time to backfill.
    """
    from connector.app.journals import journal_file, recover_file

    directory = state_directory(config, state)
    path = journal_file(directory)
    _require(path, config, state)
    confirm(f"Replace {path} by what can be read of it? The damaged file is kept.", yes=yes)
    report = recover_file(directory, utc_now())
    say(f"recovered {path}; the damaged file is {report.kept}")
    lost = ", ".join(f"{count} of {table}" for table, count in report.lost.items() if count)
    if lost:
        say(f"left out damaged rows: {lost}")
    if not report.is_complete_count:
        say("the counters were lost: more journaled revisions may be missing than are counted")
    if report.revisions or not report.is_complete_count:
        since = f" --from {report.since:%Y-%m-%dT%H:%M:%SZ}" if report.since else ""
        say(
            f"{count_of(report.revisions, 'journaled revision')} lost. Outputs that had not sent them need "
            f"`email-connector backfill SEARCH{since} --all` after the start"
        )


@command.command("migrate")
@click.option("--from", "source", required=True, metavar="DIR|URL", help="The journal to copy; only read.")
@click.option("--to", "target", required=True, metavar="DIR|URL", help="Where to: an empty place.")
@click.option(
    "--schema", default="email_connector", show_default=True, help="Schema of the journal in PostgreSQL."
)
def migrate_state(source: str, target: str, schema: str) -> None:
    """Copy the journal from a state directory to PostgreSQL, or back, while the connector is stopped.

    Counts and digests of both are compared in the end. Interrupted, the same command continues. A URL is
    postgresql://USER@HOST:PORT/DATABASE; give the password in the variable PGPASSWORD.
    """
    from connector.app.journals import migrate_journal

    last = 0.0

    def report(table: str, rows: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORT_SECONDS:
            last = time.monotonic()
            say(f"{table}: {rows:,} rows")

    counts = migrate_journal(source, target, schema, report)
    say(f"copied and compared: {', '.join(f'{count:,} {table}' for table, count in counts.items() if count)}")


def _require(path: Path, config: Path | None, state: Path | None) -> None:
    with suppress(ConfigurationError):
        if state is None and load_config(config).settings.state.postgres is not None:
            raise ConnectorError(
                "the journal is in the database (state.postgres), and this command is for one in a state "
                "directory: check and restore the database with PostgreSQL's own programs"
            )
    if not path.exists():
        raise ConfigurationError(Problem(f"no journal in {path.parent}", hint="name it with --state DIR"))


def _when(output: JsonObject, when: str) -> str:
    """When a rewound output sends, if not at once."""
    if output["configured"] is False:
        return " once it is configured again, if still retained then"
    return when and f" {when}"


def _restart(config: Path | None, state: Path | None, feed: JsonObject) -> str:
    """What happens after *feed* is forgotten."""
    if feed["configured"] is False:
        return "It is not configured and will not be collected again."
    return (
        f"Its next poll begins at {_start(config, state, feed)} and delivers everything to every output as "
        "new; changes to older messages are not detected."
    )


def _start(config: Path | None, state: Path | None, feed: JsonObject) -> str:
    if feed["configured"] is None or state is not None:
        return "the search's start"
    start = load_config(config).settings.searches[feed["search"]].start
    begin = f"{format_duration(start)} ago" if isinstance(start, timedelta) else start.isoformat()
    return f"the search's start ({begin})"


def _choose(feeds: Sequence[JsonObject], search: str, account: str | None) -> JsonObject:
    """The feed of *search*, on *account* (a name or an id) if given."""
    of_search = [feed for feed in feeds if feed["search"] == search]
    if not of_search:
        raise unknown_name("search", search, [feed["search"] for feed in feeds])
    by_name = {_account(feed): feed for feed in of_search}
    return by_name[pick_account(search, {name: feed["account"] for name, feed in by_name.items()}, account)]


def _draw(state: JsonObject) -> None:
    from rich.text import Text

    screen = console()
    since = f", journaled since {format_time(state['since'])} UTC" if state["since"] else ""
    retained = f"retained since {state['floor']}{since} ({_bytes(state['bytes'])})"
    screen.print(Text(f"{count_of(state['head'], 'revision')} so far; {retained}"), soft_wrap=True)
    feeds = [row for feed in state["feeds"] for row in _feed(feed)]
    screen.print(table(("account", "search", "sweep", "checkpoint (UTC)", "seen", "gaps"), feeds))
    outputs = [_output(output, state["head"]) for output in state["outputs"]]
    headings = ("output", "position", "head", "backlog", "size", "oldest (UTC)", "dead letters", "gap")
    screen.print(table(headings, outputs))
    gaps = [(f"{_account(feed)}/{feed['search']}", gap) for feed in state["feeds"] for gap in feed["gaps"]]
    gaps += [(f"output {entry['output']}", entry["gap"]) for entry in state["outputs"] if entry["gap"]]
    if gaps:
        rows = [
            (owner, format_time(gap["start"]), format_time(gap["end"]), gap["cause"]) for owner, gap in gaps
        ]
        screen.print(table(("gap of", "from (UTC)", "to (UTC)", "cause"), rows))


def _feed(feed: JsonObject) -> Iterator[tuple[str, ...]]:
    """A row per sweep; the first also has the feed's own figures."""
    search = feed["search"] + (" (not configured)" if feed["configured"] is False else "")
    sweeps = sorted(feed["checkpoints"].items(), key=lambda item: str(item[1]), reverse=True)
    first, *others = sweeps or [("-", None)]
    yield _account(feed), search, first[0], format_time(first[1]), str(feed["seen"]), str(len(feed["gaps"]))
    yield from (("", "", sweep, format_time(reached), "", "") for sweep, reached in others)


def _output(output: JsonObject, head: int) -> tuple[str, ...]:
    name = output["output"] + (" (not configured)" if output["configured"] is False else "")
    if output["position"] is None:
        return f"{name} (never started)", "-", str(head), *("-",) * 5
    place = (str(output["position"]), str(head), str(output["backlog"]), _bytes(output["backlog_bytes"]))
    gap = "skipped" if output["gap"] else "-"
    return name, *place, format_time(output["oldest"]), str(output["dead_letters"]), gap


def _account(feed: JsonObject) -> str:
    return str(feed["account_name"] or feed["account"])


def _bytes(size: int) -> str:
    return (
        f"{size / (1 << 20):.1f} MiB" if size >= 1 << 20 else f"{size / (1 << 10):.1f} KiB" if size else "0"
    )
