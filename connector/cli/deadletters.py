"""``deadletters``: what an output could never take, and what to do with it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click

from connector.app.control.operator import PAGE_SIZE, Action
from connector.cli import FAILED
from connector.cli.common import config_option, load_config, say
from connector.cli.terminal import (
    confirm,
    console,
    count_of,
    escape_controls,
    format_time,
    table,
    unknown_name,
)
from connector.errors import ConfigurationError, Problem
from connector.model import JsonObject
from connector.ops.client import DeadLetterCounts, OperatorClient

F = TypeVar("F", bound=Callable[..., object])

_ROWS = 100
_NUMBER = click.IntRange(1, 2**62)
_HEADINGS = ("number", "output", "buried (UTC)", "reason", "tries", "account/search", "subject", "answer")
_output = click.option("--output", "output", metavar="NAME", help="Only those of this output.")


def _selection(function: F) -> F:
    """Add what chooses dead letters."""
    function = click.option("--all", "everything", is_flag=True, help="Those of all outputs.")(function)
    function = _output(function)
    return click.argument("numbers", nargs=-1, type=_NUMBER, metavar="[NUMBER]...")(function)


@click.group("deadletters")
def command() -> None:
    """Show, replay and purge dead letters: revisions that an output could never take, kept whole.

    Works beside a running connector, and on its journal while none runs.
    """


@command.command("list")
@_output
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option(
    "--limit", type=click.IntRange(1), help=f"Most to show. Default: {_ROWS} for the table, all for --json."
)
@config_option
def list_(output: str | None, as_json: bool, limit: int | None, config: Path | None) -> None:
    """List dead letters, the oldest first, with the reason and what the collector answered."""
    client = OperatorClient(load_config(config).settings)
    total = sum(_counts(asyncio.run(client.do("state")), output).values())
    if limit is None and not as_json:
        limit = _ROWS
    shown = 0
    rows: list[tuple[str, ...]] = []
    for letter in _letters(client, output, limit):
        shown += 1
        if as_json:
            _print(letter, None)
        else:
            rows.append(_row(letter))
    if rows:
        console().print(table(_HEADINGS, rows))
    if shown < total and limit is not None:
        say(f"{shown} of {total} dead letters; --limit {total} shows all")
    elif not as_json:
        say(count_of(shown, "dead letter") if shown else "no dead letters")


@command.command("show")
@click.argument("number", type=_NUMBER)
@config_option
def show(number: int, config: Path | None) -> None:
    """Print dead letter NUMBER as JSON: the whole revision as it was received, the reason, the answer."""
    client = OperatorClient(load_config(config).settings)
    answer = asyncio.run(client.do("letter", number=number))
    _print(json.loads(answer["letter"]), 2)


@command.command("replay")
@_selection
@config_option
@click.pass_context
def replay(
    context: click.Context,
    numbers: tuple[int, ...],
    output: str | None,
    everything: bool,
    config: Path | None,
) -> None:
    """Send dead letters again, each to its own output only, with the mapping that is in use now.

    Choose them by NUMBER, --output or --all. One that is refused again becomes a dead letter again, with a
    new number. When no connector runs, they wait in the journal for the next start.
    """
    client = OperatorClient(load_config(config).settings)
    state = asyncio.run(client.do("state"))
    counts = _chosen(state, numbers, output, everything)
    if not sum(counts.values()):
        say("no dead letters")
        return
    settled = asyncio.run(_settle(client, "replay", numbers, output, state["newest_letter"]))
    if settled.letters:
        when = "" if client.running else ", to be sent when the connector starts"
        say(f"replayed {count_of(settled.letters, 'dead letter')}{when}")
    for name, stay in settled.stay.items():
        say(
            f"kept {count_of(stay, 'dead letter')} of {name}: "
            "no connector has run with this output configured"
        )
    if settled.stay:
        context.exit(FAILED)


@command.command("purge")
@_selection
@click.option("-y", "--yes", is_flag=True, help="Do it without asking.")
@config_option
def purge(
    numbers: tuple[int, ...], output: str | None, everything: bool, yes: bool, config: Path | None
) -> None:
    """Delete dead letters for good: their output never gets these revisions.

    Choose them by NUMBER, --output or --all.
    """
    client = OperatorClient(load_config(config).settings)
    state = asyncio.run(client.do("state"))
    counts = _chosen(state, numbers, output, everything)
    total = sum(counts.values())
    if not total:
        say("no dead letters")
        return
    of = "" if numbers else f" of {', '.join(name for name, count in counts.items() if count)}"
    say(f"{count_of(total, 'dead letter')}{of} will be deleted for good")
    confirm(f"Delete {'it' if total == 1 else 'them'}?", yes=yes)
    settled = asyncio.run(_settle(client, "purge", numbers, output, state["newest_letter"]))
    say(f"{count_of(settled.letters, 'dead letter')} deleted")


def _counts(state: JsonObject, output: str | None) -> dict[str, int]:
    """Dead letters by output, of one or of all."""
    counts = {one["output"]: int(one["dead_letters"]) for one in state["outputs"]}
    if output is None:
        return counts
    if output not in counts:
        raise unknown_name("output", output, counts)
    return {output: counts[output]}


def _chosen(
    state: JsonObject, numbers: tuple[int, ...], output: str | None, everything: bool
) -> dict[str, int]:
    """How many dead letters are meant, by output; raises for no choice, or for two."""
    if (bool(numbers) + (output is not None) + everything) != 1:
        raise ConfigurationError(
            Problem(
                "choose dead letters in one way",
                hint="their numbers, or --output NAME, or --all for every output",
            )
        )
    return {"": len(set(numbers))} if numbers else _counts(state, output)


async def _settle(
    client: OperatorClient, action: Action, numbers: tuple[int, ...], output: str | None, upto: int
) -> DeadLetterCounts:
    if not numbers:
        return await client.settle(action, output, upto=upto)
    return await client.settle_numbers(action, numbers)


def _letters(client: OperatorClient, output: str | None, limit: int | None) -> Iterator[JsonObject]:
    """Dead letters as they are listed, page by page."""
    last, left = 0, limit
    while left is None or left > 0:
        most = PAGE_SIZE if left is None else min(left, PAGE_SIZE)
        page = asyncio.run(client.do("letters", output=output, after=last, limit=most))
        found = json.loads(page["letters"])
        yield from found
        if len(found) < most:
            return
        last = page["last"]
        left = None if left is None else left - len(found)


def _print(value: JsonObject, indent: int | None) -> None:
    """Write JSON that says the same to a program and does nothing to a terminal."""
    text = escape_controls(json.dumps(value, ensure_ascii=False, indent=indent))
    sys.stdout.buffer.write(f"{text}\n".encode())


def _row(letter: JsonObject) -> tuple[str, ...]:
    account = letter["account_name"] or letter["account"]
    return (
        str(letter["number"]),
        letter["output"],
        format_time(letter["buried"]),
        letter["reason"],
        str(letter["attempts"]),
        f"{account}/{letter['search']}",
        letter["subject"] or "-",
        letter["answer"],
    )
