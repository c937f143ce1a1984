"""The documented fields of an API record, their types and closed value lists, for lint and type checks.

A path marks lists with ``[]``: ``findings[].score`` is the score of every finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from connector.api_values import DELIVERY_STATUSES

RECORD_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "id": "keyword",
        "action_log[]": "object",
        "action_log[].completed_at": "date",
        "action_log[].completed_timestamp": "date",
        "action_log[].operation": "keyword",
        "action_log[].properties": "object",
        "action_log[].properties.folder": "keyword",
        "action_log[].properties.requested_by": "keyword",
        "action_log[].status": "keyword",
        "alert_id": "keyword",
        "client_recipients[]": "keyword",
        "delivery_mode": "keyword",
        "delivery_status[]": "keyword",
        "detection_reasons[]": "text",
        "edf_hash": "keyword",
        "envelope_from": "keyword",
        "envelope_to[]": "keyword",
        "final_disposition": "keyword",
        "findings[]": "object",
        "findings[].attachment": "keyword",
        "findings[].detail": "text",
        "findings[].detection": "keyword",
        "findings[].field": "keyword",
        "findings[].name": "keyword",
        "findings[].portion": "keyword",
        "findings[].reason": "text",
        "findings[].score": "double",
        "findings[].value": "text",
        "from": "keyword",
        "from_name": "text",
        "htmltext_structure_hash": "keyword",
        "is_phish_submission": "boolean",
        "is_quarantined": "boolean",
        "message_id": "keyword",
        "post_delivery_operations[]": "keyword",
        "postfix_id": "keyword",
        "postfix_id_outbound": "keyword",
        "properties": "object",
        "properties.allowlisted_pattern": "keyword",
        "properties.allowlisted_pattern_type": "keyword",
        "properties.blocklisted_message": "boolean",
        "properties.blocklisted_pattern": "keyword",
        "properties.whitelisted_pattern_type": "keyword",
        "replyto": "keyword",
        "scanned_at": "date",
        "sent_at": "date",
        "sent_date": "date",
        "smtp_helo_server_ip": "ip",
        "smtp_previous_hop_ip": "ip",
        "subject": "text",
        "threat_categories[]": "keyword",
        "to[]": "keyword",
        "to_name[]": "text",
        "ts": "date",
        "validation": "object",
        "validation.comment": "text",
        "validation.dkim": "keyword",
        "validation.dmarc": "keyword",
        "validation.spf": "keyword",
        "x_originating_ip": "ip",
    }
)
"""Path to kind, in the words of the targets' kinds."""

OTHER_FIELDS = frozenset(
    (
        # Submissions.
        *("customer_status", "escalated_as", "escalated_at", "escalated_by", "escalated_submission_id"),
        *("original_disposition", "original_edf_hash", "original_postfix_id", "outcome"),
        *("outcome_disposition", "requested_at", "requested_by", "requested_disposition", "requested_ts"),
        *("status", "submission_id", "subject", "type"),
        # Audit logs.
        *("account", "account.id", "account.name", "zone", "zone.id", "zone.name"),
        *("action", "action.description", "action.result", "action.time", "action.type"),
        *("actor", "actor.context", "actor.email", "actor.id", "actor.ip_address", "actor.token_id"),
        *("actor.token_name", "actor.type"),
        *("raw", "raw.cf_ray_id", "raw.method", "raw.status_code", "raw.uri", "raw.user_agent"),
        *("resource", "resource.id", "resource.product", "resource.request", "resource.response"),
        *("resource.scope", "resource.type"),
    )
)
"""Paths of fields that records of other sources than messages have."""


FREE_FIELDS = ("resource.request.", "resource.response.", "resource.scope.")
"""Begins of paths in audit logs whose further members depend on what was changed."""


def documented_paths() -> frozenset[str]:
    """Every path that a record of any source may have, without marks of lists."""
    return OTHER_FIELDS | {path.replace("[]", "") for path in RECORD_FIELDS}


_VERDICTS = (
    "MALICIOUS",
    "MALICIOUS-BEC",
    "SUSPICIOUS",
    "SPOOF",
    "SPAM",
    "BULK",
    "ENCRYPTED",
    "EXTERNAL",
    "UNKNOWN",
    "NONE",
)

VERDICT_FIELDS = frozenset(("final_disposition", "detection"))
"""Names of fields that hold a verdict. The API writes them in capitals, Logpush in small letters."""

VERDICTS = frozenset(_VERDICTS)
"""The documented verdicts, as the API writes them."""

_RESULTS = ("pass", "neutral", "fail", "error", "none")
_PATTERNS = (
    *("quarantine_release", "acceptable_sender", "allowed_sender", "allowed_recipient", "domain_similarity"),
    *("domain_recency", "managed_acceptable_sender", "outbound_ndr"),
)

RECORD_VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "action_log.operation": (
            "MOVE",
            "RELEASE",
            "RECLASSIFY",
            "SUBMISSION",
            "QUARANTINE_RELEASE",
            "PREVIEW",
        ),
        "delivery_mode": (
            *("DIRECT", "BCC", "JOURNAL", "REVIEW_SUBMISSION", "DMARC_UNVERIFIED", "DMARC_FAILURE_REPORT"),
            *(
                "DMARC_AGGREGATE_REPORT",
                "THREAT_INTEL_SUBMISSION",
                "SIMULATION_SUBMISSION",
                "API",
                "RETRO_SCAN",
            ),
        ),
        "delivery_status": DELIVERY_STATUSES,
        "final_disposition": _VERDICTS,
        "findings.detection": _VERDICTS,
        "post_delivery_operations": ("PREVIEW", "QUARANTINE_RELEASE", "SUBMISSION", "MOVE"),
        "properties.allowlisted_pattern_type": _PATTERNS,
        "properties.whitelisted_pattern_type": _PATTERNS,
        "validation.dkim": _RESULTS,
        "validation.dmarc": _RESULTS,
        "validation.spf": _RESULTS,
    }
)
"""What the API documents for fields with a closed list, by path without the marks of lists."""
