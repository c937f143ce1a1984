"""Operator commands on the journal: show state, rewind, forget, list, replay and purge dead letters.

JSON in, JSON out. The daemon serves them on the control socket; a command that opened the journal itself
calls the same functions. None of them attaches or detaches an output.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

from connector.app.control.server import PAGE_SIZE, Handler
from connector.collect.resume import note_forgotten
from connector.collect.revisions import (
    WATCHED,
    compare,
    is_other_message,
    known_time_of,
    message_of,
    under_own_id,
)
from connector.collect.windows import LIVE
from connector.errors import ConnectorError
from connector.facts import (
    DeadLettersPurged,
    DeadLettersReplayed,
    FeedForgotten,
    OutputRewound,
    QuarantinedPurged,
    QuarantinedReplayed,
)
from connector.formats.json import encode
from connector.interfaces import FeedLog, KeyValueStore, Observe, OperatorLog
from connector.model import (
    PARTIAL_SUCCESS,
    Body,
    Commit,
    DeadLetter,
    Feed,
    FeedOutline,
    Gap,
    JsonObject,
    OutputOutline,
    Quarantined,
    QuarantinedItem,
    Revision,
    Window,
)
from connector.settings import Settings
from connector.source.budget import clear_pause
from connector.source.catalog import decode_item_of
from connector.values import dataclass

Action: TypeAlias = Literal["replay", "purge"]

_FORGET_SECONDS = 10.0
"""Longest an answer waits for the rows of a forgotten feed to be deleted; the rest is deleted later."""


class OperatorJournal(OperatorLog, FeedLog, KeyValueStore, Protocol):
    """The journal as this module uses it."""

    async def skipped(self, output: str) -> Gap | None:
        """See ``OutputLog``."""
        ...


@dataclass(frozen=True, slots=True)
class ConfiguredNames:
    """Names in the configuration: outputs, account names by id, feeds, watched fields by search."""

    outputs: tuple[str, ...]
    account_names: Mapping[str, str]
    feeds: frozenset[Feed]
    watched: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> ConfiguredNames:
        """The names in *settings*."""
        return cls(
            tuple(settings.outputs),
            {account.account_id: name for name, account in settings.accounts.items()},
            _feeds_of(settings),
            {name: search.watch for name, search in settings.searches.items()},
        )


_QUARANTINED_AT_ONCE = 100
_RAW = 4096
"""Quarantined items in one answer, and bytes shown of each: an answer stays below a megabyte."""

_RAW_AT_MOST = 4 << 20
"""Bytes shown of one item: more than any message's metadata has, and an answer stays small."""

_REPLAYED_AT_ONCE = 20
"""Quarantined items that one request resolves: each costs two reads and a transaction."""


def handlers(
    log: OperatorJournal, configured: ConfiguredNames | None, observe: Observe
) -> Mapping[str, Handler]:
    """The commands by name; *configured* is ``None`` when the configuration is unknown."""
    operator = Operator(log, configured, observe)
    return {
        "state": operator.state,
        "rewind_preview": operator.rewind_preview,
        "rewind": operator.rewind,
        "forget": operator.forget,
        "dead_letters": operator.dead_letters,
        "dead_letter": operator.dead_letter,
        "quarantined": operator.quarantined,
        "quarantined_item": operator.quarantined_item,
        "resolve_quarantined": operator.resolve_quarantined,
        "resolve_dead_letters": operator.resolve_dead_letters,
    }


