"""The attributes of OCSF 1.9: class Email Activity (4009) with the profile ``security_control``, its objects.

``ocsf.tsv`` holds one attribute per line: the object it belongs to, its name, its kind or ``@`` and the
object it is, ``*`` where a list is expected, ``r`` where it is required, the only values it may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

CLASS = "email_activity"
"""The object that an event as a whole is."""


class OcsfAttribute(NamedTuple):
    """One attribute of an object. *inner* names the object that it is, where that one is listed.

    *kind* is ``any``, ``boolean``, ``email``, ``epoch_ms``, ``integer`` (32 bits), ``ip``, ``keyword``,
    ``long`` (64 bits) or ``object``.
    """

    kind: str
    inner: str | None
    is_list: bool
    required: bool
    allowed: frozenset[str | int] | None


@cache
def attributes() -> Mapping[str, Mapping[str, OcsfAttribute]]:
    """Attributes by the object they belong to and their name."""
    objects: dict[str, dict[str, OcsfAttribute]] = {}
    text = files("connector.formats").joinpath("ocsf.tsv").read_text("utf-8")
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            owner, name, kind, is_list, required, allowed = line.split("\t")
            objects.setdefault(owner, {})[name] = OcsfAttribute(
                "object" if kind.startswith("@") else kind,
                kind[1:] if kind.startswith("@") else None,
                is_list == "*",
                required == "r",
                frozenset(int(value) for value in allowed.split(",")) if allowed else None,
            )
    return MappingProxyType(objects)
