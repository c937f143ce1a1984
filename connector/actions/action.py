"""``Action``: one requested action with its state and its targets; how it is stored."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from connector.model import Body, JsonObject, StoredAction


class Kind(enum.StrEnum):
    """What is done. The values are public: paths, audit events, metrics."""

    MOVE = "move"
    RELEASE = "release"
    SUBMIT = "submit"
    BLOCK = "block"
    UNBLOCK = "unblock"


ON_MESSAGES = frozenset({Kind.MOVE, Kind.RELEASE, Kind.SUBMIT})
"""Kinds whose targets are messages; the target of the others is a blocked sender."""


class State(enum.StrEnum):
    """How far an action is. The values are public."""

    ACCEPTED = "accepted"
    """Stored; nothing was sent."""

    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    """Some targets succeeded, some failed."""

    FAILED = "failed"
    UNKNOWN = "unknown"
    """A request may have taken effect; the API is read until that is known."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Nobody approved it in time."""


ENDED = frozenset({State.SUCCEEDED, State.PARTIAL, State.FAILED, State.CANCELLED, State.EXPIRED})
"""States that never change again."""


class Outcome(enum.StrEnum):
    """What became of one target, or of one recipient of it. The values are public."""

    PENDING = "pending"
    """Not sent yet."""

    SENT = "sent"
    """The request is leaving, or was when the process ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    PLANNED = "planned"
    """A dry run: this would be done."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """What became of a message for one recipient."""

    recipient: str
    state: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One message or blocked sender, and what became of it.

    Args:
        id: the record's id, or the pattern of the sender.
        state: see ``Outcome``.
        detail: why, for people.
        recipients: per recipient, where the API tells.
        facts: what is needed to submit the message or to find out what became of it.
        repeats: how often the API gave no answer for it.
    """

    id: str
    state: Outcome = Outcome.PENDING
    detail: str = ""
    recipients: tuple[Recipient, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    repeats: int = 0

    def ended(self, state: Outcome, detail: str = "", recipients: Sequence[Recipient] = ()) -> Target:
        """The target with an outcome."""
        return replace(self, state=state, detail=detail, recipients=tuple(recipients))


@dataclass(frozen=True, slots=True)
class Action:
    """A requested action.

    Args:
        id: unguessable.
        account: its name in the configuration.
        account_id: Cloudflare's id of the account.
        kind: what is done.
        caller: who requested it.
        request_id: the caller's name of the request.
        digest: of the request, to recognise a repeated one.
        reason: why, in the caller's words.
        parameters: destination, pattern and so on, by name.
        dry_run: only tell what would be done.
        state: see ``State``.
        requested: when.
        changed: when its state changed last.
        targets: what it is done to.
        due: when it needs attention next.
        approval: who has to approve it: none, second_caller or operator.
        approved_by: who did.
        sent: when the first request left, by the API's clock.
        detail: why it failed, or is what it is, for people.
        progressed: when the last request was answered.
        block: id, ``made`` and ``expires_at`` of the blocked sender that it is about.
        transitions: how often its state changed.
        looks: how often it was looked at while unknown.
        version: of the stored row.
        number: of the stored row.
    """

    id: str
    account: str
    account_id: str
    kind: Kind
    caller: str
    request_id: str
    digest: str
    reason: str
    parameters: Mapping[str, Any]
    dry_run: bool
    state: State
    requested: datetime
    changed: datetime
    targets: tuple[Target, ...]
    due: datetime | None = None
    approval: str = "none"
    approved_by: str = ""
    sent: datetime | None = None
    progressed: datetime | None = None
    detail: str = ""
    block: Mapping[str, Any] = field(default_factory=dict)
    transitions: int = 0
    looks: int = 0
    version: int = 0
    number: int = 0

    @property
    def counts(self) -> Counter[Outcome]:
        """How many targets have each outcome."""
        return Counter(target.state for target in self.targets)

    @property
    def outcome(self) -> State:
        """The state that the outcomes of the targets amount to, once none is pending or sent."""
        counts = self.counts
        if counts[Outcome.UNKNOWN]:
            return State.UNKNOWN
        if any(one.state is Outcome.FAILED for target in self.targets for one in target.recipients):
            good = any(one.state is Outcome.SUCCEEDED for target in self.targets for one in target.recipients)
            return State.PARTIAL if good or counts[Outcome.SUCCEEDED] else State.FAILED
        if not counts[Outcome.FAILED]:
            return State.SUCCEEDED
        return State.PARTIAL if counts[Outcome.SUCCEEDED] or counts[Outcome.PLANNED] else State.FAILED

    def with_targets(self, changed: Mapping[str, Target]) -> Action:
        """The action with some targets replaced, by id."""
        return replace(self, targets=tuple(changed.get(target.id, target) for target in self.targets))


_ROW = frozenset({"id", "caller", "request_id", "state", "requested", "changed", "due", "version", "number"})
"""Members that are columns of the row and not part of its body."""


_MOMENTS = ("sent", "progressed")


def to_row(action: Action) -> StoredAction:
    """The row that the journal stores."""
    body: JsonObject = {name: value for name, value in asdict(action).items() if name not in _ROW}
    for name in _MOMENTS:
        body[name] = None if body[name] is None else body[name].isoformat()
    made = action.kind is Kind.BLOCK and action.block.get("made")
    return StoredAction(
        id=action.id,
        caller=action.caller,
        request_id=action.request_id,
        state=str(action.state),
        requested=action.requested,
        changed=action.changed,
        body=body,
        due=action.due,
        subject=str(action.block["id"]) if made else None,
        number=action.number,
        version=action.version,
    )


def from_row(row: StoredAction) -> Action:
    """The action of a row."""
    body: Body = row.body
    values: JsonObject = dict(body)
    values["kind"] = Kind(body["kind"])
    for name in _MOMENTS:
        values[name] = None if body[name] is None else datetime.fromisoformat(body[name])
    values["targets"] = tuple(map(_target, body["targets"]))
    return Action(
        id=row.id,
        caller=row.caller,
        request_id=row.request_id,
        state=State(row.state),
        requested=row.requested,
        changed=row.changed,
        due=row.due,
        version=row.version,
        number=row.number,
        **values,
    )


def _target(body: Body) -> Target:
    recipients = tuple(
        Recipient(one["recipient"], Outcome(one["state"]), one["detail"]) for one in body["recipients"]
    )
    return Target(
        body["id"], Outcome(body["state"]), body["detail"], recipients, body["facts"], body["repeats"]
    )


def shown(action: Action) -> JsonObject:
    """The action as the API for callers and the command line show it."""
    return {
        "id": action.id,
        "number": action.number,
        "action": str(action.kind),
        "state": str(action.state),
        "ended": action.state in ENDED,
        "account": action.account,
        "caller": action.caller,
        "request_id": action.request_id,
        "reason": action.reason,
        "dry_run": action.dry_run,
        "requested_at": action.requested.isoformat(),
        "changed_at": action.changed.isoformat(),
        "approval": action.approval,
        "approved_by": action.approved_by,
        "detail": action.detail,
        **{name: action.parameters.get(name) for name in SHOWN_PARAMETERS},
        "block_id": action.block.get("id"),
        "expires_at": action.block.get("expires_at"),
        "results": results(action),
    }


SHOWN_PARAMETERS = ("destination", "type", "expected_disposition", "pattern", "pattern_type", "is_regex")


def results(action: Action) -> list[JsonObject]:
    """One row per target and recipient."""
    rows: list[JsonObject] = []
    for target in action.targets:
        if not target.recipients:
            rows.append(_result(target.id, "", target.state, target.detail))
        rows += [_result(target.id, one.recipient, one.state, one.detail) for one in target.recipients]
    return rows


def _result(name: str, recipient: str, state: Outcome, detail: str) -> JsonObject:
    # That a request is leaving is of no use to a caller: it is not done yet.
    shown_state = Outcome.PENDING if state is Outcome.SENT else state
    return {"id": name, "recipient": recipient, "state": str(shown_state), "detail": detail}


def parse_moment(text: object) -> datetime | None:
    """The time of an entry of the API; ``None`` for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def text_of(value: object) -> str:
    """*value* if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def texts_of(value: object) -> list[str]:
    """The texts of a list."""
    return (
        [item for item in cast("list[object]", value) if isinstance(item, str)]
        if isinstance(value, list)
        else []
    )
