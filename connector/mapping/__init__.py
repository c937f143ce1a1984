"""The mapping language: from a record to the document of a format, by declarative files.

A file is read by ``loader``, checked by ``check`` and ``lint``, compiled by ``generate``; ``evaluate``
is the same by walking the rules, and the reference for the compiler. ``docs/mapping.md`` teaches it.
"""

from connector.mapping.loader import Library
from connector.mapping.mapped import Mapped
from connector.mapping.mapper import (
    before,
    build_map,
    build_mapper,
    build_reference,
    compile_matcher,
    either_state,
)
from connector.mapping.pack import Pack

__all__ = [
    "Library",
    "Mapped",
    "Pack",
    "before",
    "build_map",
    "build_mapper",
    "build_reference",
    "compile_matcher",
    "either_state",
]
