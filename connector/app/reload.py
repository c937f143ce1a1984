"""SIGHUP: read the configuration again. What is wrong is refused and changes nothing at all.

The new configuration is loaded, its mappings compiled and everything built that can be built without opening
a door, while the former one goes on working. Only then ``daemon`` swaps collection and delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

from connector.app.house import House, rebuild
from connector.app.signals import Stop
from connector.app.supervise import describe
from connector.app.workers import first_of
from connector.errors import ConfigurationError
from connector.facts import ConfigurationNoted, ConfigurationRefused
from connector.settings import Loaded, Settings

Read = Callable[[], Loaded]


class Reload:
    """What a signal asks for: the configuration again, as *read* gives it."""

    def __init__(self, read: Read) -> None:
        self.asked = asyncio.Event()
        self._read = read

    def ask(self) -> None:
        """Ask for it; asking again while it is done means once more."""
        self.asked.set()

    async def successor(self, house: House, stop: Stop) -> House | None:
        """Wait for a configuration that can be used, or for *stop* (``None``); tell what is refused."""
        while not stop.asked.is_set():
            await first_of(*(asyncio.ensure_future(event.wait()) for event in (stop.asked, self.asked)))
            if self.asked.is_set() and not stop.asked.is_set():
                self.asked.clear()
                found = self._build(house)
                if found is not None:
                    return found
        return None

    def _build(self, house: House) -> House | None:
        try:
            loaded = self._read()
            found = rebuild(house, loaded)
        except ConfigurationError as error:
            house.observe(ConfigurationRefused(tuple(str(problem) for problem in error.problems)))
        except Exception as error:  # noqa: BLE001, whatever a new file does, the old one goes on
            house.observe(ConfigurationRefused((f"unexpected error: {describe(error)}",)))
        else:
            for note in (*loaded.notes, *_waiting(house.settings, loaded.settings)):
                house.observe(ConfigurationNoted(note))
            return found
        house.post()
        return None


def changes(before: Settings, after: Settings) -> tuple[str, ...]:
    """What a reload brings, one phrase each: ``output siem changed``."""
    return (
        *_changes("account", before.accounts, after.accounts),
        *_changes("search", before.searches, after.searches),
        *_changes("output", before.outputs, after.outputs),
    )


def _changes(what: str, before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield f"{what} {name} added"
        elif name not in after:
            yield f"{what} {name} removed"
        elif before[name] != after[name]:
            yield f"{what} {name} changed"


def _waiting(before: Settings, after: Settings) -> Iterator[str]:
    """What only a restart can change."""
    for key in ("state", "server"):
        if getattr(before, key) != getattr(after, key):
            yield f"{key} is changed: that takes effect with the next start of the connector"
