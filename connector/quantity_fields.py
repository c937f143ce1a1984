"""Durations and sizes as fields of settings models. Commands need ``quantities`` without any model."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from connector.quantities import DURATION, format_duration, format_size, parse_duration, parse_size


def _to_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError("expected a duration with a unit, such as 30s, 15m, 1h or 2d")


def _to_size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        return parse_size(value)
    raise ValueError("expected a size, such as 8KiB, 1MiB or 5MB")


Duration = Annotated[
    timedelta,
    BeforeValidator(_to_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION}$", "examples": ["30s", "15m", "1h"]}),
]
"""A field of a settings model; serialises to the way people write it."""

Size = Annotated[
    int,
    BeforeValidator(_to_size),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(B|[KMGT]B|[KMGT]iB)?$"},
            ],
            "examples": ["8KiB", "1MiB"],
        }
    ),
]
"""A number of bytes in a settings model."""
