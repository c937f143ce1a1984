"""A daemon that ends itself without warning, in a process of its own.

It is the product as ``email-connector run`` builds it. At the *nth* fact of *kind* it writes that down and
exits hard: nothing is flushed, closed or awaited. With *micros* it goes on for so long first, on a thread of
its own, so that the end comes in the middle of whatever follows the fact.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from connector.app.build import App, build_app
from connector.app.daemon import run
from connector.app.reload import Reload
from connector.app.signals import Stop, handle_signals
from connector.facts import Fact
from connector.net.clock import utc_now
from connector.settings import load

KILLED = 9


@dataclass(frozen=True, slots=True)
class Fuse:
    """When to end: see the module. *told* is the file that is made then."""

    kind: str
    nth: int
    micros: int
    reported: Path


class Burning:
    """Counts the facts of one kind and ends the process."""

    def __init__(self, app: App, fuse: Fuse) -> None:
        self._tell = app.core.telemetry.observe
        self._fuse = fuse
        self._left = fuse.nth

    def observe(self, fact: Fact) -> None:
        """Tell telemetry, or end."""
        if type(fact).__name__ == self._fuse.kind:
            self._left -= 1
            if self._left == 0:
                self._fire()
        self._tell(fact)

    def _fire(self) -> None:
        self._fuse.reported.touch()
        if not self._fuse.micros:
            os._exit(KILLED)
        threading.Thread(target=self._burn, daemon=True).start()

    def _burn(self) -> None:
        time.sleep(self._fuse.micros / 1_000_000)
        os._exit(KILLED)


async def _run(config: Path, fuse: Fuse | None) -> None:
    app, stop = build_app(load(config, os.environ), utc_now), Stop()
    if fuse is not None:
        setattr(app.core.telemetry, "observe", Burning(app, fuse).observe)  # noqa: B010
    with handle_signals(stop):
        await run(app, stop, lambda _: None, Reload(lambda: load(config, os.environ)))


def daemon(config: Path, log: Path, variables: dict[str, str], fuse: Fuse | None = None) -> None:
    """Run until SIGTERM or until the *fuse* burns; what it logs goes to *log*."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.environ.update(variables)
    # The interpreter hands a thread its turn at once then: a fuse does not wait for the loop.
    sys.setswitchinterval(0.0001)
    asyncio.run(_run(config, fuse))
