"""The base of every fact: its public name and how much it matters."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal, TypeVar, dataclass_transform

Level = Literal["debug", "info", "warning", "error"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def fact(kind: type[T]) -> type[T]:
    """Make *kind* a dataclass that is frozen for the type checker, and compared and shown by its base class.

    For a frozen one the interpreter would compile six methods; for eighty kinds of fact that is a twentieth
    of the daemon's start.
    """
    return dataclass(slots=True, eq=False, repr=False)(kind)


@fact
class Fact:
    """Something that happened and may be observed; subclasses are declared with ``fact``.

    A subclass is the only declaration a fact needs: the log, the reference page and the tests find it
    through ``connector.facts.kinds``. Its docstring is the text of the reference page.
    """

    event: ClassVar[str]
    """The log line's ``event``. Public: operators search for it, so it does not follow the class's name."""

    level: ClassVar[Level] = "debug"
    """The log line's level."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(_values(self))

    def __repr__(self) -> str:
        shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self))
        return f"{type(self).__name__}({shown})"


def _values(one: Fact) -> tuple[object, ...]:
    return tuple(getattr(one, field.name) for field in fields(one))
