"""Submissions: reports of missed detections and requests to reclassify, and what became of them."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from connector.simulator import envelope
from connector.simulator.actions import API_USER, effective
from connector.simulator.behaviour import Behaviour
from connector.simulator.changes import Change, logged, operated
from connector.simulator.exchange import ApiReply, Effect, SimulatedRequest
from connector.simulator.faults import Fault
from connector.simulator.message import Message
from connector.simulator.payload import json_object, objects, optional_word, page_of, strings, word
from connector.simulator.values import Body, Fields, chance, mix, moment, span, zoned
from connector.simulator.world import World

DISPOSITIONS: Final = ("MALICIOUS", "SUSPICIOUS", "SPOOF", "SPAM", "BULK", "NONE")
"""What a submission may request."""

_MOST: Final = 1000
"""Messages of one submission, and recipients of one message."""
_TYPES: Final = {"reclassification": "alert_id", "missed_detection": "postfix_id"}
_FILTERS: Final = ("submission_id", "original_disposition", "requested_disposition", "outcome_disposition")


@dataclass(frozen=True, slots=True)
class Reports:
    """How users report messages, and how their reports are reviewed.

    Args:
        share: share of messages that a user reports.
        after: longest time from the scan to the report.
        reviewed: longest time from the report to its review; the shortest is a tenth of it.
    """

    share: float = 0.0
    after: timedelta = timedelta(minutes=5)
    reviewed: timedelta = timedelta(hours=1)


class Submissions:
    """The submissions of one world. Tests add those of users with ``add`` and review them with ``review``."""

    def __init__(self, world: World, seed: int, reports: Reports | None = None) -> None:
        self._world = world
        self._seed = seed
        self._reports = reports or Reports()
        self._rows: dict[str, tuple[int, Body]] = {}
        self._reviews: list[tuple[int, str, str]] = []
        self._until = 0

    def advance(self, now: int) -> None:
        """Add the reports of users that are due, and what became of earlier ones."""
        if not self._reports.share:
            return
        with self._world.lock:
            for message in self._world.between("scanned_at", self._until, now + 1):
                rng = chance(message.key, "report")
                if rng.random() < self._reports.share:
                    requested = message.scanned + rng.randint(0, span(self._reports.after))
                    report = self._report(message, requested)
                    longest = span(self._reports.reviewed)
                    due = requested + rng.randint(longest // 10, longest)
                    heapq.heappush(self._reviews, (due, report, rng.choice(("MALICIOUS", "SPAM", "NONE"))))
            self._until = now + 1
            while self._reviews and self._reviews[0][0] <= now:
                _, report, disposition = heapq.heappop(self._reviews)
                self.review(report, disposition)

    def _report(self, message: Message, requested: int) -> str:
        record_id = self._world.renderer.id(message)
        recipients = self._world.renderer.body(message, message.at(requested)).get("client_recipients")
        by = recipients[0] if isinstance(recipients, list) and recipients else "user@corp.example"
        return self.add(record_id, "MALICIOUS", by=str(by), at=requested)

    def add(
        self, record_id: str, disposition: str, *, by: str, kind: str = "User", at: int | None = None
    ) -> str:
        """Add a submission of the message *record_id* and return its id; *at* is in microseconds."""
        with self._world.lock:
            now = self._world.now()
            message = self._world.find(record_id)
            if message is None:
                raise KeyError(f"no message has the id {record_id}")
            body = self._world.renderer.body(message, message.at(now))
            submission_id = f"{mix(self._seed, len(self._rows)):016x}-sub"
            requested = now if at is None else at
            self._rows[submission_id] = requested, {
                "submission_id": submission_id, "requested_at": zoned(requested), "type": kind,
                "customer_status": "unreviewed", "status": "submitted", "outcome": None,
                "original_disposition": body["final_disposition"], "requested_disposition": disposition,
                "outcome_disposition": None, "original_postfix_id": body["postfix_id"],
                "original_edf_hash": body.get("edf_hash"), "subject": body["subject"], "requested_by": by,
                "escalated_as": None, "escalated_at": None, "escalated_by": None,
                "escalated_submission_id": None,
            }  # fmt: skip
            change = _submitted(disposition, submission_id, kind, by)
            self._world.revise(record_id, change, moment(requested))
            return submission_id

    def review(self, submission_id: str, disposition: str, outcome: str = "completed") -> None:
        """Set the outcome of a submission."""
        with self._world.lock:
            self._rows[submission_id][1].update(
                outcome=outcome,
                outcome_disposition=disposition,
                customer_status="reviewed",
                status="completed",
            )

    def submit(self, ask: SimulatedRequest, behaviour: Behaviour, fault: Fault | None, now: int) -> ApiReply:
        """Answer ``POST /submissions``: one result per message, accepted or not."""
        payload = json_object(ask)
        kind = word(payload, "type", tuple(_TYPES))
        results: list[Body] = []
        effects: list[Effect] = []
        at = effective(fault, now)
        for item in objects(payload, "messages", _MOST):
            name = word(item, _TYPES[kind])
            disposition = word(item, "expected_disposition", DISPOSITIONS)
            optional_word(item, "escalated_submission_id", 1000)
            if kind == "missed_detection":
                word(item, "message_id")
                strings(item, "recipient_emails", _MOST)
            message = self._find(_TYPES[kind], name, item, now)
            refused = fault is not None and fault.kind == "not_accepted"
            if message is None or refused:
                why = "submission limit reached" if refused else "message not found"
                results.append({"id": name, "accepted": False, "error": why})
                continue
            record_id = self._world.renderer.id(message)
            submission_id = self.add(record_id, disposition, by=API_USER, kind="Team", at=at)
            shown = name if behaviour.submission_ids == "message" else submission_id
            results.append({"id": shown, "accepted": True, "error": None})
            effects.append(Effect(at, "submission", record_id, {"disposition": disposition}))
        if fault is not None and fault.kind == "missing_rows":
            results = results[:-1]
        answer = envelope.success({"results": results})
        answer.status, answer.effects = 202, effects
        return answer

    def search(self, ask: SimulatedRequest, now: int) -> ApiReply:
        """Answer ``GET /submissions``, newest first unless ``direction=asc``."""
        query = dict(ask.query)
        rows = [row for requested, row in self._rows.values() if requested <= now and _matches(row, query)]
        rows.sort(key=lambda row: str(row["requested_at"]), reverse=query.get("direction") != "asc")
        shown, info = page_of(query, rows)
        return envelope.success(shown, info=info)

    def _find(self, name: str, value: str, item: Mapping[str, Any], now: int) -> Message | None:
        renderer = self._world.renderer
        for message in reversed(self._world.messages()):
            if not message.visible(now):
                continue
            body = renderer.body(message, message.at(now))
            same = name == "alert_id" or body["message_id"] == item.get("message_id")
            if same and body[name] == value:
                return message
        return None


def _matches(row: Body, query: Mapping[str, str]) -> bool:
    text = query.get("query", "").casefold()
    return (
        all(row[name] == query[name] for name in _FILTERS if name in query)
        and query.get("start", "") <= row["requested_at"]
        and row["requested_at"] < query.get("end", "9")
        and ("type" not in query or row["type"].upper() == query["type"])
        and ("status" not in query or row["customer_status"] == query["status"])
        and text in str(row["subject"] or "").casefold()
    )


def _submitted(disposition: str, submission_id: str, kind: str, by: str) -> Change:
    def change(body: Body, at: int) -> Fields:
        properties = {
            "requested_by": by, "requested_disposition": disposition, "submission_id": submission_id,
            "submission_type": kind,
        }  # fmt: skip
        fields: Body = {
            "post_delivery_operations": operated(body, "SUBMISSION"),
            "action_log": logged(body, "SUBMISSION", at, **properties),
        }
        return {**fields, "is_phish_submission": True} if kind == "User" else fields

    return change
