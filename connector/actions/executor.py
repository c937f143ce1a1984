"""``Executor``: performs actions, one durable step at a time.

What is about to be sent is stored first. So after a crash it is known of each target whether a request for it
may have left: releases and submissions are then looked up, moves and blocks are done again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from connector.actions.action import (
    ENDED,
    ON_MESSAGES,
    Action,
    Kind,
    Outcome,
    State,
    Target,
    text_of,
    texts_of,
)
from connector.actions.answers import message_of, moved, released, submitted
from connector.actions.ledger import CONNECTOR, Ledger
from connector.actions.options import ActionOptions
from connector.actions.reconcile import reconcile
from connector.errors import (
    BadQuery,
    ConnectorError,
    Denied,
    JournalError,
    Moved,
    OutcomeUnknown,
    SourceError,
    Unavailable,
)
from connector.facts import (
    ActionAnswered,
    ActionLookedUp,
    ActionPostponed,
    ActionSent,
    OpenActionsCounted,
)
from connector.interfaces import ActionApi, Observe
from connector.model import Body, JsonObject, Record

_IDLE = 60.0
"""Longest time without a look at the clock, in seconds: a wall clock may be set."""

_FORGET_EVERY = timedelta(hours=1)
_LOOKUPS = 4
"""Records that are looked up at the same time."""

_ONCE = frozenset({Kind.RELEASE, Kind.SUBMIT})
"""Kinds that are never sent again where they may have happened."""


class _Later(Exception):
    """The action cannot go on now; nothing was sent. *after* is in seconds."""

    def __init__(self, reason: str, after: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Executor:
    """Performs the actions of a ledger.

    Args:
        ledger: where they are stored.
        apis: the API by account name.
        observe: takes facts.
        options: time limits.
    """

    def __init__(
        self, ledger: Ledger, apis: Mapping[str, ActionApi], observe: Observe, options: ActionOptions
    ) -> None:
        self._ledger = ledger
        self._apis = apis
        self._observe = observe
        self._options = options
        self._due: dict[str, datetime] = {}
        self._states: dict[str, State] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._lanes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._unsettled: dict[tuple[str, Kind, str], str] = {}
        self._released: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._woken = asyncio.Event()
        self._forget_at: datetime | None = None
        self._stopping = False
        self._is_running = False
        self._failure: BaseException | None = None

    def schedule(self, action: Action) -> None:
        """Attend to *action* when it is due; where another process performs actions, it finds that itself."""
        if not self._is_running:
            return
        self._states[action.id] = action.state
        if action.due is None:
            self._due.pop(action.id, None)
            self._states.pop(action.id, None)
        else:
            self._due[action.id] = action.due
        for target in action.targets:
            key = (action.account, action.kind, target.id)
            if action.kind in _ONCE and target.state in {Outcome.SENT, Outcome.UNKNOWN}:
                self._unsettled[key] = action.id
            elif self._unsettled.get(key) == action.id:
                del self._unsettled[key]
        self._remember_released(action)
        self._count()
        self._woken.set()

    def _remember_released(self, action: Action) -> None:
        if action.kind is Kind.RELEASE and action.progressed is not None:
            for target in action.targets:
                if target.state is Outcome.SUCCEEDED:
                    self._released[action.account, target.id] = (action.id, action.progressed)

    async def run(self) -> None:
        """Perform actions until cancelled; begins with those that an earlier process left."""
        self._failure = None
        # What is remembered from the last time is old: another process may have gone on since.
        for known in (self._due, self._states, self._unsettled):
            known.clear()
        self._is_running = True
        try:
            for action in await self._ledger.all_open():
                self.schedule(action)
            self._count()
            while self._failure is None:
                self._woken.clear()
                await self._forget()
                wait = self._start_due()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._woken.wait()
            raise self._failure
        finally:
            self._is_running = False
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)
            self._observe(OpenActionsCounted(0, 0, 0))  # whoever performs them now counts them

    async def look(self) -> None:
        """Attend to actions that another process stored or changed; forget those that it ended."""
        before = set(self._due)
        actions = await self._ledger.all_open()
        for action in actions:
            if action.id not in self._running and self._due.get(action.id) != action.due:
                self.schedule(action)
        ended = before - {action.id for action in actions} - set(self._running)
        for name in ended:
            self._due.pop(name, None)
            self._states.pop(name, None)
        if ended:
            self._count()

    async def finish(self, seconds: float) -> None:
        """Start nothing new, and let what is under way end, for at most *seconds*."""
        self._stopping = True
        if self._running:
            await asyncio.wait(self._running.values(), timeout=seconds)

    async def _forget(self) -> None:
        now = self._ledger.clock()
        if self._forget_at is None or now >= self._forget_at:
            self._forget_at = now + _FORGET_EVERY
            await self._ledger.forget(self._options.keep)

    def _start_due(self) -> float:
        """Start what is due; return the seconds until the next one."""
        now = self._ledger.clock()
        wait = _IDLE
        for name, due in sorted(self._due.items(), key=lambda item: item[1]):
            if name in self._running:
                continue
            if due > now:
                wait = min(wait, (due - now).total_seconds())
                break
            if self._stopping or len(self._running) >= self._options.at_once:
                break
            del self._due[name]
            task = asyncio.create_task(self._attend(name))
            self._running[name] = task
            task.add_done_callback(partial(self._done, name))
        return wait

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        self._running.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
        self._woken.set()

    async def _attend(self, name: str) -> None:
        action = await self._ledger.get(name)
        if action is None:  # it was not stored after all
            self._states.pop(name, None)
            return
        try:
            action = await self._step(action)
        except Moved:  # cancelled or approved meanwhile
            action = await self._ledger.get(name) or action
        except JournalError:
            raise
        except ConnectorError as error:
            action = await self._postpone(await self._ledger.get(name) or action, str(error), None)
        except Exception as error:  # noqa: BLE001, one action with a mistake must not stop the others
            self._due[name] = self._ledger.clock() + timedelta(seconds=_IDLE)
            why = f"unexpected {type(error).__name__}"
            self._observe(ActionPostponed(name, str(action.kind), action.account_id, why, _IDLE))
            return
        self.schedule(action)

    async def _step(self, action: Action) -> Action:  # noqa: PLR0911, one line per state
        now = self._ledger.clock()
        match action.state:
            case State.AWAITING_APPROVAL:
                hours = self._options.approval.total_seconds() / 3600
                why = f"nobody approved it within {hours:g} hours"
                return await self._ledger.save(action, State.EXPIRED, due=None, detail=why)
            case State.ACCEPTED if now - action.changed > self._options.start_within:
                why = "it could not be started in time: the connector was not running, or had too much to do"
                return await self._ledger.save(action, State.EXPIRED, due=None, detail=why)
            case State.ACCEPTED:
                action = await self._ledger.save(action, State.RUNNING)
                return await self._perform(action)
            case State.RUNNING if self._is_late(action):
                return await self._give_up(action, "the connector was not running for too long")
            case State.RUNNING:
                return await self._perform(action)
            case State.UNKNOWN:
                return await self._look_up(action)
        if action.kind is Kind.BLOCK:
            return await self._expire_block(action)
        return await self._ledger.save(action, due=None)

    # Performing

    async def _perform(self, action: Action) -> Action:
        api = self._apis.get(action.account)
        if api is None:
            why = f"the account {action.account} is no longer configured for actions"
            return await self._give_up(action, why)
        try:
            if action.kind in _ONCE:
                async with self._lanes[action.account]:
                    return await self._on_messages(action, api)
            if action.kind in ON_MESSAGES:
                return await self._on_messages(action, api)
            return await (self._block if action.kind is Kind.BLOCK else self._unblock)(action, api)
        except _Later as later:
            newest = await self._ledger.get(action.id) or action
            return await self._postpone(newest, later.reason, later.after)

    async def _postpone(self, action: Action, reason: str, after: float | None) -> Action:
        """Try again later, or give up where it took too long to start."""
        now = self._ledger.clock()
        if action.state is State.RUNNING and self._is_late(action):
            return await self._give_up(action, reason)
        wait = max(self._options.retry, after or 0.0)
        self._observe(ActionPostponed(action.id, str(action.kind), action.account_id, reason, wait))
        return await self._ledger.save(action, due=now + timedelta(seconds=wait))

    def _is_late(self, action: Action) -> bool:
        """Whether what is not sent yet would surprise: nothing was answered for so long."""
        since = action.progressed or action.changed
        return self._ledger.clock() - since > self._options.start_within

    async def _give_up(self, action: Action, reason: str) -> Action:
        """End what is pending as failed; what may have been sent stays unknown."""
        changed = {
            target.id: target.ended(
                Outcome.UNKNOWN if target.state is Outcome.SENT or target.repeats else Outcome.FAILED,
                f"not done: {reason}"[:300],
            )
            for target in action.targets
            if target.state in {Outcome.PENDING, Outcome.SENT}
        }
        return await self._conclude(action.with_targets(changed))

    async def _on_messages(self, action: Action, api: ActionApi) -> Action:
        action = await self._resume(action)
        while pending := [one for one in action.targets if one.state is Outcome.PENDING]:
            chunk = pending[: self._options.chunk]
            if action.dry_run or action.kind in _ONCE:
                checked = await self._check(action, chunk, api)
                action = action.with_targets({target.id: target for target in checked})
                chunk = [target for target in checked if target.state is Outcome.PENDING]
            if chunk and self._is_late(action):
                return await self._give_up(action, "the API could not be asked in time")
            if chunk:
                action = await self._send(action, chunk, api)
            else:
                action = await self._ledger.save(action, progressed=self._ledger.clock())
        return await self._conclude(action)

    async def _resume(self, action: Action) -> Action:
        """Decide about what an ended process may have sent."""
        outcome = Outcome.UNKNOWN if action.kind in _ONCE else Outcome.PENDING
        sent = [target for target in action.targets if target.state is Outcome.SENT]
        if not sent:
            return action
        why = "the connector ended before there was an answer"
        return await self._ledger.save(
            action.with_targets(
                {one.id: replace(one, state=outcome, detail=why, repeats=one.repeats + 1) for one in sent}
            )
        )

    async def _send(self, action: Action, chunk: Sequence[Target], api: ActionApi) -> Action:
        """Send one request and store what became of it; the row says that it is leaving before it does."""
        now = api.now()
        sent = [
            replace(one, state=Outcome.SENT, facts={**one.facts, "sent_at": _first_sent(one, now)})
            for one in chunk
        ]
        action = await self._ledger.save(
            action.with_targets({one.id: one for one in sent}), sent=action.sent or now
        )
        for one in sent if action.kind in _ONCE else ():
            self._unsettled[action.account, action.kind, one.id] = action.id
        self._observe(ActionSent(action.id, str(action.kind), action.account_id, len(sent)))
        try:
            ended = await self._request(action, sent, api)
        except OutcomeUnknown as error:
            self._answered(action, "unknown")
            ended = [one.ended(Outcome.UNKNOWN, _told(error)) for one in sent]
        except BadQuery as error:
            self._answered(action, "refused")
            if len(sent) > 1:  # one message must not keep the others from being done
                half = len(sent) // 2
                action = await self._send(action, sent[:half], api)
                return await self._send(action, sent[half:], api)
            ended = [one.ended(Outcome.FAILED, _told(error)) for one in sent]
        except Denied as error:
            self._answered(action, "refused")
            ended = [one.ended(Outcome.FAILED, _told(error)) for one in sent]
        except SourceError as error:
            self._answered(action, "not_sent")
            # A move may have happened; it is done again, which changes nothing then.
            repeats = int(action.kind not in _ONCE)
            waiting = [replace(one, state=Outcome.PENDING, repeats=one.repeats + repeats) for one in sent]
            await self._ledger.save(action.with_targets({one.id: one for one in waiting}))
            raise _later(error) from error
        else:
            self._answered(action, "answered")
        return await self._settle(action, ended)

    async def _settle(self, action: Action, ended: Sequence[Target]) -> Action:
        """Store what became of *ended*."""
        now = self._ledger.clock()
        action = await self._ledger.save(action.with_targets({one.id: one for one in ended}), progressed=now)
        for one in ended:
            if one.state is not Outcome.UNKNOWN:
                self._unsettled.pop((action.account, action.kind, one.id), None)
        self._remember_released(action)
        return action

    async def _request(self, action: Action, sent: Sequence[Target], api: ActionApi) -> list[Target]:
        ids = [one.id for one in sent]
        if action.kind is Kind.MOVE:
            rows = await api.move(ids, action.parameters["destination"])
            return [moved(one, rows) for one in sent]
        if action.kind is Kind.RELEASE:
            rows = await api.release(ids)
            return [released(one, rows) for one in sent]
        parameters = action.parameters
        disposition, escalated = parameters["expected_disposition"], parameters.get("escalated_submission_id")
        messages = [message_of(parameters["type"], one, disposition, escalated) for one in sent]
        return submitted(sent, await api.submit(parameters["type"], messages))

    def _answered(self, action: Action, outcome: str) -> None:
        self._observe(ActionAnswered(action.id, str(action.kind), action.account_id, outcome))

    # Checks before a request

    async def _check(self, action: Action, chunk: Sequence[Target], api: ActionApi) -> list[Target]:
        """Look up the records; those that the action makes no sense for fail, and a dry run ends here."""
        limit = self._ledger.clock() - self._options.settle
        self._released = {key: one for key, one in self._released.items() if one[1] > limit}
        places = asyncio.Semaphore(_LOOKUPS)

        async def check(target: Target) -> Target:
            other = self._unsettled.get((action.account, action.kind, target.id))
            if other not in {None, action.id} and not action.dry_run:
                why = f"what became of action {other} on this message is not known yet"
                return target.ended(Outcome.FAILED, why)
            released = self._released.get((action.account, target.id))
            if action.kind is Kind.RELEASE and released is not None:
                # Its record may not show it yet.
                return target.ended(Outcome.FAILED, f"action {released[0]} has just released the message")
            async with places:
                record = await api.get(target.id)
            return _checked(action, target, record)

        try:
            return list(await asyncio.gather(*map(check, chunk)))
        except BadQuery as error:
            if len(chunk) == 1:
                return [chunk[0].ended(Outcome.FAILED, _told(error))]
            return [one for part in chunk for one in await self._check(action, [part], api)]
        except Denied as error:
            return [one.ended(Outcome.FAILED, _told(error)) for one in chunk]
        except SourceError as error:
            raise _later(error) from error

    async def _conclude(self, action: Action) -> Action:
        """Enter the state that the outcomes amount to."""
        state = action.outcome
        due = self._due_after(action)
        if state is State.UNKNOWN:
            due = self._ledger.clock() + timedelta(seconds=self._options.look_after[0])
        return await self._ledger.save(action, state, due=due, looks=0)

    def _due_after(self, action: Action) -> datetime | None:
        """When *action*, which ends now, needs attention again.

        As long as the record may not show a release, whatever process performs the next one finds it.
        """
        if action.kind is Kind.RELEASE and any(one.state is Outcome.SUCCEEDED for one in action.targets):
            return self._ledger.clock() + self._options.settle
        return _expiry(action.block)

    # Looking up

    async def _look_up(self, action: Action) -> Action:
        api = self._apis.get(action.account)
        if api is not None and action.kind in ON_MESSAGES:
            action = action.with_targets(await reconcile(action, api, self._options.settle))
        elif api is not None:
            action = await self._look_up_sender(action, api)
        left = action.counts[Outcome.UNKNOWN]
        self._observe(ActionLookedUp(action.id, str(action.kind), action.account_id, left))
        if not left:
            action = replace(action, progressed=self._ledger.clock())
            return await self._ledger.save(action, action.outcome, due=self._due_after(action))
        looks = action.looks + 1
        steps = self._options.look_after
        wait = timedelta(seconds=steps[min(looks, len(steps) - 1)])
        return await self._ledger.save(action, due=self._ledger.clock() + wait, looks=looks)

    async def _look_up_sender(self, action: Action, api: ActionApi) -> Action:
        """The action with what the list of blocked senders says of it."""
        target, is_over = action.targets[0], self._ledger.clock() - action.changed > self._options.settle
        try:
            rows = await api.blocked_senders(action.parameters["pattern"])
        except SourceError:
            return action
        if action.kind is Kind.BLOCK:
            made = next((row for row in rows if _mark(action) in text_of(row.get("comments"))), None)
            if made is not None:
                block = self._made(action, text_of(made.get("id")))
                return replace(action.with_targets({target.id: target.ended(Outcome.SUCCEEDED)}), block=block)
        elif not any(row.get("id") == action.block["id"] for row in rows):
            return action.with_targets({target.id: target.ended(Outcome.SUCCEEDED)})
        failed = target.ended(Outcome.FAILED, "no trace of it; the request was not repeated")
        return action.with_targets({target.id: failed}) if is_over else action

    # Blocked senders

    async def _block(self, action: Action, api: ActionApi) -> Action:
        """Add the sender unless it is blocked already; safe to do again, because it looks first."""
        target, wanted = action.targets[0], action.parameters
        try:
            found = _blocked(await api.blocked_senders(wanted["pattern"]), wanted)
            if found is None and action.dry_run:
                return await self._end_block(action, target.ended(Outcome.PLANNED, "would be blocked"), {})
            if found is None:
                sender = {
                    "pattern": wanted["pattern"],
                    "pattern_type": wanted["pattern_type"],
                    "is_regex": wanted["is_regex"],
                    "comments": f"{action.reason[:900]} {_mark(action)}",
                }
                action = await self._ledger.save(
                    action.with_targets({target.id: replace(target, state=Outcome.SENT, repeats=1)}),
                    sent=api.now(),
                )
                self._observe(ActionSent(action.id, str(action.kind), action.account_id, 1))
                found = await api.block(sender)
                self._answered(action, "answered")
        except (BadQuery, Denied) as error:
            self._answered(action, "refused")
            return await self._end_block(action, target.ended(Outcome.FAILED, _told(error)), {})
        except SourceError as error:
            self._answered(action, "unknown" if isinstance(error, OutcomeUnknown) else "not_sent")
            raise _later(error) from error
        name = text_of(found.get("id"))
        if not name:
            raise _Later("the API's answer does not name the blocked sender", self._options.retry)
        earlier = await self._ledger.on(name)
        if action.dry_run:
            planned = target.ended(Outcome.PLANNED, "is blocked already")
            return await self._end_block(action, planned, {"id": name})
        if _mark(action) in text_of(found.get("comments")) or earlier is not None:
            return await self._end_block(action, target.ended(Outcome.SUCCEEDED), self._made(action, name))
        detail = "is blocked already, by somebody else: the connector will not delete it"
        block = {"id": name, "made": False}
        return await self._end_block(action, target.ended(Outcome.SUCCEEDED, detail), block)

    def _made(self, action: Action, name: str) -> JsonObject:
        """What is known of a blocked sender that this action made or took over; its time begins now."""
        seconds = action.parameters.get("expires_in")
        expires = None if seconds is None else self._ledger.clock() + timedelta(seconds=seconds)
        return {"id": name, "made": True, "expires_at": None if expires is None else expires.isoformat()}

    async def _end_block(self, action: Action, target: Target, block: Body) -> Action:
        changed = replace(action.with_targets({target.id: target}), block={**action.block, **block})
        return await self._ledger.save(changed, changed.outcome, due=_expiry(changed.block))

    async def _unblock(self, action: Action, api: ActionApi) -> Action:
        """Delete the sender; one that is not there is what was wanted."""
        target = action.targets[0]
        if action.dry_run:
            return await self._end_block(action, target.ended(Outcome.PLANNED, "would be unblocked"), {})
        action = await self._ledger.save(
            action.with_targets({target.id: replace(target, state=Outcome.SENT, repeats=1)}), sent=api.now()
        )
        self._observe(ActionSent(action.id, str(action.kind), action.account_id, 1))
        try:
            there = await api.unblock(action.block["id"])
        except (BadQuery, Denied) as error:
            self._answered(action, "refused")
            return await self._end_block(action, target.ended(Outcome.FAILED, _told(error)), {})
        except SourceError as error:
            self._answered(action, "not_sent")
            raise _later(error) from error
        self._answered(action, "answered")
        made = await self._ledger.on(action.block["id"])
        if made is not None and made.due is not None:
            self.schedule(await self._ledger.save(made, due=None))
        detail = "" if there else "was not blocked any more"
        return await self._end_block(action, target.ended(Outcome.SUCCEEDED, detail), {})

    async def _expire_block(self, action: Action) -> Action:
        """Request that the sender is unblocked, as an action of its own, if no newer action blocks it."""
        newest = await self._ledger.on(action.block["id"])
        if newest is None or newest.id == action.id:
            now = self._ledger.clock()
            expiry = Action(
                id=uuid.uuid4().hex,
                account=action.account,
                account_id=action.account_id,
                kind=Kind.UNBLOCK,
                caller=CONNECTOR,
                request_id=f"expiry of {action.id}",
                digest="",
                reason=f"the time that {action.caller} set is over",
                parameters=action.parameters,
                dry_run=False,
                state=State.ACCEPTED,
                requested=now,
                changed=now,
                due=now,
                targets=(Target(action.targets[0].id),),
                block={"id": action.block["id"]},
            )
            with suppress(Moved):  # it was requested before the process ended
                self.schedule(await self._ledger.add(expiry))
        return await self._ledger.save(action, due=None)

    def _count(self) -> None:
        states = [state for state in self._states.values() if state not in ENDED]
        awaiting, unknown = states.count(State.AWAITING_APPROVAL), states.count(State.UNKNOWN)
        self._observe(OpenActionsCounted(awaiting, unknown, len(states) - awaiting - unknown))


def _checked(action: Action, target: Target, record: Record | None) -> Target:
    """The target with what its record says: failed, planned, or pending with what a submission needs."""
    if record is None:
        return target.ended(Outcome.FAILED, "the API does not know this message")
    body = record.body
    recipients = texts_of(body.get("client_recipients"))
    if action.kind is Kind.RELEASE and body.get("is_quarantined") is not True:
        return target.ended(Outcome.FAILED, "the message is not in quarantine")
    if action.kind is Kind.SUBMIT:
        facts = {
            "alert_id": text_of(body.get("alert_id")),
            "postfix_id": text_of(body.get("postfix_id")),
            "message_id": text_of(body.get("message_id")),
            "recipients": recipients or texts_of(body.get("to")),
        }
        needed = ("alert_id",) if action.parameters["type"] == "reclassification" else tuple(facts)[1:]
        missing = [name for name in needed if not facts[name]]
        if missing:
            why = f"the record has no {', '.join(missing)}"
            if missing == ["alert_id"]:
                why += ": it has no detection; submit it as missed_detection"
            return target.ended(Outcome.FAILED, why)
        target = replace(target, facts=facts)
    if not action.dry_run:
        return target
    count = f"{len(recipients)} recipient{'s' if len(recipients) != 1 else ''}"
    plans = {
        Kind.MOVE: f"would be moved to {action.parameters.get('destination')} for {count}",
        Kind.RELEASE: f"would be released to {count}",
        Kind.SUBMIT: f"would be submitted as {action.parameters.get('expected_disposition')}",
    }
    return target.ended(Outcome.PLANNED, plans[action.kind])


def _mark(action: Action) -> str:
    """What the comment of a blocked sender ends with, to recognise it as made by that action."""
    return f"[email-connector {action.id}]"


def _expiry(block: Body) -> datetime | None:
    expires = block.get("expires_at")
    return None if expires is None else datetime.fromisoformat(expires)


def _blocked(rows: Sequence[Body], wanted: Mapping[str, object]) -> Body | None:
    same = ("pattern", "pattern_type", "is_regex")
    return next((row for row in rows if all(row.get(name) == wanted[name] for name in same)), None)


def _first_sent(target: Target, now: datetime) -> str:
    """Since when traces in the API can be this action's: an earlier attempt may have taken effect."""
    return str(target.facts["sent_at"]) if target.repeats and "sent_at" in target.facts else now.isoformat()


def _later(error: SourceError) -> _Later:
    return _Later(str(error), (error.after or 0.0) if isinstance(error, Unavailable) else 0.0)


def _told(error: SourceError) -> str:
    return str(error)[:300]
