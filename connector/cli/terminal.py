"""Terminal output shared by commands: sanitised email text, tables, colours, confirmation, relative times."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from connector.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LONGEST = 400
"""Characters of email text that a cell shows at most; more never fit."""

_MARKS = 3
"""Combining marks allowed per letter; stacks of them would overwrite the lines above."""

_LINK = re.compile(r"(?<=[A-Za-z0-9])://|(?i:(?<=\bwww)\.)")
_PIPED_WIDTH = "160"


def sanitize(text: str) -> str:
    """*text* as one line that is safe to print: control and invisible characters are escaped.

    Links are broken, so that no terminal makes them clickable.
    """
    shown: list[str] = []
    marks = 0
    for letter in text[:_LONGEST]:
        category = unicodedata.category(letter)
        marks = marks + 1 if category[0] == "M" else 0
        if category == "Zs":
            shown.append(" ")
        elif letter.isprintable() and marks <= _MARKS:
            shown.append(letter)
        else:
            shown.append(letter.encode("unicode_escape").decode())
    cut = "…" if len(text) > _LONGEST else ""
    return _LINK.sub(lambda found: f"[{found[0]}]", "".join(shown)) + cut


def escape_controls(lines: str) -> str:
    r"""*lines* of events with control characters as ``\uXXXX``; JSON parsers read the same text."""
    if all(line.isprintable() for line in lines.split("\n")):
        return lines
    return "".join(
        letter
        if letter.isprintable() or letter in "\n " or unicodedata.category(letter) == "Zs"
        else _escaped(letter)
        for letter in lines
    )


def print_safe_json(value: object, indent: int | None = None) -> None:
    """Print JSON on stdout that is safe on a terminal and parses to the same value."""
    text = escape_controls(json.dumps(value, ensure_ascii=False, indent=indent))
    sys.stdout.buffer.write(f"{text}\n".encode())


def _escaped(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def console() -> Console:
    """A console for tables: as wide as the terminal, or wide enough for a pipe; without markup."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", _PIPED_WIDTH))
    return Console(width=width, highlight=False, markup=False, emoji=False)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table whose cells are sanitised."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*headings)
    for row in rows:
        drawn.add_row(*(Text(sanitize(cell)) for cell in row))
    return drawn


def confirm(question: str, *, yes: bool) -> None:
    """Ask *question*, unless *yes*; raises ``click.Abort`` if the answer is no.

    Raises ``ConfigurationError`` if stdin is not a terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(
            Problem("confirmation required, but stdin is not a terminal", hint="add --yes")
        )
    click.confirm(question, abort=True, err=True)


def unknown_name(what: str, name: str, names: Iterable[str]) -> ConfigurationError:
    """The error for an unknown *name*, with the nearest of *names* as a hint."""
    from connector.yaml_nodes import suggestion

    return ConfigurationError(Problem(f"unknown {what} {name!a}", hint=suggestion(name, set(names))))


def format_time(text: str | None) -> str:
    """An ISO 8601 time as a table shows it: in UTC, to the second; ``-`` for none."""
    return "-" if text is None else f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


_COLORS = {"red": "31", "yellow": "33", "green": "32", "bold": "1"}
"""SGR parameters (ECMA-48)."""


def use_color() -> bool:
    """Whether stdout takes colours: a terminal, and neither ``NO_COLOR`` (no-color.org) nor ``TERM=dumb``."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, color: str) -> str:
    """*text* in *color* where the terminal takes colours; "" leaves it as it is."""
    return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if color and use_color() else text


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def elapsed(seconds: float) -> str:
    """A duration in its two largest units, without microseconds: ``2 d 3 h``, ``5 min``, ``0 s``."""
    left = max(0, int(seconds))
    parts = []
    for size, unit in _UNITS:
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2]) or "0 s"


def ago(text: str | None, now: datetime) -> str:
    """An ISO 8601 time relative to *now*: ``5 min ago``, ``in 2 h``; ``-`` for none."""
    if text is None:
        return "-"
    seconds = (now - datetime.fromisoformat(text)).total_seconds()
    return f"{elapsed(seconds)} ago" if seconds >= 0 else f"in {elapsed(-seconds)}"
