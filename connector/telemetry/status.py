"""The state of the daemon as an operator asks for it: built from facts, handed out as plain values.

Lives on the main loop; other threads see only the immutable snapshots it makes.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from connector import facts
from connector.interfaces import Clock
from connector.model import Backlog, Feed, JsonObject, Outline
from connector.quantities import format_duration
from connector.telemetry.recent_problems import Troubles

_LIVE = "live"

_STUBBORN = 10
"""Attempts after which a revisit that fails is no hiccup: some five minutes."""


@dataclass(slots=True)
class FeedState:
    """One feed: *fresh_at* is when its live sweep last reached the present."""

    fresh_within: timedelta
    fresh_at: datetime | None = None
    checkpoint: datetime | None = None
    failing: dict[str, str] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    paused: str = ""
    records: int = 0
    changes: int = 0
    backfill: JsonObject | None = None


@dataclass(slots=True)
class OutputState:
    """One output: *hold* and *retrying* say why nothing moves."""

    hold: str = ""
    retrying: str = ""
    attempts: int = 0
    sent: int = 0
    dead: int = 0
    last_success: datetime | None = None
    newest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """What a status is about."""

    feeds: frozenset[Feed]
    outputs: frozenset[str]
    accounts: frozenset[str]
    failing: frozenset[tuple[Feed, str]] = frozenset()


class Status:
    """Collects facts; see the module."""

    def __init__(
        self,
        version: str,
        clock: Clock,
        feeds: Mapping[Feed, timedelta],
        outputs: Mapping[str, Backlog],
        names: Mapping[str, str],
        *,
        sqlite: str = "",
    ) -> None:
        """*feeds* gives how old a feed may be and still count as fresh, *names* the accounts' names."""
        self._versions = {"version": version, "python": platform.python_version(), "sqlite": sqlite}
        self._clock = clock
        self._started = clock()
        self._feeds = {feed: FeedState(limit) for feed, limit in feeds.items()}
        self._outputs = {name: OutputState() for name in outputs}
        self._limits = dict(outputs)
        self._names = dict(names)
        self._outline: Outline | None = None
        self._limited: dict[str, datetime] = {}
        self._skew: dict[str, float] = {}
        self._budget: dict[str, float] = {}
        self._draining = False
        self._troubles = Troubles()
        self._reload: JsonObject = {"at": self._started.isoformat(), "successful": True, "problems": []}

    @property
    def names(self) -> Mapping[str, str]:
        """The configured name of each account id."""
        return self._names

    def watched(self) -> Watched:
        """What it is about at present."""
        failing = frozenset((feed, sweep) for feed, state in self._feeds.items() for sweep in state.failing)
        return Watched(frozenset(self._feeds), frozenset(self._outputs), frozenset(self._names), failing)

    def watch(
        self, feeds: Mapping[Feed, timedelta], outputs: Mapping[str, Backlog], names: Mapping[str, str]
    ) -> None:
        """Show these from now on; a feed that stays keeps what is known of it, an output what it did."""
        states = {feed: self._feeds.get(feed) or FeedState(limit) for feed, limit in feeds.items()}
        for feed, limit in feeds.items():
            states[feed].fresh_within = limit
            # What goes on failing says so again; a revisit that is no longer configured never would.
            states[feed].failing, states[feed].attempts = {}, Counter()
        self._feeds = states
        self._outputs = {name: self._outputs.get(name) or OutputState() for name in outputs}
        for output in self._outputs.values():
            output.hold, output.retrying, output.attempts = "", "", 0
        self._limits, self._names = dict(outputs), dict(names)

    def take(self, fact: facts.Fact) -> None:
        """Note *fact*."""
        self._troubles.take(fact, self._clock())
        match fact:
            case facts.RateLimited(account, _, until):
                self._limited[account] = until
            case facts.ClockSkewed(account, seconds):
                self._skew[account] = seconds
            case facts.BudgetRemaining(account, own, _):
                self._budget[account] = own
            case facts.DaemonStopping():
                self._draining = True
            case facts.ConfigurationReloaded():
                self._reload = {"at": self._clock().isoformat(), "successful": True, "problems": []}
            case facts.ConfigurationRefused(problems):
                told = {"at": self._clock().isoformat(), "successful": False, "problems": list(problems)}
                self._reload = told
            case _:
                self._take_feed(fact)
                self._take_output(fact)

    def outline(self, outline: Outline) -> None:
        """Note the journal's sizes."""
        self._outline = outline

    def _take_feed(self, fact: facts.Fact) -> None:
        feed = getattr(fact, "feed", None)
        state = self._feeds.get(feed) if isinstance(feed, Feed) else None
        if state is None:
            return
        match fact:
            case facts.FeedCaughtUp(_, checkpoint):
                state.fresh_at, state.checkpoint, state.paused = self._clock(), checkpoint, ""
            case facts.SliceCollected(_, sweep, _, until):
                state.failing.pop(sweep, None)
                state.attempts.pop(sweep, None)
                state.paused = ""
                if sweep == _LIVE:
                    state.checkpoint = until
            case facts.PageCollected():
                state.records += fact.new
                state.changes += fact.changed
            case facts.CollectionFailed(_, sweep, _, reason, attempt):
                state.failing[sweep], state.attempts[sweep] = reason, attempt
            case facts.CollectionRecovered(_, sweep):
                state.failing.pop(sweep, None)
                state.attempts.pop(sweep, None)
            case facts.CollectionPaused(_, reason):
                state.paused = reason
            case _:
                _take_backfill(state, fact)

    def _take_output(self, fact: facts.Fact) -> None:
        name = getattr(fact, "output", None)
        state = self._outputs.get(name) if isinstance(name, str) else None
        if state is None:
            return
        match fact:
            case facts.BatchSent():
                state.sent += fact.accepted
                state.retrying, state.attempts = "", 0
                state.last_success = self._clock()
                if fact.newest and (state.newest is None or fact.newest > state.newest):
                    state.newest = fact.newest
            case facts.HeartbeatSent():
                state.retrying, state.attempts = "", 0
            case facts.BatchRetried(_, reason, attempt):
                state.retrying, state.attempts = reason, attempt
            case facts.OutputHeld(_, reason):
                state.hold = reason
            case facts.OutputReleased():
                state.hold = ""
            case facts.EventDeadLettered():
                state.dead += 1
            case _:
                pass

    def unready(self) -> list[JsonObject]:
        """Why the daemon is not ready, one object per reason; empty when it is."""
        reasons: list[JsonObject] = [{"what": "process", "reason": "draining"}] if self._draining else []
        now = self._clock()
        for feed, state in self._feeds.items():
            reason = _feed_reason(state, now)
            if reason:
                reasons.append(
                    {"what": "feed", "account": feed.account, "search": feed.search, "reason": reason}
                )
        for name, output in self._outputs.items():
            if output.hold:
                reasons.append({"what": "output", "output": name, "reason": f"hold: {output.hold}"})
            elif self._full(name):
                reasons.append({"what": "output", "output": name, "reason": "the backlog is at its limit"})
        return reasons

    def snapshot(self) -> JsonObject:
        """Everything, as JSON values."""
        now = self._clock()
        reasons = self.unready()
        return {
            **self._versions,
            "time": now.isoformat(),
            "started": self._started.isoformat(),
            "ready": not reasons,
            "reasons": reasons,
            "configuration": self._reload,
            "troubles": self._troubles.snapshot(),
            "accounts": [self._account(account) for account in sorted({x.account for x in self._feeds})],
            "feeds": [self._feed(feed, state, now) for feed, state in self._feeds.items()],
            "outputs": [self._output(name, state) for name, state in self._outputs.items()],
            "journal": self._journal(),
        }

    def _account(self, account: str) -> JsonObject:
        limited = self._limited.get(account)
        return {
            "account": account,
            "name": self._names.get(account),
            "clock_skew_seconds": self._skew.get(account),
            "budget_remaining": self._budget.get(account),
            "rate_limited_until": limited.isoformat() if limited and limited > self._clock() else None,
        }

    def _feed(self, feed: Feed, state: FeedState, now: datetime) -> JsonObject:
        reason = _feed_reason(state, now)
        return {
            "account": feed.account,
            "account_name": self._names.get(feed.account),
            "search": feed.search,
            "state": "fresh"
            if not reason
            else "failing"
            if state.failing
            else "paused"
            if state.paused
            else "behind",
            "reason": reason,
            "checkpoint": _iso(state.checkpoint),
            "fresh_at": _iso(state.fresh_at),
            "fresh_within": format_duration(state.fresh_within),
            "failing_sweeps": dict(state.failing),
            "records": state.records,
            "changes": state.changes,
            "paused": state.paused,
            "backfill": state.backfill,
        }

    def _output(self, name: str, state: OutputState) -> JsonObject:
        outline = (
            next((o for o in self._outline.outputs if o.output == name), None) if self._outline else None
        )
        return {
            "output": name,
            "state": "hold" if state.hold else "retrying" if state.retrying else "working",
            "reason": state.hold or state.retrying,
            "attempts": state.attempts,
            "sent": state.sent,
            "last_success": _iso(state.last_success),
            "newest_event": _iso(state.newest),
            "position": outline.position if outline else None,
            "backlog": outline.backlog if outline else None,
            "backlog_bytes": outline.backlog_bytes if outline else None,
            "backlog_oldest": _iso(outline.oldest) if outline else None,
            "dead_letters": outline.dead_letters if outline else state.dead,
        }

    def _journal(self) -> JsonObject:
        if self._outline is None:
            return {}
        seen = sum(feed.seen for feed in self._outline.feeds)
        gaps = [
            {
                **asdict(feed.feed),
                "start": g.window.start.isoformat(),
                "end": g.window.end.isoformat(),
                "cause": g.reason,
            }
            for feed in self._outline.feeds
            for g in feed.gaps
        ]
        return {"head": self._outline.head, "bytes": self._outline.bytes, "seen": seen, "gaps": gaps}

    def _full(self, name: str) -> bool:
        if self._outline is None:
            return False
        limit = self._limits[name].max_bytes
        return any(o.output == name and o.counted_bytes >= limit for o in self._outline.outputs)


