"""docs/reference/logs.md: every log line, of ``connector.facts``."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator

from connector import facts
from connector.telemetry.logs import level_of_kind, name_of_kind
from tools.reference.markdown import table

_HEAD = """\
# Log lines

The log goes to standard error, one line each: JSON where that is no terminal (`log.format`). Every line has `event`,
`level` and `timestamp` (UTC), and the fields below. The same line is said once in ten seconds, then with `repeated`:
how often it was left out. Lines of level `debug` are written only with `log: {level: debug}`; normal operation is
quiet. `library` is what a library had to say. No line holds a secret.
"""
_ORDER = ("error", "warning", "info", "debug")
_SPREAD = {"Feed": "`account`, `search`", "Gap": "`cause`, `start`, `end`"}


def page() -> str:
    """The page."""
    parts = [_HEAD]
    for level in _ORDER:
        kinds = [kind for kind in _kinds() if level_of_kind(kind) == level]
        rows = [(f"`{name_of_kind(kind)}`", _fields(kind), _meaning(kind)) for kind in kinds]
        parts.append(f"## {level}\n\n{table(('event', 'fields', 'meaning'), sorted(rows))}")
    return "\n".join(parts)


def _kinds() -> Iterator[type]:
    for group in typing.get_args(facts.Fact):
        yield from typing.get_args(group) or [group]


def _fields(kind: type) -> str:
    return ", ".join(_SPREAD.get(str(field.type), f"`{field.name}`") for field in dataclasses.fields(kind))


def _meaning(kind: type) -> str:
    text = inspect.getdoc(kind) or ""
    return text.replace("``", "`").replace("*", "`")
