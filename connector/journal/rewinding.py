"""Going back: an output's position, and the dead letters that lie in the stretch it reads again.

Those leave: their revisions are read once more, and whatever is refused once more is buried once more. Kept,
each would be there twice, or be replayed after it was accepted. So none lies beyond its output's position.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime

from connector.journal import dead_letters, positions
from connector.model import RewindPreview


def preview(connection: sqlite3.Connection, output: str, to: int | datetime) -> RewindPreview:
    """What :func:`rewind` would do."""
    found = positions.preview(connection, output, to)
    return replace(found, dead_letters=len(dead_letters.beyond(connection, output, found.target)))


def rewind(connection: sqlite3.Connection, output: str, to: int | datetime) -> int:
    """Move the position back, as far as retained; returns the new one."""
    position = positions.rewind(connection, output, to)
    dead_letters.purge(connection, dead_letters.beyond(connection, output, position))
    return position
