"""Generates the pages of docs/reference and the tables of docs/configuration.md from the code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tools.reference import commands, keys, logs, metrics, tables

ROOT = Path(__file__).parents[2]
_NOTE = "<!-- Written by `make reference`; change the code instead. -->\n\n"


def pages() -> Mapping[Path, str]:
    """Every generated page with its current text."""
    directory = ROOT / "docs" / "reference"
    texts = {
        "commands.md": commands.page(),
        "configuration.md": keys.page(),
        "logs.md": logs.page(),
        "metrics.md": metrics.page(),
    }
    written = {directory / name: _NOTE + text for name, text in texts.items()}
    return {**written, tables.PAGE: tables.rendered(tables.PAGE.read_text("utf-8"))}