def _take_backfill(state: FeedState, fact: facts.Fact) -> None:
    match fact:
        case facts.BackfillStarted(_, number, start, end, position):
            window = {"number": number, "start": start.isoformat(), "end": end.isoformat()}
            state.backfill = {**window, "position": position.isoformat(), "read": 0, "revisions": 0}
        case facts.BackfillProgressed(_, _, position, read, revisions) if state.backfill is not None:
            told = {"position": position.isoformat(), "read": read, "revisions": revisions}
            state.backfill = {**state.backfill, **told}
        case facts.BackfillEnded(_, number) if state.backfill and state.backfill["number"] == number:
            state.backfill = None
            state.failing.pop("backfill", None)
        case _:
            pass


def _feed_reason(state: FeedState, now: datetime) -> str:
    if state.paused:
        return f"paused: {state.paused}"
    if _LIVE in state.failing:
        return f"failing ({state.attempts[_LIVE]} attempts): {state.failing[_LIVE]}"
    if state.fresh_at is None:
        return "has not reached the present yet"
    if now - state.fresh_at > state.fresh_within:
        age = format_duration(timedelta(seconds=int((now - state.fresh_at).total_seconds())))
        return f"not fresh: the present was last reached {age} ago"
    for sweep in state.failing:
        if sweep.startswith("revisit") and state.attempts[sweep] >= _STUBBORN:
            tried = f"failing ({state.attempts[sweep]} attempts)"
            return f"{sweep} {tried}, late mail and changes are not found: {state.failing[sweep]}"
    return ""


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
