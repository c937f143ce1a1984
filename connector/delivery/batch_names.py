"""Names of batches, durable before the send, for outputs that store a batch whole and recognise it again.

A name and the sequence numbers of its batch are stored in the journal before the batch is first sent, and
forgotten when the position has passed it. Whoever delivers after a crash, a reload or on another replica
forms the same batch again and sends it under the same name.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from datetime import datetime

import orjson

from connector.delivery.batcher import NamedRange
from connector.errors import JournalFull
from connector.interfaces import KeyValueStore
from connector.model import BatchName

_ID_BYTES = 8
"""Random bytes of a name: with 2^32 batches in one place, two names are equal with a probability of a half.
A batch of five minutes takes 40 000 years to get there."""


class BatchNames:
    """The names of batches that are sent and not yet acknowledged, of one output.

    Args:
        output: the output's name.
        store: keeps them; ``None`` for memory only.
    """

    def __init__(self, output: str, store: KeyValueStore | None) -> None:
        self._key = f"batches:{output}"
        self._store = store
        self._ranges: list[NamedRange] = []

    async def load(self, position: int, head: int | None) -> Sequence[NamedRange]:
        """Return the batches after *position* to form again, in order.

        One that ends after *head* is of another journal: its numbers mean something else here.
        """
        if self._store is not None:
            self._ranges = _decoded(await self._store.get_value(self._key))
        known = [one for one in self._ranges if head is None or one.last <= head]
        stale = len(known) < len(self._ranges)
        self._ranges = known
        await self.forget(position, changed=stale)
        return tuple(self._ranges)

    async def name(self, first: int, last: int, now: datetime) -> BatchName:
        """Name the batch of the sequence numbers *first* to *last* durably. Raises ``JournalFull``.

        It replaces the names of batches that it was cut from.
        """
        name = BatchName(secrets.token_hex(_ID_BYTES), now)
        others = [one for one in self._ranges if one.last < first or one.first > last]
        # The rest of a batch that was cut must not be joined to another one by its name.
        ranges = sorted([*others, NamedRange(first, last, name)], key=lambda one: one.first)
        await self._save(ranges)
        self._ranges = ranges
        return name

    async def forget(self, upto: int, *, changed: bool = False) -> None:
        """Forget what lies up to *upto*; a full journal forgets it with the next name."""
        left = [one for one in self._ranges if one.last > upto]
        if changed or len(left) < len(self._ranges):
            self._ranges = left
            with contextlib.suppress(JournalFull):
                await self._save(left)

    async def _save(self, ranges: Sequence[NamedRange]) -> None:
        if self._store is not None:
            rows = [[one.first, one.last, one.name.id, one.name.formed.isoformat()] for one in ranges]
            await self._store.set_value(self._key, orjson.dumps(rows).decode() if rows else None)


def _decoded(text: str | None) -> list[NamedRange]:
    rows = orjson.loads(text) if text else []
    return [
        NamedRange(first, last, BatchName(name, datetime.fromisoformat(formed)))
        for first, last, name, formed in rows
    ]
