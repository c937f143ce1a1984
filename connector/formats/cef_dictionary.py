"""The extension dictionary of CEF: every key with its type, who may set it, and the longest text it takes.

``cef_dictionary.tsv`` holds one key per line: name, type, who sets it, most characters of a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from connector.values import dataclass

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
"""The header fields after the version, in order, with the longest text of each in characters."""

CUSTOM_LENGTH = 4000
"""The longest text under a key of this product's own, in characters: the limit of CEF's custom strings."""


@dataclass(frozen=True, slots=True)
class Key:
    """One extension key. *producer*: a device may set it; all others belong to the receiver."""

    name: str
    type: str
    producer: bool
    max_length: int | None


@cache
def keys() -> Mapping[str, Key]:
    """Every key of the dictionary by its short name."""
    text = files("connector.formats").joinpath("cef_dictionary.tsv").read_text("utf-8")
    keys_by_name: dict[str, Key] = {}
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            name, kind, scope, length = line.split("\t")
            keys_by_name[name] = Key(name, kind, scope != "consumer", int(length) if length else None)
    return MappingProxyType(keys_by_name)
