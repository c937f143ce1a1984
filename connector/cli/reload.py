"""``reload``: make the running connector read its configuration again, and report the result."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from connector.app.control.server import ask
from connector.cli import WRONG
from connector.cli.common import say, state_directory, state_options
from connector.errors import ConnectorError


@click.command("reload")
@state_options
@click.pass_context
def command(context: click.Context, config: Path | None, state: Path | None) -> None:
    """Make the running connector read its configuration, secrets and mappings again.

    An invalid configuration is reported and not applied (exit code 2). The connector reads the file it was
    started with; -c and --state only say where its state directory is. Exits with 1 if no connector is
    running.
    """
    answer = asyncio.run(ask(state_directory(config, state), "reload"))
    if not isinstance(answer, dict):
        raise ConnectorError("unexpected reply from the daemon (version mismatch?)")
    for problem in answer["problems"]:
        say(f"error: {problem}")
    if answer["problems"]:
        say("the previous configuration stays in effect")
        context.exit(WRONG)
    for change in answer["changes"]:
        say(change)
    for note in answer.get("restart", ()):
        say(f"warning: {note}")
    say("reloaded" if answer["changes"] else "reloaded; accounts, searches and outputs are unchanged")
