"""The attributes that LEEF 2.0 predefines: type, longest text, and which are reserved.

``leef_attributes.tsv`` holds one attribute per line: name, type, ``r`` where reserved, most characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from connector.values import dataclass

HEADER: Mapping[str, int] = MappingProxyType({"Vendor": 255, "Product": 255, "Version": 255, "EventID": 255})
"""The header fields after the version of LEEF, in order, with the longest text of each in characters."""

DELIMITER = "Delimiter"
"""The header field that names the separator of attributes."""

OWN_LENGTH = 4000
"""The longest text where the standard sets no limit, in characters: QRadar truncates payloads soon after."""

KEY = re.compile(r"[A-Za-z0-9]+")
"""A key is one word of letters and digits."""


@dataclass(frozen=True, slots=True)
class LeefAttribute:
    """One predefined attribute. *reserved*: a producer must not set it."""

    name: str
    type: str
    reserved: bool
    max_length: int


@cache
def attributes() -> Mapping[str, LeefAttribute]:
    """Every predefined attribute by its name."""
    text = files("connector.formats").joinpath("leef_attributes.tsv").read_text("utf-8")
    by_name: dict[str, LeefAttribute] = {}
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            name, kind, reserved, length = line.split("\t")
            by_name[name] = LeefAttribute(name, kind, reserved == "r", int(length) if length else OWN_LENGTH)
    return MappingProxyType(by_name)


def length_of(key: str) -> int:
    """The longest text under *key*, in characters."""
    known = attributes().get(key)
    return OWN_LENGTH if known is None else known.max_length
