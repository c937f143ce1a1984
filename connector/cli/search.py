"""``search``: an analyst's search on the terminal."""

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
from connector.cli.param_types import TimeParam
from connector.cli.terminal import escape_controls, sanitize
from connector.model import FilterValue, Record
from connector.net.clock import utc_now
from connector.source.filters import FILTERS, Filter, validate, warnings
from connector.yaml_nodes import suggestion

if TYPE_CHECKING:
    from rich.table import Table

    from connector.facts import Fact
    from connector.ops.search import Row, SearchRequest
    from connector.settings import Settings

TABLE = "table"
_ROWS = 100
_PIPED_WIDTH = 160
_DIGITS = 18
_WIDE = 120
"""Columns of a terminal from which on there is room for the year."""

_STYLES = ((9, "bold red"), (7, "red"), (5, "yellow"), (2, "cyan"), (1, ""), (0, "green"))
"""Colours of a verdict by the least severity that has them."""


class LimitParam(click.ParamType[int]):
    """A number of records, or ``all``."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text; 0 stands for all of them."""
        text = str(value)
        if text.lower() == "all":
            return 0
        if not text.isascii() or not text.isdigit() or len(text) > _DIGITS or not int(text):
            self.fail("a number of records is needed, or all", param, ctx)
        return int(text)


def _filter_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each filter that the API's search has."""
    for row in reversed(list(FILTERS.values())):
        function = _option(row)(function)
    return function


def _option(row: Filter) -> Callable[[Callable[..., None]], Callable[..., None]]:
    dashed = row.name.replace("_", "-")
    told = row.help if not row.warning else f"{row.help} {row.warning}."
    if row.kind == "boolean":
        return click.option(f"--{dashed}/--no-{dashed}", row.name, default=None, help=told)
    if row.kind in {"choice", "choices"}:
        several = row.kind == "choices"
        return click.option(
            f"--{dashed}",
            row.name,
            multiple=several,
            metavar=f"[{'|'.join(row.allowed)}]",
            help=told + (" Repeatable." if several else ""),
        )
    return click.option(f"--{dashed}", row.name, metavar="IP" if row.kind == "address" else "TEXT", help=told)


@click.command("search")
@_filter_options
@click.option(
    "--start",
    type=TimeParam(),
    default="24h",
    show_default=True,
    help="Begin: a time back from now, or a date.",
)
@click.option("--end", type=TimeParam(), help="End: a time back from now, or a date. Default: now.")
@click.option(
    "--limit",
    type=LimitParam(),
    help=f"Most records, or all. Default: {_ROWS} for the table, all for other formats.",
)
@click.option(
    "--format",
    "form",
    default=TABLE,
    show_default=True,
    metavar="NAME",
    help="table, or the name or file of a mapping: raw, ecs, cef, ... prints one event per line.",
)
@click.option("--account", help="Name of the account to search; needed where several are configured.")
@config_option
def command(
    start: timedelta | datetime,
    end: timedelta | datetime | None,
    limit: int | None,
    form: str,
    account: str | None,
    config: Path | None,
    **given: object,
) -> None:
    """Search the mail of an account: newest first, as a table or as events of any mapping.

    Needs nothing but a configured account; CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID are enough. All
    filters must hold. Touches neither the journal nor a running connector, but draws on the same request
    limit at Cloudflare.
    """
    from connector.app.runtime import run  # noqa: PLC0415, heavy; not needed for --help
    from connector.errors import BadQuery  # noqa: PLC0415
    from connector.ops.search import SearchRequest  # noqa: PLC0415

    filters = _filters(given)
    settings = load_config(config).settings
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


def _filters(given: Mapping[str, object]) -> dict[str, FilterValue]:
    """The filters that were given, checked by the table that the options come from."""
    filters: dict[str, FilterValue] = {}
    for name, value in given.items():
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
            f"records have this value, but the API cannot search by it; it can by {', '.join(row.allowed)}"
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
    """Print what is found while it comes."""
    from connector.ops.search import search  # noqa: PLC0415, heavy; not needed for --help

    written = _writer(settings, account, form)
    count = 0
    async with aclosing(search(settings, account, wanted, observe=_tell)) as found:
        async for records in found:
            count += len(records)
            sys.stdout.buffer.write(written(records))
            sys.stdout.buffer.flush()
    _conclude(count, wanted.limit, form)


def _writer(settings: Settings, account: str, form: str) -> Callable[[Sequence[Record]], bytes]:
    """What makes the lines of records."""
    from connector.ops.search import describer, encoder  # noqa: PLC0415, heavy; not needed for --help

    terminal = sys.stdout.isatty()
    if form == TABLE:
        row, table = describer(settings, account), _Table(terminal)
        return lambda records: table.lines([row(record) for record in records])
    event = encoder(settings, account, form)

    def lines(records: Sequence[Record]) -> bytes:
        payloads = map(event, records)
        found = b"".join(payload + b"\n" for payload in payloads if payload is not None)
        return escape_controls(found.decode()).encode() if terminal else found

    return lines


def _conclude(count: int, limit: int | None, form: str) -> None:
    if limit is not None and count >= limit:
        say(f"the newest {count} records; there may be more: --limit N or --limit all shows them")
    elif form == TABLE or not count:
        say(f"{count or 'no'} record{'' if count == 1 else 's'}")


def _tell(fact: Fact) -> None:
    from connector.facts import RateLimited, RequestRetried  # noqa: PLC0415, not needed for --help

    if isinstance(fact, RateLimited):
        say(f"the API's rate limit: no request for {fact.seconds:.0f} s")
    elif isinstance(fact, RequestRetried):
        say(f"trying again in {fact.after:.0f} s: {fact.reason}")


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table: its heading and how many characters wide it is."""

    name: str
    width: int


class _Table:
    """Writes rows under each other, in columns whose widths are fixed before the first row is known."""

    def __init__(self, terminal: bool) -> None:
        from rich.console import Console  # noqa: PLC0415, only to draw

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
        """The next lines, as the terminal or the pipe wants them."""
        from rich.text import Text  # noqa: PLC0415

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
        from rich.table import Table  # noqa: PLC0415

        table = Table.grid(padding=(0, 2, 0, 0))
        for column in self._columns:
            table.add_column(width=column.width, no_wrap=True, overflow="ellipsis")
        return table


def _style(severity: int) -> str:
    return next(style for least, style in _STYLES if severity >= least)
