"""Hot reload on SIGHUP or the ``reload`` command; a configuration with errors changes nothing.

The new configuration is loaded, its mappings compiled and everything built that needs no open connection,
while the running one keeps working. Only then the daemon replaces collection and delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from connector.app.build import App, rebuild_app
from connector.app.collectors import FeedOutlines, refuse_changed_sources
from connector.app.signals import Stop
from connector.app.tasks import describe_error, wait_first
from connector.errors import ConfigurationError, Problem
from connector.facts import ConfigurationRefused, ConfigurationWarning
from connector.model import JsonObject
from connector.settings import Loaded, Settings

ReadConfiguration = Callable[[], Loaded]

_JOURNAL_SECONDS = 10.0
"""Longest wait for the journal, whose database may be away."""


class Reload:
    """Pending requests to reload; *read* loads the configuration again."""

    def __init__(self, read: ReadConfiguration) -> None:
        self._requested = asyncio.Event()
        self._read = read
        self._waiting: list[asyncio.Future[JsonObject]] = []
        self._in_progress: list[asyncio.Future[JsonObject]] = []
        self._restart: tuple[str, ...] = ()

    def request(self) -> None:
        """Request a reload; a request during a reload causes another one."""
        self._requested.set()

    async def handle(self, _: JsonObject) -> JsonObject:
        """Control command: request a reload and return its result.

        ``problems``, or ``changes`` and ``restart``: what the configuration says and only a restart does.
        """
        answer: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self.request()
        return await answer

    def finish(self, *, problems: Sequence[str] = (), changes: Sequence[str] = ()) -> None:
        """Answer the requests in progress: refused because of *problems*, or in effect with *changes*."""
        result: JsonObject = {"problems": list(problems), "changes": list(changes)}
        if self._restart and not problems:
            result["restart"] = list(self._restart)
        for answer in self._in_progress:
            if not answer.done():
                answer.set_result(result)
        self._in_progress = []

    async def next_app(self, app: App, stop: Stop, journal: FeedOutlines) -> App | None:
        """Wait for a valid configuration, or for *stop* (``None``); refused ones are reported.

        *journal* knows what its feeds have read so far.
        """
        while not stop.requested.is_set():
            events = (stop.requested, self._requested)
            await wait_first(*(asyncio.ensure_future(event.wait()) for event in events))
            if self._requested.is_set() and not stop.requested.is_set():
                self._requested.clear()
                self._in_progress, self._waiting = self._waiting, []
                successor = await self._build(app, journal)
                if successor is not None:
                    return successor
        return None

    async def _build(self, app: App, journal: FeedOutlines) -> App | None:
        core = app.core
        core.refresh_certificates()
        try:
            loaded = self._read()
            successor, notes = rebuild_app(app, loaded)
            _refuse_lost_overrides(app, successor)
            async with asyncio.timeout(_JOURNAL_SECONDS):
                await refuse_changed_sources(successor.feeds, journal)
        except ConfigurationError as error:
            problems = tuple(str(problem) for problem in error.problems)
        except TimeoutError:
            problems = ("the journal does not answer, and it knows what may not change: reload again",)
        except Exception as error:  # noqa: BLE001, no error of a new file may end the running configuration
            problems = (f"unexpected error: {describe_error(error)}",)
        else:
            self._restart = tuple(_needs_restart(app, loaded.settings))
            for note in (*notes, *self._restart):
                core.observe(ConfigurationWarning(note))
            return successor
        core.observe(ConfigurationRefused(problems))
        core.post_status()
        self.finish(problems=problems)
        return None


def changes(before: Settings, after: Settings) -> tuple[str, ...]:
    """What a reload changes, one phrase each: ``output siem changed``."""
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


def _refuse_lost_overrides(app: App, successor: App) -> None:
    """Refuse to fall back to a built-in mapping because a file is missing: the file may have redacted.

    Removing ``mappings`` from the configuration is a decision and accepted.
    """
    directory = successor.settings.mappings.directory
    lost = sorted(app.overrides - successor.overrides) if directory is not None else []
    if lost:
        names = ", ".join(f"{name}.yaml" for name in lost)
        raise ConfigurationError(
            Problem(
                f"mappings.directory: {names} disappeared from {directory}; the built-in mapping would apply",
                hint="restore the file, or restart to use the built-in mapping",
            )
        )


def _needs_restart(app: App, after: Settings) -> Iterator[str]:
    for key in ("state", "server"):
        if getattr(app.settings, key) != getattr(after, key):
            yield f"{key} changed: takes effect after a restart"
    if after.actions is None:
        return
    # What listens is that of the start, whatever reloads there were since.
    listener = app.core.actions
    listening = (listener.listen, listener.tls_settings) if listener and listener.is_open else (None, None)
    if listening != (after.actions.listen, after.actions.tls):
        yield "actions.listen and actions.tls: changes take effect after a restart"
