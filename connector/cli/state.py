"""``state``: where every feed and output stands, and moving them back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import click
import orjson

from connector.cli.common import config_option, load_config, say
from connector.cli.param_types import EXPECTED_TIME, parse_time
from connector.cli.terminal import confirm, console, count_of, format_time, table, unknown_name
from connector.errors import ConfigurationError, Problem
from connector.model import JsonObject
from connector.net.clock import utc_now
from connector.ops.client import OperatorClient
from connector.quantities import format_duration
from connector.settings import Settings

_yes = click.option("-y", "--yes", is_flag=True, help="Do it without asking.")


class PositionParam(click.ParamType[int | datetime]):
    """A place in the journal: a sequence number, a time back from now, or a date."""

    name = "place"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | datetime:
        """Read the text; fails with what is expected."""
        if isinstance(value, int | datetime):
            return value
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) <= len(str(2**62)):
            return int(text)
        try:
            given = parse_time(text)
            return utc_now() - given if isinstance(given, timedelta) else given
        except (ValueError, OverflowError):
            self.fail(f"needed is {EXPECTED_TIME}, or a sequence number, such as 4711", param, ctx)


@click.group("state")
def command() -> None:
    """Show where feeds and outputs stand, and move them back.

    Works beside a running connector, and on its journal while none runs.
    """


@command.command("show")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print all of it as one JSON object.")
def show(config: Path | None, as_json: bool) -> None:
    """Show each feed's checkpoints, seen rows and gaps, each output's position, backlog and dead letters."""
    settings = load_config(config).settings
    client = OperatorClient(settings)
    state = asyncio.run(client.do("state"))
    if not client.running:
        say(f"no connector runs; this is what its journal in {settings.state.directory} says")
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(state, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    else:
        _draw(state)


@command.command("rewind")
@click.argument("output")
@click.option(
    "--to",
    "place",
    type=PositionParam(),
    required=True,
    metavar="TIME|AGO|NUMBER",
    help="Send again what was journaled from this time on, or after this sequence number.",
)
@_yes
@config_option
def rewind(output: str, place: int | datetime, yes: bool, config: Path | None) -> None:
    """Send revisions to OUTPUT again, as far back as the journal retains them (state.retain).

    A time is that of their arrival in the journal, not that of the mail. Other outputs notice nothing.
    """
    client = OperatorClient(load_config(config).settings)
    state = asyncio.run(client.do("state"))
    found = next((one for one in state["outputs"] if one["output"] == output), None)
    if found is None:
        raise unknown_name("output", output, [one["output"] for one in state["outputs"]])
    if found["position"] is None:
        say(f"{output} was never started: there is nothing to send again")
        return
    to = place if isinstance(place, int) else place.isoformat()
    reach = asyncio.run(client.do("reach", output=output, to=to))
    if not reach["complete"]:
        since = f", journaled since {format_time(state['since'])} UTC" if state["since"] else ""
        say(f"retained is what comes after {state['floor']}{since}; what was before is gone (state.retain)")
    if reach["target"] >= reach["position"]:
        say(f"{output} is at {reach['position']}: there is nothing to send again")
        return
    count = count_of(reach["revisions"], "revision")
    among = f", its {count_of(reach['letters'], 'dead letter')} among them" if reach["letters"] else ""
    say(
        f"{output} goes back from {reach['position']} to {reach['target']}: {count} will be sent again{among}"
    )
    confirm(f"Rewind {output}?", yes=yes)
    done = asyncio.run(client.do("rewind", output=output, to=to))
    count = count_of(done["revisions"], "revision")
    say(f"{output} is at {done['position']}: {count} will be sent again{_when(found, client.running)}")


@command.command("forget")
@click.argument("search")
@click.option("--account", help="Account of the search; needed where several are polled.")
@_yes
@config_option
def forget(search: str, account: str | None, yes: bool, config: Path | None) -> None:
    """Drop the checkpoints, gaps and seen rows of SEARCH: it starts anew, as if it had never run.

    It then reads from its configured start on, and delivers what it finds to every output as new, under the
    same event ids. Changes of older mail will not be noticed. What is journaled stays.
    """
    settings = load_config(config).settings
    client = OperatorClient(settings)
    state = asyncio.run(client.do("state"))
    feed = _choose(state["feeds"], search, account)
    name = f"{search} on {_account(feed)}"
    checkpoints, rows, gaps = len(feed["checkpoints"]), feed["seen"], len(feed["gaps"])
    if not checkpoints and not rows:
        say(f"{name} has not begun: there is nothing to forget")
        return
    dropped = (
        f"{count_of(checkpoints, 'checkpoint')}, {count_of(rows, 'seen row')} and {count_of(gaps, 'gap')}"
    )
    say(f"forgetting {name} drops {dropped}. {_restart(settings, feed)}")
    confirm(f"Forget {name}?", yes=yes)
    asyncio.run(client.do("forget", account=feed["account"], search=search))
    say(f"{name} is forgotten")


def _when(output: JsonObject, running: bool) -> str:
    """When a rewound output sends, where that is not at once."""
    if not output["configured"]:
        return " when it is configured again, as far as they are retained until then"
    return "" if running else " when the connector starts"


def _restart(settings: Settings, feed: JsonObject) -> str:
    """What follows when *feed* is forgotten."""
    if not feed["configured"]:
        return "It is not configured: nothing reads it again."
    start = settings.searches[feed["search"]].start
    begin = f"{format_duration(start)} ago" if isinstance(start, timedelta) else start.isoformat()
    return (
        f"Its next poll begins at the search's start ({begin}) and delivers all it finds to every output as "
        "new; changes of older mail will not be noticed."
    )


def _choose(feeds: Sequence[JsonObject], search: str, account: str | None) -> JsonObject:
    """The one feed of *search*, on *account* (a name or an id) where that is given."""
    of_search = [feed for feed in feeds if feed["search"] == search]
    if not of_search:
        raise unknown_name("search", search, [feed["search"] for feed in feeds])
    found = [feed for feed in of_search if account in (None, feed["account"], feed["account_name"])]
    names = [_account(feed) for feed in of_search]
    if not found:
        raise unknown_name(f"account of {search}", account or "", names)
    if len(found) > 1:
        raise ConfigurationError(
            Problem(f"{search} is polled on several accounts", hint=f"add --account {' or '.join(names)}")
        )
    return found[0]


def _draw(state: JsonObject) -> None:
    from rich.text import Text  # noqa: PLC0415, only to draw

    screen = console()
    since = f", journaled since {format_time(state['since'])} UTC" if state["since"] else ""
    retained = f"retained are those after {state['floor']}{since} ({_bytes(state['bytes'])})"
    screen.print(Text(f"{count_of(state['head'], 'revision')} so far; {retained}"), soft_wrap=True)
    feeds = [row for feed in state["feeds"] for row in _feed(feed)]
    screen.print(table(("account", "search", "sweep", "checkpoint (UTC)", "seen rows", "gaps"), feeds))
    outputs = [_output(output, state["head"]) for output in state["outputs"]]
    headings = ("output", "position", "head", "backlog", "size", "oldest (UTC)", "dead letters", "gap")
    screen.print(table(headings, outputs))
    gaps = [(f"{_account(feed)}/{feed['search']}", gap) for feed in state["feeds"] for gap in feed["gaps"]]
    gaps += [(f"output {one['output']}", one["gap"]) for one in state["outputs"] if one["gap"]]
    if gaps:
        rows = [
            (owner, format_time(gap["start"]), format_time(gap["end"]), gap["cause"]) for owner, gap in gaps
        ]
        screen.print(table(("gap of", "from (UTC)", "to (UTC)", "cause"), rows))


def _feed(feed: JsonObject) -> Iterator[tuple[str, ...]]:
    """A row per sweep, the feed's own figures in the first."""
    search = feed["search"] + ("" if feed["configured"] else " (not configured)")
    sweeps = sorted(feed["checkpoints"].items(), key=lambda one: str(one[1]), reverse=True)
    first, *others = sweeps or [("-", None)]
    yield _account(feed), search, first[0], format_time(first[1]), str(feed["seen"]), str(len(feed["gaps"]))
    yield from (("", "", sweep, format_time(reached), "", "") for sweep, reached in others)


def _output(output: JsonObject, head: int) -> tuple[str, ...]:
    name = output["output"] + ("" if output["configured"] else " (not configured)")
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
