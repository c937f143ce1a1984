"""``schema``: JSON Schemas of configuration and mapping files for editors, and tables of collectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click


@click.group("schema")
def command() -> None:
    """Print a JSON Schema for editors, or the table that a collector needs."""


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


@command.command("sentinel")
@click.option(
    "-m", "--mapping", default="asim", show_default=True, help="Mapping of the output: name or file."
)
@click.option(
    "-d",
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Directory of custom mappings; a file there overrides the built-in one of the same name.",
)
@click.option(
    "--table",
    default="CloudflareEmailSecurity_CL",
    show_default=True,
    help="Table to create; it ends in _CL.",
)
@click.option(
    "--form",
    type=click.Choice(["arm", "bicep"]),
    default="arm",
    show_default=True,
    help="Language of the template.",
)
def sentinel(mapping: str, directory: Path | None, table: str, form: Literal["arm", "bicep"]) -> None:
    """Print a template for Azure: table, data collection rule and role of an output of type sentinel.

    Azure drops columns that the rule does not declare without a word, so deploy the template again when the
    mapping changes.
    """
    from connector.ops.mapping_tools import find_mapping
    from connector.ops.sentinel_schema import columns, template

    found = find_mapping(mapping, directory)
    click.echo(template(table, columns(found.library, found.load()), form), nl=False)
