"""Fields of requests: one table parses bodies and queries, and describes them in the API documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl

from connector.actions.refusals import malformed
from connector.model import JsonObject

FieldType: TypeAlias = Literal["string", "integer", "boolean", "strings", "time"]

_TRUTH: Final = {"true": True, "false": False}
_CONTROL: Final = (
    r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # C0, C1, invisible, direction, BOM
)
_PLAIN: Final = rf"[^{_CONTROL}]*[^{_CONTROL}\s][^{_CONTROL}]*"
"""Text without control characters that is not blank; the same for Python, ECMA 262 and JSON Schema."""
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a body, or one parameter.

    Args:
        name: as callers write it.
        type: text, integer, boolean, list of texts, or time (RFC 3339, with a zone).
        help: what it means.
        required: whether it must be there.
        allowed: the values of a text, or of the items of a list.
        least: smallest integer, or shortest text or list.
        most: largest integer, or longest text or list.
        pattern: regular expression that a whole text, or each of a list, must match; empty: not blank, and
            without control characters.
        example: for the documents.
    """

    name: str
    type: FieldType
    help: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    least: int = 1
    most: int = 1000
    pattern: str = ""
    example: object = None

    def schema(self) -> JsonObject:
        """JSON Schema of the value, in the part of it that OpenAPI 3.0 and Swagger 2.0 share."""
        if self.type == "boolean":
            return {"type": "boolean"}
        if self.type == "integer":
            return {"type": "integer", "minimum": self.least, "maximum": self.most}
        if self.type == "time":
            return {"type": "string", "format": "date-time"}
        text: JsonObject = {"type": "string"}
        if self.allowed:
            text["enum"] = list(self.allowed)
        else:
            text["pattern"] = f"^{self.pattern or _PLAIN}$"
        if self.type == "strings":
            items = text if self.allowed else {**text, "minLength": 1, "maxLength": _LONGEST_ITEM}
            return {"type": "array", "items": items, "minItems": self.least, "maxItems": self.most}
        return text if self.allowed else {**text, "minLength": self.least, "maxLength": self.most}


_MOST_PARAMETERS: Final = 100
_LONGEST_ITEM: Final = 300
"""Characters of one item of a list; ids of messages have about sixty."""


def parse_body(fields: Sequence[Field], document: object) -> JsonObject:
    """Return the members of a JSON body by name; raises ``CallRefusedError`` for everything undocumented."""
    if not isinstance(document, dict):
        raise malformed("", "expected a JSON object")
    known = {field.name: field for field in fields}
    for name in document:
        if name not in known:
            raise malformed(f"/{name}"[:200], f"unknown key{_nearest(name, known)}")
    parsed: JsonObject = {}
    for field in fields:
        # A null is refused like any other wrong value: a template that found nothing must not turn a dry run
        # into an action, or take the request its name.
        if field.name in document:
            parsed[field.name] = _checked(field, f"/{field.name}", document[field.name])
        elif field.required:
            raise malformed(f"/{field.name}", "is required")
    return parsed


def parse_query(fields: Sequence[Field], query: bytes) -> JsonObject:
    """Return the parameters of a query by name; raises ``CallRefusedError`` for everything undocumented."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="strict"
        )
    except ValueError:
        expected = f"at most {_MOST_PARAMETERS} parameters in UTF-8, percent-encoded"
        raise malformed("", f"the query has a wrong form: expected {expected}") from None
    return parse_parameters(fields, pairs)


def parse_parameters(fields: Sequence[Field], pairs: Iterable[tuple[str, str]]) -> JsonObject:
    """Return decoded parameters by name; raises ``CallRefusedError`` for everything undocumented."""
    known = {field.name: field for field in fields}
    given: dict[str, str] = {}
    for name, text in pairs:
        if name not in known:
            raise malformed(name[:200], f"unknown parameter{_nearest(name, known)}")
        if name in given:
            raise malformed(name, "is given twice")
        given[name] = text
    parsed: JsonObject = {}
    for field in fields:
        text = given.get(field.name, "")
        if not text:
            if field.required:
                raise malformed(field.name, "is required")
            if field.name in given:
                raise malformed(field.name, "expected a value, got an empty text")
            continue
        parsed[field.name] = _checked(field, field.name, _from_text(field, text))
    return parsed


def _from_text(field: Field, text: str) -> object:
    if field.type == "boolean":
        return _TRUTH.get(text, text)
    if field.type == "integer":
        return int(text) if _INTEGER.fullmatch(text) else text
    return text.split(",") if field.type == "strings" else text


def _checked(field: Field, place: str, value: object) -> object:
    match field.type:
        case "boolean":
            if not isinstance(value, bool):
                raise malformed(place, "expected true or false")
        case "integer":
            if isinstance(value, float) and value.is_integer():
                value = int(value)  # JSON has one kind of number: 60.0 is the integer 60
            if type(value) is not int or not field.least <= value <= field.most:
                raise malformed(place, f"expected an integer from {field.least} to {field.most}")
        case "strings":
            return _list(field, place, value)
        case "time":
            return _time(place, value)
        case "string":
            return _text(field, place, value, field.least, field.most)
    return value


def _list(field: Field, place: str, value: object) -> list[str]:
    if not isinstance(value, list) or not field.least <= len(value) <= field.most:
        raise malformed(place, f"expected a list of {field.least} to {field.most} texts")
    items = [_text(field, f"{place}/{number}", item, 1, _LONGEST_ITEM) for number, item in enumerate(value)]
    return list(dict.fromkeys(items))


def _text(field: Field, place: str, value: object, least: int, most: int) -> str:
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise malformed(place, f"expected {least} to {most} characters")
    if field.allowed:
        if value not in field.allowed:
            raise malformed(place, f"expected one of {', '.join(field.allowed)}")
    elif not re.fullmatch(field.pattern or _PLAIN, value):
        expected = (
            f"a text that matches {field.pattern}" if field.pattern else "text without control characters"
        )
        raise malformed(place, f"expected {expected}")
    return value


def _time(place: str, value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        moment = moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise malformed(place, "expected a time with a zone, such as 2026-11-18T09:41:07Z")
    return moment


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name[:100], known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}" if known else ""
