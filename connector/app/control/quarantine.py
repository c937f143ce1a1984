"""Commands about quarantined items: what collection could not make a record of."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from connector.app.control.requests import action_of, number_of, numbers_of
from connector.app.control.server import PAGE_SIZE
from connector.collect.revisions import (
    WATCHED,
    compare,
    is_other_message,
    known_time_of,
    message_of,
    under_own_id,
)
from connector.errors import ConnectorError
from connector.facts import QuarantinedPurged, QuarantinedReplayed
from connector.interfaces import FeedLog, Observe, OperatorLog
from connector.model import Commit, JsonObject, Quarantined, QuarantinedItem, Window
from connector.source.catalog import decode_item_of

_RAW = 4096
"""Bytes shown of each item in a list: an answer with ``PAGE_SIZE`` of them stays below a megabyte."""

_RAW_AT_MOST = 4 << 20
"""Bytes shown of one item: more than any message's metadata has, and an answer stays small."""

_REPLAYED_AT_ONCE = 20
"""Quarantined items that one request resolves: each costs two reads and a transaction."""


class QuarantineJournal(OperatorLog, FeedLog, Protocol):
    """The journal as this module uses it."""


class QuarantineService:
    """The commands; each takes and returns a JSON object.

    Args:
        log: the journal.
        names: account names by id.
        watched: watched fields by search; a search that is missing watches the default.
        observe: takes facts.
    """

    def __init__(
        self,
        log: QuarantineJournal,
        names: Mapping[str, str],
        watched: Mapping[str, Sequence[str]],
        observe: Observe,
    ) -> None:
        self._log = log
        self._names = names
        self._watched = watched
        self._observe = observe

    async def list(self, request: JsonObject) -> JsonObject:
        """Items that collection could not make a record of, after number ``after``, oldest first."""
        limit = min(number_of(request, "limit"), PAGE_SIZE)
        items = await self._log.quarantined(after=number_of(request, "after"), limit=limit)
        return {"quarantined": [_summary(item, self._names) for item in items]}

    async def item(self, request: JsonObject) -> JsonObject:
        """Quarantined item ``number`` with the bytes that are kept, in Base64."""
        item = await self._find(number_of(request, "number"))
        return {
            **_summary(item, self._names),
            "raw": b64encode(item.item.raw[:_RAW_AT_MOST]).decode(),
        }

    async def resolve(self, request: JsonObject) -> JsonObject:
        """Replay or purge quarantined items: ``numbers``, or a page after number ``after`` up to ``upto``.

        A replay decodes the kept bytes again and compares the record with what was seen, as a page does;
        what cannot become a record stays. Returns how many were resolved, and how many were kept by reason.
        """
        action = action_of(request)
        if (numbers := request.get("numbers")) is not None:
            chosen = [await self._find(number) for number in numbers_of(numbers)]
            last = 0
        else:
            page = await self._log.quarantined(after=number_of(request, "after"), limit=_REPLAYED_AT_ONCE)
            last = page[-1].number if page else 0
            chosen = [item for item in page if item.number <= number_of(request, "upto")]
        kept: Counter[str] = Counter()
        done: list[QuarantinedItem] = []
        for item in chosen:
            reason = await self._replay(item) if action == "replay" else None
            if reason is None:
                done.append(item)
            else:
                kept[reason] += 1
        resolved = await self._log.purge_quarantined([item.number for item in done]) if done else 0
        fact = QuarantinedReplayed if action == "replay" else QuarantinedPurged
        for feed, count in Counter(item.feed for item in done).items():
            self._observe(fact(feed, count))
        return {"resolved": resolved, "last": last, "kept": dict(kept)}

    async def _replay(self, item: QuarantinedItem) -> str | None:
        """Store the record that *item* makes now; the reason where it makes none."""
        if not item.item.raw:
            return "its bytes are not kept any more"
        feed = item.feed
        progress = await self._log.progress(feed)
        record = decode_item_of(progress.source, item.item.raw)
        if isinstance(record, Quarantined):
            return record.reason
        known = (await self._log.seen(feed, [record.id])).get(record.id)
        message = message_of(record.head)
        if known is not None and is_other_message(known.message, message):
            record = under_own_id(record, message)
            known = (await self._log.seen(feed, [record.id])).get(record.id)
        moment = known_time_of(record) or item.at
        comparison = compare(
            record,
            known,
            feed=feed,
            window=Window(moment, moment + timedelta(seconds=1)),
            collected=item.at,
            watched=self._watched.get(feed.search) or WATCHED,
        )
        if comparison.revision is None and comparison.seen is None:
            return None
        await self._log.commit(
            Commit(
                feed,
                progress.fingerprint or "",
                () if comparison.revision is None else (comparison.revision,),
                () if comparison.seen is None else (comparison.seen,),
                generation=progress.generation,
            )
        )
        return None

    async def _find(self, number: int) -> QuarantinedItem:
        found = await self._log.quarantined(after=number - 1, limit=1)
        if not found or found[0].number != number:
            raise ConnectorError(
                f"no quarantined item {number}; it may have been replayed or purged "
                "(`quarantine list` shows the current ones)"
            )
        return found[0]


def _summary(kept: QuarantinedItem, names: Mapping[str, str]) -> JsonObject:
    """A quarantined item for a list; its bytes as text, those that are not UTF-8 escaped."""
    return {
        "number": kept.number,
        "account": names.get(kept.feed.account, kept.feed.account),
        "search": kept.feed.search,
        "quarantined": kept.at.isoformat(),
        "reason": kept.item.reason,
        "bytes": len(kept.item.raw),
        "raw": kept.item.raw[:_RAW].decode("utf-8", "backslashreplace"),
    }
