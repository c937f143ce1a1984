"""A file that only ever grows by whole, durable lines. Blocking code: it runs in a lane."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path

# How much is read at once when looking for the end of the last whole line, in bytes.
_CHUNK = 1 << 16


class NotAFile(Exception):
    """The path names a directory, a pipe or a device."""


class InUse(Exception):
    """Another process, or another output, appends to the same file."""


class Appender:
    """Appends to *path*; with *rotate_at* bytes or more it moves on, and *keep* older files stay.

    The file is its own: a line that a crash left unfinished is cut off when the file is opened.
    """

    def __init__(self, path: Path, rotate_at: int | None = None, keep: int = 0) -> None:
        self._path = path
        self._rotate_at = rotate_at
        self._keep = keep
        self._descriptor: int | None = None

    def open(self) -> None:
        """Open the file if it is not open, or if its name now belongs to another file or to none."""
        if self._descriptor is not None and self._same(self._descriptor):
            return
        self.close()
        self._descriptor = _opened(self._path, mode=0o600)

    def append(self, lines: bytes) -> None:
        """Write *lines* and make them durable. When it raises OSError, none of them stays in the file."""
        self.open()
        self._rotate_if_full(len(lines))
        descriptor = self._descriptor
        if descriptor is None:
            raise RuntimeError("the file is not open")
        before = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, lines)
            os.fsync(descriptor)
        except OSError:
            # After a failed fsync the kernel may count the pages as clean: only a new write is a proof.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before)
            self.close()
            raise

    def close(self) -> None:
        """Release the file; safe to repeat."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _same(self, descriptor: int) -> bool:
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        held = os.fstat(descriptor)
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

    def _rotate_if_full(self, coming: int) -> None:
        if self._rotate_at is None or self._descriptor is None:
            return
        held = os.fstat(self._descriptor)
        if held.st_size == 0 or held.st_size + coming <= self._rotate_at:
            return
        self.close()
        free = next((n for n in range(1, self._keep + 1) if not self._numbered(n).exists()), self._keep)
        # From the oldest on, so that a crash in between leaves a free number and loses no file.
        for number in range(free, 1, -1):
            self._numbered(number - 1).replace(self._numbered(number))
        self._path.replace(self._numbered(1))
        self._descriptor = _opened(self._path, mode=stat.S_IMODE(held.st_mode))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _opened(path: Path, mode: int) -> int:
    # Not blocking: opening a pipe that nobody reads would otherwise wait for ever.
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, mode)
    try:
        _must_be_regular(descriptor)
        _lock(descriptor)
        _cut_torn_line(descriptor)
        _sync_directory(path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _must_be_regular(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise NotAFile


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUse from None
    except OSError as error:
        # Some network file systems have no locks; appending works there all the same.
        if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}:
            raise


def _cut_torn_line(descriptor: int) -> None:
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - _CHUNK)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            end = begin + found + 1
            break
        end = begin
    if end < size:
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
