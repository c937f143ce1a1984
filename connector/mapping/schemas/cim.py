"""Splunk Common Information Model: the fields of the data models Email and Alerts, and the vendor's own.

Fields that Splunk fills by itself, from tags, assets and identities, are unknown here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

from connector.mapping.schemas.target import Kind, Target

VENDOR = "cloudflare"
"""Fields under this name are the vendor's own; the model leaves them free."""

TIME = "time"
"""For inputs that find the time of an event in its text; the model itself knows Splunk's ``_time``."""

_ONE = (
    *("action", "app", "description", "dest", "dest_type", "filter_action", "id", "internal_message_id"),
    *("message_id", "message_info", "orig_dest", "orig_src", "process", "protocol", "return_addr"),
    *(
        "severity_id",
        "signature",
        "signature_extra",
        "signature_id",
        "src",
        "src_type",
        "src_user",
        "src_user_domain",
    ),
    *("status_code", "subject", "user_name", "vendor_account", "vendor_product", "vendor_region", "xref"),
)
_MANY = (
    *("file_hash", "file_name", "mitre_technique_id", "orig_recipient", "recipient", "recipient_domain"),
    *("recipient_status", "url", "user"),
)
_NUMBERS: Mapping[str, Kind] = MappingProxyType(
    {
        "delay": "double",
        "duration": "double",
        "file_size": "long",
        "filter_score": "double",
        "process_id": "long",
        "recipient_count": "long",
        "response_time": "double",
        "retries": "long",
        "size": "long",
        "xdelay": "double",
    }
)
_WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "severity": frozenset(("critical", "high", "medium", "low", "informational", "unknown")),
        "type": frozenset(("alarm", "alert", "event", "task", "warning", "unknown")),
    }
)


class CimSchema:
    """The flat fields of both models, ``time``, and anything below the vendor's name."""

    def lookup(self, name: str) -> Target | None:
        """A listed field, or anything below the vendor's name."""
        field = _fields().get(name)
        if field is None and name.startswith(f"{VENDOR}.") and all(name.split(".")):
            return Target(name, "any")
        return field

    def names(self) -> Sequence[str]:
        """Every listed field."""
        return tuple(_fields())


@cache
def _fields() -> Mapping[str, Target]:
    fields = {TIME: Target(TIME, "date", is_list=False)}
    fields |= {name: Target(name, "keyword", is_list=False) for name in _ONE}
    fields |= {name: Target(name, "keyword", is_list=True) for name in _MANY}
    fields |= {name: Target(name, kind, is_list=False) for name, kind in _NUMBERS.items()}
    fields |= {name: Target(name, "keyword", is_list=False, allowed=words) for name, words in _WORDS.items()}
    return MappingProxyType(dict(sorted(fields.items())))
