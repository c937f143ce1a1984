"""When a file has had its time, and how it makes room for the next: ``path.1`` is the newest of the older."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Rotation:
    """Begins a new file before one grows past *size* bytes, and with every new period of *every* seconds.

    Periods are counted from 1970 in UTC: ``1d`` ends at midnight. *keep* older files stay.
    """

    size: int | None
    every: float | None
    keep: int

    def due(self, held: int, coming: int, last: float, now: float) -> bool:
        """Whether a file of *held* bytes, last written at *last*, must go before *coming* bytes at *now*."""
        if held == 0:
            return False
        if self.size is not None and held + coming > self.size:
            return True
        return self.every is not None and now // self.every > last // self.every

    def shift(self, path: Path) -> None:
        """Rename *path* and the files before it; the oldest is replaced."""
        free = next((n for n in range(1, self.keep + 1) if not _numbered(path, n).exists()), self.keep)
        # From the oldest on, so that a crash in between leaves a free number and loses no file.
        for number in range(free, 1, -1):
            _numbered(path, number - 1).replace(_numbered(path, number))
        path.replace(_numbered(path, 1))


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
