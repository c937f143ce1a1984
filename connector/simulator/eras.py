"""The three published schemas of a record: their fields, in order."""

from __future__ import annotations

from typing import Final

from connector.simulator.values import Body, Era

CURRENT: Final = (
    "id", "action_log", "alert_id", "client_recipients", "delivery_mode", "delivery_status",
    "detection_reasons", "edf_hash", "envelope_from", "envelope_to", "final_disposition", "findings",
    "from", "from_name", "htmltext_structure_hash", "is_phish_submission", "is_quarantined",
    "message_id", "post_delivery_operations", "postfix_id", "postfix_id_outbound", "properties",
    "replyto", "scanned_at", "sent_at", "sent_date", "smtp_helo_server_ip", "smtp_previous_hop_ip",
    "subject", "threat_categories", "to", "to_name", "ts", "validation", "x_originating_ip",
)  # fmt: skip
"""The 35 fields of autumn 2026."""

REFERENCE: Final = (
    "id", "action_log", "client_recipients", "detection_reasons", "is_phish_submission",
    "is_quarantined", "postfix_id", "properties", "ts", "alert_id", "delivery_mode", "edf_hash",
    "envelope_from", "envelope_to", "final_disposition", "findings", "from", "from_name",
    "htmltext_structure_hash", "message_id", "post_delivery_operations", "postfix_id_outbound",
    "replyto", "scanned_at", "sent_at", "sent_date", "subject", "threat_categories", "to", "to_name",
    "validation",
)  # fmt: skip
"""The 31 fields of spring 2026."""

SUNSET: Final = tuple(name for name in CURRENT if name not in {"ts", "action_log", "findings"})
"""The 32 fields that remain after 2026-11-01."""

FIELDS: Final[dict[Era, tuple[str, ...]]] = {
    "reference": REFERENCE,
    "current": CURRENT,
    "sunset": SUNSET,
}

_KNOWN = frozenset(CURRENT)


def project(body: Body, era: Era) -> Body:
    """Return *body* as *era* shows it; unknown fields pass, so that new ones can be tested."""
    shown = {name: body[name] for name in FIELDS[era] if name in body}
    if era == "reference" and not shown.get("action_log") and "action_log" in shown:
        # The spring schema calls it unknown; both forms of "nothing" were seen.
        shown["action_log"] = {} if len(str(body.get("from"))) % 2 else []
    if len(body) > len(_KNOWN):
        shown.update((name, value) for name, value in body.items() if name not in _KNOWN)
    return shown
