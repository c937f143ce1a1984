"""Durable append to a log file, whole lines only. Blocking code; runs in a ``BlockingThread``.

Forwarders that tail the file must never see it shrink: many take that for a new file and read all of it
again. So an interrupted write is not undone but continued, with the same bytes, by the next attempt.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path

from connector.interfaces import Clock
from connector.outputs.file.rotation import Rotation

# Read size when searching backwards for the end of the last whole line, in bytes.
_CHUNK = 1 << 16


class NotAFile(Exception):
    """The path names a directory, a pipe or a device."""


class InUse(Exception):
    """Another process or output appends to the same file."""


class Appender:
    """Appends to *path* and rotates it.

    The file belongs to this output alone: an incomplete last line, left by a crash, is cut off on open.
    """

    def __init__(self, path: Path, rotation: Rotation | None, clock: Clock) -> None:
        self._path = path
        self._rotation = rotation
        self._clock = clock
        self._descriptor: int | None = None
        self._last = 0.0
        self._partial = b""
        self._start = 0
        self._needs_rewrite = False

    def open(self) -> None:
        """Open the file if it is not open, or if the path now names another file or none (logrotate)."""
        if self._descriptor is not None and self._same(self._descriptor):
            return
        self.close()
        self._descriptor, self._last = _opened(self._path, mode=0o600)

    def append(self, lines: bytes) -> None:
        """Write *lines* and make them durable.

        After an OSError part of them may be in the file already; a call with the same lines continues there.
        """
        self.open()
        written = self._already_written(lines)
        if not written:
            self._rotate_if_due(len(lines))
        descriptor = self._held()
        try:
            if self._needs_rewrite:
                self._rewrite(lines[:written])
            while written < len(lines):
                written += os.write(descriptor, memoryview(lines)[written:])
        finally:
            self._partial = lines[:written]
        self._make_durable(descriptor)
        self._partial = b""
        self._last = self._clock().timestamp()

    def close(self) -> None:
        """Release the file. Idempotent."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            if self._partial:  # the next owner of the file must not find half a line
                with contextlib.suppress(OSError):
                    _cut_torn_line(descriptor)
            os.close(descriptor)
        self._partial, self._needs_rewrite = b"", False

    def _held(self) -> int:
        if self._descriptor is None:
            raise RuntimeError("the file is not open")
        return self._descriptor

    def _same(self, descriptor: int) -> bool:
        try:
            named, held = self._path.stat(), os.fstat(descriptor)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ESTALE, errno.EBADF}:
                return False
            raise
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

    def _already_written(self, lines: bytes) -> int:
        """Bytes of *lines* that are in the file already; a partial line of another batch is cut off."""
        descriptor = self._held()
        if self._partial and lines.startswith(self._partial):
            return len(self._partial)
        if self._partial:
            _cut_torn_line(descriptor)
        self._partial, self._needs_rewrite = b"", False
        self._start = os.fstat(descriptor).st_size
        return 0

    def _rewrite(self, data: bytes) -> None:
        """Write *data* again at the place where it already is.

        After a failed fsync the kernel may mark the lost pages as clean, so that a second fsync succeeds
        without writing anything; only a new write makes its success meaningful.
        """
        descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)  # pwrite ignores offsets with O_APPEND
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(descriptor, memoryview(data)[done:], self._start + done)
        finally:
            os.close(descriptor)

    def _make_durable(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError:
            self._needs_rewrite = True
            raise
        self._needs_rewrite = False

    def _rotate_if_due(self, coming: int) -> None:
        rotation, held = self._rotation, os.fstat(self._held())
        if rotation is None or not rotation.due(held.st_size, coming, self._last, self._clock().timestamp()):
            return
        self.close()
        rotation.shift(self._path)
        self._descriptor, self._last = _opened(self._path, mode=stat.S_IMODE(held.st_mode))
        self._start = 0


def _opened(path: Path, mode: int) -> tuple[int, float]:
    """A descriptor of the file, open for appending, and when the file was last written (Unix time)."""
    # O_NONBLOCK: opening a FIFO without a reader would otherwise block for ever.
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, mode)
    try:
        _must_be_regular(descriptor)
        _lock(descriptor)
        status = os.fstat(descriptor)
        _cut_torn_line(descriptor)
        # Cutting must not count as a write: rotation by time depends on the last event.
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
        _sync_directory(path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_mtime


def _must_be_regular(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise NotAFile


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUse from None
    except OSError as error:
        # Some network file systems have no locks; appending works there anyway.
        if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}:
            raise


def _cut_torn_line(descriptor: int) -> None:
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - _CHUNK)
        newline = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            end = begin + newline + 1
            break
        end = begin
    if end < size:
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
