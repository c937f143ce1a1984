"""One feed as configured, in the words of collection."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta

import orjson

from connector.collect.revisions import WATCHED
from connector.collect.windows import Timing
from connector.model import Feed, Query


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """How often everything is read again, and how far back."""

    every: timedelta
    reach: timedelta


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """One feed: what it asks, how it reads time, at which ages it looks again, what it watches."""

    feed: Feed
    query: Query
    timing: Timing = field(default_factory=Timing)
    ages: tuple[timedelta, ...] = ()
    watched: tuple[str, ...] = WATCHED
    audit: AuditConfig | None = None

    @property
    def fingerprint(self) -> str:
        """What tells one query from another: a digest of its filters."""
        text = orjson.dumps(dict(self.query.filters), option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(text, digest_size=8).hexdigest()
