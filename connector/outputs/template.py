"""Outputs whose payload is a template instead of the mapped document. Who builds routes compiles it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from connector.formats.escaping import Escape


@dataclass(frozen=True, slots=True)
class Template:
    """Where in an output's settings a template of one event stands, and how text of mails is put into it."""

    key: str
    escape: Escape


@runtime_checkable
class Templated(Protocol):
    """Settings of an output that may have a template."""

    def template(self) -> Template | None:
        """Where it stands; ``None``: the payload is the mapped document."""
        ...
