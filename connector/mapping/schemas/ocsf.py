"""OCSF 1.9, class Email Activity (4009) with the profile ``security_control``, and the objects inside it.

``ocsf.tsv`` holds one attribute per line: the object it belongs to, its name, its kind or ``@`` and the
object it is, ``*`` where a list is expected, ``r`` where it is required, the only values it may have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple, cast

from connector.mapping.schemas.target import Kind, Target

VERSION = "1.9.0"
CLASS = "email_activity"
"""The object that an event as a whole is."""

_OPEN = ("any", "object")


class OcsfAttribute(NamedTuple):
    """One attribute of an object. *inner* names the object that it is, where that one is listed."""

    kind: Kind
    inner: str | None
    is_list: bool
    required: bool
    allowed: frozenset[str | int] | None


class OcsfSchema:
    """Attributes of the class, and of the objects in it by their path."""

    def lookup(self, name: str) -> Target | None:
        """A listed attribute, or anything inside one that is open, such as ``unmapped``.

        An object whose attributes are listed is filled by them, not as a whole.
        """
        owner = CLASS
        steps = name.split(".")
        for index, step in enumerate(steps, start=1):
            attribute = attributes().get(owner, {}).get(step)
            if attribute is None or not all(steps):
                return None
            if index == len(steps):
                return None if attribute.inner and not attribute.is_list else _target(name, attribute)
            if attribute.is_list or (attribute.inner is None and attribute.kind not in _OPEN):
                return None
            if attribute.inner is None:
                return Target(name, "any")
            owner = attribute.inner
        return None

    def names(self) -> Sequence[str]:
        """Every listed attribute by its path; those of objects in lists have none."""
        return tuple(_names(CLASS, ()))


@cache
def attributes() -> Mapping[str, Mapping[str, OcsfAttribute]]:
    """Attributes by the object they belong to and their name."""
    objects: dict[str, dict[str, OcsfAttribute]] = {}
    text = files("connector.mapping.schemas").joinpath("ocsf.tsv").read_text("utf-8")
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            owner, name, kind, is_list, required, allowed = line.split("\t")
            objects.setdefault(owner, {})[name] = OcsfAttribute(
                "object" if kind.startswith("@") else cast("Kind", kind),
                kind[1:] if kind.startswith("@") else None,
                is_list == "*",
                required == "r",
                frozenset(int(value) for value in allowed.split(",")) if allowed else None,
            )
    return MappingProxyType(objects)


def _target(name: str, attribute: OcsfAttribute) -> Target:
    kind: Kind = "nested" if attribute.is_list and attribute.kind == "object" else attribute.kind
    return Target(name, kind, attribute.is_list, allowed=attribute.allowed)


def _names(owner: str, path: tuple[str, ...], above: tuple[str, ...] = ()) -> Iterator[str]:
    for name, attribute in attributes()[owner].items():
        inner = attribute.inner
        if inner is None or attribute.is_list:
            yield ".".join((*path, name))
        elif inner not in above:
            yield from _names(inner, (*path, name), (*above, inner))
