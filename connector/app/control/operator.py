"""Operator commands on the journal: show state, rewind, forget, list, replay and purge dead letters.

JSON in, JSON out. The daemon serves them on the control socket; a command that opened the journal itself
calls the same functions. None of them attaches or detaches an output.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from datetime import datetime
from typing import Protocol

from connector.app.control.quarantine import QuarantineService
from connector.app.control.requests import action_of, invalid_request, number_of, numbers_of, text_of
from connector.app.control.server import PAGE_SIZE, Handler
from connector.collect.resume import note_forgotten
from connector.collect.windows import LIVE
from connector.errors import ConnectorError
from connector.facts import (
    DeadLettersPurged,
    DeadLettersReplayed,
    FeedForgotten,
    OutputRewound,
)
from connector.formats.json import encode
from connector.interfaces import FeedLog, KeyValueStore, Observe, OperatorLog
from connector.model import (
    PARTIAL_SUCCESS,
    Body,
    DeadLetter,
    Feed,
    FeedOutline,
    Gap,
    JsonObject,
    OutputOutline,
    Revision,
)
from connector.settings import Settings
from connector.source.budget import clear_pause
from connector.values import dataclass

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
        "resolve_dead_letters": operator.resolve_dead_letters,
        "quarantined": operator.quarantine.list,
        "quarantined_item": operator.quarantine.item,
        "resolve_quarantined": operator.quarantine.resolve,
    }


class Operator:
    """The commands; each takes and returns a JSON object."""

    def __init__(self, log: OperatorJournal, configured: ConfiguredNames | None, observe: Observe) -> None:
        self._log = log
        self._observe = observe
        self._configured = configured
        self._names = configured.account_names if configured else {}
        watched = configured.watched if configured else {}
        self.quarantine = QuarantineService(log, self._names, watched, observe)

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
        preview = await self._log.preview_rewind(text_of(request, "output"), _rewind_target(request))
        return {
            "position": preview.position,
            "target": preview.target,
            "revisions": preview.revisions,
            "complete": preview.complete,
            "dead_letters": preview.dead_letters,
        }

    async def rewind(self, request: JsonObject) -> JsonObject:
        """Rewind ``output`` to ``to``."""
        output, place = text_of(request, "output"), _rewind_target(request)
        preview = await self._log.preview_rewind(output, place)
        if preview.target < preview.position:
            await self._log.rewind(output, place)
            self._observe(OutputRewound(output, preview.target, preview.revisions))
        return {"position": preview.target, "revisions": preview.revisions}

    async def forget(self, request: JsonObject) -> JsonObject:
        """Forget the feed of ``account`` (its id) and ``search``; if it is running, it starts over."""
        feed = Feed(text_of(request, "account"), text_of(request, "search"))
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

    async def dead_letter(self, request: JsonObject) -> JsonObject:
        """Dead letter ``number`` in full."""
        number = number_of(request, "number")
        return {"dead_letter": to_text(dead_letter_detail(number, await self._find(number), self._names))}

    async def resolve_dead_letters(self, request: JsonObject) -> JsonObject:
        """Replay or purge dead letters: ``numbers``, or a page after number ``after`` up to ``upto``.

        Returns how many were resolved, how many of these may double what the collector took
        (``partial_success``), and how many were kept by output: replaying to an output that is not attached
        would lose them.
        """
        action = action_of(request)
        numbers = request.get("numbers")
        if numbers is None:
            dead_letters = await self._some(request)
            last = dead_letters[-1][0] if dead_letters else 0
            upto = number_of(request, "upto")
            chosen = [(number, dead_letter) for number, dead_letter in dead_letters if number <= upto]
        else:
            chosen = [(number, await self._find(number)) for number in numbers_of(numbers)]
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
        output = None if request.get("output") is None else text_of(request, "output")
        limit = min(PAGE_SIZE, number_of(request, "limit")) if "limit" in request else PAGE_SIZE
        return await self._log.dead_letters(output, after=number_of(request, "after"), limit=limit)

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


def _rewind_target(request: JsonObject) -> int | datetime:
    value = request.get("to")
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise invalid_request("to") from None
        if moment.tzinfo is not None:
            return moment
    return number_of(request, "to")


_SUBJECT = 400
"""Characters of a subject in a list; ``deadletters show`` prints all of it."""


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
