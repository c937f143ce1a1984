"""Every switch of the simulator: each undocumented or changing side of the API in all its positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from connector.simulator.envelope import LastPage
from connector.simulator.faults import Fault, Faults
from connector.simulator.quota import Quota
from connector.simulator.values import Era, Timestamp

Order = Literal["newest", "oldest", "unordered", "shifting"]


@dataclass(slots=True)
class Behaviour:
    """How the API behaves. Every attribute may be changed at any time.

    Args:
        era: which published schema is spoken.
        order: of the records of a search; ``shifting`` pages by offset through a list that moves on.
        filter_on: the time that ``start`` and ``end`` mean; records without ``sent_at`` use the other.
        start: whether a record at the very start belongs to the range.
        end: whether a record at the very end belongs to the range.
        granularity: ``second`` cuts the fractions off ``start``, ``end`` and the records' times.
        unknown_parameter: what happens to a parameter that the era does not know.
        start_in_future: what happens when ``start`` lies ahead of the clock.
        invalid_status: status for a parameter that cannot be used.
        malicious_includes_bec: whether the filter MALICIOUS also finds MALICIOUS-BEC.
        default_window: reaches back from now when ``start`` is not given.
        default_per_page: records of a page when ``per_page`` is not given.
        max_per_page: the most that may be asked for.
        page_limit: the most that a page holds, whatever is asked.
        last_page: how the last page says so.
        next_form: a cursor, or a whole URL.
        trailing_empty_page: a full last page is followed by an empty one.
        cursor_lifetime: after that, a cursor is refused; ``None``: never.
        cursor_expired: status for a refused cursor.
        cursor_bound: a cursor is refused when the filters differ from the first request's.
        pending: answers 202 to searches: never, for the first *n* polls, for ever.
        pending_on: only for first pages, or for every page.
        pending_shown: what a poll answers while pending: 202, or 200 with an empty page.
        pending_location: form of the ``Location``.
        pending_origin: scheme and host of a ``foreign`` location.
        pending_retry_after: seconds in the ``Retry-After`` of a 202; ``None``: no such header.
        pending_lifetime: after that the results are gone.
        pending_expired: status for results that are gone.
        long_window: longer ranges are too slow; ``None``: none is.
        long_window_answer: to those, 202 for ever or a gateway timeout.
        retention: older records are not found; ``None``: all are.
        beyond_retention: what a search with an older ``start`` gets: what is left, or an error.
        quota: requests per credential; ``None``: unlimited.
        missing_credentials: status for a request without any.
        wrong_credentials: status for a token, key or account that is not accepted.
        gzip: compression level where the client accepts it (0 stores, ``None`` never compresses).
        skew: how far the ``Date`` header is ahead of the clock.
        rates: share of searches that meet a fault, by name or by ``Fault``.
        faults: the scripted and random faults.
    """

    era: Era = "current"
    order: Order = "newest"
    filter_on: Timestamp = "scanned_at"
    start: Literal["inclusive", "exclusive"] = "inclusive"
    end: Literal["inclusive", "exclusive"] = "exclusive"
    granularity: Literal["second", "subsecond"] = "subsecond"
    unknown_parameter: Literal["ignored", "refused"] = "ignored"
    start_in_future: Literal["refused", "empty"] = "refused"
    invalid_status: int = 400
    malicious_includes_bec: bool = False
    default_window: timedelta = timedelta(days=30)
    default_per_page: int = 20
    max_per_page: int = 1000
    page_limit: int | None = None
    last_page: LastPage = "null"
    next_form: Literal["token", "url"] = "token"
    trailing_empty_page: bool = False
    cursor_lifetime: timedelta | None = None
    cursor_expired: int = 400
    cursor_bound: bool = True
    pending: int | Literal["never", "forever"] = "never"
    pending_on: Literal["first", "every"] = "first"
    pending_shown: Literal["202", "200-empty"] = "202"
    pending_location: Literal["absolute", "relative", "foreign"] = "absolute"
    pending_origin: str = "http://foreign.example"
    pending_retry_after: int | None = None
    pending_lifetime: timedelta = timedelta(minutes=5)
    pending_expired: int = 404
    long_window: timedelta | None = None
    long_window_answer: Literal["pending", "timeout"] = "pending"
    retention: timedelta | None = None
    beyond_retention: Literal["empty", "refused"] = "empty"
    quota: Quota | None = field(default_factory=Quota)
    missing_credentials: int = 400
    wrong_credentials: int = 403
    gzip: int | None = 1
    skew: timedelta = timedelta(0)
    rates: Mapping[str | Fault, float] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    def script(self, faults: Iterable[Fault | str | None], on: str = "search") -> None:
        """Let the next requests of the kind *on* meet *faults*, one each, in order; ``None`` = no fault.

        *on* is a kind of request (``first``, ``next``, ``poll``, ``record``, ``detections``,
        ``action_log``, ``trace``, ``verify``), ``search`` for the first three, or ``any``.
        """
        self.faults.script(faults, on)
