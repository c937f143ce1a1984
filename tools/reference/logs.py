"""docs/reference/logs.md, generated from ``connector.facts``."""

from __future__ import annotations

import dataclasses
import inspect

from connector import facts
from tools.reference.markdown import table

_HEAD = """\
# Log lines

The log goes to standard error, one line per event: text on a terminal, JSON elsewhere (`log.format`). A log in JSON
contains nothing but JSON lines. Every line has `event`, `level` and `timestamp` (UTC), and the fields below. Lines of
level `debug` are written only with `log: {level: debug}`; normal operation is quiet. No line holds a secret.

A line that repeats is written once in 10 seconds, then with `repeated`: how often it was left out. `library` is a
message from a third-party library.
"""
_ORDER = ("error", "warning", "info", "debug")
_SPREAD = {"Feed": "`account`, `search`", "Gap": "`cause`, `start`, `end`"}


def page() -> str:
    """The page."""
    parts = [_HEAD]
    for level in _ORDER:
        kinds = [kind for kind in facts.kinds() if kind.level == level]
        rows = [(f"`{kind.event}`", _fields(kind), _meaning(kind)) for kind in kinds]
        parts.append(f"## {level}\n\n{table(('event', 'fields', 'meaning'), sorted(rows))}")
    return "\n".join(parts)


def _fields(kind: type[facts.Fact]) -> str:
    return ", ".join(_SPREAD.get(str(field.type), f"`{field.name}`") for field in dataclasses.fields(kind))


def _meaning(kind: type[facts.Fact]) -> str:
    text = inspect.getdoc(kind) or ""
    return text.replace("``", "`").replace("*", "`")
