"""Microsoft Sentinel's Advanced Security Information Model (ASIM): Email Event 1.0.0, columns of a table.

``asim.tsv`` holds one column per line: name, type in Log Analytics (``ip``: a text that is an address), class
in the schema, allowed values. Source: https://learn.microsoft.com/azure/sentinel/normalization-schema-email.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

from connector.mapping.schemas.target import Kind, Target

VERSION = "1.0.0"
ADDITIONAL = "AdditionalFields"
"""The column for everything that has none of its own; it holds an object."""

AUDIT_COLUMNS = (
    *("ActorUserId", "ActorUserIdType", "ActorUserType", "ActorUsername", "ActorUsernameType", "NewValue"),
    *("Object", "ObjectType", "OldValue", "Operation", "TargetAppId", "TargetAppName", "TargetAppType"),
)
"""Columns of text that Audit Event (0.1.2) has besides; audit events share the table of emails."""

_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "bool": "boolean",
        "datetime": "date",
        "dynamic": "any",
        "int": "integer",
        "ip": "ip",
        "long": "long",
        "real": "double",
        "string": "keyword",
    }
)


class AsimColumn(NamedTuple):
    """One column: its type in Log Analytics, its class in the schema, the only values it may have."""

    type: str
    presence: str
    allowed: frozenset[str] | None


class AsimSchema:
    """The columns of Email Event, and anything below ``AdditionalFields``."""

    def lookup(self, name: str) -> Target | None:
        """A listed column, or anything below ``AdditionalFields``."""
        column = columns().get(name)
        if column is None:
            inside = name.startswith(f"{ADDITIONAL}.") and all(name.split("."))
            return Target(name, "any") if inside else None
        if name == ADDITIONAL:
            return Target(name, "object", is_list=False)
        dynamic = column.type == "dynamic"
        return Target(name, _KINDS[column.type], None if dynamic else False, allowed=column.allowed)

    def names(self) -> Sequence[str]:
        """Every column."""
        return tuple(columns())


@cache
def columns() -> Mapping[str, AsimColumn]:
    """Columns by name, in the order of the file."""
    found: dict[str, AsimColumn] = {}
    text = files("connector.mapping.schemas").joinpath("asim.tsv").read_text("utf-8")
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            name, kind, presence, allowed = line.split("\t")
            found[name] = AsimColumn(kind, presence, frozenset(allowed.split(",")) if allowed else None)
    return MappingProxyType(found)
