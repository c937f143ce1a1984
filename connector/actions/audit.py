"""Audit events: every change of an action's state and every refused call, as revisions for the outputs."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import datetime
from functools import cache

from connector.actions.action import ENDED, Action, Outcome, State
from connector.model import ACTIONS, Body, Feed, JsonObject, Record, Revision

REFUSED = "refused"
"""State in the audit event of a call that was refused."""

_LISTED = 50
"""Messages and recipients that one event names; the counts are always complete."""

_OUTCOMES = {State.SUCCEEDED: "success", State.FAILED: "failure", State.PARTIAL: "failure"}


def state_event(action: Action, previous: str, actor: str, now: datetime) -> Revision:
    """The event of a change of state; *previous* is empty for a new action, *actor* is who caused it."""
    counts = action.counts
    ids = [target.id for target in action.targets]
    recipients = list(dict.fromkeys(one.recipient for target in action.targets for one in target.recipients))
    body: JsonObject = {
        "id": f"{action.id}-{action.transitions}",
        "time": now.isoformat(),
        "action_id": action.id,
        "action": str(action.kind),
        "state": str(action.state),
        "previous_state": previous or None,
        "outcome": _OUTCOMES.get(action.state, "unknown" if action.state not in ENDED else "failure"),
        "caller": action.caller,
        "actor": actor,
        "reason": action.reason,
        "request_id": action.request_id,
        "dry_run": action.dry_run,
        "account": action.account,
        "approved_by": action.approved_by or None,
        "detail": action.detail or _first_problem(action),
        "ids": ids[:_LISTED],
        "targets": len(ids),
        "succeeded": counts[Outcome.SUCCEEDED] + counts[Outcome.PLANNED],
        "failed": counts[Outcome.FAILED],
        "unknown": counts[Outcome.UNKNOWN],
        "client_recipients": recipients[:_LISTED],
        "block_id": action.block.get("id"),
        "expires_at": action.block.get("expires_at"),
        **{name: value for name, value in action.parameters.items() if name in _PARAMETERS},
        "host": _host(),
    }
    return _revision(action.account_id, body, now)


_PARAMETERS = ("destination", "type", "expected_disposition", "pattern", "pattern_type", "is_regex")


def audited_parameters(parameters: Body) -> JsonObject:
    """What the event of a refused call says of its parameters."""
    named = {name: parameters[name] for name in ("account", "reason", "request_id") if name in parameters}
    return {**named, "ids": list(parameters.get("ids", ()))[:_LISTED]}


def refusal_event(
    name: str,
    caller: str,
    call: Mapping[str, object],
    detail: str,
    status: int,
    suppressed: int,
    now: datetime,
) -> Revision:
    """The event of a refused call.

    Args:
        name: unguessable id of the event.
        caller: empty where none was recognised.
        call: method, path, client_ip and what else is known of it.
        detail: why.
        status: HTTP status of the answer.
        suppressed: refused calls before this one that have no event of their own.
        now: the time.
    """
    body: JsonObject = {
        "id": name,
        "time": now.isoformat(),
        "action": "call",
        "state": REFUSED,
        "outcome": "failure",
        "caller": caller or "unknown",
        "actor": caller or "unknown",
        "detail": detail,
        "status": status,
        "suppressed": suppressed,
        **call,
        "host": _host(),
    }
    return _revision(str(call.get("account_id", "")), body, now)


def _revision(account_id: str, body: Body, now: datetime) -> Revision:
    return Revision(Feed(account_id, ACTIONS), Record(str(body["id"]), body), "action", 1, now)


def _first_problem(action: Action) -> str | None:
    return next((target.detail for target in action.targets if target.detail), None)


@cache
def _host() -> str:
    return socket.gethostname()