class Operator:
    """The commands; each takes and returns a JSON object."""

    def __init__(self, log: OperatorJournal, configured: ConfiguredNames | None, observe: Observe) -> None:
        self._log = log
        self._observe = observe
        self._configured = configured
        self._names = configured.account_names if configured else {}

    async def state(self, _: JsonObject) -> JsonObject:
        """Checkpoints of every feed and position of every output, configured or only in the journal."""
        outline = await self._log.outline()
        known = {feed.feed: feed for feed in outline.feeds}
        configured = self._configured or ConfiguredNames((), {}, frozenset())
        new = (FeedOutline(feed, {}, (), 0) for feed in configured.feeds if feed not in known)
        outputs = [await self._output(output) for output in outline.outputs]
        started = {output.output for output in outline.outputs}
        outputs += [_never_started(name) for name in configured.outputs if name not in started]
        return {
            "head": outline.head,
            "floor": outline.floor,
            "since": _iso(outline.since),
            "bytes": outline.bytes,
            "newest_dead_letter": outline.newest_letter,
            "feeds": [self._feed(feed) for feed in (*outline.feeds, *new)],
            "outputs": outputs,
        }

    async def rewind_preview(self, request: JsonObject) -> JsonObject:
        """What rewinding ``output`` to ``to`` (a sequence number or a time) would do."""
        preview = await self._log.preview_rewind(_text(request, "output"), _rewind_target(request))
        return {
            "position": preview.position,
            "target": preview.target,
            "revisions": preview.revisions,
            "complete": preview.complete,
            "dead_letters": preview.dead_letters,
        }

    async def rewind(self, request: JsonObject) -> JsonObject:
        """Rewind ``output`` to ``to``."""
        output, place = _text(request, "output"), _rewind_target(request)
        preview = await self._log.preview_rewind(output, place)
        if preview.target < preview.position:
            await self._log.rewind(output, place)
            self._observe(OutputRewound(output, preview.target, preview.revisions))
        return {"position": preview.target, "revisions": preview.revisions}

    async def forget(self, request: JsonObject) -> JsonObject:
        """Forget the feed of ``account`` (its id) and ``search``; if it is running, it starts over."""
        feed = Feed(_text(request, "account"), _text(request, "search"))
        outline = await self._log.outline()
        known = next((known for known in outline.feeds if known.feed == feed), None)
        if known is None:
            raise ConnectorError(
                f"the journal has no feed {feed.search} on account {self._name(feed.account)}"
            )
        if live := known.checkpoints.get(LIVE):
            await note_forgotten(self._log, feed, live)
        # The feed is removed at once; deleting its rows, maybe millions, may continue afterwards.
        with suppress(TimeoutError):
            async with asyncio.timeout(_FORGET_SECONDS):
                await self._log.forget(feed)
        await clear_pause(self._log, feed.account)
        self._observe(FeedForgotten(feed, known.seen))
        return {"seen": known.seen}

    async def dead_letters(self, request: JsonObject) -> JsonObject:
        """A page of dead letters after number ``after``, oldest first, of ``output`` or of all."""
        dead_letters = await self._some(request)
        return {
            "dead_letters": to_text([dead_letter_summary(*entry, self._names) for entry in dead_letters]),
            "last": dead_letters[-1][0] if dead_letters else 0,
        }

    async def quarantined(self, request: JsonObject) -> JsonObject:
        """Items that collection could not make a record of, after number ``after``, oldest first."""
        limit = min(_number(request, "limit"), _QUARANTINED_AT_ONCE)
        items = await self._log.quarantined(after=_number(request, "after"), limit=limit)
        return {"quarantined": [quarantined_summary(item, self._names) for item in items]}

    async def quarantined_item(self, request: JsonObject) -> JsonObject:
        """Quarantined item ``number`` with the bytes that are kept, in Base64."""
        item = await self._find_quarantined(_number(request, "number"))
        return {
            **quarantined_summary(item, self._names),
            "raw": b64encode(item.item.raw[:_RAW_AT_MOST]).decode(),
        }

    async def resolve_quarantined(self, request: JsonObject) -> JsonObject:
        """Replay or purge quarantined items: ``numbers``, or a page after number ``after`` up to ``upto``.

        A replay decodes the kept bytes again and compares the record with what was seen, as a page does;
        what cannot become a record stays. Returns how many were resolved, and how many were kept by reason.
        """
        action = _action(request)
        if (numbers := request.get("numbers")) is not None:
            chosen = [await self._find_quarantined(number) for number in _numbers(numbers)]
            last = 0
        else:
            page = await self._log.quarantined(after=_number(request, "after"), limit=_REPLAYED_AT_ONCE)
            last = page[-1].number if page else 0
            chosen = [item for item in page if item.number <= _number(request, "upto")]
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
        feed, configured = item.feed, self._configured or ConfiguredNames((), {}, frozenset())
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
            watched=configured.watched.get(feed.search) or WATCHED,
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

    async def _find_quarantined(self, number: int) -> QuarantinedItem:
        found = await self._log.quarantined(after=number - 1, limit=1)
        if not found or found[0].number != number:
            raise ConnectorError(
                f"no quarantined item {number}; it may have been replayed or purged "
                "(`deadletters list` shows the current ones)"
            )
        return found[0]

    async def dead_letter(self, request: JsonObject) -> JsonObject:
        """Dead letter ``number`` in full."""
        number = _number(request, "number")
        return {"dead_letter": to_text(dead_letter_detail(number, await self._find(number), self._names))}

    async def resolve_dead_letters(self, request: JsonObject) -> JsonObject:
        """Replay or purge dead letters: ``numbers``, or a page after number ``after`` up to ``upto``.

        Returns how many were resolved, how many of these may double what the collector took
        (``partial_success``), and how many were kept by output: replaying to an output that is not attached
        would lose them.
        """
        action = _action(request)
        numbers = request.get("numbers")
        if numbers is None:
            dead_letters = await self._some(request)
            last = dead_letters[-1][0] if dead_letters else 0
            upto = _number(request, "upto")
            chosen = [(number, dead_letter) for number, dead_letter in dead_letters if number <= upto]
        else:
            chosen = [(number, await self._find(number)) for number in _numbers(numbers)]
            last = 0
        attached = {output.output for output in (await self._log.outline()).outputs if output.attached}
        kept = [one.output for _, one in chosen if action == "replay" and one.output not in attached]
        going = [(number, one) for number, one in chosen if one.output not in set(kept)]
        resolved = (
            await self._log.resolve_dead_letters([number for number, _ in going], action) if going else 0
        )
        fact = DeadLettersReplayed if action == "replay" else DeadLettersPurged
        for output, count in Counter(one.output for _, one in going).items():
            self._observe(fact(output, count))
        partly = sum(one.reason == PARTIAL_SUCCESS for _, one in going)
        return {"resolved": resolved, "partly_taken": partly, "last": last, "kept": dict(Counter(kept))}

    async def _some(self, request: JsonObject) -> Sequence[tuple[int, DeadLetter]]:
        output = None if request.get("output") is None else _text(request, "output")
        limit = min(PAGE_SIZE, _number(request, "limit")) if "limit" in request else PAGE_SIZE
        return await self._log.dead_letters(output, after=_number(request, "after"), limit=limit)

    async def _find(self, number: int) -> DeadLetter:
        dead_letters = await self._log.dead_letters(after=number - 1, limit=1)
        if not dead_letters or dead_letters[0][0] != number:
            raise ConnectorError(
                f"no dead letter {number}; it may have been replayed or purged "
                "(`deadletters list` shows the current ones)"
            )
        return dead_letters[0][1]

    def _feed(self, outline: FeedOutline) -> JsonObject:
        feed = outline.feed
        return {
            "account": feed.account,
            "account_name": self._names.get(feed.account),
            "search": feed.search,
            "configured": None if self._configured is None else feed in self._configured.feeds,
            "source": outline.source,
            "checkpoints": {sweep: moment.isoformat() for sweep, moment in outline.checkpoints.items()},
            "seen": outline.seen,
            "quarantined": outline.quarantined,
            "gaps": [_gap(gap) for gap in outline.gaps],
        }

    async def _output(self, outline: OutputOutline) -> JsonObject:
        gap = await self._log.skipped(outline.output)
        return {
            "output": outline.output,
            "configured": None if self._configured is None else outline.output in self._configured.outputs,
            "attached": outline.attached,
            "position": outline.position,
            "backlog": outline.backlog,
            "backlog_bytes": outline.backlog_bytes,
            "oldest": _iso(outline.oldest),
            "dead_letters": outline.dead_letters,
            "gap": None if gap is None else _gap(gap),
        }

    def _name(self, account: str) -> str:
        return self._names.get(account, account)


