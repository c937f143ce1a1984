"""``quarantine``: list, show, replay and purge items of the API that could not become a record."""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from connector.cli import FAILED
from connector.cli.common import operator_client, operator_target, say, state_options
from connector.cli.terminal import confirm, console, escape_controls, format_time, table
from connector.errors import ConfigurationError, Problem
from connector.model import JsonObject
from connector.quantities import count_of

if TYPE_CHECKING:
    from connector.app.control.operator import Action
    from connector.ops.client import OperatorClient

F = TypeVar("F", bound=Callable[..., object])

HEADINGS = ("number", "collected by", "since (UTC)", "reason", "bytes", "begins with")
_BEGINNING = 60
"""Characters of an item in the table; --json shows more, and show all of it."""
_NUMBER = click.IntRange(1, 2**62)


def _selection(function: F) -> F:
    """Add the arguments that select items."""
    function = click.option("--all", "everything", is_flag=True, help="All of them.")(function)
    return click.argument("numbers", nargs=-1, type=_NUMBER, metavar="[NUMBER]...")(function)


@click.group("quarantine")
def command() -> None:
    """Show, replay and purge quarantined items: what the API sent and could not become a record.

    Works through the running connector, or on its journal if none is running.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@state_options
def list_(as_json: bool, config: Path | None, state: Path | None) -> None:
    """List quarantined items, oldest first, with the reason."""
    client = operator_client(operator_target(config, state))
    found = list(items(client))
    if as_json:
        for item in found:
            text = escape_controls(json.dumps(item, ensure_ascii=False))
            sys.stdout.buffer.write(f"{text}\n".encode())
        return
    if found:
        console().print(table(HEADINGS, map(row, found)))
    say(f"{count_of(len(found), 'item')} quarantined" if found else "no quarantined items")


@command.command("show")
@click.argument("number", type=_NUMBER)
@state_options
def show(number: int, config: Path | None, state: Path | None) -> None:
    """Print the bytes of item NUMBER as received; on a terminal, control characters are escaped."""
    client = operator_client(operator_target(config, state))
    item = asyncio.run(client.call("quarantined_item", number=number))
    raw = b64decode(item["raw"])
    if sys.stdout.isatty():
        raw = escape_controls(raw.decode("utf-8", "backslashreplace")).encode()
    sys.stdout.buffer.write(raw + (b"" if raw.endswith(b"\n") else b"\n"))
    say(f"{item['reason']}, collected by {item['account']}/{item['search']}, {item['bytes']} bytes")
    if not raw:
        say("its bytes are not kept any more: only those of the newest thousand items of a feed are")


@command.command("replay")
@_selection
@state_options
@click.pass_context
def replay(
    context: click.Context,
    numbers: tuple[int, ...],
    everything: bool,
    config: Path | None,
    state: Path | None,
) -> None:
    """Decode items again and deliver the records they make, as after an update that can read them.

    Select them by NUMBER or --all. What still cannot become a record stays. Records are not enriched.
    """
    client = operator_client(operator_target(config, state))
    resolved, kept = asyncio.run(_resolve(client, "replay", numbers, everything=everything))
    if resolved:
        when = "" if client.running else ", to be delivered when the connector starts"
        say(f"replayed {count_of(resolved, 'item')}{when}")
    for reason, count in kept.items():
        say(f"kept {count_of(count, 'item')}: {reason}")
    if kept:
        context.exit(FAILED)
    if not resolved:
        say("no quarantined items")


@command.command("purge")
@_selection
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@state_options
def purge(
    numbers: tuple[int, ...], everything: bool, yes: bool, config: Path | None, state: Path | None
) -> None:
    """Delete items for good. One that the API still shows is quarantined again, under a new number.

    Select them by NUMBER or --all.
    """
    client = operator_client(operator_target(config, state))
    total = len(set(numbers)) if numbers else sum(1 for _ in items(client))
    _check_selection(numbers, everything=everything)
    if not total:
        say("no quarantined items")
        return
    say(f"{count_of(total, 'item')} will be deleted for good")
    confirm(f"Delete {'it' if total == 1 else 'them'}?", yes=yes)
    resolved, _ = asyncio.run(_resolve(client, "purge", numbers, everything=everything))
    say(f"{count_of(resolved, 'item')} deleted")


def items(client: OperatorClient) -> Iterator[JsonObject]:
    """All quarantined items, page by page."""
    from connector.app.control.server import PAGE_SIZE

    last = 0
    while found := asyncio.run(client.call("quarantined", after=last, limit=PAGE_SIZE))["quarantined"]:
        yield from found
        last = found[-1]["number"]


def row(item: JsonObject) -> tuple[str, ...]:
    """An item as a row of the table."""
    return (
        str(item["number"]),
        f"{item['account']}/{item['search']}",
        format_time(item["quarantined"]),
        item["reason"],
        str(item["bytes"]),
        escape_controls(item["raw"][:_BEGINNING]),
    )


def _check_selection(numbers: tuple[int, ...], *, everything: bool) -> None:
    if bool(numbers) == everything:
        raise ConfigurationError(Problem("expected numbers or --all", hint="use one of the two"))


async def _resolve(
    client: OperatorClient, action: Action, numbers: tuple[int, ...], *, everything: bool
) -> tuple[int, Counter[str]]:
    """Resolve items; what is quarantined meanwhile stays."""
    _check_selection(numbers, everything=everything)
    resolved, kept, last = 0, Counter[str](), 0
    page = list(numbers)
    newest = 0 if numbers else await _newest(client)
    while page or last < newest:
        answer = await client.call(
            "resolve_quarantined",
            action=action,
            **({"numbers": page[:_AT_ONCE]} if page else {"after": last, "upto": newest}),
        )
        resolved += answer["resolved"]
        kept.update(answer["kept"])
        page = page[_AT_ONCE:]
        last = last if numbers else (answer["last"] or newest)
    return resolved, kept


_AT_ONCE = 20
"""Numbers in one request."""


async def _newest(client: OperatorClient) -> int:
    last = 0
    while found := (await client.call("quarantined", after=last, limit=100))["quarantined"]:
        last = found[-1]["number"]
    return last
