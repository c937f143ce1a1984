"""Results of the sibling endpoints of one record: detections, action_log, trace."""

from __future__ import annotations

from typing import Final

from connector.simulator.mail.verdicts import category
from connector.simulator.values import Body, Era

_OPERATIONS: Final = {"RELEASE": "QUARANTINE_RELEASE"}
_LISTED: Final = frozenset({"PREVIEW", "QUARANTINE_RELEASE", "SUBMISSION", "MOVE"})


def detections(body: Body, details: Body) -> Body:
    """Build the result of ``/detections``."""
    return {
        "action": _action(body),
        "attachments": details["attachments"],
        "final_disposition": body["final_disposition"],
        "findings": body["findings"],
        "headers": [*details["headers"], {"name": "Subject", "value": str(body["subject"] or "")}],
        "links": details["links"],
        "sender_info": details["sender_info"],
        "threat_categories": [
            category(number, name) for number, name in enumerate(body["threat_categories"] or (), start=1)
        ],
        "validation": body["validation"],
    }


def action_log(body: Body) -> list[Body]:
    """Build the result of ``/action_log``."""
    entries = []
    for entry in body.get("action_log") or ():
        operation = _OPERATIONS.get(entry["operation"], entry["operation"])
        if operation in _LISTED:
            entries.append({
                "completed_at": entry["completed_at"], "operation": operation,
                "properties": entry["properties"], "started_at": entry["completed_at"],
                "status": entry["status"], "success": entry["status"] == "OK",
            })  # fmt: skip
    return entries


def trace(body: Body, era: Era) -> Body:
    """Build the result of ``/trace``."""
    lines = (
        "connect from " + str(body["smtp_helo_server_ip"]),
        f"from={body['envelope_from']} to={', '.join(body['client_recipients'])}",
        f"disposition={body['final_disposition']} status={', '.join(body['delivery_status'] or ())}",
    )
    outbound = body["postfix_id_outbound"] is not None
    return {
        "inbound": {
            "lines": [_line(body, era, *line) for line in enumerate(lines, start=1)],
            "pending": False,
        },
        "outbound": {
            "lines": [_line(body, era, 1, "relayed")] if outbound else None,
            "pending": not outbound,
        },
    }


def _line(body: Body, era: Era, number: int, message: str) -> Body:
    line: Body = {"lineno": number, "logged_at": body["scanned_at"], "message": message}
    if era != "sunset":
        line["ts"] = body["ts"]
    return line


def _action(body: Body) -> str:
    if body["is_quarantined"]:
        return "QUARANTINED"
    return "MOVED" if "MOVE" in (body["post_delivery_operations"] or ()) else "DELIVERED"
