"""``completion``: the script that teaches a shell to complete commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_PROGRAM = "email-connector"
_VARIABLE = "_EMAIL_CONNECTOR_COMPLETE"
"""Click derives it from the program's name, and answers the shell when it is set."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    bash and zsh: put eval "$(email-connector completion SHELL)" into the start-up file. fish: write the
    output to ~/.config/fish/completions/email-connector.fish.
    """
    from connector.cli import group

    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(completion_class(group, {}, _PROGRAM, _VARIABLE).source())
