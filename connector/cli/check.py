"""``check``: a verdict per item, before anything runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from connector.cli import FAILED
from connector.cli.common import config_option, load_config

_MARKS = {"ok": "ok  ", "note": "note", "failed": "FAIL"}


@click.command("check")
@config_option
@click.option("--offline", is_flag=True, help="Only what needs no network: configuration, mappings, state.")
@click.option(
    "--volume",
    type=click.IntRange(min=0),
    metavar="N",
    help="Records a day that each search is expected to return: plans the requests for them.",
)
@click.option("--setup", is_flag=True, help="First let outputs prepare their collectors (index templates).")
@click.option("--send-test", is_flag=True, help="Last, send one marked test event to each output.")
@click.pass_context
def command(
    context: click.Context,
    config: Path | None,
    offline: bool,
    volume: int | None,
    setup: bool,
    send_test: bool,
) -> None:
    """Verify the configuration, each account, each search, each mapping and each output.

    The request plan says how many requests collecting makes, against the budget of each credential.
    Sends no event unless --send-test says so. Exits with 1 if anything failed, with 2 if the configuration
    cannot be used.
    """
    from connector.ops.check import check  # noqa: PLC0415, heavy; not needed for --help

    failed = False
    if offline and (setup or send_test):
        raise click.UsageError("--offline goes with neither --setup nor --send-test: both need the network")
    verdicts = check(load_config(config), offline=offline, volume=volume, setup=setup, send_test=send_test)
    for verdict in asyncio.run(verdicts):
        failed = failed or verdict.outcome == "failed"
        hint = f" ({verdict.hint})" if verdict.hint else ""
        click.echo(f"{_MARKS[verdict.outcome]}  {verdict.item}: {verdict.text}{hint}")
    if failed:
        context.exit(FAILED)
