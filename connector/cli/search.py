"""``search``: search email from the terminal, as a table or as events."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.cli.common import config_option, load_config, say
from connector.cli.names import complete_account
from connector.cli.param_types import LimitParam, TimeParam
from connector.cli.terminal import escape_controls, sanitize
from connector.model import FilterValue, Record
from connector.net.clock import utc_now
from connector.quantities import count_of
from connector.source.filters import FILTERS, Filter, validate, warnings
from connector.yaml_nodes import suggestion

if TYPE_CHECKING:
    from rich.table import Table

    from connector.facts import Fact
    from connector.ops.search import Row, SearchRequest
    from connector.settings import Settings

TABLE = "table"
RECORD = "record"
_ROWS = 100
"""Rows of the table by default: a few screens, and one page of the API."""

_PIPED_WIDTH = 160
"""Columns where the output is no terminal: no column of the table is cut for ordinary messages."""

_WIDE = 120
"""Terminal width in columns from which dates are shown with the year."""

_STYLES = ((9, "bold red"), (7, "red"), (5, "yellow"), (2, "cyan"), (1, ""), (0, "green"))
"""Colours of a disposition by minimum severity."""


def _filter_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each filter of the API's search."""
    for row in reversed(list(FILTERS.values())):
        function = _option(row)(function)
    return function


def _option(row: Filter) -> Callable[[Callable[..., None]], Callable[..., None]]:
    dashed = row.name.replace("_", "-")
    text = row.help if not row.warning else f"{row.help} {row.warning}."
    if row.kind == "boolean":
        return click.option(f"--{dashed}/--no-{dashed}", row.name, default=None, help=text)
    if row.kind in {"choice", "choices"}:
        several = row.kind == "choices"
        return click.option(
            f"--{dashed}",
            row.name,
            multiple=several,
            metavar=f"[{'|'.join(row.allowed)}]",
            help=text + (" Repeatable." if several else ""),
        )
    return click.option(f"--{dashed}", row.name, metavar="IP" if row.kind == "address" else "TEXT", help=text)


@click.command("search")
@_filter_options
@click.option(
    "--start",
    type=TimeParam(),
    default="24h",
    show_default=True,
    help="Start: a duration back from now, or a date.",
)
@click.option("--end", type=TimeParam(), help="End: a duration back from now, or a date. Default: now.")
@click.option(
    "--limit",
    type=LimitParam(),
    help=f"Maximum number of records, or all. Default: {_ROWS} for the table, all for other formats.",
)
@click.option(
    "--format",
    "form",
    default=TABLE,
    show_default=True,
    metavar="NAME",
    help="table, record (one JSON record per line, as received), or a mapping by name or file: raw, ecs, "
    "cef, ... (one event per line).",
)
@click.option(
    "--account",
    shell_complete=complete_account,
    help="Account to search, by name; required if several are configured.",
)
@config_option
def command(
    start: timedelta | datetime,
    end: timedelta | datetime | None,
    limit: int | None,
    form: str,
    account: str | None,
    config: Path | None,
    **filter_values: object,
) -> None:
    """Search the email of an account, newest first, as a table, as records or as events.

    Needs only an account: CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID are enough. Filters are combined
    with AND.
    Uses neither the journal nor a running connector, but counts against the same API rate limit.
    """
    from connector.app.runtime import run
    from connector.errors import BadQuery
    from connector.ops.search import SearchRequest
    from connector.settings import require_paths

    filters = _filters(filter_values)
    loaded = load_config(config)
    require_paths(loaded)
    settings = loaded.settings
    name = _account(settings, account)
    if limit is None and form == TABLE:
        limit = _ROWS
    wanted = SearchRequest(filters, start, end, limit or None)
    try:
        wanted.window(utc_now())
    except BadQuery as error:
        raise click.UsageError(str(error)) from None
    for warning in warnings(filters):
        say(f"note: {warning}")
    run(_search(settings, name, wanted, form))


def _filters(values: Mapping[str, object]) -> dict[str, FilterValue]:
    """The filters that are set, validated."""
    filters: dict[str, FilterValue] = {}
    for name, value in values.items():
        if value is None or value == ():
            continue
        try:
            _refuse_unfilterable(FILTERS[name], value if isinstance(value, tuple) else (value,))
            filters[name] = validate(name, value)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=_dashed(name)) from None
    return filters


def _refuse_unfilterable(row: Filter, values: Sequence[object]) -> None:
    if any(str(value).strip().upper() in row.unfilterable for value in values):
        raise ValueError(
            f"records have this value, but the API cannot search for it; expected {', '.join(row.allowed)}"
        )


