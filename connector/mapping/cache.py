"""What was made of mapping files, so that each file is parsed once and each mapping compiled once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")


class MappingCache:
    """Parsed files, merged mappings and compiled functions of one configuration.

    A key holds all that its value depends on. A reload passes the *former* cache: what still applies is taken
    over, and ``complete`` lets go of the rest. So a cache holds no more than its configuration uses.
    """

    def __init__(self, former: MappingCache | None = None) -> None:
        self._former: dict[Hashable, object] = {} if former is None else former.entries
        self.entries: dict[Hashable, object] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of *key*, made by *make* unless this cache or the former one has it."""
        if key not in self.entries:
            self.entries[key] = self._former[key] if key in self._former else make()
        return cast(T, self.entries[key])

    def complete(self) -> None:
        """Let go of the former cache: the configuration is built."""
        self._former = {}
