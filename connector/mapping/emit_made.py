"""A value in Python code under construction."""

from __future__ import annotations

from typing import NamedTuple

from connector.mapping.compiler.inference import Static


class Made(NamedTuple):
    """The expression of a value, and what is sure of it. An expression that is no name is used once."""

    code: str
    static: Static
