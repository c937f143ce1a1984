"""The command line: one module per command, imported only when that command runs."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module

import click

from connector import GC_THRESHOLDS, __version__
from connector.errors import ConfigurationError, ConnectorError

FAILED = 1
WRONG = 2
"""Exit codes: 0 success, 1 failure, 2 wrong usage or invalid configuration."""

_COMMANDS = {
    "action": "Move, release, submit, block; approve actions.",
    "backfill": "Reread a time range and deliver what is missing.",
    "check": "Verify configuration, credentials, clock, mappings and outputs.",
    "completion": "Print the completion script of a shell.",
    "config": "Show the effective configuration.",
    "deadletters": "Show, replay and purge dead letters.",
    "demo": "Run simulator and connector in one process.",
    "init": "Write a first configuration for a collector.",
    "mapping": "Apply, test, lint and explain mappings.",
    "mcp": "Serve response actions to an assistant (MCP).",
    "quarantine": "Show, replay and purge what collection could not make a record of.",
    "reload": "Reload the configuration of the running connector.",
    "resume": "End the waits of the running connector.",
    "run": "Run the connector.",
    "schema": "Print JSON Schemas of configuration and mapping files for editors.",
    "search": "Search email from the terminal.",
    "simulate": "Serve a simulated API.",
    "state": "Show checkpoints and positions; rewind an output, forget a feed.",
    "status": "Show the status of the running connector.",
    "tap": "Show the events of an output as they pass.",
}


class _Commands(click.Group):
    """Imports only the module of the command that runs, so that starting stays quick."""

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
        """Suggest the nearest command for an unknown one."""
        if args and args[0] not in _COMMANDS:
            from connector.yaml_nodes import suggestion

            raise click.UsageError(f"unknown command {args[0]!r}; {suggestion(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="email-connector")
def group() -> None:
    """Deliver the verdicts of Cloudflare Email Security to SIEM and SOAR."""


_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What writing to stdout can fail with besides a closed pipe."""


def _report_group(group_error: BaseExceptionGroup[BaseException]) -> int:
    """Print the known errors of several tasks; unexpected ones are raised with their traceback."""
    known, unknown = group_error.split(ConnectorError)
    if unknown is not None or known is None:
        raise group_error
    errors = list(_leaves(known))
    for error in errors:
        _print_error(str(error))
    return WRONG if all(isinstance(error, ConfigurationError) for error in errors) else FAILED


def _leaves(group_error: BaseExceptionGroup[ConnectorError]) -> Iterator[ConnectorError]:
    for error in group_error.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _print_error(text: str) -> None:
    """Print ``error: ...``, one per line of *text*."""
    with suppress(OSError):
        for line in text.splitlines():
            click.echo(f"error: {line}", err=True)


def _print_usage_error(error: click.ClickException) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        with suppress(OSError):
            click.echo(error.format_message(), err=True)
        return
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context else ""
    _print_error(f"{error.format_message()}{hint}")


def _run() -> int:
    """Run the command and return its exit code; known errors are printed as ``error: ...``."""
    try:
        code = group.main(prog_name="email-connector", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        _print_usage_error(error)
        return WRONG
    except click.Abort:
        _print_error("aborted")
        return FAILED
    except ConfigurationError as error:
        _print_error(str(error))
        return WRONG
    except ConnectorError as error:
        _print_error(str(error))
        return FAILED
    except BaseExceptionGroup as group_error:
        return _report_group(group_error)
    return code if isinstance(code, int) else 0


def _occupy_standard_streams() -> None:
    """Open stdin, stdout and stderr where the caller has closed them.

    Else the first socket or file would get such a descriptor, and what prints would write into it; libuv
    aborts the process when it closes one. Of stdin nothing can be read, and what is written to stderr is
    lost, but writing to stdout fails: the caller asked for data that has nowhere to go.
    """
    modes = {"stdin": os.O_RDONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}
    for descriptor, (name, mode) in enumerate(modes.items()):
        if getattr(sys, name) is None:
            os.open(os.devnull, mode)  # it gets the lowest free descriptor
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))


def main() -> None:
    """Run the command line and end the process with its exit code."""
    _occupy_standard_streams()
    # Before most imports: with Python's thresholds, garbage collection is a tenth of the start.
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        code = _run()
    except OSError as error:
        broken_pipe = isinstance(error, BrokenPipeError)
        closed = error.errno == errno.EBADF and sys.__stdout__ is None
        if not (broken_pipe or closed) and (error.errno not in _DISK_ERRORS or error.filename is not None):
            raise
        if not broken_pipe:
            _print_error(f"cannot write the output: {error.strerror}")
        # What is still buffered cannot be written either; the interpreter would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    sys.exit(code)
