"""``schema``: JSON Schemas of configuration and mapping files, for completion and validation in editors."""

from __future__ import annotations

import json

import click


@click.group("schema")
def command() -> None:
    """Print a JSON Schema for editors."""


@command.command("config")
def config() -> None:
    """Print the JSON Schema of configuration files, with every output type installed.

    Reference it in a file with the comment: # yaml-language-server: $schema=PATH
    """
    from connector.settings.json_schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@command.command("mapping")
def mapping() -> None:
    """Print the JSON Schema of mapping files.

    Reference it in a file with the comment: # yaml-language-server: $schema=PATH
    """
    from connector.mapping import Library, json_schema

    click.echo(json.dumps(json_schema(Library().names()), indent=2))