def _feeds_of(settings: Settings) -> frozenset[Feed]:
    """Every configured feed."""
    return frozenset(
        Feed(settings.accounts[account].account_id, name)
        for name, search in settings.searches.items()
        for account in (settings.accounts if search.accounts == "all" else search.accounts)
    )


def _never_started(output: str) -> JsonObject:
    """A configured output that has never been started."""
    nothing = dict.fromkeys(("position", "backlog", "backlog_bytes", "oldest", "gap"))
    return {"output": output, "configured": True, "attached": False, "dead_letters": 0, **nothing}


def _gap(gap: Gap) -> JsonObject:
    window = gap.window
    return {"start": window.start.isoformat(), "end": window.end.isoformat(), "cause": gap.reason}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _action(request: JsonObject) -> Action:
    action = request.get("action")
    if action == "replay":
        return "replay"
    if action == "purge":
        return "purge"
    raise _invalid_request("action")


def _text(request: JsonObject, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str):
        raise _invalid_request(key)
    return value


def _number(request: JsonObject, key: str) -> int:
    value = request.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _invalid_request(key)
    return value


def _numbers(value: object) -> list[int]:
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        raise _invalid_request("numbers")
    return list(dict.fromkeys(value))


def _rewind_target(request: JsonObject) -> int | datetime:
    value = request.get("to")
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise _invalid_request("to") from None
        if moment.tzinfo is not None:
            return moment
    return _number(request, "to")


