"""What several commands share: the option for the configuration file, and loading it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from connector.settings import Loaded

_DIRECTORY = "CONNECTOR_STATE__DIRECTORY"

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


def load_config(config: Path | None) -> Loaded:
    """The configuration; raises ``ConfigurationError`` with everything that is wrong."""
    from connector.settings import load  # noqa: PLC0415, heavy; not needed for --help, nor by a probe

    return load(config, os.environ)


def state_directory(config: Path | None) -> Path:
    """The state directory; raises ``ConfigurationError`` like ``loaded``, where it reads the configuration.

    A variable that names it wins over any file, so no file is read then: a container's probe calls this every
    few seconds.
    """
    for name, value in os.environ.items():
        if name.upper() == _DIRECTORY and value:
            return Path(value)
    return load_config(config).settings.state.directory


def say(text: str) -> None:
    """A line for the person at the terminal; data goes to stdout, everything else to stderr."""
    click.echo(text, err=True)
