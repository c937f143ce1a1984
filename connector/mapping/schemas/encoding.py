"""How a mapped document is encoded to bytes, by format. A format is one row here and one schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from connector.formats import asim, cef, json, leef
from connector.model import JsonObject
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """What the documents of a format look like.

    Args:
        nested: dots in a target mean objects inside objects; otherwise a document is flat text by key.
        labels: custom fields carry their meaning in a label field of their own.
        encode: writes a document; says what it had to shorten.
    """

    nested: bool
    labels: bool
    encode: Callable[[JsonObject], tuple[bytes, tuple[str, ...]]]


def _json(document: JsonObject) -> tuple[bytes, tuple[str, ...]]:
    return json.encode(document), ()


def _asim(document: JsonObject) -> tuple[bytes, tuple[str, ...]]:
    return asim.encode(document)


def _cef(document: JsonObject) -> tuple[bytes, tuple[str, ...]]:
    return cef.encode(document)


def _leef(document: JsonObject) -> tuple[bytes, tuple[str, ...]]:
    return leef.encode(document)


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "ecs": Shape(nested=True, labels=False, encode=_json),
        "json": Shape(nested=True, labels=False, encode=_json),
        "cef": Shape(nested=False, labels=True, encode=_cef),
        "leef": Shape(nested=False, labels=False, encode=_leef),
        "ocsf": Shape(nested=True, labels=False, encode=_json),
        "cim": Shape(nested=True, labels=False, encode=_json),
        "asim": Shape(nested=True, labels=False, encode=_asim),
    }
)
"""Shapes by the ``format`` of a mapping."""
