"""Translate pydantic validation errors into plain English, without quoting the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from connector.quantities import format_duration
from connector.settings.problems import KIND, MISSING, Path, PathProblem
from connector.settings.schema_index import SchemaNode
from connector.values import dataclass
from connector.yaml_nodes import Node, suggestion

_NAME = "^[a-z][a-z0-9_]*$"
"""Pattern of names that an operator chooses: accounts, searches, outputs, callers."""

_ARGUMENT = re.compile(r"(days|seconds|microseconds)=([0-9]+)")
_Words = Callable[[Mapping[str, Any]], str]

_TEXTS: Mapping[str, str] = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "int_parsing_size": "the number is too large",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "the number is too large",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "dict_type": "expected a mapping of keys to values",
    "model_type": "expected a mapping of keys to values",
    "path_type": "expected a file or directory name",
    "none_required": "expected null",
    "is_instance_of": "wrong type of value",
}
_FORMED: Mapping[str, _Words] = {
    "greater_than_equal": lambda context: f"must be {_plain(context['ge'])} or more",
    "greater_than": lambda context: f"must be more than {_plain(context['gt'])}",
    "less_than_equal": lambda context: f"must be {_plain(context['le'])} or less",
    "less_than": lambda context: f"must be less than {_plain(context['lt'])}",
    "literal_error": lambda context: f"expected {_words(context)}",
    "enum": lambda context: f"expected {_words(context)}",
    "string_too_short": lambda context: f"must have at least {context['min_length']} characters",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "too_short": lambda context: f"must have at least {context['min_length']}",
    "too_long": lambda context: f"must have at most {context['max_length']}",
}


def pydantic_problems(error: ValidationError, node: Node, schema: SchemaNode) -> list[PathProblem]:
    """One problem per error that pydantic reports."""
    details = error.errors(include_url=False, include_input=False)
    found: dict[Path, list[PathProblem]] = {}
    unions: set[Path] = set()
    for one in details:
        place = _follow(one, node, schema)
        if place.branch is not None:
            unions.add(place.branch)
        problem = _fault(one, place)
        found.setdefault(problem.path, []).append(problem)
    return [_joined(problems) for path, problems in found.items() if not _superseded(path, unions, found)]


def _superseded(path: Path, unions: set[Path], problems: Mapping[Path, object]) -> bool:
    # If one alternative of a union fits except for a detail, report that detail only.
    return path in unions and any(len(other) > len(path) and other[: len(path)] == path for other in problems)


def _joined(problems: list[PathProblem]) -> PathProblem:
    first = problems[0]
    texts = list(dict.fromkeys(problem.text for problem in problems))
    hint = first.hint if len(texts) == 1 else ""
    quotes_value = any(problem.quotes_value for problem in problems)
    return PathProblem(first.path, _alternatives(texts), hint, quotes_value=quotes_value)


def _alternatives(texts: list[str]) -> str:
    """Join the errors of a union's alternatives: ``expected all, or a list``."""
    return ", or ".join([texts[0], *(text.removeprefix("expected ") for text in texts[1:])])


@dataclass(frozen=True, slots=True)
class _Place:
    """Location of an error: path, schema of its parent, the node itself, path of the enclosing union."""

    path: Path
    above: SchemaNode
    node: Node
    branch: Path | None


def _follow(one: ErrorDetails, node: Node, schema: SchemaNode) -> _Place:
    path: list[str | int] = []
    above = schema
    branch: Path | None = None
    for index, step in enumerate(one["loc"]):
        last = index == len(one["loc"]) - 1
        value = node.value
        if isinstance(value, dict):
            schema = schema.of_type(value["type"].value) if "type" in value else schema
        if isinstance(value, dict) and isinstance(step, str) and step in value:
            node, above, schema = value[step], schema, schema.child(step) or schema
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            node, above, schema = value[step], schema, schema.item()
        elif last and one["type"] == "missing":
            above = schema
        else:
            branch = tuple(path) if step != "[key]" and not isinstance(step, int) else branch
            continue
        path.append(step)
    return _Place(tuple(path), above, node, branch)


def _fault(one: ErrorDetails, place: _Place) -> PathProblem:
    kind, context, path = one["type"], one.get("ctx", {}), place.path
    if kind == KIND:
        place_of_key = (*path, context["key"]) if context["key"] else path
        quotes_value = bool(context["quotes_value"])
        return PathProblem(place_of_key, context["message"], context["hint"], quotes_value=quotes_value)
    if kind == "missing":
        return PathProblem(path, MISSING, _description(place.above.child(str(path[-1]))))
    if kind == "extra_forbidden":
        return unknown_key(path, place.above)
    if kind == "string_pattern_mismatch":
        return _pattern_problem(place, context["pattern"])
    if kind == "value_error":
        return PathProblem(path, str(context.get("error") or "invalid value"), quotes_value=True)
    text = _FORMED[kind](context) if kind in _FORMED else _TEXTS.get(kind, "invalid value")
    quoted = kind in {"string_type", "literal_error"} and isinstance(place.node.value, bool | int | float)
    return PathProblem(path, text, "put it in quotes; YAML reads it as a number or boolean" if quoted else "")


def _pattern_problem(place: _Place, pattern: str) -> PathProblem:
    if pattern == _NAME:
        hint = "use lower-case letters, digits and _, starting with a letter"
        return PathProblem(place.path, "invalid name", hint)
    hint = _description(place.above.child(str(place.path[-1])))
    return PathProblem(place.path, "not of the expected form", hint)


def unknown_key(path: Path, above: SchemaNode) -> PathProblem:
    """The problem for an unknown key, with the nearest known one as a hint."""
    key = str(path[-1])
    before, colon, _ = key.partition(":")
    if colon and before in above.known:
        return PathProblem((*path[:-1], before), "missing space after the colon")
    return PathProblem(path, "unknown key", suggestion(key, above.known))


def _description(schema: SchemaNode | None) -> str:
    texts = {str(one.get("description", "")) for one in schema.alternatives} if schema else set()
    return texts.pop().rstrip(".") if len(texts) == 1 else ""


def _plain(limit: object) -> str:
    # A limit on a duration comes as the text of a call: datetime.timedelta(days=1, seconds=5).
    arguments = dict(_ARGUMENT.findall(str(limit)))
    if str(limit).startswith("datetime.timedelta("):
        return format_duration(timedelta(**{name: int(value) for name, value in arguments.items()}))
    return str(limit)


def _words(context: Mapping[str, Any]) -> str:
    return str(context["expected"]).replace("'", "")
