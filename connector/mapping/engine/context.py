"""Values that a mapping reads besides the record, such as ``$account``, ``$search`` and ``$change``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from connector.formats.json import instant
from connector.mapping.functions.values import Value, absent, hashable
from connector.model import JsonObject, Revision


class ContextValues:
    """Values by name. *accounts* maps account ids to configured names."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self._accounts = {key: {"id": key, "name": name} for key, name in accounts.items()}
        self._collected = (datetime.min.replace(tzinfo=UTC), "")

    def account(self, revision: Revision) -> Value:
        """Id and name of the account; the id where it has no name."""
        key = revision.feed.account
        return self._accounts.get(key) or {"id": key, "name": key}

    def search(self, revision: Revision) -> Value:
        """The name of the search that found the record."""
        return revision.feed.search or None

    def collected(self, revision: Revision) -> Value:
        """When the connector received it."""
        moment, written = self._collected
        if revision.collected is not moment and revision.collected != moment:  # a page is collected at once
            written = instant(revision.collected)
            self._collected = revision.collected, written
        return written

    def revision(self, revision: Revision) -> Value:
        """Which state of the record this is, counted from 1."""
        return revision.number

    def identity(self, revision: Revision) -> Value:
        """The key that collectors deduplicate by."""
        return revision.identity

    def change(self, revision: Revision) -> Value:
        """What changed since the last revision; absent for the first."""
        return change_of(revision)

    def enrichment(self, revision: Revision) -> Value:
        """Answers of the enrichment endpoints."""
        return dict(revision.enrichment) or None

    def throttled(self, revision: Revision) -> Value:
        """How many throttled events this one stands for; absent for one that stands for itself."""
        return revision.throttled or None

    def record(self, revision: Revision) -> Value:
        """The whole record."""
        return dict(revision.record.body) or None

    def values(self, revision: Revision) -> JsonObject:
        """All of them by name."""
        return {name: getattr(self, name)(revision) for name in NAMES}


NAMES = ("account", "search", "collected", "revision", "identity", "change", "enrichment", "throttled")
"""Provided names; ``$record`` is the record, the root of every plain path."""


INLINE_CODE: Mapping[str, str] = MappingProxyType(
    {
        "search": "revision.feed.search or None",
        "revision": "revision.number",
        "change": "None if revision.previous is None and not revision.gone else change_of(revision)",
        "enrichment": "dict(revision.enrichment) or None",
        "throttled": "revision.throttled or None",
    }
)
"""Provided values as the compiler writes them, where that is shorter than a call."""


def change_of(revision: Revision) -> JsonObject | None:
    """The names and former values of the fields that changed, and whether the record is gone."""
    if revision.previous is None and not revision.gone:
        return None
    body, before = revision.record.body, revision.previous or {}
    changed = [
        name for name in before if _comparable_value(before[name]) != _comparable_value(body.get(name))
    ]
    fields = sorted(changed or before)
    change: JsonObject = {
        "fields": fields,
        "previous": {name: before[name] for name in fields},
        "gone": revision.gone or None,
    }
    return {name: value for name, value in change.items() if not absent(value)} or None


def _comparable_value(value: Value) -> Value:
    """A form to compare by: lists as sets, all absent values equal."""
    if absent(value):
        return None
    if type(value) is list:
        return frozenset(hashable(item) for item in value if not absent(item))
    return hashable(value)
