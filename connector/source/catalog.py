"""What each source of a search offers: its list, its filters, the permission that it needs."""

from __future__ import annotations

from collections.abc import Mapping

from connector.model import Quarantined, Record, SearchSource
from connector.source import audit_logs, submissions
from connector.source.filters import MESSAGES, FilterTable
from connector.source.pages import decode_record
from connector.source.row_source import RowEndpoint, identified

ENDPOINTS: Mapping[SearchSource, RowEndpoint] = {
    SearchSource.SUBMISSIONS: submissions.SubmissionsEndpoint(),
    SearchSource.AUDIT_LOGS: audit_logs.AuditLogsEndpoint(),
}
"""The lists beside the search of messages."""

FILTER_TABLES: Mapping[SearchSource, FilterTable] = {
    SearchSource.INVESTIGATE: MESSAGES,
    SearchSource.SUBMISSIONS: submissions.FILTERS,
    SearchSource.AUDIT_LOGS: audit_logs.FILTERS,
}


def decode_item_of(source: SearchSource, raw: bytes) -> Record | Quarantined:
    """The record that the bytes of one quarantined item make, or why they make none."""
    record = decode_record(raw)
    endpoint = ENDPOINTS.get(source)
    if endpoint is None or isinstance(record, Quarantined):
        return record
    return identified(endpoint, record)
