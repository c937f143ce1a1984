"""The endpoints that change messages (move, release) and those that return their content (preview, raw)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connector.simulator import envelope
from connector.simulator.behaviour import Behaviour
from connector.simulator.changes import Change, delivery_status, logged, operated
from connector.simulator.exchange import ApiReply, Effect, SimulatedRequest
from connector.simulator.faults import Fault
from connector.simulator.message import Message
from connector.simulator.payload import json_object, strings, word
from connector.simulator.values import SECOND, Body, Fields, moment, zoned
from connector.simulator.world import World

DESTINATIONS: Final = (
    "Inbox", "JunkEmail", "DeletedItems", "RecoverableItemsDeletions", "RecoverableItemsPurges",
)  # fmt: skip
"""Folders a message can be moved to; the last two are soft and hard deletion."""

API_USER: Final = "api-token@corp.example"
"""Who the action log names when a token was used. What the real API writes is not documented."""

_MOST_IDS: Final = 1000
_LATE: Final = 30.0
_FAILED: Final = "ErrorItemNotFound"
_PIXEL: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG image of one pixel."""


class MessageActions:
    """Moves, releases and shows messages of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def move(self, ask: SimulatedRequest, behaviour: Behaviour, fault: Fault | None, now: int) -> ApiReply:
        """Move messages; one row per message and recipient."""
        payload = json_object(ask)
        destination = word(payload, "destination", DESTINATIONS)
        ids = strings(payload, "ids", _MOST_IDS)
        at = effective(fault, now)
        rows: list[Body] = []
        effects: list[Effect] = []
        for record_id in ids:
            message = self._visible(record_id, now)
            body = None if message is None else self._body(message, now)
            if body is None or message is None:
                if behaviour.unknown_ids == "failed":
                    rows.append(_moved(record_id, "", destination, _FAILED, now))
                continue
            recipients = list(body["client_recipients"])
            # Quarantined mail never reached a mailbox, so there is nothing to move.
            lost = set(recipients) if body["is_quarantined"] else set()
            if fault is not None and fault.kind == "partial_rows":
                lost |= set(recipients[-1:])
            rows += [
                _moved(record_id, one, destination, _FAILED if one in lost else "OK", now)
                for one in recipients
            ]
            self._world.revise(record_id, _move(destination, recipients, lost), moment(at))
            if len(lost) < len(recipients):
                effects.append(Effect(at, "move", record_id, {"destination": destination}))
        return _answer(rows, effects, fault)

    def release(self, ask: SimulatedRequest, behaviour: Behaviour, fault: Fault | None, now: int) -> ApiReply:
        """Release messages from quarantine; one that is not there is delivered again."""
        ids = self._released_ids(ask, behaviour)
        at = effective(fault, now)
        rows: list[Body] = []
        effects: list[Effect] = []
        for record_id in ids:
            message = self._visible(record_id, now)
            if message is None:
                if behaviour.unknown_ids == "failed":
                    rows.append({"id": record_id, "delivered": [], "failed": None, "undelivered": []})
                continue
            recipients = list(self._body(message, now)["client_recipients"])
            failed = recipients[:1] if fault is not None and fault.kind == "partial_rows" else []
            delivered = [one for one in recipients if one not in failed]
            rows.append({"id": record_id, "delivered": delivered, "failed": failed, "undelivered": []})
            if delivered:
                self._world.revise(record_id, _release, moment(at))
                effects.append(Effect(at, "release", record_id, {"delivered": delivered}))
        return _answer(rows, effects, fault)

    def preview(self, ask: SimulatedRequest, now: int) -> ApiReply:
        """Return a picture: of a detection by GET, of any other message by POST."""
        record_id = word(json_object(ask), "id") if ask.method == "POST" else ask.record or ""
        message = self._visible(record_id, now)
        if message is None or self._is_detection(message, now) is (ask.method == "POST"):
            return envelope.failure(404, envelope.NOT_FOUND)
        return envelope.success({"screenshot": _PIXEL})

    def raw(self, ask: SimulatedRequest, now: int) -> ApiReply:
        """Return the whole message as received; only of a detection."""
        message = self._visible(ask.record or "", now)
        if message is None or not self._is_detection(message, now):
            return envelope.failure(404, envelope.NOT_FOUND)
        return envelope.success({"raw": _eml(self._body(message, now))})

    def _released_ids(self, ask: SimulatedRequest, behaviour: Behaviour) -> Sequence[str]:
        document = json_object(ask, lists=True)
        if isinstance(document, list):
            if behaviour.release_era == "object":
                raise envelope.Refusal(envelope.ApiProblem(1004, "expected an object", pointer="/"))
            return strings({"ids": document}, "ids", _MOST_IDS)
        if behaviour.release_era == "array":
            raise envelope.Refusal(envelope.ApiProblem(1004, "expected an array of ids", pointer="/"))
        return strings(document, "ids", _MOST_IDS)

    def _visible(self, record_id: str, now: int) -> Message | None:
        message = self._world.find(record_id)
        return message if message is not None and message.visible(now) else None

    def _body(self, message: Message, now: int) -> Body:
        return self._world.renderer.body(message, message.at(now))

    def _is_detection(self, message: Message, now: int) -> bool:
        return self._body(message, now)["final_disposition"] not in {"NONE", None}


def effective(fault: Fault | None, now: int) -> int:
    """Return when a change takes effect: *now*, or later when the fault says so."""
    if fault is None or fault.kind != "late_effect":
        return now
    return now + int((_LATE if fault.seconds is None else fault.seconds) * SECOND)


def _answer(rows: list[Body], effects: list[Effect], fault: Fault | None) -> ApiReply:
    if fault is not None and fault.kind == "missing_rows":
        rows = rows[:-1]
    answer = envelope.success(rows)
    answer.effects = effects
    return answer


def _moved(record_id: str, recipient: str, destination: str, status: str, at: int) -> Body:
    return {
        "completed_at": zoned(at), "destination": destination, "message_id": record_id, "operation": "MOVE",
        "recipient": recipient, "status": status, "success": status == "OK",
    }  # fmt: skip


def _move(destination: str, recipients: Sequence[str], lost: set[str]) -> Change:
    def change(body: Body, at: int) -> Fields:
        log = body
        for one in recipients:
            status = _FAILED if one in lost else "OK"
            entries = logged(log, "MOVE", at, status, folder=destination, requested_by=API_USER)
            log = {**log, "action_log": entries}
        moved = len(lost) < len(recipients)
        operations = operated(body, "MOVE") if moved else body.get("post_delivery_operations")
        status = "moved" if moved else "move_failed"
        return {
            "post_delivery_operations": operations,
            "delivery_status": delivery_status(body, status, "move_failed", "queued"),
            "action_log": log["action_log"],
        }

    return change


def _release(body: Body, at: int) -> Fields:
    return {
        "is_quarantined": False,
        "post_delivery_operations": operated(body, "QUARANTINE_RELEASE"),
        "delivery_status": delivery_status(body, "delivered", "quarantined", "queued"),
        "action_log": logged(body, "QUARANTINE_RELEASE", at, requested_by=API_USER),
    }


def _eml(body: Body) -> str:
    """Compose the message that the record describes."""
    headers = {
        "From": body.get("from"), "To": ", ".join(body.get("to") or ()), "Subject": body.get("subject"),
        "Message-ID": body.get("message_id"), "Date": body.get("sent_date"),
    }  # fmt: skip
    lines = [f"{name}: {' '.join(str(value or '').split())}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", "This message was invented by the simulator.", ""])
