"""SIGHUP, or ``reload``: read the configuration again. What is wrong is refused and changes nothing at all.

The new configuration is loaded, its mappings compiled and everything built that can be built without opening
a door, while the former one goes on working. Only then ``daemon`` swaps collection and delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from connector.app.build import App, rebuild_app
from connector.app.routes import expression_warnings, mapping_notes
from connector.app.signals import Stop
from connector.app.tasks import describe_error, wait_first
from connector.errors import ConfigurationError
from connector.facts import ConfigurationRefused, ConfigurationWarning
from connector.model import JsonObject
from connector.settings import Loaded, Settings

Read = Callable[[], Loaded]


class Reload:
    """What a signal asks for: the configuration again, as *read* gives it."""

    def __init__(self, read: Read) -> None:
        self.asked = asyncio.Event()
        self._read = read
        self._waiting: list[asyncio.Future[JsonObject]] = []
        self._served: list[asyncio.Future[JsonObject]] = []

    def ask(self) -> None:
        """Ask for it; asking again while it is done means once more."""
        self.asked.set()

    async def handle(self, _: JsonObject) -> JsonObject:
        """Ask for it, and tell what became of it: ``problems``, or ``changes``."""
        answer: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self.ask()
        return await answer

    def ended(self, *, problems: Sequence[str] = (), changes: Sequence[str] = ()) -> None:
        """What was asked for is in effect, with *changes*, or refused for *problems*."""
        for answer in self._served:
            if not answer.done():
                answer.set_result({"problems": list(problems), "changes": list(changes)})
        self._served = []

    async def successor(self, app: App, stop: Stop) -> App | None:
        """Wait for a configuration that can be used, or for *stop* (``None``); tell what is refused."""
        while not stop.asked.is_set():
            await wait_first(*(asyncio.ensure_future(event.wait()) for event in (stop.asked, self.asked)))
            if self.asked.is_set() and not stop.asked.is_set():
                self.asked.clear()
                self._served, self._waiting = self._waiting, []
                found = self._build(app)
                if found is not None:
                    return found
        return None

    def _build(self, app: App) -> App | None:
        try:
            loaded = self._read()
            found = rebuild_app(app, loaded)
        except ConfigurationError as error:
            problems = tuple(str(problem) for problem in error.problems)
        except Exception as error:  # noqa: BLE001, whatever a new file does, the old one goes on
            problems = (f"unexpected error: {describe_error(error)}",)
        else:
            waiting = _waiting(app.settings, loaded.settings)
            for note in (*loaded.notes, *mapping_notes(loaded), *expression_warnings(loaded), *waiting):
                app.observe(ConfigurationWarning(note))
            return found
        app.observe(ConfigurationRefused(problems))
        app.post()
        self.ended(problems=problems)
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
