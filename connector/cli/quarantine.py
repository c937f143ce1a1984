"""``quarantine``: list, show, replay and purge items of the API that could not become a record."""

from __future__ import annotations

import asyncio
import sys
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from connector.cli import FAILED
from connector.cli.common import operator_client, operator_target, say, state_options
from connector.cli.param_types import ITEM_NUMBER
from connector.cli.terminal import confirm, console, escape_controls, format_time, print_safe_json, table
from connector.errors import ConfigurationError, Problem
from connector.model import JsonObject
from connector.quantities import count_of

F = TypeVar("F", bound=Callable[..., object])

HEADINGS = ("number", "collected by", "since (UTC)", "reason", "bytes", "begins with")
_BEGINNING = 60
"""Characters of an item in the table; --json shows more, and show all of it."""


def _selection(function: F) -> F:
    """Add the arguments that select items."""
    function = click.option("--all", "everything", is_flag=True, help="All of them.")(function)
    return click.argument("numbers", nargs=-1, type=ITEM_NUMBER, metavar="[NUMBER]...")(function)


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
    found = asyncio.run(client.quarantined())
    if as_json:
        for item in found:
            print_safe_json(item)
        return
    if found:
        console().print(table(HEADINGS, map(row, found)))
    say(f"{count_of(len(found), 'item')} quarantined" if found else "no quarantined items")


@command.command("show")
@click.argument("number", type=ITEM_NUMBER)
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
    _check_selection(numbers, everything=everything)
    counts = asyncio.run(client.resolve_quarantined("replay", numbers))
    if counts.resolved:
        when = client.when and f", to be delivered {client.when}"
        say(f"replayed {count_of(counts.resolved, 'item')}{when}")
    for reason, count in counts.kept.items():
        say(f"kept {count_of(count, 'item')}: {reason}")
    if counts.kept:
        context.exit(FAILED)
    if not counts.resolved:
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
    total = len(set(numbers)) if numbers else len(asyncio.run(client.quarantined()))
    _check_selection(numbers, everything=everything)
    if not total:
        say("no quarantined items")
        return
    say(f"{count_of(total, 'item')} will be deleted for good")
    confirm(f"Delete {'it' if total == 1 else 'them'}?", yes=yes)
    counts = asyncio.run(client.resolve_quarantined("purge", numbers))
    say(f"{count_of(counts.resolved, 'item')} deleted")


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
