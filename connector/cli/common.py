"""What several commands share: the option for the configuration file, and loading it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from connector.settings import Loaded, load

F = TypeVar("F", bound=Callable[..., object])


def config_option(function: F) -> F:
    """Add ``-c FILE``."""
    return click.option(
        "-c",
        "--config",
        "config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Configuration file. Default: $CONNECTOR_CONFIG, ./connector.yaml, "
        "/etc/email-connector/connector.yaml, or the environment alone.",
    )(function)


def loaded(config: Path | None) -> Loaded:
    """The configuration; raises ``ConfigurationError`` with everything that is wrong."""
    return load(config, os.environ)


def say(text: str) -> None:
    """A line for the person at the terminal; data goes to stdout, everything else to stderr."""
    click.echo(text, err=True)
