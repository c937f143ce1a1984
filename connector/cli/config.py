"""``config show``: the effective configuration without secrets."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.common import config_option, load_config, say


@click.group("config")
def command() -> None:
    """Look at the configuration."""


@command.command("show")
@config_option
def show(config: Path | None) -> None:
    """Print the effective configuration as YAML: defaults and origins included, secrets masked."""
    from connector.settings import render  # noqa: PLC0415, heavy; not needed for --help

    configuration = load_config(config)
    for note in configuration.notes:
        say(f"note: {note}")
    click.echo(render(configuration), nl=False)
