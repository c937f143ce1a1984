"""Every switch of the simulator: one per undocumented or changing property of the API."""

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
    """How the API behaves. Every attribute can be changed at any time.

    Args:
        era: which published schema is used.
        order: of the records of a search; ``shifting`` pages by offset through a changing list.
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
        max_per_page: largest ``per_page`` accepted.
        page_limit: most records of a page, whatever ``per_page`` says.
        last_page: form of ``next`` on the last page.
        next_form: whether ``next`` is a cursor or a URL.
        trailing_empty_page: a full last page is followed by an empty one.
        cursor_lifetime: age after which a cursor is refused; ``None``: never.
        cursor_expired: status for a refused cursor.
        cursor_bound: whether a cursor is refused when the filters differ from the first request's.
        pending: whether searches are deferred (202): never, for the first *n* polls, or for ever.
        pending_on: which pages are deferred: first pages, or every page.
        pending_shown: response to a poll while deferred: 202, or 200 with an empty page.
        pending_location: form of the ``Location``.
        pending_origin: scheme and host of a ``foreign`` location.
        pending_retry_after: seconds in the ``Retry-After`` of a 202; ``None``: no such header.
        pending_lifetime: age after which the results of a deferred search are gone.
        pending_expired: status for results that are gone.
        long_window: longest range that is answered at once; ``None``: any.
        long_window_answer: response to longer ranges: 202 for ever, or a gateway timeout.
        retention: older records are not found; ``None``: all are.
        beyond_retention: response to a search with an older ``start``: what is left, or an error.
        quota: requests per credential; ``None``: unlimited.
        details_per_page: entries of a page of a list endpoint such as action_log; ``None``: all at once.
        details_paging: how such an endpoint pages: by number, by cursor, or not beyond the first page.
        release_era: which body of a release is accepted: ``["id"]``, ``{"ids": ["id"]}``, or both.
        unknown_ids: what a move or release answers for an id it does not know: no row, or a failed one.
        submission_ids: what ``id`` in the answer to a submission is: the message's, or the submission's own.
        duplicate_blocks: whether a pattern can be blocked twice.
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
    details_per_page: int | None = None
    details_paging: Literal["page", "cursor", "ignored"] = "page"
    release_era: Literal["both", "object", "array"] = "both"
    unknown_ids: Literal["missing", "failed"] = "missing"
    submission_ids: Literal["message", "submission"] = "message"
    duplicate_blocks: Literal["accepted", "refused"] = "accepted"
    missing_credentials: int = 400
    wrong_credentials: int = 403
    gzip: int | None = 1
    skew: timedelta = timedelta(0)
    rates: Mapping[str | Fault, float] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    def script(self, faults: Iterable[Fault | str | None], on: str = "search") -> None:
        """Apply *faults* to the next requests of the kind *on*, one each, in order; ``None``: no fault.

        *on* is a kind of request (``first``, ``next``, ``poll``, ``record``, ``detections``,
        ``action_log``, ``trace``, ``preview``, ``raw``, ``move``, ``release``, ``submissions``, ``submit``,
        ``blocks``, ``block``, ``change_block``, ``unblock``, ``audit_logs``, ``verify``), ``search`` for the
        first three, ``write`` for those that change something, or ``any``.
        """
        self.faults.script(faults, on)
