"""Audit Logs, version 2: who changed what in the account. ``GET /accounts/{account_id}/logs/audit``.

Field and parameter names as in Cloudflare's API reference, Accounts, Logs, Audit. An entry never changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from connector.errors import SearchIncomplete
from connector.model import Body, FilterValue, SearchSource
from connector.source.filters import Filter, FilterTable
from connector.source.row_source import PageRead, Parameters
from connector.source.windows import format_time

_POSITIVE = (
    Filter("action_type", "choices", "Kind of change.", allowed=("create", "delete", "update", "view")),
    Filter("action_result", "choices", "Outcome.", allowed=("success", "failure")),
    Filter(
        "actor_context",
        "choices",
        "How the actor signed in.",
        allowed=("api", "api_key", "api_token", "dash", "oauth", "origin_ca_key"),
    ),
    Filter("actor_email", "texts", "Email address of the actor."),
    Filter("actor_id", "texts", "Id of the actor."),
    Filter("actor_ip_address", "texts", "IP address of the actor."),
    Filter("actor_token_id", "texts", "Id of the API token."),
    Filter("actor_token_name", "texts", "Name of the API token."),
    Filter(
        "actor_type",
        "choices",
        "Kind of actor.",
        allowed=("account", "cloudflare_admin", "delegated_service", "system", "user"),
    ),
    Filter("resource_product", "texts", "Product, such as email_security."),
    Filter("resource_type", "texts", "Kind of resource."),
    Filter("resource_id", "texts", "Id of the resource."),
    Filter("resource_scope", "choices", "Scope.", allowed=("accounts", "user", "zones", "memberships")),
    Filter("raw_method", "texts", "HTTP method of the request."),
    Filter("raw_uri", "texts", "Path of the request."),
    Filter("raw_status_code", "texts", "HTTP status of the answer."),
    Filter("raw_cf_ray_id", "texts", "Ray id of the request."),
    Filter("account_name", "texts", "Name of the account."),
    Filter("zone_id", "texts", "Id of the zone."),
    Filter("zone_name", "texts", "Name of the zone."),
    Filter("audit_log_id", "texts", "One entry."),
)


def _all() -> Iterator[Filter]:
    for row in _POSITIVE:
        yield row
        yield Filter(f"{row.name}.not", row.kind, f"All but these: {row.name}.", row.allowed)
    yield Filter("product_category", "texts", "Category of products.")


FILTERS = FilterTable(
    {row.name: row for row in _all()},
    {
        "since": "the connector sets the time range: use `start` of the search, or the backfill command",
        "before": "the connector sets the time range: use `settle` of the search, or the backfill command",
        "limit": "set `per_page` of the search instead",
        "per_page": "set `per_page` of the search instead",
        "cursor": "the connector pages by itself",
        "direction": "the connector asks in order of time",
    },
)
"""What the endpoint can select by."""


class AuditLogsEndpoint:
    """Implements ``RowEndpoint``. Pages follow a cursor."""

    source = SearchSource.AUDIT_LOGS
    permission = "Account Settings: Read"

    def url(self, base: str, account: str) -> str:
        """See ``RowEndpoint``."""
        return f"{base}/accounts/{account}/logs/audit"

    def parameters(
        self, filters: Mapping[str, FilterValue], start: datetime, end: datetime, size: int
    ) -> Parameters:
        """See ``RowEndpoint``."""
        return (
            *FILTERS.parameters(filters),
            ("since", format_time(start)),
            ("before", format_time(end)),
            ("direction", "asc"),
            ("limit", str(size)),
        )

    def following(self, page: PageRead) -> Parameters | None:
        """See ``RowEndpoint``. The cursor stands in ``result_info``, or in its ``cursors.after``."""
        cursor = page.info.get("cursor")
        cursors = page.info.get("cursors")
        if not cursor and isinstance(cursors, dict):
            cursor = cursors.get("after")
        if isinstance(cursor, int) and not isinstance(cursor, bool):
            cursor = str(cursor)
        if isinstance(cursor, str) and cursor:
            return (("cursor", cursor),)
        if cursor:
            raise SearchIncomplete("unreadable_next", hint="expected a text as result_info.cursor")
        if page.is_full and page.divisible:
            raise SearchIncomplete(
                "full_page_without_next",
                hint="the last page was full; a shorter window shows whether more entries exist",
            )
        return None

    def identify(self, row: Body) -> tuple[object, object]:
        """See ``RowEndpoint``."""
        action = row.get("action")
        return row.get("id"), action.get("time") if isinstance(action, dict) else None
