"""The command line: one file per command, loaded when it is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module

import click

from connector import __version__
from connector.errors import ConfigurationError, ConnectorError

FAILED = 1
WRONG = 2
"""Exit codes: 0 done, 1 failed, 2 usage or configuration."""

_COMMANDS = {
    "backfill": "Read a range of time again and deliver what is missing.",
    "check": "Verify configuration, credentials, clock, mappings and outputs.",
    "completion": "Print the completion script of a shell.",
    "config": "Show the effective configuration.",
    "deadletters": "Show, replay and purge dead letters.",
    "demo": "Run simulator and connector in one process.",
    "init": "Write a first configuration for a collector.",
    "mapping": "Apply, test, lint, explain and measure mappings.",
    "reload": "Have a running connector read its configuration again.",
    "run": "Run the connector.",
    "schema": "Print JSON Schemas of configuration and mapping files, for editors.",
    "search": "Search mail from the terminal.",
    "simulate": "Serve an emulation of the API.",
    "state": "Show where feeds and outputs stand; rewind, forget.",
    "status": "Show what a running connector does.",
}


class _Commands(click.Group):
    """Finds commands by name and imports only the one that is used: starting stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002, the signature is click's
        """All names, without importing anything."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002, the signature is click's
        """Import the module of that name."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"connector.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002, the signature is click's
        """Write the list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for one that does not exist."""
        if args and args[0] not in _COMMANDS:
            from connector.yaml_nodes import suggestion  # noqa: PLC0415, only when something is wrong

            raise click.UsageError(f"no command {args[0]!r}; {suggestion(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="email-connector")
def group() -> None:
    """Deliver the verdicts of Cloudflare Email Security to SIEM and SOAR."""


def _tell(group_error: BaseExceptionGroup[BaseException]) -> int:
    """Say what ended several tasks at once; what nobody expected keeps its traceback."""
    known, unknown = group_error.split(ConnectorError)
    if unknown is not None or known is None:
        raise group_error
    for error in _leaves(known):
        click.echo(f"error: {error}", err=True)
    return FAILED


def _leaves(group_error: BaseExceptionGroup[ConnectorError]) -> Iterator[ConnectorError]:
    for error in group_error.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = group.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = WRONG
    except click.Abort:
        code = FAILED
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        code = WRONG
    except ConnectorError as error:
        click.echo(f"error: {error}", err=True)
        code = FAILED
    except BaseExceptionGroup as group_error:
        code = _tell(group_error)
    except BrokenPipeError:
        # Whoever read our output left. Point stdout elsewhere, or the interpreter complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)
