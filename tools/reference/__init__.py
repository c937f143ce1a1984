"""The generated pages of docs/reference, and the tables of docs/configuration.md: made of the code itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tools.reference import commands, keys, logs, metrics, tables

ROOT = Path(__file__).parents[2]
_NOTE = "<!-- Written by `make reference`; changes belong into the code. -->\n\n"


def pages() -> Mapping[Path, str]:
    """Every generated page as it ought to be."""
    directory = ROOT / "docs" / "reference"
    made = {
        "commands.md": commands.page(),
        "configuration.md": keys.page(),
        "logs.md": logs.page(),
        "metrics.md": metrics.page(),
    }
    written = {directory / name: _NOTE + text for name, text in made.items()}
    return {**written, tables.PAGE: tables.rendered(tables.PAGE.read_text("utf-8"))}
