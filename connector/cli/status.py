"""``status``: what a running connector does, asked through its control socket."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click
import orjson

from connector.app.control.server import ask
from connector.cli import FAILED
from connector.cli.common import config_option, say, state_directory
from connector.model import JsonObject


@click.command("status")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print the whole status as JSON.")
@click.option(
    "--health", is_flag=True, help="Print nothing; exit 0 when the daemon answers (for containers)."
)
@click.pass_context
def command(context: click.Context, config: Path | None, as_json: bool, health: bool) -> None:
    """Show feeds, outputs and the journal of the running connector.

    Exits with 1 when no connector runs, or when it is not ready.
    """
    answer = asyncio.run(ask(state_directory(config), "status"))
    if not isinstance(answer, dict):
        raise click.ClickException("the daemon gave no status")
    if health:
        return
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    else:
        _show(answer)
    if not answer.get("ready"):
        context.exit(FAILED)


def _show(status: JsonObject) -> None:
    from rich.console import Console  # noqa: PLC0415, only to draw
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "160")))
    ready = "ready" if status["ready"] else "not ready"
    console.print(Text(f"connector {status['version']}, {ready}, started {status['started']}"))
    feeds = Table("account", "search", "state", "checkpoint", "records", "changes", "reason")
    for feed in status["feeds"]:
        name = feed["account_name"] or feed["account"]
        cells = (name, feed["search"], feed["state"], feed["checkpoint"], feed["records"], feed["changes"])
        feeds.add_row(*(Text(str(cell if cell is not None else "-")) for cell in (*cells, feed["reason"])))
    outputs = Table("output", "state", "sent", "backlog", "oldest", "dead letters", "reason")
    for output in status["outputs"]:
        keys = ("output", "state", "sent", "backlog", "backlog_oldest", "dead_letters", "reason")
        outputs.add_row(*(Text("-" if output[key] is None else str(output[key])) for key in keys))
    console.print(feeds)
    console.print(outputs)
    for problem in status["configuration"]["problems"]:
        say(f"the configuration could not be reloaded; the former one is in effect: {problem}")
    for feed in status["feeds"]:
        if feed.get("backfill"):
            say(_backfill(feed))
    for gap in status["journal"].get("gaps", ()):
        say(f"gap: {gap['account']}/{gap['search']} {gap['start']} to {gap['end']}: {gap['cause']}")


def _backfill(feed: JsonObject) -> str:
    from connector.cli.terminal import count_of, format_time  # noqa: PLC0415, only when there is one

    one = feed["backfill"]
    start, end, position = (format_time(one[key]) for key in ("start", "end", "position"))
    window = f"{start} to {end} UTC, read up to {position}"
    name = f"{feed['account_name'] or feed['account']}/{feed['search']}"
    return f"backfill: {name} {window}; {count_of(one['read'], 'record')} read, {one['revisions']} delivered"
