"""A file that only ever grows, by whole and durable lines. Blocking code: it runs in a lane.

Forwarders that follow the file must never see it shrink: many take that for a new file and read all of it
again. So a write that was broken off is not undone but continued, with the same bytes, by the next attempt.
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

# How much is read at once when looking for the end of the last whole line, in bytes.
_CHUNK = 1 << 16


class NotAFile(Exception):
    """The path names a directory, a pipe or a device."""


class InUse(Exception):
    """Another process, or another output, appends to the same file."""


class Appender:
    """Appends to *path*, moving on as *rotation* says.

    The file is its own: a line that a crash left unfinished is cut off when the file is opened.
    """

    def __init__(self, path: Path, rotation: Rotation | None, clock: Clock) -> None:
        self._path = path
        self._rotation = rotation
        self._clock = clock
        self._descriptor: int | None = None
        self._last = 0.0
        self._begun = b""
        self._start = 0
        self._needs_rewrite = False

    def open(self) -> None:
        """Open the file if it is not open, or if its name now belongs to another file or to none."""
        if self._descriptor is not None and self._same(self._descriptor):
            return
        self.close()
        self._descriptor, self._last = _opened(self._path, mode=0o600)

    def append(self, lines: bytes) -> None:
        """Write *lines* and make them durable.

        When it raises OSError, some of them may stand in the file already; called again with the same lines
        it goes on where it stopped.
        """
        self.open()
        begun = self._continued(lines)
        if not begun:
            self._rotate_if_due(len(lines))
        descriptor = self._held()
        try:
            if self._needs_rewrite:
                self._write_again(lines[:begun])
            while begun < len(lines):
                begun += os.write(descriptor, memoryview(lines)[begun:])
        finally:
            self._begun = lines[:begun]
        self._make_durable(descriptor)
        self._begun = b""
        self._last = self._clock().timestamp()

    def close(self) -> None:
        """Release the file; safe to repeat."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            if self._begun:  # whoever takes the file over must not find half a line
                with contextlib.suppress(OSError):
                    _cut_torn_line(descriptor)
            os.close(descriptor)
        self._begun, self._needs_rewrite = b"", False

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

    def _continued(self, lines: bytes) -> int:
        """How much of *lines* stands in the file already; what belongs to another batch is left whole."""
        descriptor = self._held()
        if self._begun and lines.startswith(self._begun):
            return len(self._begun)
        if self._begun:
            _cut_torn_line(descriptor)
        self._begun, self._needs_rewrite = b"", False
        self._start = os.fstat(descriptor).st_size
        return 0

    def _write_again(self, data: bytes) -> None:
        """Put *data* where it stands already.

        After a failed fsync the kernel may count its pages as clean: only a new write makes the next one
        a proof.
        """
        descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)  # an appending one cannot
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
    """A descriptor of the file, ready to append, and when the file was last written."""
    # Not blocking: opening a pipe that nobody reads would otherwise wait for ever.
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, mode)
    try:
        _must_be_regular(descriptor)
        _lock(descriptor)
        found = os.fstat(descriptor)
        _cut_torn_line(descriptor)
        # The cut is no event: rotation by time goes by the last one.
        os.utime(descriptor, ns=(found.st_atime_ns, found.st_mtime_ns))
        _sync_directory(path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found.st_mtime


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


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
