"""``schema``: what files may hold, as JSON Schema, so that editors complete and check them."""

from __future__ import annotations

import json

import click


@click.group("schema")
def command() -> None:
    """Print a JSON Schema for editors."""


@command.command("config")
def config() -> None:
    """Print the JSON Schema of configuration files, with every output type that is built in.

    Editors with YAML support take it from a comment in a file: # yaml-language-server: $schema=PATH
    """
    from connector.settings import json_schema  # noqa: PLC0415, heavy; not needed for --help

    click.echo(json.dumps(json_schema(), indent=2))


@command.command("mapping")
def mapping() -> None:
    """Print the JSON Schema of mapping files.

    Editors with YAML support take it from a comment in a file: # yaml-language-server: $schema=PATH
    """
    from connector.mapping import Library, json_schema  # noqa: PLC0415, not needed for --help

    click.echo(json.dumps(json_schema(Library().names()), indent=2))
