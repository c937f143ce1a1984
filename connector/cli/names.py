"""Names that a shell completes: outputs, searches, accounts and mappings.

They come from the configuration file as text, so that an invalid configuration, or one whose secrets this
shell cannot read, still completes. Nothing here fails: without a readable file there is nothing to complete.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import click

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _section(context: click.Context, *path: str) -> object:
    """The value at *path* of the configuration that the command line names; ``None`` if there is none."""
    from connector.errors import ConfigurationError
    from connector.settings import find_file
    from connector.yaml_nodes import parse

    try:
        file = find_file(context.params.get("config"), os.environ)
        node = None if file is None else parse(file.read_text("utf-8-sig"), str(file))
    except (OSError, ValueError, ConfigurationError):
        return None
    for key in path:
        if node is None or not isinstance(node.value, dict):
            return None
        node = node.value.get(key)
    return None if node is None else node.value


def _names(context: click.Context, section: str) -> Iterable[str]:
    value = _section(context, section)
    return map(str, value) if isinstance(value, dict) else ()


def _completer(names: Callable[[click.Context], Iterable[str]]) -> Complete:
    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        given = context.params.values()
        return sorted(
            name for name in set(names(context)) if name.startswith(incomplete) and name not in given
        )

    return complete


def _mappings(context: click.Context) -> Iterable[str]:
    from connector.mapping.language.library import Library

    named = context.params.get("directory") or _section(context, "mappings", "directory")
    return Library((Path(named),) if isinstance(named, str | Path) else ()).names()


complete_output = _completer(lambda context: _names(context, "outputs"))
complete_search = _completer(lambda context: _names(context, "searches"))
complete_account = _completer(lambda context: _names(context, "accounts"))
complete_mapping = _completer(_mappings)
complete_resumable = _completer(
    lambda context: (name for part in ("accounts", "searches", "outputs") for name in _names(context, part))
)
