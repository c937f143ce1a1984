"""What an operator asks of the journal: to show where all stands, to rewind, forget, replay and purge.

One set of commands, JSON in and out: the control socket's handlers in a daemon, and the same functions for
a command that opened the journal itself. Nothing here attaches or detaches an output.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from connector.app.control.server import Handler
from connector.collect.resume import note_forgotten
from connector.collect.windows import LIVE
from connector.errors import ConnectorError
from connector.facts import DeadLettersPurged, DeadLettersReplayed, FeedForgotten, OutputRewound
from connector.formats.json import encode
from connector.interfaces import KeyValueStore, Observe, OperatorLog
from connector.model import Body, DeadLetter, Feed, FeedOutline, Gap, JsonObject, OutputOutline, Revision
from connector.settings import Settings

_SUBJECT = 400
"""Characters of a subject in a list; the whole is in the whole."""


def dead_letter_summary(number: int, letter: DeadLetter, names: Mapping[str, str]) -> JsonObject:
    """What tells one dead letter from another; *names* gives the accounts' names by id."""
    revision = letter.revision
    subject = revision.record.body.get("subject")
    return {
        **_about(number, letter),
        "account": revision.feed.account,
        "account_name": names.get(revision.feed.account),
        "search": revision.feed.search,
        "id": revision.record.id,
        "revision": revision.number,
        "subject": subject[:_SUBJECT] if isinstance(subject, str) else None,
    }


def dead_letter_detail(number: int, letter: DeadLetter, names: Mapping[str, str]) -> JsonObject:
    """All of it."""
    return {**_about(number, letter), "revision": _revision(letter.revision, names)}


def to_text(value: JsonObject | list[JsonObject]) -> str:
    """*value* as JSON in ASCII; what JSON has no number for is ``null``."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(encode({"value": value}))["value"])


def _about(number: int, letter: DeadLetter) -> JsonObject:
    return {
        "number": number,
        "output": letter.output,
        "sequence": letter.sequence,
        "reason": letter.reason,
        "answer": letter.answer,
        "attempts": letter.attempts,
        "first_tried": letter.first_tried.isoformat(),
        "buried": letter.dead_lettered_at.isoformat(),
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


Action: TypeAlias = Literal["replay", "purge"]

PAGE_SIZE = 100
"""Dead letters that one request reads or settles, so that no answer is long in coming."""

_FORGET_SECONDS = 10.0
"""Seconds after which an answer no longer waits for the rows of a forgotten feed to be deleted."""


class OperatorJournal(OperatorLog, KeyValueStore, Protocol):
    """The journal as this module uses it."""

    async def skipped(self, output: str) -> Gap | None:
        """See ``OutputLog``."""
        ...


def handlers(log: OperatorJournal, settings: Settings, observe: Observe) -> Mapping[str, Handler]:
    """The operator's commands by name."""
    operator = Operator(log, settings, observe)
    return {
        "state": operator.state,
        "reach": operator.reach,
        "rewind": operator.rewind,
        "forget": operator.forget,
        "letters": operator.letters,
        "letter": operator.letter,
        "settle": operator.settle,
    }


