"""``resume``: make the running connector try again now."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from connector.app.control.server import ask
from connector.cli.common import say, state_directory, state_options
from connector.cli.names import complete_resumable
from connector.errors import ConnectorError


@click.command("resume")
@click.argument("name", required=False, shell_complete=complete_resumable)
@state_options
def command(name: str | None, config: Path | None, state: Path | None) -> None:
    """Try again now instead of waiting for a rate limit, a backoff or a hold to end.

    NAME is an account, a search, ACCOUNT/SEARCH or an output; without it, everything is resumed. A cause that
    persists starts the wait again. Exits with 1 if no connector is running or NAME is unknown.
    """
    answer = asyncio.run(ask(state_directory(config, state), "resume", name=name))
    if not isinstance(answer, dict):
        raise ConnectorError("unexpected reply from the daemon (version mismatch?)")
    for resumed in answer["resumed"]:
        say(f"resumed {resumed}")
