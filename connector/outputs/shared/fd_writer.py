"""Writing whole lines to a file descriptor that may be slow, full or closed (stdout, a pipe)."""

from __future__ import annotations

import os
import select
import threading

from connector.outputs.shared.blocking_thread import CallToken

# A pipe that poll reports as ready takes this much without blocking: PIPE_BUF of Linux, in bytes.
_CHUNK = 4096
# How long to wait for readiness before checking for cancellation, in milliseconds.
_POLL_TIMEOUT = 100


class FdWriter:
    """Writes to *descriptor* so that lines stay whole, even when a write is cancelled in the middle of one.

    The rest of such a line is kept and written first by the next write, from whichever thread.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._lock = threading.Lock()

    def write(self, lines: bytes, token: CallToken) -> None:
        """Write *lines*, which end with LF. Raises ``CallCancelled``, or OSError if the reader is gone.

        *token* is checked while the reader does not read.
        """
        with self._lock:
            while self._rest:
                self._rest = self._rest[self._write_some(self._rest[:_CHUNK], token) :]
            view = memoryview(lines)
            written = 0
            try:
                while written < len(lines):
                    written += self._write_some(view[written : written + _CHUNK], token)
            finally:
                self._rest = _rest_of_line(lines, written)

    def _write_some(self, piece: bytes | memoryview, token: CallToken) -> int:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(_POLL_TIMEOUT):
            token.check()
            return 0
        try:
            return os.write(self._descriptor, piece)
        except BlockingIOError:
            return 0


def _rest_of_line(lines: bytes, written: int) -> bytes:
    if written in {0, len(lines)} or lines[written - 1 : written] == b"\n":
        return b""
    return lines[written : lines.index(b"\n", written) + 1]
