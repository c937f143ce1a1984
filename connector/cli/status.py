"""``status``: the status of the running connector, through its control socket."""

from __future__ import annotations

import asyncio
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from connector.app.control.server import ask
from connector.cli import FAILED
from connector.cli.common import print_json, state_directory, state_options
from connector.cli.terminal import ago, elapsed, format_time, paint, sanitize
from connector.errors import ConnectorError
from connector.model import JsonObject

_PIPED_WIDTH = 80
"""Columns where the output is no terminal: what mail and tickets show without wrapping."""

_FEEDS_SHOWN = 20
"""Feeds in the table without --all: with the header, the outputs and the problems it fits one screen."""

_OPEN_ACTIONS = {"awaiting_approval": "await approval", "unknown": "have an unknown outcome"}
"""Response actions that deserve a look, by their member of the status."""

_NAMES_SHOWN = 3
"""Names listed for a reason that several feeds or outputs share."""

_COLORS = {
    "fresh": "green",
    "working": "green",
    "ready": "green",
    "held": "red",
    "hold": "red",
    "failing": "red",
    "stale": "red",
    "not ready": "red",
    "retrying": "yellow",
    "paused": "yellow",
}
"""Colour of a state; others are left as they are."""

_LONG, _ENDLESS = timedelta(minutes=2), timedelta(days=365)
"""Shortest and longest wait to report: a shorter one ends soon, a longer one has no useful end time."""

_COUNTS = re.compile(r" \(\d+ attempts\)|failing(?= \(\d+ attempts\)): |, last reached .* ago")
"""Parts of a reason that differ between feeds with the same problem."""

_GOOD = frozenset({"fresh", "working", "idle", "ready", "standby"})


@click.command("status")
@state_options
@click.option("--json", "as_json", is_flag=True, help="Print the whole status as JSON.")
@click.option(
    "--filter", "text", metavar="TEXT", help="Show only feeds and outputs whose name contains TEXT."
)
@click.option("--all", "everything", is_flag=True, help=f"Show every feed, not just {_FEEDS_SHOWN}.")
@click.option(
    "--health", is_flag=True, help="Print nothing; exit with 0 if the daemon answers (for containers)."
)
@click.pass_context
def command(
    context: click.Context,
    config: Path | None,
    state: Path | None,
    as_json: bool,
    text: str | None,
    everything: bool,
    health: bool,
) -> None:
    """Show problems, feeds and outputs of the running connector, failing ones first.

    Needs only the state directory: it works with a broken configuration and without its secrets. Exits with
    1 if no connector is running, or if it is not ready.
    """
    answer = asyncio.run(ask(state_directory(config, state), "status"))
    if not isinstance(answer, dict):
        raise ConnectorError("unexpected reply from the daemon (version mismatch?)")
    if health:
        return
    if as_json:
        print_json(answer)
    else:
        width = shutil.get_terminal_size((_PIPED_WIDTH, 24)).columns
        for line in render(answer, datetime.now(UTC), width, contains=text or "", everything=everything):
            click.echo(line)
    if not answer.get("ready"):
        context.exit(FAILED)


def render(
    status: JsonObject, now: datetime, width: int, *, contains: str = "", everything: bool = False
) -> Iterator[str]:
    """The lines of *status* as of *now*, at most *width* columns wide."""
    ready = "ready" if status["ready"] else "not ready"
    uptime = elapsed((now - datetime.fromisoformat(status["started"])).total_seconds())
    yield f"email-connector {status['version']}: {paint(ready, _COLORS[ready])}, up {uptime}"
    feeds = [feed for feed in status["feeds"] if contains in feed_name(feed)]
    outputs = [output for output in status["outputs"] if contains in output["output"]]
    yield from _problems(status, feeds, outputs, now, width)
    yield ""
    yield from _feed_table(feeds, now, width, everything=everything)
    yield ""
    yield from _output_table(outputs, now, width)
    yield from _footnotes(status, feeds, now, width)


def feed_name(feed: JsonObject) -> str:
    """``account/search``, with the account's id where it has no name."""
    return sanitize(f"{feed.get('account_name') or feed['account']}/{feed['search']}")


def _problems(
    status: JsonObject,
    feeds: Sequence[JsonObject],
    outputs: Sequence[JsonObject],
    now: datetime,
    width: int,
) -> Iterator[str]:
    """Why something is wrong: every reason once, with the names that share it, and how long it waits."""
    for problem in status["configuration"]["problems"]:
        yield from _wrap(
            f"configuration not reloaded, the previous one is in effect: {problem}", width, "red"
        )
    for reason in status["reasons"]:
        if reason["what"] not in {"feed", "output"}:  # reported below, with their names
            yield from _wrap(f"{reason['what']}: {sanitize(reason['reason'])}", width, "red")
    named = [(f"output {output['output']}", output) for output in outputs]
    named += [(feed_name(feed), feed) for feed in feeds]
    groups: dict[tuple[str, str], list[str]] = {}
    waits: dict[tuple[str, str], str] = {}
    for name, entry in named:
        if entry["reason"]:
            reason = _COUNTS.sub("", entry["reason"]).removeprefix(f"{entry['state']}: ")
            group = entry["state"], reason
            groups.setdefault(group, []).append(name)
            due = entry.get("next_attempt")
            if due and _LONG <= datetime.fromisoformat(due) - now < _ENDLESS:
                waits[group] = min(due, waits.get(group, due))
    for (state, reason), names in groups.items():
        text = f"{_listed(names)}: {state}: {sanitize(reason)}"
        if due := waits.get((state, reason)):
            text += f" (next attempt {ago(due, now)}; `email-connector resume` tries at once)"
        yield from _wrap(text, width, _COLORS.get(state, ""))


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _NAMES_SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMES_SHOWN])} and {len(names) - _NAMES_SHOWN} more"


