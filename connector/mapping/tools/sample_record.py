"""A sample record with every current API field, to try mappings on. All names are made up."""

from __future__ import annotations

from types import MappingProxyType

from connector.model import Body

SAMPLE: Body = MappingProxyType(
    {
        "id": "4Wx1Qp7mK2z9sNH-2026-11-18T09:41:07-2a539d65",
        "alert_id": "4Wx1Qp7mK2z9sNH-2026-11-18T09:41:07",
        "postfix_id": "4Wx1Qp7mK2z9sNH",
        "postfix_id_outbound": "4Wx1Qp8nL3y0tPJ",
        "scanned_at": "2026-11-18T09:41:07Z",
        "sent_at": "2026-11-18T09:40:58Z",
        "delivery_mode": "DIRECT",
        "delivery_status": ["quarantined"],
        "final_disposition": "MALICIOUS",
        "is_quarantined": True,
        "is_phish_submission": False,
        "from": "it-support@example.net",
        "from_name": "IT Support",
        "replyto": "reset@example.org",
        "envelope_from": "bounce@mailer.example.net",
        "to": ["alice@corp.example"],
        "to_name": ["Alice Doe"],
        "envelope_to": ["alice@corp.example"],
        "client_recipients": ["alice@corp.example"],
        "subject": "Your password expires today",
        "message_id": "<4VAZ@mailer.example.net>",
        "detection_reasons": ["Url=<b>hxxps://login.example[dot]net</b>", "Young domain"],
        "threat_categories": ["CredentialHarvester"],
        "findings": [
            {
                "name": "CredentialHarvester",
                "detection": "MALICIOUS",
                "reason": "harvests <b>credentials</b>",
                "detail": "login form posts elsewhere",
                "field": "body",
                "portion": "html",
                "value": "hxxps://login.example[dot]net",
                "score": 0.98,
                "attachment": "invoice.html",
            }
        ],
        "post_delivery_operations": ["MOVE"],
        "action_log": [
            {
                "operation": "MOVE",
                "status": "OK",
                "completed_at": "2026-11-18T09:45:00Z",
                "properties": {"folder": "Trash", "requested_by": "analyst@corp.example"},
            }
        ],
        "properties": {
            "allowlisted_pattern": "partner.example",
            "allowlisted_pattern_type": "trusted_domain",
            "blocklisted_message": False,
            "blocklisted_pattern": "example.net",
        },
        "validation": {"spf": "fail", "dkim": "none", "dmarc": "fail", "comment": "no policy"},
        "smtp_previous_hop_ip": "198.51.100.23",
        "smtp_helo_server_ip": "198.51.100.24",
        "x_originating_ip": "2001:db8::7",
        "edf_hash": "f1d2d2f924e986ac86fdf7b36c94bcdf",
        "htmltext_structure_hash": "33a1d9",
    }
)
"""Fields of old (``ts``, ``sent_date``, ``completed_timestamp``, ``whitelisted_pattern_type``) are absent."""
