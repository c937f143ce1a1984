"""Submissions: messages that users and analysts submitted for review. ``GET …/email-security/submissions``.

Field and parameter names as in Cloudflare's API reference, Email Security, Submissions. A row changes: the
review has an outcome, a user's submission is escalated to the team.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from connector.api_values import DISPOSITIONS
from connector.errors import SearchIncomplete
from connector.model import Body, FilterValue, SearchSource
from connector.source.error_mapping import PERMISSION
from connector.source.filters import Filter, FilterTable
from connector.source.row_source import PageRead, Parameters
from connector.source.windows import format_time

WATCHED: tuple[str, ...] = (
    "customer_status",
    "status",
    "outcome",
    "outcome_disposition",
    "escalated_as",
    "escalated_at",
    "escalated_by",
    "escalated_submission_id",
)
"""The fields whose change is worth an update, unless a search says otherwise."""

_TABLE = (
    Filter("type", "choice", "Who submitted: TEAM (analysts) or USER.", allowed=("TEAM", "USER")),
    Filter("status", "choice", "Review status.", allowed=("escalated", "reviewed", "unreviewed")),
    Filter("original_disposition", "choice", "Verdict before the submission.", allowed=DISPOSITIONS),
    Filter("requested_disposition", "choice", "Verdict that was asked for.", allowed=DISPOSITIONS),
    Filter("outcome_disposition", "choice", "Verdict of the review.", allowed=DISPOSITIONS),
    Filter("escalated_from_user", "boolean", "Only submissions that a user escalated, or only others."),
    Filter("query", "text", "Search term."),
    Filter("submission_id", "text", "One submission."),
)
FILTERS = FilterTable(
    {row.name: row for row in _TABLE},
    {
        "start": "the connector sets the time range: use `start` of the search, or the backfill command",
        "end": "the connector sets the time range: use `settle` of the search, or the backfill command",
        "per_page": "set `per_page` of the search instead",
        "page": "the connector pages by itself",
        "order": "the connector asks in order of time",
        "direction": "the connector asks in order of time",
    },
)
"""What the endpoint can select by."""


class SubmissionsEndpoint:
    """Implements ``RowEndpoint``. Pages are numbered."""

    source = SearchSource.SUBMISSIONS
    permission = PERMISSION

    def url(self, base: str, account: str) -> str:
        """See ``RowEndpoint``."""
        return f"{base}/accounts/{account}/email-security/submissions"

    def parameters(
        self, filters: Mapping[str, FilterValue], start: datetime, end: datetime, size: int
    ) -> Parameters:
        """See ``RowEndpoint``. In order of time, so that what comes later moves nothing between pages."""
        return (
            *FILTERS.parameters(filters),
            ("start", format_time(start)),
            ("end", format_time(end)),
            ("order", "requested_at"),
            ("direction", "asc"),
            ("per_page", str(size)),
        )

    def following(self, page: PageRead) -> Parameters | None:
        """See ``RowEndpoint``. After a full page comes another, whatever the count of all rows says."""
        known, before = _count(page.info), _count(page.before)
        if before is not None and known is not None and known < before and page.divisible:
            # A row that stopped matching moved all later ones up: one of them may have been skipped.
            raise SearchIncomplete("rows_moved", hint="rows left the list while it was read")
        if page.is_full or (known is not None and known > page.total):
            return (("page", str(page.number + 1)),)
        return None

    def identify(self, row: Body) -> tuple[object, object]:
        """See ``RowEndpoint``. ``requested_ts`` is the retired name of the time."""
        return row.get("submission_id"), row.get("requested_at") or row.get("requested_ts")


def _count(info: Mapping[str, object]) -> int | None:
    """The number of rows of all pages, where the list says so."""
    count = info.get("total_count")
    return count if isinstance(count, int) and count > 0 else None