def _dashed(name: str) -> str:
    return "--" + name.replace("_", "-")


def _account(settings: Settings, name: str | None) -> str:
    known = list(settings.accounts)
    if name is None:
        if len(known) > 1:
            raise click.UsageError(f"several accounts are configured; add --account {' or '.join(known)}")
        return known[0]
    if name not in known:
        raise click.BadParameter(f"unknown account; {suggestion(name, known)}", param_hint="--account")
    return name


async def _search(settings: Settings, account: str, wanted: SearchRequest, form: str) -> None:
    """Print records as they arrive."""
    from connector.ops.search import search

    written = _writer(settings, account, form)
    count = 0
    async with aclosing(search(settings, account, wanted, observe=_report_wait)) as found:
        async for records in found:
            count += len(records)
            sys.stdout.buffer.write(written(records))
            sys.stdout.buffer.flush()
    _conclude(count, wanted.limit, form)


def _writer(settings: Settings, account: str, form: str) -> Callable[[Sequence[Record]], bytes]:
    """The function that renders records as lines."""
    from connector.ops.search import describer, encoder, record_line

    terminal = sys.stdout.isatty()
    if form == TABLE:
        row, table = describer(settings, account), _Table(terminal)
        return lambda records: table.lines([row(record) for record in records])
    event = record_line if form == RECORD else encoder(settings, account, form)

    def lines(records: Sequence[Record]) -> bytes:
        payloads = map(event, records)
        lines = b"".join(payload + b"\n" for payload in payloads if payload is not None)
        return escape_controls(lines.decode()).encode() if terminal else lines

    return lines


def _conclude(count: int, limit: int | None, form: str) -> None:
    if limit is not None and count >= limit:
        say(f"the newest {count_of(count, 'record')}; there may be more (--limit N or --limit all)")
    elif form == TABLE or not count:
        say(count_of(count, "record") if count else "no records")


def _report_wait(fact: Fact) -> None:
    from connector.facts import RateLimited, RequestRetried

    if isinstance(fact, RateLimited):
        say(f"rate limited by the API: waiting {fact.seconds:.0f} s")
    elif isinstance(fact, RequestRetried):
        say(f"retrying in {fact.after:.0f} s: {fact.reason}")


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table: heading and width in characters."""

    name: str
    width: int


class _Table:
    """Renders rows in columns of fixed width, because rows are printed before all are known."""

    def __init__(self, terminal: bool) -> None:
        from rich.console import Console

        width = None if terminal else shutil.get_terminal_size((_PIPED_WIDTH, 24)).columns
        self._console = Console(
            force_terminal=terminal,
            no_color=None if terminal else True,
            width=width,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        self._headed = False
        self._long = self._console.width >= _WIDE
        fixed = [_Column("time (UTC)", 19 if self._long else 14), _Column("disposition", 13)]
        fixed.append(_Column("action", 11))
        left = max(30, self._console.width - sum(column.width for column in fixed) - 2 * 5)
        self._columns = (
            *fixed,
            _Column("sender", left * 3 // 10),
            _Column("recipient", left * 3 // 10),
            _Column("subject", left - 2 * (left * 3 // 10)),
        )

    def lines(self, rows: Sequence[Row]) -> bytes:
        """*rows* as encoded lines, below the header the first time."""
        from rich.text import Text

        table = self._grid()
        if not self._headed:
            table.add_row(*(Text(column.name, "bold") for column in self._columns))
            self._headed = True
        for row in rows:
            more = f" +{len(row.recipients) - 1}" if len(row.recipients) > 1 else ""
            cells = (row.action, row.sender, "".join(row.recipients[:1]))
            table.add_row(
                f"{row.time.astimezone(UTC):{'%Y-%m-%d' if self._long else '%m-%d'} %H:%M:%S}",
                Text(sanitize(row.disposition), _style(row.severity)),
                *(Text(sanitize(cell)) for cell in cells[:2]),
                Text(sanitize(cells[2]) + more),
                Text(sanitize(row.subject)),
            )
        with self._console.capture() as capture:
            self._console.print(table)
        drawn = "".join(line.rstrip() + "\n" for line in capture.get().splitlines())
        return drawn.encode(sys.stdout.encoding or "utf-8", "backslashreplace")

    def _grid(self) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 2, 0, 0))
        for column in self._columns:
            table.add_column(width=column.width, no_wrap=True, overflow="ellipsis")
        return table


def _style(severity: int) -> str:
    return next(style for least, style in _STYLES if severity >= least)
