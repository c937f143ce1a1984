"""LEEF 2.0: the header, the standard attributes that a producer may set, and custom attributes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

from connector.formats import leef_attributes
from connector.mapping.schemas.target import Kind, Target

CUSTOM = re.compile(r"[A-Za-z][A-Za-z0-9]*")
"""An attribute of one's own is one word of letters and digits."""

_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "boolean_string": "boolean",
        "date": "string",
        "integer": "integer",
        "integer_or_keyword": "string",
        "ip_address": "ip",
        "mac_address": "string",
        "string": "string",
    }
)
"""``devTime`` is a text: the encoder writes it in a form that receivers read."""


class LeefSchema:
    """Header names, attributes of the standard, and any other word that is not nearly one of them."""

    def lookup(self, name: str) -> Target | None:
        """A header field, an attribute of the standard, or one's own; reserved ones are unknown here."""
        field = _fields().get(name)
        if field is not None or not CUSTOM.fullmatch(name) or name.lower() in _taken():
            return field
        return Target(name, "string", is_list=False, max_length=leef_attributes.OWN_LENGTH)

    def names(self) -> Sequence[str]:
        """Header names first, then every attribute of the standard that producers may set."""
        return tuple(_fields())


@cache
def _fields() -> Mapping[str, Target]:
    fields = {
        name: Target(name, "string", is_list=False, max_length=length)
        for name, length in leef_attributes.HEADER.items()
    }
    fields[leef_attributes.DELIMITER] = Target(leef_attributes.DELIMITER, "string", is_list=False)
    for item in leef_attributes.attributes().values():
        if not item.reserved:
            fields[item.name] = Target(
                item.name, _KINDS[item.type], is_list=False, max_length=item.max_length
            )
    return MappingProxyType(fields)


@cache
def _taken() -> frozenset[str]:
    """Names in small letters that a word of one's own may not be: a misspelled ``usrname`` is no new word."""
    return frozenset(name.lower() for name in (*_fields(), *leef_attributes.attributes()))
