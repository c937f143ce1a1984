"""Plain JSON: every field name is welcome and takes everything."""

from __future__ import annotations

from collections.abc import Sequence

from connector.mapping.schemas.target import Target


class FreeSchema:
    """A format without rules about names."""

    def lookup(self, name: str) -> Target | None:
        """Any name, any value."""
        return Target(name, "any") if name else None

    def names(self) -> Sequence[str]:
        """Nothing to suggest."""
        return ()
