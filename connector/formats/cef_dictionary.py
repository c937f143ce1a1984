"""The extension dictionary of CEF: which keys there are, who may set them, and how long a text may be.

``cef_dictionary.tsv`` holds one key per line: name, type, who sets it, most characters of a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

HEADER: Mapping[str, int] = MappingProxyType(
    {
        "deviceVendor": 63,
        "deviceProduct": 63,
        "deviceVersion": 31,
        "deviceEventClassId": 1023,
        "name": 512,
        "severity": 9,
    }
)
"""The header fields after the version, in their order, with the most characters each may have."""

CUSTOM_LENGTH = 4000
"""The most characters this product writes under a key of its own."""


@dataclass(frozen=True, slots=True)
class Key:
    """One extension key. *producer* tells whether a device may set it; the others are the receiver's."""

    name: str
    type: str
    producer: bool
    max_length: int | None


@cache
def keys() -> Mapping[str, Key]:
    """Every key of the dictionary by its short name."""
    text = files("connector.formats").joinpath("cef_dictionary.tsv").read_text("utf-8")
    made: dict[str, Key] = {}
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            name, kind, scope, length = line.split("\t")
            made[name] = Key(name, kind, scope != "consumer", int(length) if length else None)
    return MappingProxyType(made)