def _feed_table(feeds: Sequence[JsonObject], now: datetime, width: int, *, everything: bool) -> Iterator[str]:
    ordered = sorted(feeds, key=lambda feed: (feed["state"] in _GOOD, feed_name(feed)))
    shown = ordered if everything else ordered[:_FEEDS_SHOWN]
    rows = [
        (
            feed_name(feed),
            feed["state"],
            ago(feed["checkpoint"], now),
            f"{feed['records']:,}",
            f"{feed['changes']:,}",
        )
        for feed in shown
    ]
    yield from _table(("FEED", "STATE", "COLLECTED UP TO", "RECORDS", "CHANGES"), rows, width)
    if len(shown) < len(ordered):
        from connector.quantities import count_of

        healthy = sum(feed["state"] in _GOOD for feed in ordered[len(shown) :])
        rest = len(ordered) - len(shown)
        yield f"and {count_of(rest, 'more feed')}, {healthy} of them healthy (--all shows every one)"


def _output_table(outputs: Sequence[JsonObject], now: datetime, width: int) -> Iterator[str]:
    ordered = sorted(outputs, key=lambda output: (output["state"] in _GOOD, output["output"]))
    rows = [
        (
            output["output"],
            output["state"],
            _number(output.get("sent")),
            _number(output.get("filtered")),
            _number(output.get("backlog")),
            ago(output.get("backlog_oldest"), now),
            _number(output.get("dead_letters")),
        )
        for output in ordered
    ]
    headings = ("OUTPUT", "STATE", "SENT", "FILTERED", "BACKLOG", "OLDEST", "DEAD")
    yield from _table(headings, rows, width)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Columns under headings; the first one gives way where the lines would get too long."""
    columns = [max(len(row[index]) for row in (headings, *rows)) for index in range(len(headings))]
    columns[0] = max(8, min(columns[0], width - sum(columns[1:]) - 2 * (len(columns) - 1)))
    yield paint(_line(headings, columns).rstrip(), "bold")
    for row in rows:
        line = _line(row, columns).rstrip()
        yield line.replace(row[1], paint(row[1], _COLORS.get(row[1], "")), 1) if row[1] in _COLORS else line


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(_fit(cell, width).ljust(width) for cell, width in zip(cells, widths, strict=True))


def _fit(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"{cell[: width - 1]}…"


def _footnotes(status: JsonObject, feeds: Sequence[JsonObject], now: datetime, width: int) -> Iterator[str]:
    """Replicas, open actions, backfills in progress, gaps in what was collected, and quarantined items."""
    actions = status.get("actions") or {}
    for state, text in _OPEN_ACTIONS.items():
        if actions.get(state):
            line = f"actions: {actions[state]} {text}; see `email-connector action list --status {state}`"
            yield from _wrap(line, width, "yellow")
    for replica in status.get("replicas", ()):
        leases = ", ".join(sanitize(lease["lease"]) for lease in replica["leases"]) or "nothing"
        own = " (this one)" if replica["this"] else ""
        yield from _wrap(
            f"replica {sanitize(replica['host'])}:{replica['process']}{own} holds {leases}", width
        )
    for feed in feeds:
        if feed.get("quarantined"):
            text = (
                f"quarantine: {feed_name(feed)}, {feed['quarantined']}; see `email-connector quarantine list`"
            )
            yield from _wrap(text, width, "yellow")
        if feed.get("backfill"):
            yield from _wrap(_backfill(feed), width)
    names = {(feed["account"], feed["search"]): feed_name(feed) for feed in feeds}
    for gap in status["journal"].get("gaps", ()):
        name = names.get((gap["account"], gap["search"]))
        if name is not None:
            start, end = format_time(gap["start"]), format_time(gap["end"])
            text = f"gap: {name}, {start} to {end} UTC ({ago(gap['end'], now)}): {gap['cause']}"
            yield from _wrap(text, width, "yellow")


def _backfill(feed: JsonObject) -> str:
    from connector.quantities import count_of

    job = feed["backfill"]
    start, end, position = (format_time(job[key]) for key in ("start", "end", "position"))
    read = count_of(job["read"], "record")
    return (
        f"backfill: {feed_name(feed)}, {start} to {end} UTC, read up to {position}: "
        f"{read} read, {job['revisions']} delivered"
    )


def _wrap(text: str, width: int, color: str = "") -> Iterator[str]:
    for line in textwrap.wrap(text, width, subsequent_indent="    ", break_on_hyphens=False):
        yield paint(line, color)
