"""SIGTERM and SIGINT: the first asks to end in order, the second at once, lossless both. SIGHUP: reload."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """What was asked for so far."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        self.reason = ""

    def ask(self, reason: str) -> None:
        """Ask to end; asking again means: at once."""
        if self.asked.is_set():
            self.at_once.set()
        else:
            self.reason = reason
            self.asked.set()


@contextmanager
def handle_signals(stop: Stop, reload: Callable[[], None] | None = None) -> Iterator[None]:
    """Let signals ask *stop*, and *reload* if given, while the block runs; needs the main thread's loop."""
    loop = asyncio.get_running_loop()
    signals = [signal.SIGTERM, signal.SIGINT]
    for number in signals:
        loop.add_signal_handler(number, stop.ask, number.name)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
        signals.append(signal.SIGHUP)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
