"""``Ledger``: stores actions, every change of state together with its audit event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from connector.actions.action import Action, State, from_row, to_row
from connector.actions.audit import state_event
from connector.broadcast import Broadcast
from connector.errors import JournalFull
from connector.facts import ActionStateChanged
from connector.interfaces import ActionLog, Clock, Observe

CONNECTOR = "connector"
"""The actor of transitions that no caller requested, such as expiry."""

_HOUR = timedelta(hours=1)

_FULL_WAIT = 2.0
"""Seconds until a change that the disk has no room for is tried again."""


class Ledger:
    """The actions of the journal; ``changed`` wakes those who wait for a change."""

    def __init__(
        self, log: ActionLog, observe: Observe, clock: Clock, changed: Broadcast | None = None
    ) -> None:
        """*changed* is that of another ledger of the same actions."""
        self._log = log
        self._observe = observe
        self.clock = clock
        self.changed = changed or Broadcast()

    async def add(self, action: Action, per_hour: int | None = None) -> Action:
        """Store a new action.

        Raises ``Moved`` for a ``request_id`` that was used, ``JournalFull``, and ``LimitReached`` where the
        caller has *per_hour* of the last hour already.
        """
        return await self._store(replace(action, transitions=1), "", action.caller, per_hour)

    async def free_at(self, caller: str, per_hour: int) -> datetime | None:
        """When *caller* may request the next action; ``None``: now."""
        oldest = await self._log.nth_requested(caller, per_hour, self.clock() - _HOUR)
        return None if oldest is None else oldest + _HOUR

    async def save(
        self, action: Action, state: State | None = None, *, actor: str = CONNECTOR, **changes: Any
    ) -> Action:
        """Store a changed action, in *state* if that changes. Raises ``Moved`` when it is not the newest."""
        previous = action.state
        changed = replace(action, **changes)
        if state is None or state is previous:
            return from_row(await self._store_row(changed, ()))
        changed = replace(changed, state=state, transitions=action.transitions + 1, changed=self.clock())
        return await self._store(changed, str(previous), actor)

    async def get(self, action_id: str) -> Action | None:
        """The action with that id."""
        row = await self._log.action(action_id)
        return None if row is None else from_row(row)

    async def requested(self, caller: str, request_id: str) -> Action | None:
        """The action that *caller* requested under that id."""
        row = await self._log.action_for(caller, request_id)
        return None if row is None else from_row(row)

    async def on(self, block_id: str) -> Action | None:
        """The newest action that made the blocked sender."""
        row = await self._log.action_on(block_id)
        return None if row is None else from_row(row)

    async def page(self, after: int, limit: int) -> Sequence[Action]:
        """Actions with a greater number, oldest first."""
        return [from_row(row) for row in await self._log.actions(after=after, limit=limit)]

    async def all_open(self) -> Sequence[Action]:
        """Every action that is due at some time."""
        found: list[Action] = []
        while True:
            page = await self._log.open_actions(after=found[-1].number if found else 0, limit=500)
            found += map(from_row, page)
            if not page:
                return found

    async def forget(self, keep: timedelta) -> None:
        """Forget actions that ended longer ago than *keep*."""
        await self._log.forget_actions(self.clock() - keep)

    async def _store(self, action: Action, previous: str, actor: str, per_hour: int | None = None) -> Action:
        now = self.clock()
        audit = [state_event(action, previous, actor, now)]
        stored = from_row(await self._store_row(action, audit, per_hour))
        seconds = (now - action.requested).total_seconds()
        self._observe(
            ActionStateChanged(
                action.id, str(action.kind), action.account_id, action.caller, str(action.state), seconds
            )
        )
        self.changed.notify()
        return stored

    async def _store_row(self, action: Action, audit: Sequence[Any], per_hour: int | None = None) -> Any:
        while True:
            try:
                return await self._log.store_action(to_row(action), audit, per_hour=per_hour)
            except JournalFull:
                if not action.version:
                    raise
                # What was done must be written down: wait for room, however long that takes.
                await asyncio.sleep(_FULL_WAIT)