class Operator:
    """The commands; see the module. Each takes and returns a JSON object."""

    def __init__(self, log: OperatorJournal, settings: Settings, observe: Observe) -> None:
        self._log = log
        self._observe = observe
        self._outputs = tuple(settings.outputs)
        self._names = {account.account_id: name for name, account in settings.accounts.items()}
        self._feeds = _feeds_of(settings)

    async def state(self, _: JsonObject) -> JsonObject:
        """Where every feed and output stands, configured or only remembered."""
        outline = await self._log.outline()
        known = {feed.feed: feed for feed in outline.feeds}
        new = (FeedOutline(feed, {}, (), 0) for feed in self._feeds if feed not in known)
        outputs = [await self._output(output) for output in outline.outputs]
        begun = {output.output for output in outline.outputs}
        outputs += [_unbegun(name) for name in self._outputs if name not in begun]
        return {
            "head": outline.head,
            "floor": outline.floor,
            "since": _iso(outline.since),
            "bytes": outline.bytes,
            "newest_letter": outline.newest_letter,
            "feeds": [self._feed(feed) for feed in (*outline.feeds, *new)],
            "outputs": outputs,
        }

    async def reach(self, request: JsonObject) -> JsonObject:
        """What a rewind of ``output`` to ``to`` (a number, or a time) would do."""
        reach = await self._log.preview_rewind(_text(request, "output"), _place(request))
        return {
            "position": reach.position,
            "target": reach.target,
            "revisions": reach.revisions,
            "complete": reach.complete,
            "letters": reach.dead_letters,
        }

    async def rewind(self, request: JsonObject) -> JsonObject:
        """Rewind ``output`` to ``to``."""
        output, place = _text(request, "output"), _place(request)
        reach = await self._log.preview_rewind(output, place)
        if reach.target < reach.position:
            await self._log.rewind(output, place)
            self._observe(OutputRewound(output, reach.target, reach.revisions))
        return {"position": reach.target, "revisions": reach.revisions}

    async def forget(self, request: JsonObject) -> JsonObject:
        """Forget the feed of ``account`` (its id) and ``search``; a running one starts anew by itself."""
        feed = Feed(_text(request, "account"), _text(request, "search"))
        outline = await self._log.outline()
        known = next((known for known in outline.feeds if known.feed == feed), None)
        if known is None:
            raise ConnectorError(f"the journal knows nothing of {feed.search} on {self._name(feed.account)}")
        if live := known.checkpoints.get(LIVE):
            await note_forgotten(self._log, feed, live)
        # The feed is gone at once; its rows may be millions, and what is left of them goes later.
        with suppress(TimeoutError):
            async with asyncio.timeout(_FORGET_SECONDS):
                await self._log.forget(feed)
        self._observe(FeedForgotten(feed, known.seen))
        return {"seen": known.seen}

    async def letters(self, request: JsonObject) -> JsonObject:
        """Some dead letters after number ``after``, oldest first, of ``output`` or of all."""
        found = await self._some(request)
        return {
            "letters": to_text([dead_letter_summary(*one, self._names) for one in found]),
            "last": found[-1][0] if found else 0,
        }

    async def letter(self, request: JsonObject) -> JsonObject:
        """The whole dead letter ``number``."""
        number = _number(request, "number")
        return {"letter": to_text(dead_letter_detail(number, await self._find(number), self._names))}

    async def settle(self, request: JsonObject) -> JsonObject:
        """Replay or purge the letters ``numbers``, or some after number ``after`` up to ``upto``.

        Tells how many, and how many stay for whom: nobody would read a replay to an output not attached.
        """
        action = _action(request)
        numbers = request.get("numbers")
        if numbers is None:
            found = await self._some(request)
            last = found[-1][0] if found else 0
            upto = _number(request, "upto")
            chosen = [(number, letter.output) for number, letter in found if number <= upto]
        else:
            chosen = [(number, (await self._find(number)).output) for number in _numbers(numbers)]
            last = 0
        attached = {output.output for output in (await self._log.outline()).outputs if output.attached}
        stay = [output for _, output in chosen if action == "replay" and output not in attached]
        going = [(number, output) for number, output in chosen if output not in set(stay)]
        settled = (
            await self._log.resolve_dead_letters([number for number, _ in going], action) if going else 0
        )
        fact = DeadLettersReplayed if action == "replay" else DeadLettersPurged
        for output, count in Counter(output for _, output in going).items():
            self._observe(fact(output, count))
        return {"settled": settled, "last": last, "stay": dict(Counter(stay))}

    async def _some(self, request: JsonObject) -> Sequence[tuple[int, DeadLetter]]:
        output = None if request.get("output") is None else _text(request, "output")
        limit = min(PAGE_SIZE, _number(request, "limit")) if "limit" in request else PAGE_SIZE
        return await self._log.dead_letters(output, after=_number(request, "after"), limit=limit)

    async def _find(self, number: int) -> DeadLetter:
        found = await self._log.dead_letters(after=number - 1, limit=1)
        if not found or found[0][0] != number:
            raise ConnectorError(
                f"there is no dead letter {number}; it may have been replayed or purged: "
                "`deadletters list` shows those there are"
            )
        return found[0][1]

    def _feed(self, outline: FeedOutline) -> JsonObject:
        feed = outline.feed
        return {
            "account": feed.account,
            "account_name": self._names.get(feed.account),
            "search": feed.search,
            "configured": feed in self._feeds,
            "checkpoints": {sweep: moment.isoformat() for sweep, moment in outline.checkpoints.items()},
            "seen": outline.seen,
            "gaps": [_gap(gap) for gap in outline.gaps],
        }

    async def _output(self, outline: OutputOutline) -> JsonObject:
        gap = await self._log.skipped(outline.output)
        return {
            "output": outline.output,
            "configured": outline.output in self._outputs,
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
    """Every feed that is configured."""
    return frozenset(
        Feed(settings.accounts[account].account_id, name)
        for name, search in settings.searches.items()
        for account in (settings.accounts if search.accounts == "all" else search.accounts)
    )


def _unbegun(output: str) -> JsonObject:
    """An output that is configured and was never started."""
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
    raise _misunderstood("action")


def _text(request: JsonObject, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str):
        raise _misunderstood(key)
    return value


def _number(request: JsonObject, key: str) -> int:
    value = request.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _misunderstood(key)
    return value


def _numbers(value: object) -> list[int]:
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        raise _misunderstood("numbers")
    return list(dict.fromkeys(value))


def _place(request: JsonObject) -> int | datetime:
    value = request.get("to")
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise _misunderstood("to") from None
        if moment.tzinfo is not None:
            return moment
    return _number(request, "to")


def _misunderstood(key: str) -> ConnectorError:
    return ConnectorError(f"the request lacks a sound {key!r}; are command and daemon of the same version?")
