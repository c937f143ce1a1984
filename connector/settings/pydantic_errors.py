"""What pydantic says of a wrong value, in plain words and without the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from connector.quantities import format_duration
from connector.settings.problems import KIND, MISSING, Path, PathProblem
from connector.settings.schema_index import SchemaNode
from connector.yaml_nodes import Node, suggestion

_ARGUMENT = re.compile(r"(days|seconds|microseconds)=([0-9]+)")
_Words = Callable[[Mapping[str, Any]], str]

_TEXTS: Mapping[str, str] = {
    "string_type": "a text is needed",
    "int_type": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "int_parsing_size": "the number is too large",
    "float_type": "a number is needed",
    "float_parsing": "a number is needed",
    "finite_number": "the number is too large",
    "bool_type": "true or false is needed",
    "bool_parsing": "true or false is needed",
    "list_type": "a list is needed",
    "tuple_type": "a list is needed",
    "dict_type": "a map of keys and values is needed",
    "model_type": "a map of keys and values is needed",
    "path_type": "the name of a file or directory is needed",
    "none_required": "null is needed",
    "is_instance_of": "a value of another kind is needed",
}
_FORMED: Mapping[str, _Words] = {
    "greater_than_equal": lambda given: f"{_plain(given['ge'])} or more is needed",
    "greater_than": lambda given: f"more than {_plain(given['gt'])} is needed",
    "less_than_equal": lambda given: f"{_plain(given['le'])} or less is needed",
    "less_than": lambda given: f"less than {_plain(given['lt'])} is needed",
    "literal_error": lambda given: f"{_words(given)} is needed",
    "enum": lambda given: f"{_words(given)} is needed",
    "string_too_short": lambda given: f"at least {given['min_length']} characters are needed",
    "string_too_long": lambda given: f"at most {given['max_length']} characters are allowed",
    "too_short": lambda given: f"at least {given['min_length']} is needed",
    "too_long": lambda given: f"at most {given['max_length']} are allowed",
}


def pydantic_problems(error: ValidationError, node: Node, schema: SchemaNode) -> list[PathProblem]:
    """Make one fault of each thing that pydantic found."""
    details = error.errors(include_url=False, include_input=False)
    found: dict[Path, list[PathProblem]] = {}
    unions: set[Path] = set()
    for one in details:
        place = _follow(one, node, schema)
        if place.branch is not None:
            unions.add(place.branch)
        problem = _fault(one, place)
        found.setdefault(problem.path, []).append(problem)
    return [_joined(problems) for path, problems in found.items() if not _outdone(path, unions, found)]


def _outdone(path: Path, unions: set[Path], found: Mapping[Path, object]) -> bool:
    # Where one alternative fits but for a detail, that detail is what is wrong.
    return path in unions and any(len(other) > len(path) and other[: len(path)] == path for other in found)


def _joined(problems: list[PathProblem]) -> PathProblem:
    first = problems[0]
    texts = list(dict.fromkeys(problem.text for problem in problems))
    return PathProblem(first.path, ", or ".join(texts), first.hint if len(texts) == 1 else "")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an error is: the keys, what may stand above, what stands there, where alternatives began."""

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
    kind, given, path = one["type"], one.get("ctx", {}), place.path
    if kind == KIND:
        return PathProblem((*path, given["key"]) if given["key"] else path, given["message"], given["hint"])
    if kind == "missing":
        return PathProblem(path, MISSING, _description(place.above.child(str(path[-1]))))
    if kind == "extra_forbidden":
        return unknown_key(path, place.above)
    if kind == "string_pattern_mismatch":
        return PathProblem(
            path, "this is no name", "names are lower case letters, digits and _, a letter first"
        )
    if kind == "value_error":
        return PathProblem(path, str(given.get("error") or "the value is not usable here"))
    text = _FORMED[kind](given) if kind in _FORMED else _TEXTS.get(kind, "the value is not usable here")
    quoted = kind in {"string_type", "literal_error"} and isinstance(place.node.value, bool | int | float)
    return PathProblem(
        path, text, "quote it, or it is read as a number or as true or false" if quoted else ""
    )


def unknown_key(path: Path, above: SchemaNode) -> PathProblem:
    """The fault of a key that nobody knows."""
    key = str(path[-1])
    before, colon, _ = key.partition(":")
    if colon and before in above.known:
        return PathProblem((*path[:-1], before), "a space is needed after the colon")
    return PathProblem(path, "unknown key", suggestion(key, above.known))


def _description(schema: SchemaNode | None) -> str:
    texts = [one.get("description", "") for one in schema.alternatives] if schema else []
    return str(texts[0]).rstrip(".") if len(texts) == 1 else ""


def _plain(limit: object) -> str:
    # A limit on a duration comes as the text of a call: datetime.timedelta(days=1, seconds=5).
    found = dict(_ARGUMENT.findall(str(limit)))
    if str(limit).startswith("datetime.timedelta("):
        return format_duration(timedelta(**{name: int(value) for name, value in found.items()}))
    return str(limit)


def _words(given: Mapping[str, Any]) -> str:
    return str(given["expected"]).replace("'", "")
