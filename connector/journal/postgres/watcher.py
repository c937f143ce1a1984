"""Learns what other replicas did: by LISTEN, and by a poll beneath it, for notifications can be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import psycopg

from connector.journal.postgres.database import Database
from connector.net.backoff import full_jitter

_POLL, _POLL_ALONE = 5.0, 1.0
"""Seconds between two polls, with LISTEN and without: a pooler does not pass notifications on."""

_KEEP = 30.0
"""Seconds between two attempts to listen again."""


class Watcher:
    """Calls *look* with the kinds of change that were notified; with none for the regular look.

    Args:
        database: where.
        sender: what this instance's own notifications end with; they are ignored.
        look: finds out what changed. It MUST NOT raise but for what ends the journal.
    """

    def __init__(
        self, database: Database, sender: str, look: Callable[[frozenset[str]], Awaitable[None]]
    ) -> None:
        self._database = database
        self._sender = sender
        self._look = look
        self._kinds: set[str] = set()
        self._woken = asyncio.Event()
        self._listening = False
        self.channel = f"email_connector_{database.server.schema}"[:63]

    async def run(self) -> None:
        """Watch until cancelled."""
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                poll = _POLL if self._listening else _POLL_ALONE
                with suppress(TimeoutError):
                    async with asyncio.timeout(poll):
                        await self._woken.wait()
                self._woken.clear()
                kinds, self._kinds = frozenset(self._kinds), set()
                await self._look(kinds)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _listen(self) -> None:
        attempt = 0
        while not self._database.is_pooled:
            with suppress(psycopg.Error, ValueError, OSError):
                parameters = cast("dict[str, Any]", self._database.server.parameters(self._database.name))
                connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
                async with connection:
                    await connection.execute(f'LISTEN "{self.channel}"'.encode())
                    self._listening, attempt = True, 0
                    self._woken.set()
                    async for notification in connection.notifies():
                        kind, _, sender = notification.payload.partition(" ")
                        if sender != self._sender:
                            self._kinds.add(kind)
                            self._woken.set()
            self._listening = False
            attempt += 1
            await asyncio.sleep(0.2 + full_jitter(attempt, base=0.5, cap=_KEEP, random=lambda: 0.5))
