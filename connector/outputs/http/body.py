"""How events become the body of a request: lines, an array, one event, a place in a larger document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias
from uuid import uuid4

from connector.formats import json
from connector.formats.framing import line, one_line
from connector.model import JsonObject

Framing: TypeAlias = Literal["ndjson", "array", "single"]
Tree: TypeAlias = JsonObject | list[object]

EVENTS = "{$events}"
"""The text in whose place all events of a request are put."""

_JSON = "application/json"
_HOLE = re.compile(r"\{\{|\}\}|[{}]")
# What looks like a key in a text of the configuration, and so must not be quoted from an answer.
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{16,}")


@dataclass(frozen=True, slots=True)
class BodyEncoder:
    """Makes bodies.

    Args:
        join: makes a body of payloads.
        content_type: of that body, where the payloads are JSON.
        single: a request takes one event.
        needs_json: payloads must be JSON.
    """

    join: Callable[[Sequence[bytes]], bytes]
    content_type: str
    single: bool = False
    needs_json: bool = False


def body_encoder(written: Framing | Tree) -> BodyEncoder:
    """What *written* in a configuration asks for; raises ValueError where it cannot be."""
    if written == "ndjson":
        return BodyEncoder(lambda payloads: b"".join(map(line, payloads)), "application/x-ndjson")
    if written == "single":
        return BodyEncoder(_alone, _JSON, single=True)
    if written == "array":
        return BodyEncoder(lambda payloads: b"[" + b",".join(payloads) + b"]", _JSON, needs_json=True)
    if isinstance(written, str):
        raise ValueError("ndjson, array or single is needed, or a map or list of templates")  # noqa: TRY004
    if not surrounds(written):
        return BodyEncoder(_alone, _JSON, single=True, needs_json=True)
    before, after = _halves(written)
    return BodyEncoder(lambda payloads: before + b",".join(payloads) + after, _JSON, needs_json=True)


def surrounds(tree: Tree) -> bool:
    """Whether *tree* is written once around all events of a request, instead of once for each."""
    return any(text.strip() == EVENTS for text in texts(tree))


def texts(tree: object) -> Iterator[str]:
    """Every text in *tree*; names of keys are none."""
    if isinstance(tree, str):
        yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from texts(inner)


def tokens(tree: object) -> Iterator[str]:
    """What may be a key in the texts of *tree*."""
    return (found for text in texts(tree) for found in _TOKEN.findall(text))


def _alone(payloads: Sequence[bytes]) -> bytes:
    return b"\n".join(map(one_line, payloads))


def _halves(tree: Tree) -> tuple[bytes, bytes]:
    """What stands before and after the events: ``[`` and ``]`` included."""
    mark = uuid4().hex
    made = json.encode({"": _literal(tree, mark)}).removeprefix(b'{"":').removesuffix(b"}")
    before, *after = made.split(f'"{mark}"'.encode())
    if len(after) != 1:
        raise ValueError(f"{EVENTS} may stand once in a body")
    return before + b"[", b"]" + after[0]


def _literal(tree: object, mark: str) -> object:
    if isinstance(tree, dict):
        return {key: _literal(inner, mark) for key, inner in tree.items()}
    if isinstance(tree, list):
        return [_literal(inner, mark) for inner in tree]
    if not isinstance(tree, str):
        return tree
    return mark if tree.strip() == EVENTS else _HOLE.sub(_brace, tree)


def _brace(found: re.Match[str]) -> str:
    if len(found[0]) == 1:
        raise ValueError(
            f"a body with {EVENTS} is written once for all events of a request: what differs from event to "
            "event belongs under the key event; {{ stands for the character {"
        )
    return found[0][0]
