"""Names that a shell completes: outputs, searches, accounts, mappings, response actions, blocked senders.

Most come from the configuration file as text, so that an invalid configuration, or one whose secrets this
shell cannot read, still completes; actions come from the running daemon. Nothing here fails: without a
readable file or a daemon there is nothing to complete.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[str]]
CompleteItems = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_PATIENCE: Final = 2.0
"""Seconds for which a shell waits for the daemon; somebody has pressed a key."""

_NEWEST: Final = 50
"""Actions offered at most: a longer list is of no use in a shell."""


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
    from connector.model import SearchSource

    named = context.params.get("directory") or _section(context, "mappings", "directory")
    library = Library((Path(named),) if isinstance(named, str | Path) else ())
    others = [source for source in SearchSource if source is not SearchSource.INVESTIGATE]
    return [
        *library.names(),
        *(f"{source}/{name}" for source in others for name in library.of_source(source).shipped_names()),
    ]


complete_output = _completer(lambda context: _names(context, "outputs"))
complete_search = _completer(lambda context: _names(context, "searches"))
complete_account = _completer(lambda context: _names(context, "accounts"))
complete_mapping = _completer(_mappings)
complete_resumable = _completer(
    lambda context: (name for part in ("accounts", "searches", "outputs") for name in _names(context, part))
)


def _actions(context: click.Context) -> list[Mapping[str, Any]]:
    """Actions of the running daemon, newest first, as many as come in time."""
    from connector.app.control.server import ask
    from connector.cli.common import state_directory
    from connector.errors import ConnectorError

    newest: deque[Mapping[str, Any]] = deque(maxlen=10 * _NEWEST)

    async def read() -> None:
        directory = state_directory(context.params.get("config"), context.params.get("state"))
        after, more = 0, True
        async with asyncio.timeout(_PATIENCE):
            while more:
                page = await ask(directory, "action", do="list", after=after, user="completion")
                found = page.get("actions") if isinstance(page, dict) else None
                newest.extend(found or ())
                more, after = bool(found), newest[-1]["number"] if found else after

    with suppress(ConnectorError, OSError, TimeoutError):
        asyncio.run(read())
    return list(reversed(newest))


def _item(value: str, action: Mapping[str, Any]) -> CompletionItem:
    from connector.cli.terminal import sanitize

    what = next(filter(None, (action["pattern"], action["destination"], action["expected_disposition"])), "")
    told = filter(None, (action["state"], action["action"], what, action["reason"]))
    return CompletionItem(value, help=sanitize(" ".join(told)))


def complete_action(states: Collection[str] = ()) -> CompleteItems:
    """A completer for ids of actions, the newest first; with *states* only of those in one of them."""

    def complete(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        wanted = [
            one
            for one in _actions(context)
            if one["id"].startswith(incomplete) and (not states or one["state"] in states)
        ]
        return [_item(one["id"], one) for one in wanted[:_NEWEST]]

    return complete


def complete_block(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete ids of senders that actions have blocked and none has unblocked, the newest first."""
    found, freed = [], set()
    for one in _actions(context):
        name = one["block_id"]
        if not name or one["dry_run"]:
            continue
        if one["action"] == "unblock" and one["state"] == "succeeded":
            freed.add(name)
        elif one["action"] == "block" and name not in freed and name.startswith(incomplete):
            found.append(_item(name, one))
    return found[:_NEWEST]
