"""What commands share that talk to a person at a terminal, and what keeps text of mail from harming it."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from connector.errors import ConfigurationError, Problem
from connector.yaml_nodes import suggestion

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LONGEST = 400
"""Characters of a mail's text that a cell looks at; more never fit."""

_MARKS = 3
"""Accents that one letter may carry; a tower of them would climb over the lines above."""

_LINK = re.compile(r"(?<=[A-Za-z0-9])://|(?i:(?<=\bwww)\.)")
_PIPED_WIDTH = "160"


def sanitize(text: str) -> str:
    """*text* as one line that does nothing to a terminal: what is invisible or moves others is spelled out.

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
    r"""*lines* of events with everything that could steer a terminal written as ``\uXXXX``.

    Inside JSON that means the very same text.
    """
    if all(line.isprintable() for line in lines.split("\n")):
        return lines
    return "".join(
        letter
        if letter.isprintable() or letter in "\n " or unicodedata.category(letter) == "Zs"
        else _escaped(letter)
        for letter in lines
    )


def _escaped(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def console() -> Console:
    """Where tables are drawn: as wide as the terminal, or wide enough for a pipe; markup means nothing."""
    from rich.console import Console  # noqa: PLC0415, only to draw

    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", _PIPED_WIDTH))
    return Console(width=width, highlight=False, markup=False, emoji=False)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table whose cells are harmless, whatever they say."""
    from rich.table import Table  # noqa: PLC0415, only to draw
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(*headings)
    for row in rows:
        drawn.add_row(*(Text(sanitize(cell)) for cell in row))
    return drawn


def confirm(question: str, *, yes: bool) -> None:
    """Return when the person agrees, or did so with ``--yes``; else the command ends.

    Raises ``ConfigurationError`` where nobody is there to be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(Problem("nobody is at a terminal to be asked", hint="add --yes to agree"))
    click.confirm(question, abort=True, err=True)


def unknown_name(what: str, name: str, names: Iterable[str]) -> ConfigurationError:
    """The error for a *name* that nothing has; *names* are those there are."""
    return ConfigurationError(Problem(f"no {what} is named {name!a}", hint=suggestion(name, set(names))))


def count_of(number: int, what: str) -> str:
    """*number* of *what*, in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def format_time(text: str | None) -> str:
    """A moment in ISO form as a cell of a table shows it, in UTC; ``-`` for none."""
    return "-" if text is None else f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}"
