"""CEF: the header, the extension keys a producer may set, and this product's own keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

from connector.formats import cef_dictionary
from connector.mapping.schemas.target import Kind, Target

CUSTOM = re.compile(r"CloudflareEmailSecurity[A-Za-z0-9]+")
"""Vendor, product and one word, as the standard asks of keys that are not in its dictionary."""

_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "string": "string",
        "integer": "integer",
        "long": "long",
        "double": "double",
        "timestamp": "epoch_ms",
        "ipv4_address": "ip",
        "ipv6_address": "ip",
        "ip_address": "ip",
        "mac_address": "string",
    }
)


class CefSchema:
    """Header names, producer keys and custom keys. Keys that only a consumer may set are unknown here."""

    def lookup(self, name: str) -> Target | None:
        """A header field, a key that producers may set, or a custom key."""
        field = _fields().get(name)
        if field is None and CUSTOM.fullmatch(name):
            return Target(name, "string", is_list=False, max_length=cef_dictionary.CUSTOM_LENGTH)
        return field

    def names(self) -> Sequence[str]:
        """Header names first, then every key that producers may set."""
        return tuple(_fields())


@cache
def _fields() -> Mapping[str, Target]:
    fields = {
        name: Target(name, "string", is_list=False, max_length=length)
        for name, length in cef_dictionary.HEADER.items()
    }
    fields["severity"] = Target("severity", "integer", is_list=False)
    for key in cef_dictionary.keys().values():
        if key.producer:
            fields[key.name] = Target(key.name, _KINDS[key.type], is_list=False, max_length=key.max_length)
    return MappingProxyType(fields)
