"""docs/reference/logs.md, generated from ``connector.facts``."""

from __future__ import annotations

import dataclasses
import inspect

from connector import facts
from connector.telemetry.log_limits import DEBUG_LINES_PER_KIND, LINES_PER_KIND, SAME_LINE_SECONDS
from tools.reference.markdown import table

_HEAD = f"""\
# Log lines

The log goes to standard error, one line per event: text on a terminal, JSON elsewhere (`log.format`). A log in JSON
contains nothing but JSON lines. Every line has `event`, `level` and `timestamp` (UTC), and the fields below. Lines of
level `debug` are written only with `log: {{level: debug}}`; normal operation is quiet. No line holds a secret.

Limits keep a failure from filling the disk with its own description. A line that repeats is written once in
{SAME_LINE_SECONDS:g} seconds, then with `repeated`: how often it was left out. One event is written at most {LINES_PER_KIND} times a minute
(level `debug`: {DEBUG_LINES_PER_KIND}); metrics and status lose nothing by that. The log never blocks the connector: if its reader
stops reading, lines are dropped.

Four events come from no part of the connector in particular:

| event | fields | meaning |
| --- | --- | --- |
| `library` | `logger`, `message`, `error` | A message from a third-party library or the Python interpreter. |
| `log_lines_suppressed` | `kind`, `count` | Lines of an event (or a library) left out in the last minute. |
| `log_lines_dropped` | `count` | Lines dropped because the log's reader did not read. |
| `telemetry_failed` | `fact`, `error` | A bug: a log line, metric or status could not be updated. |
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
