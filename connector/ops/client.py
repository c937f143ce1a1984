"""How a command reaches the journal: through the running daemon, or by itself where none runs.

The journal is opened for one request at a time, never while a person is being asked, so that a daemon
that starts meanwhile finds its state directory free; the next request then goes to that daemon.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from connector.app.control.operator import Action, handlers
from connector.app.control.server import NoDaemon, ask
from connector.errors import ConnectorError, JournalInUse
from connector.facts import Fact
from connector.journal import Journal, Options
from connector.journal.journal import FILE
from connector.model import JsonObject
from connector.net.clock import utc_now
from connector.settings import Settings

_PATIENCE = 5.0
"""Seconds to wait for a daemon that has the journal and does not answer: it is starting, or ending."""

_POLL_SECONDS = 0.1
_AT_ONCE = 1000


@dataclass(slots=True)
class DeadLetterCounts:
    """What became of a selection of dead letters: how many went, how many stay by output."""

    letters: int = 0
    stay: Counter[str] = field(default_factory=Counter)


class OperatorClient:
    """Does what is asked for, wherever the journal is; ``running`` tells whether a daemon did it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = settings.state.directory
        self.running = False

    async def do(self, command: str, **arguments: object) -> JsonObject:
        """The result of *command*, one of ``operator.handlers``.

        Raises ``JournalInUse`` when another program has the journal, ``ConnectorError`` with what is wrong.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + _PATIENCE
        while True:
            try:
                return await self._do(command, arguments)
            except JournalInUse:
                if clock() > deadline:
                    raise
                await asyncio.sleep(_POLL_SECONDS)

    async def settle(self, action: Action, output: str | None, *, upto: int) -> DeadLetterCounts:
        """Replay or purge every dead letter up to number *upto*, of *output* or of all.

        *upto* keeps a replayed one that is refused again from being replayed for ever.
        """
        total, last = DeadLetterCounts(), 0
        while last < upto:
            part = await self.do("settle", action=action, output=output, after=last, upto=upto)
            total.letters += part["settled"]
            total.stay.update(part["stay"])
            last = part["last"] or upto
        return total

    async def settle_numbers(self, action: Action, numbers: Sequence[int]) -> DeadLetterCounts:
        """Replay or purge these dead letters. Raises ``ConnectorError`` when one is not there."""
        total = DeadLetterCounts()
        for start in range(0, len(numbers), _AT_ONCE):
            part = await self.do("settle", action=action, numbers=numbers[start : start + _AT_ONCE])
            total.letters += part["settled"]
            total.stay.update(part["stay"])
        return total

    async def _do(self, command: str, arguments: Mapping[str, object]) -> JsonObject:
        try:
            answer = await ask(self._directory, command, **arguments)
        except NoDaemon:
            self.running = False
            answer = await self._do_it_here(command, arguments)
        else:
            self.running = True
        if not isinstance(answer, dict):
            raise ConnectorError(f"the daemon gave no answer to {command}; is it of the same version?")
        return answer

    async def _do_it_here(self, command: str, arguments: Mapping[str, object]) -> object:
        try:
            (self._directory / FILE).stat()
        except FileNotFoundError:
            raise ConnectorError(
                f"there is no journal in {self._directory}: no connector has run on this state directory yet"
            ) from None
        except OSError as error:
            raise ConnectorError(
                f"the journal in {self._directory} cannot be reached ({error.strerror}); "
                "run the command as the user that the connector runs as"
            ) from None
        options = Options(retain=self._settings.state.retain)
        async with Journal.open(self._directory, observe=_ignore, clock=utc_now, options=options) as journal:
            handler = handlers(journal, self._settings, _ignore)[command]
            return _through_json(await handler(_through_json(arguments)))


def _through_json(value: object) -> JsonObject:
    """*value* as it would be at the other end of the socket, so that both ways are one."""
    passed: JsonObject = orjson.loads(orjson.dumps(value))
    return passed


def _ignore(_: Fact) -> None:
    """A command tells what it did itself."""
