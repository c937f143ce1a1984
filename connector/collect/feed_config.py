"""The configuration of one feed as the collector needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta

import orjson

from connector.collect.revisions import WATCHED
from connector.collect.windows import LONGEST_SLICE, Timing
from connector.model import Feed, FilterValue, Query, SearchSource, mark_source
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """How often everything is read again, and how far back."""

    every: timedelta
    reach: timedelta


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """One feed: its query, timing, revisit ages, watched fields and audit; what *source* it reads."""

    feed: Feed
    query: Query
    timing: Timing = field(default_factory=Timing)
    ages: tuple[timedelta, ...] = ()
    watched: tuple[str, ...] = WATCHED
    audit: AuditConfig | None = None
    longest_slice: timedelta = LONGEST_SLICE
    source: SearchSource = SearchSource.INVESTIGATE

    @property
    def fingerprint(self) -> str:
        """Source and a digest of the filters: it changes when the search asks for something else."""
        text = orjson.dumps(dict(self.query.filters), option=orjson.OPT_SORT_KEYS)
        digest = hashlib.blake2b(text, digest_size=8).hexdigest()
        return digest if self.source is SearchSource.INVESTIGATE else mark_source(self.source, digest)

    @property
    def unfiltered(self) -> Mapping[str, FilterValue]:
        """The filters of a search that returns everything."""
        return {"detections_only": False} if self.source is SearchSource.INVESTIGATE else {}
