"""``config show``: the effective configuration without secrets."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.common import config_option, load_config, say


@click.group("config")
def command() -> None:
    """Inspect the configuration."""


@command.command("show")
@config_option
def show(config: Path | None) -> None:
    """Print the effective configuration as YAML, with defaults and origins; secrets are masked."""
    from connector.settings.render import render

    loaded = load_config(config)
    for note in loaded.notes:
        say(f"note: {note}")
    click.echo(render(loaded), nl=False)
