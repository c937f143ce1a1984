"""The ballast: a file that reserves disk space for acknowledgements and is given up when the disk is full.

Without it a full disk could not even store what was delivered, and delivery would have to repeat it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class Ballast:
    """A file of *size* bytes without content."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._whole = False

    def restore(self) -> bool:
        """Allocate the file; returns whether it is whole. Costs nothing while it is."""
        if self._whole or self._size == 0:
            return True
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(handle, 0, self._size)
            self._whole = True
        except OSError:
            with suppress(OSError):
                os.ftruncate(handle, 0)
        finally:
            os.close(handle)
        return self._whole

    def release(self) -> bool:
        """Give up the space; returns whether there was any."""
        self._whole = False
        try:
            had = self._path.stat().st_size > 0
            os.truncate(self._path, 0)
        except OSError:
            return False
        return had
