"""The status of the daemon, built from facts and handed out as JSON values.

It belongs to the main loop; other threads see only its immutable snapshots.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, field
from datetime import UTC, datetime, timedelta

from connector import facts
from connector.interfaces import Clock
from connector.leases import account_lease, output_lease
from connector.model import Backlog, Feed, JsonObject, Outline
from connector.quantities import format_duration
from connector.telemetry.recent_problems import RecentProblems
from connector.values import dataclass

_LIVE = "live"

_OPEN_ACTIONS = {"awaiting_approval": "await approval", "unknown": "have an unknown outcome"}
"""Response actions that deserve a look, by their member of the status."""

_PERSISTENT = 10
"""Failed attempts after which a revisit counts as broken; with backoff that is about five minutes."""

_ALL_FILTERED_AFTER = timedelta(days=1)
"""A day has every hour of traffic in it: an output that filtered all of it may have a wrong filter."""


@dataclass(slots=True)
class FeedState:
    """One feed: *fresh_at* is when its live sweep last reached the present.

    *failing*, *attempts* and *next_attempt* are by sweep: the reason, failures in a row, and when the next
    attempt is due.
    """

    fresh_within: timedelta
    fresh_at: datetime | None = None
    checkpoint: datetime | None = None
    failing: dict[str, str] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    next_attempt: dict[str, datetime] = field(default_factory=dict)
    paused: str = ""
    records: int = 0
    changes: int = 0
    backfill: JsonObject | None = None

    def succeeded(self, sweep: str) -> None:
        """Forget the failures of *sweep*."""
        self.failing.pop(sweep, None)
        self.attempts.pop(sweep, None)
        self.next_attempt.pop(sweep, None)

    def due(self) -> datetime | None:
        """When the next attempt is made, of the live sweep if it fails."""
        return self.next_attempt.get(_LIVE) or min(self.next_attempt.values(), default=None)


@dataclass(slots=True)
class OutputState:
    """One output: *held* and *retrying* are reasons, *next_attempt* is when it tries again.

    *filtered_since* is when it filtered the first event after the last one it sent.
    """

    held: str = ""
    retrying: str = ""
    attempts: int = 0
    next_attempt: datetime | None = None
    filtered: Counter[str] = field(default_factory=Counter)
    filtered_since: datetime | None = None
    sent: int = 0
    dead: int = 0
    last_success: datetime | None = None
    newest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """The feeds, outputs and accounts that a status covers."""

    feeds: frozenset[Feed]
    outputs: frozenset[str]
    accounts: frozenset[str]
    failing: frozenset[tuple[Feed, str]] = frozenset()


class Status:
    """Builds the status from facts."""

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
        """*feeds*: how long each feed counts as fresh; *outputs*: backlog limits; *names*: by account id."""
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
        self._actions: JsonObject | None = None
        self._draining = False
        self._journal_away = ""
        self._replicas: facts.ReplicasSeen | None = None
        self._problems = RecentProblems()
        self._reload: JsonObject = {"at": self._started.isoformat(), "successful": True, "problems": []}

    @property
    def names(self) -> Mapping[str, str]:
        """The configured name of each account id."""
        return self._names

    def watched(self) -> Watched:
        """What the status covers now."""
        failing = frozenset((feed, sweep) for feed, state in self._feeds.items() for sweep in state.failing)
        return Watched(frozenset(self._feeds), frozenset(self._outputs), frozenset(self._names), failing)

    def watch(
        self, feeds: Mapping[Feed, timedelta], outputs: Mapping[str, Backlog], names: Mapping[str, str]
    ) -> None:
        """Cover these from now on; feeds and outputs that stay keep their figures."""
        states = {feed: self._feeds.get(feed) or FeedState(limit) for feed, limit in feeds.items()}
        for feed, limit in feeds.items():
            states[feed].fresh_within = limit
            # A sweep that still fails reports it again; a revisit that was removed never would.
            states[feed].failing, states[feed].attempts = {}, Counter()
            states[feed].next_attempt = {}
        self._feeds = states
        self._outputs = {name: self._outputs.get(name) or OutputState() for name in outputs}
        for output in self._outputs.values():
            output.held, output.retrying, output.attempts, output.next_attempt = "", "", 0, None
        self._limits, self._names = dict(outputs), dict(names)

    def take(self, fact: facts.Fact) -> None:  # noqa: C901, PLR0912, one case per fact
        """Update the status with *fact*."""
        self._problems.take(fact, self._clock())
        match fact:
            case facts.RateLimited(account, _, until) | facts.RateLimitRestored(account, _, until):
                self._limited[account] = until
            case facts.RateLimitLifted(account):
                self._limited.pop(account, None)
            case facts.ClockSkewed(account, seconds):
                self._skew[account] = seconds
            case facts.BudgetRemaining(account, own, _):
                self._budget[account] = own
            case facts.ReplicasSeen():
                self._replicas = fact
            case facts.LeaseTaken(lease):
                self._begin_lease(lease)
            case facts.JournalUnreachable(reason):
                self._journal_away = reason
            case facts.JournalAvailable():
                self._journal_away = ""
            case facts.OpenActionsCounted(awaiting, unknown, others):
                self._actions = {"awaiting_approval": awaiting, "unknown": unknown, "others": others}
            case facts.DaemonStopping():
                self._draining = True
            case facts.ConfigurationReloaded():
                self._reload = {"at": self._clock().isoformat(), "successful": True, "problems": []}
            case facts.ConfigurationRefused(problems):
                at = self._clock().isoformat()
                self._reload = {"at": at, "successful": False, "problems": list(problems)}
            case _:
                self._take_feed(fact)
                self._take_output(fact)

    def outline(self, outline: Outline) -> None:
        """Update the sizes of the journal."""
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
                state.succeeded(sweep)
                state.paused = ""
                if sweep == _LIVE:
                    state.checkpoint = until
            case facts.PageCollected():
                state.records += fact.new
                state.changes += fact.changed
            case facts.CollectionFailed(_, sweep, _, reason, attempt, after):
                state.failing[sweep], state.attempts[sweep] = reason, attempt
                state.next_attempt[sweep] = self._in(after)
            case facts.CollectionRecovered(_, sweep):
                state.succeeded(sweep)
            case facts.CollectionPaused(_, reason):
                state.paused = reason
            case _:
                _take_backfill(state, fact)

    def _take_output(self, fact: facts.Fact) -> None:  # noqa: C901, PLR0912, one case per fact
        name = getattr(fact, "output", None)
        state = self._outputs.get(name) if isinstance(name, str) else None
        if state is None:
            return
        match fact:
            case facts.BatchSent():
                state.sent += fact.accepted
                if fact.accepted or fact.duplicates:
                    state.filtered_since = None
                state.retrying, state.attempts, state.next_attempt = "", 0, None
                if fact.accepted:
                    state.last_success = self._clock()
                if fact.newest and (state.newest is None or fact.newest > state.newest):
                    state.newest = fact.newest
            case facts.HeartbeatSent() | facts.OutputProbed():
                state.retrying, state.attempts, state.next_attempt = "", 0, None
            case facts.EventsFiltered(_, count, reason):
                state.filtered[reason] += count
                if reason not in facts.NO_FILTERS and state.filtered_since is None:
                    state.filtered_since = self._clock()
            case facts.BatchRetried(_, reason, attempt, after):
                state.retrying, state.attempts = reason, attempt
                state.next_attempt = self._in(after)
            case facts.OutputHeld(_, reason):
                state.held = reason
            case facts.OutputReleased():
                state.held, state.next_attempt = "", None
            case facts.EventDeadLettered():
                state.dead += 1
            case _:
                pass

    def _begin_lease(self, lease: str) -> None:
        """What this replica knew of the work is old: another one has done it meanwhile."""
        for feed, state in self._feeds.items():
            if account_lease(feed.account) == lease:
                self._feeds[feed] = FeedState(
                    state.fresh_within, records=state.records, changes=state.changes
                )
        for name, output in self._outputs.items():
            if output_lease(name) == lease:
                output.held, output.retrying, output.attempts, output.next_attempt = "", "", 0, None

    def _is_held(self, lease: str) -> bool:
        """Whether this replica does the work of *lease*; always, where no other can."""
        return self._replicas is None or lease in self._replicas.held

    def _holder(self, lease: str) -> str | None:
        """The host of the replica that holds *lease*; ``None`` where none has it, or there are none."""
        if self._replicas is None:
            return None
        view = self._replicas.view
        holder = next((one.holder for one in view.leases if one.name == lease), None)
        return next((one.host for one in view.replicas if one.id == holder), None)

    def _in(self, seconds: float) -> datetime:
        """The time *seconds* from now; a wait beyond all calendars ends at their end."""
        try:
            return self._clock() + timedelta(seconds=seconds)
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)

    def unready(self) -> list[JsonObject]:
        """Why the daemon is not ready, one object per reason; empty when it is."""
        reasons: list[JsonObject] = [{"what": "process", "reason": "draining"}] if self._draining else []
        if self._journal_away:
            reasons.append({"what": "journal", "reason": self._journal_away})
        now = self._clock()
        for feed, state in self._feeds.items():
            reason = self._feed_reason(feed, state, now)
            if reason:
                reasons.append(
                    {
                        "what": "feed",
                        **self._name(feed),
                        "reason": reason,
                        "next_attempt": _iso(self._due(feed, state, now)),
                    }
                )
        for name, output in self._outputs.items():
            if not self._is_held(output_lease(name)):
                continue
            reason = (
                f"held: {output.held}"
                if output.held
                else "the backlog is at its limit"
                if self._full(name)
                else ""
            )
            if reason:
                due = _iso(output.next_attempt)
                reasons.append({"what": "output", "output": name, "reason": reason, "next_attempt": due})
        return reasons

    def snapshot(self) -> JsonObject:
        """The whole status as JSON values."""
        now = self._clock()
        reasons = self.unready()
        return {
            **self._versions,
            "time": now.isoformat(),
            "started": self._started.isoformat(),
            "ready": not reasons,
            "reasons": reasons,
            "configuration": self._reload,
            "notices": self._notices(now),
            "recent_problems": [
                {**problem, "account_name": self._names.get(problem["account"])}
                if "account" in problem
                else problem
                for problem in self._problems.snapshot()
            ],
            "accounts": [self._account(account) for account in sorted({x.account for x in self._feeds})],
            "feeds": [self._feed(feed, state, now) for feed, state in self._feeds.items()],
            "outputs": [self._output(name, state) for name, state in self._outputs.items()],
            "journal": self._journal(),
            "actions": self._actions,
            "replicas": self._replica_list(),
        }

    def _replica_list(self) -> list[JsonObject]:
        """Every live replica with the leases that it holds; empty where the journal is not shared."""
        if self._replicas is None:
            return []
        view = self._replicas.view
        return [
            {
                "replica": replica.id,
                "host": replica.host,
                "process": replica.process,
                "version": replica.version,
                "this": replica.id == self._replicas.replica,
                "age_seconds": int(replica.age),
                "leases": [
                    {"lease": lease.name, "token": lease.token, "age_seconds": int(lease.age)}
                    for lease in view.leases
                    if lease.holder == replica.id
                ],
            }
            for replica in view.replicas
        ]

    def _notices(self, now: datetime) -> list[JsonObject]:
        """What deserves a look although the daemon is ready."""
        return [
            {
                "what": "output",
                "output": name,
                "reason": "every event was filtered for "
                f"{format_duration(_seconds(now - output.filtered_since))}; check its filters",
            }
            for name, output in self._outputs.items()
            if output.filtered_since is not None and now - output.filtered_since >= _ALL_FILTERED_AFTER
        ] + [
            {"what": "actions", "reason": f"{self._actions[state]} {text}: email-connector action list"}
            for state, text in _OPEN_ACTIONS.items()
            if self._actions is not None and self._actions[state]
        ]

    def _name(self, feed: Feed) -> JsonObject:
        return {
            "account": feed.account,
            "account_name": self._names.get(feed.account),
            "search": feed.search,
        }

    def _limited_until(self, account: str, now: datetime) -> datetime | None:
        until = self._limited.get(account)
        return until if until is not None and until > now else None

    def _due(self, feed: Feed, state: FeedState, now: datetime) -> datetime | None:
        """When the feed is tried again: not before the account's rate limit ends."""
        times = (state.due(), self._limited_until(feed.account, now))
        return max((time for time in times if time is not None), default=None)

    def _feed_reason(self, feed: Feed, state: FeedState, now: datetime) -> str:
        if not self._is_held(account_lease(feed.account)):
            return ""
        reason = _feed_reason(state, now)
        if reason and self._limited_until(feed.account, now):
            return f"{reason}; the API's rate limit has stopped all requests of the account"
        return reason

    def _account(self, account: str) -> JsonObject:
        return {
            "account": account,
            "name": self._names.get(account),
            "clock_skew_seconds": self._skew.get(account),
            "budget_remaining": self._budget.get(account),
            "rate_limited_until": _iso(self._limited_until(account, self._clock())),
        }

    def _quarantined(self, feed: Feed) -> int | None:
        """Items in quarantine, as of the last look at the journal."""
        feeds = self._outline.feeds if self._outline else ()
        return next((known.quarantined for known in feeds if known.feed == feed), None)

    def _feed(self, feed: Feed, state: FeedState, now: datetime) -> JsonObject:
        reason = self._feed_reason(feed, state, now)
        return {
            **self._name(feed),
            "state": "standby"
            if not self._is_held(account_lease(feed.account))
            else "fresh"
            if not reason
            else "failing"
            if state.failing
            else "paused"
            if state.paused
            else "behind",
            "reason": reason,
            "next_attempt": _iso(self._due(feed, state, now)),
            "checkpoint": _iso(state.checkpoint),
            "fresh_at": _iso(state.fresh_at),
            "fresh_within": format_duration(state.fresh_within),
            "replica": self._holder(account_lease(feed.account)),
            "failing_sweeps": dict(state.failing),
            "records": state.records,
            "changes": state.changes,
            "quarantined": self._quarantined(feed),
            "paused": state.paused,
            "backfill": state.backfill,
        }

    def _output(self, name: str, state: OutputState) -> JsonObject:
        outline = (
            next((o for o in self._outline.outputs if o.output == name), None) if self._outline else None
        )
        return {
            "output": name,
            "state": "standby"
            if not self._is_held(output_lease(name))
            else "held"
            if state.held
            else "retrying"
            if state.retrying
            else "working",
            "replica": self._holder(output_lease(name)),
            "reason": state.held or state.retrying,
            "attempts": state.attempts,
            "next_attempt": _iso(state.next_attempt),
            "sent": state.sent,
            "filtered": state.filtered.total(),
            "filtered_by": dict(state.filtered),
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
            progress = {"position": position.isoformat(), "read": read, "revisions": revisions}
            state.backfill = {**state.backfill, **progress}
        case facts.BackfillEnded(_, number) if state.backfill and state.backfill["number"] == number:
            state.backfill = None
            state.succeeded("backfill")
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
        age = format_duration(_seconds(now - state.fresh_at))
        return f"not fresh: the present was last reached {age} ago"
    for sweep in state.failing:
        if sweep.startswith("revisit") and state.attempts[sweep] >= _PERSISTENT:
            tried = f"failing ({state.attempts[sweep]} attempts)"
            return f"{sweep} {tried}, so late messages and changes are missed: {state.failing[sweep]}"
    return ""


def _seconds(length: timedelta) -> timedelta:
    return timedelta(seconds=int(length.total_seconds()))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
