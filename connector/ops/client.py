"""Operator client: runs a command in the daemon, or on the journal itself where no daemon is running.

The journal is opened for one request at a time, never while the operator is being asked, so that a daemon
that starts in between finds its state directory free; the next request then goes to that daemon.
What only the journal needs, the configuration included, is loaded where no daemon answers.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import orjson

from connector.app.control.server import PAGE_SIZE, NoDaemon, ask
from connector.errors import ConnectorError, JournalInUse
from connector.model import JsonObject

if TYPE_CHECKING:
    from connector.app.control.operator import ConfiguredNames
    from connector.app.control.requests import Action
    from connector.facts import Fact
    from connector.settings import Settings, StateSettings

_RETRY_FOR = 5.0
"""Seconds to retry while a daemon holds the journal and does not answer: it is starting or stopping."""

_RETRY_EVERY = 0.1
"""Seconds between two attempts to reach a daemon that is just starting or ending."""

_NUMBERS_PER_REQUEST = 1000
"""Dead letters by number in one request: some 10 KiB, far below the limit of the control socket."""

_REPLAYS_PER_REQUEST = 20
"""Quarantined items by number in one request: the daemon decodes each again before it answers."""

_RETAIN_ALL = timedelta(days=366)
"""Retention for a journal whose configuration is unknown: the longest allowed, so that nothing is trimmed."""

T = TypeVar("T")


async def by_daemon_or_here(by_daemon: Callable[[], Awaitable[T]], here: Callable[[], Awaitable[T]]) -> T:
    """Call *by_daemon*; where it raises ``NoDaemon``, call *here*.

    Both are retried for a few seconds while *here* raises ``JournalInUse``: a daemon is starting or stopping.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + _RETRY_FOR
    while True:
        try:
            return await by_daemon()
        except NoDaemon:
            pass
        try:
            return await here()
        except JournalInUse:
            if clock() > deadline:
                raise
            await asyncio.sleep(_RETRY_EVERY)


@dataclass(frozen=True, slots=True)
class JournalTarget:
    """The journal to work on, and what is known of its configuration."""

    state: StateSettings
    configured: ConfiguredNames | None = None


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """What a command works on: the daemon of a state directory, or the journal where none is running.

    *journal* is called only then; it may read the configuration.
    """

    directory: Path
    journal: Callable[[], JournalTarget]

    @classmethod
    def of(cls, settings: Settings) -> CommandTarget:
        """The state of *settings*."""
        from connector.app.control.operator import ConfiguredNames

        known = JournalTarget(settings.state, ConfiguredNames.of(settings))
        return cls(settings.state.directory, lambda: known)

    @classmethod
    def of_directory(cls, directory: Path) -> CommandTarget:
        """The state in *directory*, of which nothing else is known."""

        def journal() -> JournalTarget:
            from connector.settings import StateSettings

            return JournalTarget(StateSettings(directory=directory, retain=_RETAIN_ALL))

        return cls(directory, journal)


@dataclass(slots=True)
class ResolveCounts:
    """Result of a replay or purge: how many were resolved, and how many kept.

    *kept* counts dead letters by output, quarantined items by reason. *partly_taken*: how many of the
    resolved dead letters are of batches of which the collector took a part.
    """

    resolved: int = 0
    partly_taken: int = 0
    kept: Counter[str] = field(default_factory=Counter)

    def add(self, answer: JsonObject) -> None:
        """Add one answer of ``resolve_dead_letters`` or ``resolve_quarantined``."""
        self.resolved += answer["resolved"]
        self.partly_taken += answer.get("partly_taken", 0)  # a daemon that was not restarted yet has none
        self.kept.update(answer["kept"])


class OperatorClient:
    """Runs operator commands.

    ``running`` says whether a daemon answered the last one, ``shared`` whether replicas elsewhere may use the
    journal where none did.
    """

    def __init__(self, target: CommandTarget) -> None:
        self._target = target
        self.running = False
        self.shared = False

    @property
    def when(self) -> str:
        """When what the last command left to do is done; empty for at once."""
        if self.running:
            return ""
        return "as soon as a replica runs" if self.shared else "when the connector starts"

    async def call(self, command: str, **arguments: object) -> JsonObject:
        """The result of *command*, one of ``operator.handlers``.

        Raises ``JournalInUse`` if another program holds the journal, ``ConnectorError`` if the command fails.
        """

        async def by_daemon() -> object:
            answer = await ask(self._target.directory, command, **arguments)
            self.running = True
            return answer

        async def here() -> object:
            self.running = False
            return await self._call_here(command, arguments)

        answer = await by_daemon_or_here(by_daemon, here)
        if not isinstance(answer, dict):
            raise ConnectorError("unexpected reply from the daemon (version mismatch?)")
        return answer

    async def resolve_dead_letters(
        self, action: Action, numbers: Sequence[int], output: str | None, *, upto: int
    ) -> ResolveCounts:
        """Replay or purge the dead letters *numbers*, or without any all up to *upto*, of *output* or of all.

        *upto* keeps a replayed dead letter that is refused again from being replayed for ever. Raises
        ``ConnectorError`` if one of *numbers* does not exist.
        """
        command = "resolve_dead_letters"
        if numbers:
            return await self._resolve_numbers(command, numbers, _NUMBERS_PER_REQUEST, action=action)
        return await self._resolve_upto(command, upto, action=action, output=output)

    async def quarantined(self) -> list[JsonObject]:
        """All quarantined items, the oldest first."""
        found: list[JsonObject] = []
        last = 0
        while page := (await self.call("quarantined", after=last, limit=PAGE_SIZE))["quarantined"]:
            found += page
            last = page[-1]["number"]
        return found

    async def resolve_quarantined(self, action: Action, numbers: Sequence[int]) -> ResolveCounts:
        """Replay or purge the quarantined items *numbers*, or without any all that there are now."""
        command = "resolve_quarantined"
        if numbers:
            return await self._resolve_numbers(command, numbers, _REPLAYS_PER_REQUEST, action=action)
        items = await self.quarantined()
        return await self._resolve_upto(command, items[-1]["number"] if items else 0, action=action)

    async def _resolve_upto(self, command: str, upto: int, **arguments: object) -> ResolveCounts:
        total, last = ResolveCounts(), 0
        while last < upto:
            answer = await self.call(command, after=last, upto=upto, **arguments)
            total.add(answer)
            last = answer["last"] or upto
        return total

    async def _resolve_numbers(
        self, command: str, numbers: Sequence[int], most: int, **arguments: object
    ) -> ResolveCounts:
        total = ResolveCounts()
        for start in range(0, len(numbers), most):
            total.add(await self.call(command, numbers=numbers[start : start + most], **arguments))
        return total

    async def _call_here(self, command: str, arguments: Mapping[str, object]) -> object:
        from connector.app.control.operator import handlers
        from connector.app.journals import open_existing
        from connector.net.clock import utc_now

        target = self._target.journal()
        self.shared = target.state.postgres is not None
        async with open_existing(target.state, observe=ignore_fact, clock=utc_now) as journal:
            handler = handlers(journal, target.configured, ignore_fact)[command]
            return _through_json(await handler(_through_json(arguments)))


def _through_json(value: object) -> JsonObject:
    """*value* as it would arrive through the socket, so that both ways behave alike."""
    passed: JsonObject = orjson.loads(orjson.dumps(value))
    return passed


def ignore_fact(_: Fact) -> None:
    """Observer for commands, which report their results themselves."""
