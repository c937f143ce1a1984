"""Closed lists of Cloudflare's API that several packages offer: each list stands here once.

The simulator has lists of its own, so that it shares no mistake.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

DISPOSITIONS: Final = ("MALICIOUS", "SUSPICIOUS", "SPOOF", "SPAM", "BULK", "NONE")
"""Verdicts that can be searched for, and that a submission may request (schema of POST /submissions)."""

DELIVERY_STATUSES: Final = (
    "delivered",
    "moved",
    "quarantined",
    "rejected",
    "deferred",
    "bounced",
    "queued",
    "move_failed",
)

Destination: TypeAlias = Literal[
    "Inbox", "JunkEmail", "DeletedItems", "RecoverableItemsDeletions", "RecoverableItemsPurges"
]
DESTINATIONS: Final[tuple[str, ...]] = get_args(Destination)
"""Where a message can be moved to (schema of POST /investigate/move)."""

PatternType: TypeAlias = Literal["EMAIL", "DOMAIN", "IP"]
PATTERN_TYPES: Final[tuple[str, ...]] = get_args(PatternType)
"""What the pattern of a blocked sender can be."""
