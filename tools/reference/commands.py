"""docs/reference/commands.md: every command with its options, from ``connector.cli``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from connector.cli import group
from tools.reference.markdown import table

_HEAD = """\
# Commands

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 usage or configuration. `-h` and
`--help` work everywhere. Details of the operator's commands: [commands](../commands.md),
[search](../search.md), [backfill](../backfill.md).
"""


def page() -> str:
    """The page."""
    return "\n".join([_HEAD, *(_section(context) for context in contexts())])


def contexts() -> Iterator[click.Context]:
    """Every command, with the context it is called in."""
    yield from _below(click.Context(group, info_name="email-connector"))


def _below(context: click.Context) -> Iterator[click.Context]:
    command = context.command
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None and not inner.hidden:
            yield from _below(click.Context(inner, parent=context, info_name=name))


def _section(context: click.Context) -> str:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    name = context.command_path.removeprefix("email-connector ")
    rows = [(_name(one, context), (one.help or ""), _default(one, context)) for one in options]
    body = f"\n{table(('option', 'meaning', 'default'), rows)}" if rows else ""
    return f"## {name}\n\n`{usage}`\n\n{text}\n{body}"


def _name(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    return f"{names} `{option.make_metavar(context)}`"


def _default(option: click.Option, context: click.Context) -> str:
    if not option.show_default:
        return ""
    value = option.get_default(context)
    return "" if value is None else f"`{value}`"
