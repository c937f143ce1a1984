"""``check``: verify configuration, accounts, searches, mappings and outputs before anything runs."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import click

from connector.cli import FAILED
from connector.cli.common import config_option, print_json
from connector.cli.terminal import paint
from connector.quantities import count_of

_MARKS = {"ok": "ok  ", "note": "note", "failed": "FAIL"}
_COLORS = {"ok": "green", "note": "yellow", "failed": "red"}


@click.command("check")
@config_option
@click.option(
    "--offline", is_flag=True, help="Check only what needs no network: configuration, mappings, state."
)
@click.option(
    "--no-secrets",
    is_flag=True,
    help="Check a configuration whose secrets are not available here, as in a pull request: references to "
    "missing variables and files get placeholders. Implies --offline, and leaves the state directory alone.",
)
@click.option(
    "--volume",
    type=click.IntRange(min=0),
    metavar="N",
    help="Expected records a day per search, for the request plan.",
)
@click.option("--setup", is_flag=True, help="First let outputs prepare their collectors (index templates).")
@click.option(
    "--send-test",
    is_flag=True,
    help="Finally send one marked test event to each output whose check did not fail.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all results.")
@click.pass_context
def command(
    context: click.Context,
    config: Path | None,
    offline: bool,
    no_secrets: bool,
    volume: int | None,
    setup: bool,
    send_test: bool,
    as_json: bool,
) -> None:
    """Verify the configuration, each account, each search, each mapping and each output.

    The request plan compares the requests that collecting needs with the budget of each credential. No
    event is sent without --send-test. Exits with 1 if a check failed, with 2 if the configuration is invalid.
    """
    from connector.ops.check import check
    from connector.settings import load

    if (offline or no_secrets) and (setup or send_test):
        raise click.UsageError("--setup and --send-test need the network; remove --offline or --no-secrets")
    loaded = load(config, os.environ, without_secrets=no_secrets)
    results = asyncio.run(
        check(
            loaded,
            offline=offline or no_secrets,
            with_files=not no_secrets,
            volume=volume,
            setup=setup,
            send_test=send_test,
        )
    )
    counts = Counter(result.outcome for result in results)
    if as_json:
        items = [
            {"item": result.item, "outcome": result.outcome, "text": result.text, "hint": result.hint or None}
            for result in results
        ]
        print_json({"failed": counts["failed"], "notes": counts["note"], "results": items})
    else:
        for result in results:
            hint = f" ({result.hint})" if result.hint else ""
            mark = paint(_MARKS[result.outcome], _COLORS[result.outcome])
            click.echo(f"{mark}  {result.item}: {result.text}{hint}")
        summary = f"{counts['failed']} failed" if counts["failed"] else "no failures"
        click.echo(f"{count_of(len(results), 'check')}: {summary}, {count_of(counts['note'], 'note')}")
    if counts["failed"]:
        context.exit(FAILED)
