"""Target schemas: the fields of every format that a mapping can be written for, one file per format.

``lookup`` and ``names`` are all that the other packages of ``mapping`` need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from connector.mapping.schemas.asim import AsimSchema
from connector.mapping.schemas.cef import CefSchema
from connector.mapping.schemas.cim import CimSchema
from connector.mapping.schemas.ecs import EcsSchema
from connector.mapping.schemas.leef import LeefSchema
from connector.mapping.schemas.ocsf import OcsfSchema
from connector.mapping.schemas.schema import FreeSchema, Schema
from connector.mapping.schemas.target import Kind, Target

SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {
        "ecs": EcsSchema(),
        "cef": CefSchema(),
        "leef": LeefSchema(),
        "ocsf": OcsfSchema(),
        "cim": CimSchema(),
        "asim": AsimSchema(),
        "json": FreeSchema(),
    }
)
"""Schemas by the ``format`` of a mapping."""


def lookup(format: str, name: str) -> Target | None:  # noqa: A002, the word of the mapping files
    """What *format* says of the field *name*; ``None`` for a field it does not have.

    Raises:
        KeyError: for a format that is not in ``SCHEMAS``.
    """
    return SCHEMAS[format].lookup(name)


def names(format: str) -> Sequence[str]:  # noqa: A002, the word of the mapping files
    """Every field name of *format* that can be listed, for suggestions; empty where all are welcome."""
    return SCHEMAS[format].names()


__all__ = ["SCHEMAS", "Kind", "Schema", "Target", "lookup", "names"]
