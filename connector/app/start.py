"""What commands call: a daemon, or one round, from a loaded configuration."""

from __future__ import annotations

from datetime import timedelta

from connector.app.build import build_house
from connector.app.daemon import Announce, run, run_once
from connector.app.reload import Read, Reload
from connector.app.runtime import utc_now
from connector.app.signals import Stop, listening
from connector.settings import Loaded


async def daemon(loaded: Loaded, announce: Announce, reread: Read | None = None) -> None:
    """Run until SIGTERM or SIGINT; raises ``ConfigurationError`` before anything opens.

    With *reread*, SIGHUP reads the configuration again; without it, that signal does what it always does.
    """
    house, stop = build_house(loaded, utc_now), Stop()
    reload = Reload(reread) if reread else None
    with listening(stop, reload.ask if reload else None):
        await run(house, stop, announce, reload)


async def once_only(loaded: Loaded, announce: Announce, patience: timedelta) -> bool:
    """Walk every feed to now, deliver, end; says whether everything reached every output in time."""
    house, stop = build_house(loaded, utc_now), Stop()
    with listening(stop):
        return await run_once(house, stop, announce, patience)
