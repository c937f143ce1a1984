"""``Service``: what callers ask for, checked against their scopes; the same for HTTP and the command line."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from connector import __version__
from connector.actions.action import ENDED, ON_MESSAGES, Action, Kind, State, Target, shown
from connector.actions.audit import refusal_event
from connector.actions.callers import (
    HARD_DELETE,
    Caller,
    malformed_pattern,
    refuse_account,
    refuse_action,
)
from connector.actions.executor import Executor
from connector.actions.ledger import Ledger
from connector.actions.options import ActionOptions
from connector.actions.recipients import KnownRecipients
from connector.actions.refusals import CallRefusedError, conflict, not_found, out_of_scope, unprocessable
from connector.errors import BadQuery, JournalError, LimitReached, Moved
from connector.facts import CallRefused
from connector.interfaces import ActionApi, ActionLog, Observe
from connector.model import FilterValue, JsonObject, Record, Window

_SPAN = timedelta(days=30)
"""Range of a search without a start, as the API has it."""

_SEARCH_SECONDS = 25.0
"""Longest search, and longest check of a request's messages; shorter than the connection's limit."""

_AUDITED_REFUSALS = 60
"""Refused calls of a caller in a minute that have an audit event each; the rest is counted in its next one's.

Those without a caller have a share of their own: a flood of wrong tokens hides nothing of what callers try.
"""

_AUDIT_SECONDS = 10.0
"""Longest that the answer to a refused call waits for its audit event; later it only counts."""

_LOOK_SECONDS = 1.0
"""Seconds between two looks at an action that another replica may perform."""

_FILTERS_REFUSED = frozenset({None, 400, 422})
"""Statuses of a search whose filters are wrong; ``None``: the connector found that itself."""

_ACTIONS_AT_ONCE = 200
"""Actions read at a time for a list: a short one may have to look past many of others."""

_LOOKUPS = 4
_NOT_FILTERS = frozenset({"account", "start", "end", "limit"})


@dataclass(frozen=True, slots=True)
class Account:
    """An account that actions can use: its id and its API.

    Args:
        account_id: Cloudflare's.
        api: for what callers look at.
        performing: for what the executor does; it goes before.
    """

    account_id: str
    api: ActionApi
    performing: ActionApi


class Service:
    """Takes calls.

    Args:
        ledger: the actions.
        executor: performs them.
        accounts: by name.
        log: takes the audit events of refused calls.
        observe: takes facts.
        options: time limits.
        is_alone: whether no other process performs actions of the same journal.
    """

    def __init__(
        self,
        ledger: Ledger,
        executor: Executor,
        accounts: Mapping[str, Account],
        log: ActionLog,
        observe: Observe,
        options: ActionOptions,
        *,
        is_alone: bool = True,
    ) -> None:
        self._ledger = ledger
        self._executor = executor
        self._accounts = accounts
        self._log = log
        self._observe = observe
        self._options = options
        self._is_alone = is_alone
        self._refusals: defaultdict[str, deque[float]] = defaultdict(deque)
        self._suppressed: Counter[str] = Counter()
        self.recipients = KnownRecipients()

    # Reading

    def describe(self, caller: Caller) -> JsonObject:
        """Who *caller* is and what it may do."""
        return {
            "caller": caller.name,
            "version": __version__,
            "may": sorted(caller.may),
            "accounts": self.account_names(caller),
            "destinations": sorted(caller.destinations),
            "recipients": list(caller.recipients),
            "ids_per_call": caller.ids_per_call,
            "per_hour": caller.per_hour,
            "approval": caller.approval,
        }

    def account_names(self, caller: Caller) -> list[str]:
        """The accounts in the scope of *caller*."""
        return [name for name in self._accounts if caller.accounts is None or name in caller.accounts]

    async def search(self, caller: Caller, query: JsonObject) -> JsonObject:
        """Messages by filters."""
        name, account = self._account(caller, query.get("account"))
        end: datetime = query.get("end") or account.api.now()
        start: datetime = query.get("start") or end - _SPAN
        if start > end:
            raise unprocessable("start", "expected a time before end")
        filters: dict[str, FilterValue] = {"detections_only": False}
        filters |= {key: value for key, value in query.items() if key not in _NOT_FILTERS}
        try:
            async with _bounded():
                records, more = await account.api.search(filters, Window(start, end), query.get("limit", 100))
        except BadQuery as error:
            if error.status in _FILTERS_REFUSED:
                raise unprocessable("", error.reason) from None
            raise
        self.recipients.learn(name, records)
        seen = [record.body for record in records if caller.sees(record.body)]
        return {"messages": seen, "truncated": more, "withheld": len(records) - len(seen)}

    async def message(self, caller: Caller, message_id: str, query: JsonObject) -> JsonObject:
        """One message, with what further endpoints say."""
        async with _bounded():
            account, record = await self._seen_record(caller, message_id, query)
            answer: JsonObject = {"message": record.body, "incomplete": []}
            if endpoints := query.get("with"):
                answer |= await account.api.details(record, endpoints)
        return answer

    async def preview(self, caller: Caller, message_id: str, query: JsonObject) -> bytes:
        """A picture of a message."""
        async with _bounded():
            account, record = await self._seen_record(caller, message_id, query)
            content = await account.api.preview(record)
        if content is None:
            raise not_found("the API has no preview of this message")
        return content

    async def raw(self, caller: Caller, message_id: str, query: JsonObject) -> bytes:
        """A message as received."""
        async with _bounded():
            account, record = await self._seen_record(caller, message_id, query)
            content = await account.api.raw(record.id)
        if content is None:
            raise not_found("the API gives out messages with a detection only")
        return content

    # Acting

    async def request(self, caller: Caller, kind: Kind, parameters: JsonObject) -> Action:
        """Accept an action, or return the one that the caller requested before under the same name.

        *parameters* are as parsed: account, ids, reason, request_id, dry_run and those of the kind.
        """
        name, account = self._account(caller, parameters.get("account"))
        own = {
            key: value
            for key, value in parameters.items()
            if key not in {"account", "ids", "reason", "request_id", "dry_run", "block_id"}
        }
        ids: list[str] = parameters.get("ids", [])
        dry_run = bool(parameters.get("dry_run", own.get("destination") == HARD_DELETE))
        block: JsonObject = {}
        if kind is Kind.BLOCK:
            own = {"is_regex": False, **own, "pattern": own["pattern"].strip()}
            if not own["is_regex"] and (why := malformed_pattern(own["pattern_type"], own["pattern"])):
                raise unprocessable("/pattern", why)
            ids = [own["pattern"]]
        if why := refuse_action(caller, kind, own, len(ids)):
            raise out_of_scope(why)
        if kind is Kind.UNBLOCK:
            made = await self._block_action(name, parameters["block_id"])
            ids, block, own = [made.targets[0].id], {"id": parameters["block_id"]}, dict(made.parameters)
        if own.get("escalated_submission_id") and len(ids) > 1:
            raise unprocessable("/escalated_submission_id", "belongs to one id only")
        what = [block] if kind is Kind.UNBLOCK else [ids, own]
        digest = _digest([str(kind), name, what, parameters["reason"], dry_run])
        request_id = parameters.get("request_id") or uuid.uuid4().hex
        repeated = await self._repeated(caller, request_id, digest)
        if repeated is not None:
            return repeated
        await self._check_limits(caller, kind, name, account, ids)
        now = self._ledger.clock()
        approval = "none" if dry_run else caller.needed_approval(kind)
        waits = approval != "none"
        action = Action(
            id=uuid.uuid4().hex,
            account=name,
            account_id=account.account_id,
            kind=kind,
            caller=caller.name,
            request_id=request_id,
            digest=digest,
            reason=parameters["reason"],
            parameters=own,
            dry_run=dry_run,
            state=State.AWAITING_APPROVAL if waits else State.ACCEPTED,
            requested=now,
            changed=now,
            targets=tuple(map(Target, ids)),
            due=now + self._options.approval if waits else now,
            approval=approval,
            block=block,
        )
        return await self._add(caller, action)

    async def _add(self, caller: Caller, action: Action) -> Action:
        try:
            return await self._stored(action, self._ledger.add(action, caller.per_hour))
        except LimitReached as error:  # another request at the same time
            raise self._too_many(caller, error.until) from None
        except Moved:  # the same request at the same time
            repeated = await self._repeated(caller, action.request_id, action.digest)
            if repeated is None:
                raise
            return repeated

    async def _stored(self, action: Action, storing: Awaitable[Action]) -> Action:
        """*action* once it is stored; the executor then attends to it."""
        try:
            action = await storing
        except asyncio.CancelledError:
            self._executor.schedule(action)  # it may be stored
            raise
        self._executor.schedule(action)
        return action

    async def approve(self, caller: Caller, action_id: str) -> Action:
        """Let an action of another caller begin."""
        action = await self._decidable(caller, action_id)
        if action.caller == caller.name:
            raise out_of_scope("nobody approves their own action")
        if action.approval == "operator" and not caller.is_operator:
            raise out_of_scope("an operator has to approve this action: email-connector action approve")
        await self._check_approver(caller, action)
        if action.state is not State.AWAITING_APPROVAL:
            raise conflict("not_awaiting_approval", f"the action is {action.state}")
        return await self._decide(
            action, State.ACCEPTED, actor=caller.name, approved_by=caller.name, due=self._ledger.clock()
        )

    async def cancel(self, caller: Caller, action_id: str) -> Action:
        """End an action that has not begun."""
        action = await self._decidable(caller, action_id)
        if action.state not in {State.AWAITING_APPROVAL, State.ACCEPTED}:
            raise conflict(
                "has_begun", f"the action is {action.state}; only what has not begun can be cancelled"
            )
        why = f"cancelled by {caller.name}"
        return await self._decide(action, State.CANCELLED, actor=caller.name, due=None, detail=why)

    async def action(self, caller: Caller, action_id: str) -> Action:
        """One action that *caller* may see."""
        action = await self._ledger.get(action_id)
        if action is None or not self._may_see(caller, action):
            raise not_found("no such action")
        return action

    async def page(self, caller: Caller, after: int, limit: int, state: str | None) -> JsonObject:
        """Actions that *caller* may see, oldest first; the cursor also passes those that it may not."""
        found: list[JsonObject] = []
        while len(found) < limit:
            actions = await self._ledger.page(after, _ACTIONS_AT_ONCE)
            for action in actions:
                after = action.number
                if self._may_see(caller, action) and state in {None, str(action.state)}:
                    found.append(shown(action))
                    if len(found) == limit:
                        break
            if len(actions) < _ACTIONS_AT_ONCE:
                break
        return {"actions": found, "next": after}

    async def wait(self, action: Action, seconds: float) -> Action:
        """The action when it has ended, or as it is after *seconds*."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while action.state not in ENDED and loop.time() < deadline:
            # Nobody tells of what another replica does.
            look_at = deadline if self._is_alone else min(deadline, loop.time() + _LOOK_SECONDS)
            changed = asyncio.ensure_future(self._ledger.changed.wait(look_at))
            await asyncio.sleep(0)  # it waits before the action is read: no change is missed
            newest = await self._ledger.get(action.id)
            if newest is not None and newest.version != action.version and newest.state in ENDED:
                changed.cancel()
                return newest
            await changed
            action = await self._ledger.get(action.id) or action
        return action

    async def refused(self, caller: str, call: Mapping[str, object], error: CallRefusedError) -> None:
        """Report a refused call, and store an audit event unless there are too many.

        *call* is what the event says of it: method, path, client and so on.
        """
        self._observe(CallRefused(caller, error.status, error.code))
        now, refusals = asyncio.get_running_loop().time(), self._refusals[caller]
        while refusals and refusals[0] <= now - 60:
            refusals.popleft()
        if len(refusals) >= _AUDITED_REFUSALS:
            self._suppressed[caller] += 1
            return
        refusals.append(now)
        suppressed = self._suppressed.pop(caller, 0)
        known = self._accounts.get(str(call.get("account", "")))
        audited = {**call, "account_id": known.account_id if known else ""}
        event = refusal_event(
            uuid.uuid4().hex, caller, audited, error.detail, error.status, suppressed, self._ledger.clock()
        )
        try:
            async with asyncio.timeout(_AUDIT_SECONDS):
                await self._log.append_audit([event])
        except (JournalError, TimeoutError):
            self._suppressed[caller] += suppressed + 1

    # Scopes

    def _account(self, caller: Caller, name: str | None) -> tuple[str, Account]:
        if name is None:
            names = self.account_names(caller)
            if len(names) != 1:
                raise unprocessable("account", f"is required: your scope has {len(names)} accounts")
            name = names[0]
        if why := refuse_account(caller, name, self._accounts):
            raise out_of_scope(why)
        return name, self._accounts[name]

    async def _seen_record(
        self, caller: Caller, message_id: str, query: JsonObject
    ) -> tuple[Account, Record]:
        name, account = self._account(caller, query.get("account"))
        record = await account.api.get(message_id)
        if record is None:
            raise not_found("the API does not know this message")
        self.recipients.learn(name, [record])
        if not caller.sees(record.body):
            raise out_of_scope("a recipient of this message is not in your scope")
        return account, record

    async def _check_limits(
        self, caller: Caller, kind: Kind, name: str, account: Account, ids: Sequence[str]
    ) -> None:
        free_at = await self._ledger.free_at(caller.name, caller.per_hour)
        if free_at is not None:
            raise self._too_many(caller, free_at)
        if kind in ON_MESSAGES and not caller.sees_everyone:
            await self._check_recipients(caller, name, account, ids)

    async def _check_recipients(
        self, caller: Caller, name: str, account: Account, ids: Sequence[str]
    ) -> None:
        """Raise unless every recipient of every message is in scope; the record decides, not the caller."""
        places = asyncio.Semaphore(_LOOKUPS)

        async def check(message_id: str) -> None:
            recipients = self.recipients.of(name, message_id)
            if recipients is None:
                async with places:
                    record = await account.api.get(message_id)
                # Of a message that does not exist nothing can be done: the action tells.
                recipients = () if record is None else self.recipients.learn(name, [record])
                if record is None:
                    return
            if not caller.sees({"client_recipients": list(recipients)}):
                raise out_of_scope(f"a recipient of message {message_id} is not in your scope")

        async with _bounded():
            try:
                async with asyncio.TaskGroup() as group:
                    for message_id in ids:
                        group.create_task(check(message_id))
            except BaseExceptionGroup as errors:
                # The first of several refusals is enough; they are all of one kind.
                raise errors.exceptions[0] from None

    async def _check_approver(self, caller: Caller, action: Action) -> None:
        if why := refuse_action(caller, action.kind, action.parameters, len(action.targets)):
            raise out_of_scope(why)
        if action.kind in ON_MESSAGES and not caller.sees_everyone:
            name, account = self._account(caller, action.account)
            await self._check_recipients(caller, name, account, [target.id for target in action.targets])

    async def _block_action(self, account: str, block_id: str) -> Action:
        made = await self._ledger.on(block_id)
        if made is None or made.account != account:
            raise not_found("the connector did not block this sender, so it does not unblock it")
        return made

    async def _repeated(self, caller: Caller, request_id: str, digest: str) -> Action | None:
        action = await self._ledger.requested(caller.name, request_id)
        if action is not None and action.digest != digest:
            raise conflict(
                "request_id_used", f"request_id {request_id} was used for another request, action {action.id}"
            )
        return action

    def _too_many(self, caller: Caller, free_at: datetime) -> CallRefusedError:
        why = f"{caller.per_hour} actions within an hour, your limit"
        wait = (free_at - self._ledger.clock()).total_seconds()
        return CallRefusedError(429, "too_many_actions", why, retry_after=wait)

    def _may_see(self, caller: Caller, action: Action) -> bool:
        if action.caller == caller.name or caller.is_operator:
            return True
        in_account = caller.accounts is None or action.account in caller.accounts
        return "approve" in caller.may and in_account

    async def _decidable(self, caller: Caller, action_id: str) -> Action:
        action = await self.action(caller, action_id)
        if action.state in ENDED:
            raise conflict("has_ended", f"the action is {action.state}")
        return action

    async def _decide(self, action: Action, state: State, *, actor: str, **changes: Any) -> Action:
        decided = replace(action, state=state, **changes)
        try:
            return await self._stored(decided, self._ledger.save(action, state, actor=actor, **changes))
        except Moved:
            raise conflict("has_begun", "the action changed at this moment: look at it again") from None


class _bounded:  # noqa: N801, reads like asyncio.timeout
    """Bounds what a caller waits for; too long is a refusal that says to try again."""

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(_SEARCH_SECONDS)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        try:
            await self._timeout.__aexit__(*error)  # type: ignore[arg-type]
        except TimeoutError:
            why = f"the API did not answer within {_SEARCH_SECONDS:.0f} seconds; nothing was done"
            raise CallRefusedError(503, "api_slow", why, retry_after=10) from None


def _digest(parts: object) -> str:
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
