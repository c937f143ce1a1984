"""The fields of OCSF that a mapping may fill: those of ``connector.formats.ocsf``, by their path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from connector.formats.ocsf import CLASS, OcsfAttribute, attributes
from connector.mapping.schemas.target import Kind, Target

VERSION = "1.9.0"

_OPEN = ("any", "object")


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


def _target(name: str, attribute: OcsfAttribute) -> Target:
    nested = attribute.is_list and attribute.kind == "object"
    kind: Kind = "nested" if nested else cast("Kind", attribute.kind)
    return Target(name, kind, attribute.is_list, allowed=attribute.allowed)


def _names(owner: str, path: tuple[str, ...], above: tuple[str, ...] = ()) -> Iterator[str]:
    for name, attribute in attributes()[owner].items():
        inner = attribute.inner
        if inner is None or attribute.is_list:
            yield ".".join((*path, name))
        elif inner not in above:
            yield from _names(inner, (*path, name), (*above, inner))
