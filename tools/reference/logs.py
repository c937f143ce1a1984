"""docs/reference/logs.md: every log line, of ``connector.facts``."""

from __future__ import annotations

import dataclasses
import inspect

from connector import facts
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
        kinds = [kind for kind in facts.kinds() if kind.level == level]
        rows = [(f"`{kind.event}`", _fields(kind), _meaning(kind)) for kind in kinds]
        parts.append(f"## {level}\n\n{table(('event', 'fields', 'meaning'), sorted(rows))}")
    return "\n".join(parts)


def _fields(kind: type[facts.Fact]) -> str:
    return ", ".join(_SPREAD.get(str(field.type), f"`{field.name}`") for field in dataclasses.fields(kind))


def _meaning(kind: type[facts.Fact]) -> str:
    text = inspect.getdoc(kind) or ""
    return text.replace("``", "`").replace("*", "`")
