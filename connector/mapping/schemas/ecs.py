"""Elastic Common Schema 9.5: the field sets that can describe an email, and the vendor's own namespace.

``ecs.tsv`` holds one field per line: name, kind, ``*`` where a list is expected, allowed values.
``event_types.tsv`` holds the types that go with each ``event.category``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import cast

from connector.mapping.schemas.target import Kind, Target

VERSION = "9.5.0"
VENDOR = "cloudflare"
"""Fields under this name are the vendor's own; ECS leaves them free."""


class EcsSchema:
    """The fields of ECS, ``labels.*`` and ``cloudflare.*``."""

    def lookup(self, name: str) -> Target | None:
        """A listed field, one label, or anything below the vendor's name."""
        field = _fields().get(name)
        if field is not None:
            return field
        first, _, rest = name.partition(".")
        if not all(name.split(".")):
            return None
        if first == VENDOR:
            return Target(name, "any" if "." in rest else "object")
        if first == "labels" and rest and "." not in rest:
            return Target(name, "keyword", is_list=False)
        return None

    def names(self) -> Sequence[str]:
        """Every listed field."""
        return tuple(_fields())


@cache
def event_types() -> Mapping[str, frozenset[str]]:
    """The values of ``event.type`` that ECS expects beside each ``event.category``."""
    rows = (line.split("\t") for line in _lines("event_types.tsv"))
    return MappingProxyType({category: frozenset(types.split(",")) for category, types in rows})


@cache
def _fields() -> Mapping[str, Target]:
    fields: dict[str, Target] = {}
    for line in _lines("ecs.tsv"):
        name, kind, is_list, allowed = line.split("\t")
        choices = frozenset(allowed.split(",")) if allowed else None
        fields[name] = Target(name, cast(Kind, kind), is_list == "*", allowed=choices)
    return MappingProxyType(fields)


def _lines(name: str) -> list[str]:
    text = files("connector.mapping.schemas").joinpath(name).read_text("utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("#")]
