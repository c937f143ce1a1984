"""Reads the JSON bodies of requests and refuses what the schema does not allow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, overload

import orjson

from connector.simulator.envelope import ApiProblem, Refusal
from connector.simulator.exchange import SimulatedRequest
from connector.simulator.values import Body


def invalid(pointer: str, expected: str) -> Refusal:
    """Build the refusal of the member at *pointer*."""
    return Refusal(ApiProblem(1004, f"{pointer}: expected {expected}", pointer=pointer))


@overload
def json_object(ask: SimulatedRequest) -> Body: ...
@overload
def json_object(ask: SimulatedRequest, *, lists: Literal[True]) -> Body | list[Any]: ...
def json_object(ask: SimulatedRequest, *, lists: bool = False) -> Body | list[Any]:
    """Return the body of *ask*; with *lists* it may be an array. Raises ``Refusal``."""
    try:
        document: Any = orjson.loads(ask.content)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict) or (lists and isinstance(document, list)):
        return document
    raise invalid("/", "a JSON object")


def word(payload: Mapping[str, Any], name: str, known: Collection[str] = (), *, most: int = 10_000) -> str:
    """Return the text *name*, one of *known* if there are any. Raises ``Refusal``."""
    value = payload.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise invalid(f"/{name}", f"1 to {most} characters")
    if known and value not in known:
        raise invalid(f"/{name}", f"one of {', '.join(known)}")
    return value


def optional_word(payload: Mapping[str, Any], name: str, most: int) -> str | None:
    """Return the text *name*, ``None`` where it is absent or null. Raises ``Refusal``."""
    return None if payload.get(name) is None else word(payload, name, most=most)


def truth(payload: Mapping[str, Any], name: str) -> bool:
    """Return the boolean *name*. Raises ``Refusal``."""
    value = payload.get(name)
    if not isinstance(value, bool):
        raise invalid(f"/{name}", "true or false")
    return value


def strings(payload: Mapping[str, Any], name: str, most: int) -> list[str]:
    """Return the list of 1 to *most* texts called *name*. Raises ``Refusal``."""
    value = payload.get(name)
    if not isinstance(value, list) or not 0 < len(value) <= most:
        raise invalid(f"/{name}", f"1 to {most} items")
    if not all(isinstance(item, str) and item for item in value):
        raise invalid(f"/{name}", "texts")
    return value


def objects(payload: Mapping[str, Any], name: str, most: int) -> list[Body]:
    """Return the list of 1 to *most* objects called *name*. Raises ``Refusal``."""
    value = payload.get(name)
    if not isinstance(value, list) or not 0 < len(value) <= most:
        raise invalid(f"/{name}", f"1 to {most} items")
    if not all(isinstance(item, dict) for item in value):
        raise invalid(f"/{name}", "objects")
    return value


def page_of(query: Mapping[str, str], rows: list[Body]) -> tuple[list[Body], Body]:
    """Return the rows of the page that *query* asks for by number, and its ``result_info``."""
    number, size = _number(query, "page", 1), min(_number(query, "per_page", 20), 1000)
    shown = rows[(number - 1) * size : number * size]
    return shown, {"count": len(shown), "page": number, "per_page": size, "total_count": len(rows)}


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else default
