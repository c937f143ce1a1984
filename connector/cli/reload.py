"""``reload``: have the running connector read its configuration again, and say what became of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from connector.app.control.server import ask
from connector.cli import WRONG
from connector.cli.common import config_option, say, state_directory


@click.command("reload")
@config_option
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Have the running connector read its configuration, its secrets and its mappings again.

    A wrong configuration changes nothing: it is told, and the command exits with 2. With 1 when no connector
    runs. The file that the connector was started with is read; -c only says where its state is.
    """
    answer = asyncio.run(ask(state_directory(config), "reload"))
    if not isinstance(answer, dict):
        raise click.ClickException("the daemon gave no sound answer; is it of the same version?")
    for problem in answer["problems"]:
        say(problem)
    if answer["problems"]:
        say("the former configuration stays in effect")
        context.exit(WRONG)
    for change in answer["changes"]:
        say(change)
    say("reloaded" if answer["changes"] else "reloaded; accounts, searches and outputs are as before")
