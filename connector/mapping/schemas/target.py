"""A target field as its format defines it: type, list or single, maximum length, allowed values."""

from __future__ import annotations

from typing import Literal, TypeAlias

from connector.values import dataclass

Kind: TypeAlias = Literal[
    "any",
    "boolean",
    "date",
    "double",
    "email",
    "epoch_ms",
    "flattened",
    "integer",
    "ip",
    "keyword",
    "long",
    "nested",
    "object",
    "string",
    "text",
    "wildcard",
]


@dataclass(frozen=True, slots=True)
class Target:
    """One field that a mapping may fill.

    Args:
        name: the field, as written on the left of a mapping.
        kind: what a value has to be; ``epoch_ms`` is a time as milliseconds, ``email`` one bare address,
            ``any`` takes everything.
        is_list: ``True``: always a list; ``False``: one value; ``None``: either.
        max_length: the most characters a text may have; longer ones are cut by the encoder.
        allowed: the only values, where the format has a closed list.
    """

    name: str
    kind: Kind
    is_list: bool | None = None
    max_length: int | None = None
    allowed: frozenset[str | int] | None = None
