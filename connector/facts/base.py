"""The base of every fact: its public name and how much it matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened and may be observed; subclasses are frozen dataclasses.

    A subclass is the only declaration a fact needs: the log, the reference page and the tests find it
    through ``connector.facts.kinds``. Its docstring is the text of the reference page.
    """

    event: ClassVar[str]
    """The log line's ``event``. Public: operators search for it, so it does not follow the class's name."""

    level: ClassVar[Level] = "debug"
    """The log line's level."""
