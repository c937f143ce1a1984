"""Maps a record to the document of a format (ECS, CEF, LEEF, OCSF, CIM, JSON) by declarative YAML files.

``language`` parses and validates a file, ``engine`` plans and interprets it, ``compiler`` turns the plan into
one Python function that must give the same result, ``redaction`` removes personal data first, ``tools`` serve
authors of mappings. ``mapper`` and ``templates`` are what the rest of the program uses. The language itself
is described in ``docs/mapping.md``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from connector.mapping.cache import MappingCache
from connector.mapping.engine.match_check import KnownNames
from connector.mapping.engine.result import MappingResult
from connector.mapping.language.library import Library
from connector.mapping.language.pack import Pack
from connector.mapping.mapper import (
    Render,
    build_interpreter,
    build_map,
    build_mapper,
    compile_matcher,
    match_warnings,
    matches_either_state,
    previous_state,
)
from connector.mapping.redaction.redact import Redact, compile_redaction
from connector.mapping.requests import compile_requests, request_warnings
from connector.mapping.templates import body_warnings, compile_body, compile_key, key_warnings, watch_warnings

if TYPE_CHECKING:
    from connector.mapping.tools.coverage import REST, Coverage, coverage, unmapped_fields
    from connector.mapping.tools.explain import Explanation, TargetExplanation, explain
    from connector.mapping.tools.inline_tests import TestOutcome, revision_of, run_tests
    from connector.mapping.tools.json_schema import json_schema
    from connector.mapping.tools.lint import lint
    from connector.mapping.tools.sample_record import SAMPLE

__all__ = [
    "REST",
    "SAMPLE",
    "Coverage",
    "Explanation",
    "KnownNames",
    "Library",
    "MappingCache",
    "MappingResult",
    "Pack",
    "Redact",
    "Render",
    "TargetExplanation",
    "TestOutcome",
    "body_warnings",
    "build_interpreter",
    "build_map",
    "build_mapper",
    "compile_body",
    "compile_key",
    "compile_matcher",
    "compile_redaction",
    "compile_requests",
    "coverage",
    "explain",
    "json_schema",
    "key_warnings",
    "lint",
    "match_warnings",
    "matches_either_state",
    "previous_state",
    "request_warnings",
    "revision_of",
    "run_tests",
    "unmapped_fields",
    "watch_warnings",
]

_TOOLS = {
    "REST": "coverage",
    "Coverage": "coverage",
    "coverage": "coverage",
    "unmapped_fields": "coverage",
    "Explanation": "explain",
    "TargetExplanation": "explain",
    "explain": "explain",
    "TestOutcome": "inline_tests",
    "revision_of": "inline_tests",
    "run_tests": "inline_tests",
    "json_schema": "json_schema",
    "lint": "lint",
    "SAMPLE": "sample_record",
}
"""Names of ``tools``, which a daemon does not need, and their modules."""


def __getattr__(name: str) -> object:
    if name not in _TOOLS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.tools.{_TOOLS[name]}"), name)
