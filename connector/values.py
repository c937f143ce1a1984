"""``dataclass`` as in the standard library, for a tenth of the daemon's start less.

The standard one compiles up to six methods for every class. Here the interpreter compiles ``__init__`` alone;
classes are compared, hashed and shown by functions that they share. A frozen class is so for the type checker
only, as the interpreter takes four times as long to make one that it freezes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414
else:
    T = TypeVar("T")

    def dataclass(
        *, frozen: bool = False, slots: bool = False, eq: bool = True, order: bool = False
    ) -> Callable[[type[T]], type[T]]:
        """See above; one that is ordered, or compared by identity, is the standard library's as a whole."""
        if order or not eq:
            return dataclasses.dataclass(frozen=frozen, slots=slots, eq=eq, order=order)

        def make(kind: type[T]) -> type[T]:
            has_equality, has_text = "__eq__" in kind.__dict__, "__repr__" in kind.__dict__
            has_hash = kind.__dict__.get("__hash__") is not None
            made = dataclasses.dataclass(slots=slots, eq=False, repr=False)(kind)
            made._compared = _getter([one.name for one in dataclasses.fields(made) if one.compare])  # noqa: SLF001
            if not has_equality:
                made.__eq__ = _equals
            if not has_hash:
                made.__hash__ = _hash if frozen else None
            if not has_text:
                made.__repr__ = _show
            return made

        return make


def _getter(names: list[str]) -> Callable[[object], object]:
    return attrgetter(*names) if names else type


def _equals(self: object, other: object) -> bool:
    values = self._compared  # type: ignore[attr-defined]
    return bool(values(self) == values(other)) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: object) -> int:
    return hash(self._compared(self))  # type: ignore[attr-defined]


def _show(self: object) -> str:
    fields = dataclasses.fields(self)  # type: ignore[arg-type]
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields if one.repr)
    return f"{type(self).__qualname__}({shown})"
