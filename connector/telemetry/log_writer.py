"""Non-blocking log writer: a thread and a bounded queue, so that a stalled reader blocks nothing.

A pipe whose reader hangs (a stuck log collector, a paused terminal) blocks every write to it. Lines then wait
here up to a bound; further ones are dropped and counted. Once the reader continues, one line says how many.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

_MOST_BYTES = 1 << 20
"""Some 4000 lines: minutes of an ordinary log, and nothing beside the memory of a page of records."""

_FLUSH_SECONDS = 2.0
"""How long the end of the process waits for a reader that hangs."""


class LineStream(Protocol):
    """Where log lines go."""

    def write(self, text: str, /) -> object:
        """Take one line with its end."""

    def flush(self) -> object:
        """Nothing may wait in a buffer of ours."""

    def isatty(self) -> bool:
        """Whether a person reads it on a terminal."""


class LogWriter:
    """A ``LineStream`` on *descriptor*. *dropped* counts lines; *notice* makes the line about them."""

    def __init__(
        self,
        descriptor: int,
        *,
        dropped: Callable[[int], None] = lambda _: None,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self.dropped = dropped
        self.notice: Callable[[int], str] = "{} log lines were dropped\n".format
        self._descriptor = descriptor
        self._most = most_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, text: str, /) -> None:
        """Queue one line; never blocks. From any thread."""
        line = text.encode(errors="backslashreplace")
        with self._changed:
            full = self._bytes + len(line) > self._most
            if full:
                self._lost += 1
            else:
                self._waiting.append(line)
                self._bytes += len(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        if full:
            self.dropped(1)

    def flush(self) -> None:
        """Lines are written as soon as the reader takes them."""

    def isatty(self) -> bool:
        """Whether the descriptor is a terminal."""
        return os.isatty(self._descriptor)

    def close(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Write what waits, for at most *seconds*."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._thread is None, seconds)

    def _run(self) -> None:
        while (line := self._next()) is not None:
            self._write(line)

    def _next(self) -> bytes | None:
        """The next line; ``None`` once all is written and the writer is closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._lost or self._closing)
            if self._waiting:
                # A line counts until it is written, so `_write` gives its bytes back.
                return self._waiting.popleft()
            if self._lost:
                lost, self._lost = self._lost, 0
                notice = self.notice(lost).encode(errors="backslashreplace")
                self._bytes += len(notice)
                return notice
            self._thread = None
            self._changed.notify_all()
            return None

    def _write(self, line: bytes) -> None:
        rest = line
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody who shares the descriptor made it non-blocking
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
            except OSError:  # the reader is gone; so are its lines
                break
        with self._changed:
            self._bytes -= len(line)