def _invalid_request(key: str) -> ConnectorError:
    return ConnectorError(
        f"invalid request: {key!r} is missing or wrong (version mismatch between command and daemon?)"
    )


_SUBJECT = 400
"""Characters of a subject in a list; ``deadletters show`` prints all of it."""


def quarantined_summary(kept: QuarantinedItem, names: Mapping[str, str]) -> JsonObject:
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


def dead_letter_summary(number: int, dead_letter: DeadLetter, names: Mapping[str, str]) -> JsonObject:
    """One dead letter for a list; *names* are account names by id."""
    revision = dead_letter.revision
    subject = revision.record.body.get("subject")
    return {
        **_about(number, dead_letter),
        "account": revision.feed.account,
        "account_name": names.get(revision.feed.account),
        "search": revision.feed.search,
        "id": revision.record.id,
        "revision": revision.number,
        "subject": subject[:_SUBJECT] if isinstance(subject, str) else None,
    }


def dead_letter_detail(number: int, dead_letter: DeadLetter, names: Mapping[str, str]) -> JsonObject:
    """One dead letter in full."""
    return {**_about(number, dead_letter), "revision": _revision(dead_letter.revision, names)}


def to_text(value: JsonObject | list[JsonObject]) -> str:
    """*value* as ASCII JSON; NaN and infinities become ``null``."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(encode({"value": value}))["value"])


def _about(number: int, dead_letter: DeadLetter) -> JsonObject:
    return {
        "number": number,
        "output": dead_letter.output,
        "sequence": dead_letter.sequence,
        "reason": dead_letter.reason,
        "answer": dead_letter.answer,
        "attempts": dead_letter.attempts,
        "first_tried": dead_letter.first_tried.isoformat(),
        "dead_lettered": dead_letter.dead_lettered_at.isoformat(),
    }


def _revision(revision: Revision, names: Mapping[str, str]) -> JsonObject:
    previous: Body | None = revision.previous
    return {
        "account": revision.feed.account,
        "account_name": names.get(revision.feed.account),
        "search": revision.feed.search,
        "id": revision.record.id,
        "number": revision.number,
        "digest": revision.digest,
        "identity": revision.identity,
        "occurrence": revision.occurrence,
        "gone": revision.gone,
        "collected": revision.collected.isoformat(),
        "previous": previous,
        "enrichment": revision.enrichment,
        "record": revision.record.body,
    }
