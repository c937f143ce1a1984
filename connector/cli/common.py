"""Shared by commands: the options that name the configuration and the state directory, and loading them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import orjson

from connector.cli.terminal import unknown_name
from connector.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from connector.ops.client import CommandTarget, JournalTarget, OperatorClient
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


def state_options(function: F) -> F:
    """Add ``-c FILE`` and ``--state DIR``, for commands that need nothing but the state directory."""
    option = click.option(
        "--state",
        "state",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="State directory of the connector; no configuration is read then.",
    )
    return config_option(option(function))


def load_config(config: Path | None) -> Loaded:
    """The configuration; raises ``ConfigurationError`` with every problem found."""
    from connector.settings import load

    return load(config, os.environ)


def state_directory(config: Path | None, state: Path | None) -> Path:
    """The state directory; works with a broken configuration and without its secrets.

    A variable that names it takes precedence over any file, so that no file is read: container probes call
    this every few seconds.
    """
    if state is not None:
        return state
    for name, value in os.environ.items():
        if name.upper() == _DIRECTORY and value:
            return Path(value)
    from connector.settings import locate_state

    return locate_state(config, os.environ)


def operator_client(target: CommandTarget) -> OperatorClient:
    """The client that runs commands on *target*; imported here so that ``--help`` stays quick."""
    from connector.ops.client import OperatorClient

    return OperatorClient(target)


def operator_target(config: Path | None, state: Path | None) -> CommandTarget:
    """The state directory to work on; the configuration, where valid, gives names if no daemon is running."""
    from connector.ops.client import CommandTarget

    directory = state_directory(config, state)
    if state is not None:
        return CommandTarget.of_directory(directory)
    return CommandTarget(directory, cache(partial(_journal_target, config, directory)))


def _journal_target(config: Path | None, directory: Path) -> JournalTarget:
    from connector.ops.client import CommandTarget

    try:
        return CommandTarget.of(load_config(config).settings).journal()
    except ConfigurationError as error:
        more = len(error.problems) - 1
        rest = f" (and {more} more)" if more else ""
        say(f"warning: ignoring the invalid configuration: {error.problems[0]}{rest}")
        say(f"warning: using the state directory {directory}")
        return CommandTarget.of_directory(directory).journal()


def pick_account(search: str, ids: Mapping[str, str], account: str | None) -> str:
    """The account of *search* that *account* (a name, an id, or ``None`` for the only one) means.

    *ids* are Cloudflare's ids by name. Raises ``ConfigurationError`` where none or several are meant.
    """
    found = [name for name, account_id in ids.items() if account in (None, name, account_id)]
    if not found:
        raise unknown_name(f"account of {search}", account or "", ids)
    if len(found) > 1:
        raise ConfigurationError(
            Problem(f"{search} polls several accounts", hint=f"add --account {' or '.join(ids)}")
        )
    return found[0]


def say(text: str) -> None:
    """Print a line for the person at the terminal: to stderr, because stdout is for data."""
    click.echo(text, err=True)


def print_json(value: object) -> None:
    """Print *value* on stdout as indented JSON."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
