"""The attributes that LEEF 2.0 defines: what they hold, how long a text may be, which are reserved.

``leef_attributes.tsv`` holds one attribute per line: name, type, ``r`` where reserved, most characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

HEADER: Mapping[str, int] = MappingProxyType({"Vendor": 255, "Product": 255, "Version": 255, "EventID": 255})
"""The header fields after the version of LEEF, in their order, with the most characters each may have."""

DELIMITER = "Delimiter"
"""The header field that says what stands between attributes."""

OWN_LENGTH = 4000
"""The most characters this product writes where the standard sets no limit."""

KEY = re.compile(r"[A-Za-z0-9]+")
"""A key is one word of letters and digits."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of the standard. *reserved*: a producer may not set it yet."""

    name: str
    type: str
    reserved: bool
    max_length: int


@cache
def attributes() -> Mapping[str, Attribute]:
    """Every attribute of the standard by its name."""
    text = files("connector.formats").joinpath("leef_attributes.tsv").read_text("utf-8")
    made: dict[str, Attribute] = {}
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            name, kind, reserved, length = line.split("\t")
            made[name] = Attribute(name, kind, reserved == "r", int(length) if length else OWN_LENGTH)
    return MappingProxyType(made)


def length_of(key: str) -> int:
    """The most characters a text may have under *key*."""
    known = attributes().get(key)
    return OWN_LENGTH if known is None else known.max_length
