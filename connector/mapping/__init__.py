"""The mapping language: from a record to the document of a format, by declarative files.

A file is read by ``loader``, checked by ``check`` and ``lint``, compiled by ``generate``; ``evaluate``
is the same by walking the rules, and the reference for the compiler. ``docs/mapping.md`` teaches it.
"""

from connector.mapping.engine.result import Mapped
from connector.mapping.language.library import Library
from connector.mapping.language.pack import Pack
from connector.mapping.mapper import (
    before,
    build_map,
    build_mapper,
    build_reference,
    compile_matcher,
    either_state,
)
from connector.mapping.redaction.redact import Redact, compile_redaction
from connector.mapping.templates import body_notes, compile_body
from connector.mapping.tools.coverage import REST, Coverage, coverage, uncarried
from connector.mapping.tools.explain import Explained, Explanation, explain
from connector.mapping.tools.inline_tests import TestOutcome, revision_of, run_tests
from connector.mapping.tools.json_schema import json_schema
from connector.mapping.tools.lint import lint
from connector.mapping.tools.sample_record import SAMPLE

__all__ = [
    "REST",
    "SAMPLE",
    "Coverage",
    "Explained",
    "Explanation",
    "Library",
    "Mapped",
    "Pack",
    "Redact",
    "TestOutcome",
    "before",
    "body_notes",
    "build_map",
    "build_mapper",
    "build_reference",
    "compile_body",
    "compile_matcher",
    "compile_redaction",
    "coverage",
    "either_state",
    "explain",
    "json_schema",
    "lint",
    "revision_of",
    "run_tests",
    "uncarried",
]
