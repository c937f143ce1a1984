"""``deadletters``: list, show, replay and purge events that an output refused for good."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from connector.cli import FAILED
from connector.cli.common import operator_client, operator_target, say, state_options
from connector.cli.names import complete_output
from connector.cli.param_types import ITEM_NUMBER
from connector.cli.terminal import (
    confirm,
    console,
    format_time,
    print_safe_json,
    table,
    unknown_name,
)
from connector.errors import ConfigurationError, Problem
from connector.model import JsonObject
from connector.quantities import count_of

if TYPE_CHECKING:
    from connector.ops.client import OperatorClient

F = TypeVar("F", bound=Callable[..., object])

_ROWS = 100
"""Rows of the table by default: a few screens; more belong into a file, with --json."""
_HEADINGS = ("number", "output", "since (UTC)", "reason", "tries", "account/search", "subject", "answer")
_output = click.option(
    "--output", "output", metavar="NAME", shell_complete=complete_output, help="Only those of this output."
)


def _selection(function: F) -> F:
    """Add the arguments that select dead letters."""
    function = click.option("--all", "everything", is_flag=True, help="Those of all outputs.")(function)
    function = _output(function)
    return click.argument("numbers", nargs=-1, type=ITEM_NUMBER, metavar="[NUMBER]...")(function)


@click.group("deadletters")
def command() -> None:
    """Show, replay and purge dead letters: events that an output refused for good, kept in full.

    Works through the running connector, or on its journal if none is running.
    """


@command.command("list")
@_output
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"Maximum to show. Default: {_ROWS} for the table, all for --json.",
)
@state_options
def list_(
    output: str | None, as_json: bool, limit: int | None, config: Path | None, state: Path | None
) -> None:
    """List dead letters, oldest first, with the reason and the collector's answer.

    Without --output, also what collection quarantined: items of the API that cannot become a record.
    """
    client = operator_client(operator_target(config, state))
    total = sum(_counts(asyncio.run(client.call("state")), output).values())
    if limit is None and not as_json:
        limit = _ROWS
    shown = 0
    rows: list[tuple[str, ...]] = []
    for letter in _letters(client, output, limit):
        shown += 1
        if as_json:
            print_safe_json(letter)
        else:
            rows.append(_row(letter))
    if rows:
        console().print(table(_HEADINGS, rows))
    if output is None:
        _list_quarantined(client, as_json=as_json)
    if shown < total and limit is not None:
        say(f"{shown} of {total} dead letters; --limit {total} shows all")
    elif not as_json:
        say(count_of(shown, "dead letter") if shown else "no dead letters")


@command.command("show")
@click.argument("number", type=ITEM_NUMBER)
@state_options
def show(number: int, config: Path | None, state: Path | None) -> None:
    """Print dead letter NUMBER as JSON: the full record as received, the reason, the collector's answer."""
    client = operator_client(operator_target(config, state))
    answer = asyncio.run(client.call("dead_letter", number=number))
    print_safe_json(json.loads(answer["dead_letter"]), indent=2)


@command.command("replay")
@_selection
@state_options
@click.pass_context
def replay(
    context: click.Context,
    numbers: tuple[int, ...],
    output: str | None,
    everything: bool,
    config: Path | None,
    state: Path | None,
) -> None:
    """Send dead letters again, each to its own output, with the current mapping.

    Select them by NUMBER, --output or --all. An event that is refused again becomes a dead letter again,
    with a new number. If no connector is running, they are sent at its next start.
    """
    client = operator_client(operator_target(config, state))
    before = asyncio.run(client.call("state"))
    counts = _chosen(before, numbers, output, everything)
    if not sum(counts.values()):
        say("no dead letters")
        return
    newest = before["newest_dead_letter"]
    resolved = asyncio.run(client.resolve_dead_letters("replay", numbers, output, upto=newest))
    if resolved.resolved:
        when = client.when and f", to be sent {client.when}"
        say(f"replayed {count_of(resolved.resolved, 'dead letter')}{when}")
    if resolved.partly_taken:
        say(
            f"{resolved.partly_taken} of them (partial_success) were in batches that the collector took in "
            "part: what it took arrives twice"
        )
    for name, kept in resolved.kept.items():
        say(
            f"kept {count_of(kept, 'dead letter')} of {name}: "
            "no connector has run with this output configured"
        )
    if resolved.kept:
        context.exit(FAILED)


@command.command("purge")
@_selection
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@state_options
def purge(
    numbers: tuple[int, ...],
    output: str | None,
    everything: bool,
    yes: bool,
    config: Path | None,
    state: Path | None,
) -> None:
    """Delete dead letters for good: they are never delivered.

    Select them by NUMBER, --output or --all.
    """
    client = operator_client(operator_target(config, state))
    before = asyncio.run(client.call("state"))
    counts = _chosen(before, numbers, output, everything)
    total = sum(counts.values())
    if not total:
        say("no dead letters")
        return
    of = "" if numbers else f" of {', '.join(name for name, count in counts.items() if count)}"
    say(f"{count_of(total, 'dead letter')}{of} will be deleted for good")
    confirm(f"Delete {'it' if total == 1 else 'them'}?", yes=yes)
    newest = before["newest_dead_letter"]
    resolved = asyncio.run(client.resolve_dead_letters("purge", numbers, output, upto=newest))
    say(f"{count_of(resolved.resolved, 'dead letter')} deleted")


def _counts(state: JsonObject, output: str | None) -> dict[str, int]:
    """Number of dead letters by output, for one or all."""
    counts = {one["output"]: int(one["dead_letters"]) for one in state["outputs"]}
    if output is None:
        return counts
    if output not in counts:
        raise unknown_name("output", output, counts)
    return {output: counts[output]}


def _chosen(
    state: JsonObject, numbers: tuple[int, ...], output: str | None, everything: bool
) -> dict[str, int]:
    """Number of selected dead letters by output; raises unless exactly one way to select is used."""
    if (bool(numbers) + (output is not None) + everything) != 1:
        raise ConfigurationError(
            Problem(
                "expected numbers, --output NAME or --all",
                hint="use one of the three",
            )
        )
    return {"": len(set(numbers))} if numbers else _counts(state, output)


def _letters(client: OperatorClient, output: str | None, limit: int | None) -> Iterator[JsonObject]:
    """Dead letters for the list, page by page."""
    from connector.app.control.server import PAGE_SIZE

    last, left = 0, limit
    while left is None or left > 0:
        most = PAGE_SIZE if left is None else min(left, PAGE_SIZE)
        page = asyncio.run(client.call("dead_letters", output=output, after=last, limit=most))
        found = json.loads(page["dead_letters"])
        yield from found
        if len(found) < most:
            return
        last = page["last"]
        left = None if left is None else left - len(found)


def _list_quarantined(client: OperatorClient, *, as_json: bool) -> None:
    """Dead letters of collection: items that cannot become a record, so that no output has them."""
    from connector.cli import quarantine

    found = asyncio.run(client.quarantined())
    if as_json:
        for item in found:
            print_safe_json(item)
    elif found:
        console().print(table(quarantine.HEADINGS, map(quarantine.row, found)))
        say(f"{count_of(len(found), 'item')} quarantined: see `quarantine show`, `replay` and `purge`")


def _row(letter: JsonObject) -> tuple[str, ...]:
    account = letter["account_name"] or letter["account"]
    return (
        str(letter["number"]),
        letter["output"],
        format_time(letter["dead_lettered"]),
        letter["reason"],
        str(letter["attempts"]),
        f"{account}/{letter['search']}",
        letter["subject"] or "-",
        letter["answer"],
    )
