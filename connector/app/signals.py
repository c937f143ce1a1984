"""Signals: the first SIGTERM or SIGINT shuts down gracefully, the second at once; SIGHUP reloads."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """Whether a stop was requested, and whether it must be immediate."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.immediate = asyncio.Event()
        self.reason = ""

    def request(self, reason: str) -> None:
        """Request an orderly stop; the second request makes it immediate."""
        if self.requested.is_set():
            self.immediate.set()
        else:
            self.reason = reason
            self.requested.set()


@contextmanager
def handle_signals(stop: Stop, reload: Callable[[], None] | None = None) -> Iterator[None]:
    """Route signals to *stop*, and SIGHUP to *reload* if given, while the block runs; main thread only."""
    loop = asyncio.get_running_loop()
    signals = [signal.SIGTERM, signal.SIGINT]
    for number in signals:
        loop.add_signal_handler(number, stop.request, number.name)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
        signals.append(signal.SIGHUP)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
