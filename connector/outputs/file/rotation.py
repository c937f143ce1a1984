"""File rotation: when a new file is due, and renaming the old ones (``path.1`` is the newest)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Rotation:
    """Rotates before a file exceeds *size* bytes and at the end of every period of *every* seconds.

    Periods are counted from 1970 in UTC: ``1d`` ends at midnight. *keep* rotated files are kept.
    """

    size: int | None
    every: float | None
    keep: int

    def due(self, size: int, added: int, last: float, now: float) -> bool:
        """Whether a file of *size* bytes, last written at *last*, must rotate before *added* at *now*."""
        if size == 0:
            return False
        if self.size is not None and size + added > self.size:
            return True
        return self.every is not None and now // self.every > last // self.every

    def shift(self, path: Path) -> None:
        """Rename *path* and its rotated files by one number; the oldest is overwritten."""
        free = next((n for n in range(1, self.keep + 1) if not _numbered(path, n).exists()), self.keep)
        # From the oldest to the newest, so that a crash in between leaves a gap and loses no file.
        for number in range(free, 1, -1):
            _numbered(path, number - 1).replace(_numbered(path, number))
        path.replace(_numbered(path, 1))


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
