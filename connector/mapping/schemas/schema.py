"""The protocol that every target schema implements, and the schema of a format without rules (json)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from connector.mapping.schemas.target import Target


class FreeSchema:
    """A format without rules about names."""

    def lookup(self, name: str) -> Target | None:
        """Any name, any value."""
        return Target(name, "any") if name else None

    def names(self) -> Sequence[str]:
        """Nothing to suggest."""
        return ()


class Schema(Protocol):
    """The fields of one format."""

    def lookup(self, name: str) -> Target | None:
        """Return the field *name*, or ``None`` when the format has no such field."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names that can be listed, in the order of the standard."""
        ...
