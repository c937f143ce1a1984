"""Log rate limiting: equal lines once in ten seconds, and a maximum per minute for each kind of line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from connector.values import dataclass

SAME_LINE_SECONDS = 10.0
KIND_SECONDS = 60.0
LINES_PER_KIND = 60
"""Lines of one kind a minute. 60 of 300 bytes are 26 MB a day, which any log rotation copes with."""

DEBUG_LINES_PER_KIND = 600
"""More than that, whoever asked for debug cannot read either."""

_MOST_REMEMBERED = 10_000
"""Different lines that are remembered; the bound is for memory."""


@dataclass(slots=True)
class _Minute:
    start: float
    written: int = 0
    left_out: int = 0


class LogLimits:
    """Decides which lines are written; safe to use from several threads."""

    def __init__(self, monotonic: Callable[[], float], suppressed: Callable[[int], None]) -> None:
        """*suppressed* counts the lines that are left out."""
        self._monotonic = monotonic
        self._suppressed = suppressed
        self._last_written: dict[Hashable, tuple[float, int]] = {}
        self._minutes: dict[str, _Minute] = {}
        self._next_report = float("inf")
        self._lock = threading.Lock()

    def admit(self, kind: str, line: Hashable, *, debug: bool = False) -> int | None:
        """Whether *line* of *kind* may be written: how often it was left out before, or ``None`` for no."""
        with self._lock:
            repeats = self._admit(kind, line, DEBUG_LINES_PER_KIND if debug else LINES_PER_KIND)
        if repeats is None:
            self._suppressed(1)
        return repeats

    def reports(self) -> list[tuple[str, int]]:
        """Kinds whose minute is over, with how many of their lines were left out."""
        now = self._monotonic()
        if now < self._next_report:
            return []
        with self._lock:
            over = {
                kind: minute
                for kind, minute in self._minutes.items()
                if minute.left_out and now - minute.start >= KIND_SECONDS
            }
            for kind in over:
                del self._minutes[kind]
            waiting = [minute.start + KIND_SECONDS for minute in self._minutes.values() if minute.left_out]
            self._next_report = min(waiting, default=float("inf"))
        return [(kind, minute.left_out) for kind, minute in over.items()]

    def _admit(self, kind: str, line: Hashable, most: int) -> int | None:
        now = self._monotonic()
        written_at, repeats = self._last_written.get(line, (float("-inf"), 0))
        if now - written_at < SAME_LINE_SECONDS:
            self._last_written[line] = (written_at, repeats + 1)
            return None
        minute = self._minutes.get(kind)
        if minute is None or (now - minute.start >= KIND_SECONDS and not minute.left_out):
            minute = self._minutes[kind] = _Minute(now)
        if minute.written >= most:
            minute.left_out += 1
            self._next_report = min(self._next_report, minute.start + KIND_SECONDS)
            return None
        minute.written += 1
        if len(self._last_written) >= _MOST_REMEMBERED:
            self._last_written.clear()
        self._last_written[line] = (now, 0)
        return repeats
