"""Rewinds an output: moves its position back, and deletes the dead letters in the range that it reads again.

Their revisions are read once more, and what is refused again becomes a dead letter again. If they were kept,
each would exist twice, or be replayed after its event was accepted. So no dead letter lies beyond its
output's position.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime

from connector.journal import dead_letters, positions
from connector.model import RewindPreview


def preview(connection: sqlite3.Connection, output: str, to: int | datetime) -> RewindPreview:
    """Return what :func:`rewind` would do."""
    rewind_preview = positions.preview(connection, output, to)
    return replace(
        rewind_preview, dead_letters=len(dead_letters.beyond(connection, output, rewind_preview.target))
    )


def rewind(connection: sqlite3.Connection, output: str, to: int | datetime) -> int:
    """Move the position back, as far as retained; returns the new one."""
    position = positions.rewind(connection, output, to)
    dead_letters.purge(connection, dead_letters.beyond(connection, output, position))
    return position
