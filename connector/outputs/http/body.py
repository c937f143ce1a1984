"""Request bodies of the http output: NDJSON, an array, a single event, or a template around the events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeAlias
from uuid import uuid4

from connector.formats import json
from connector.formats.framing import lines, one_line
from connector.model import JsonObject
from connector.values import dataclass

Framing: TypeAlias = Literal["ndjson", "array", "single"]
Tree: TypeAlias = JsonObject | list[object]

EVENTS = "{$events}"
"""Placeholder in a body template for all events of a request."""

_JSON = "application/json"
_BRACES = re.compile(r"\{\{|\}\}|[{}]")
# Looks like a key (API token) in a text of the configuration, so responses are shown without it.
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{16,}")


@dataclass(frozen=True, slots=True)
class BodyEncoder:
    """Encodes request bodies.

    Args:
        join: combines payloads into a body.
        content_type: of that body, if the payloads are JSON.
        single: a request carries one event.
        needs_json: payloads must be JSON.
    """

    join: Callable[[Sequence[bytes]], bytes]
    content_type: str
    single: bool = False
    needs_json: bool = False


def body_encoder(written: Framing | Tree) -> BodyEncoder:
    """The encoder for *written* in a configuration; raises ValueError if it is invalid."""
    if written == "ndjson":
        return BodyEncoder(lines, "application/x-ndjson")
    if written == "single":
        return BodyEncoder(_single, _JSON, single=True)
    if written == "array":
        return BodyEncoder(lambda payloads: b"[" + b",".join(payloads) + b"]", _JSON, needs_json=True)
    if isinstance(written, str):
        raise ValueError("expected ndjson, array, single, or a map or list of templates")  # noqa: TRY004
    if not surrounds(written):
        return BodyEncoder(_single, _JSON, single=True, needs_json=True)
    before, after = _halves(written)
    return BodyEncoder(lambda payloads: before + b",".join(payloads) + after, _JSON, needs_json=True)


def surrounds(tree: Tree) -> bool:
    """Whether *tree* is written once per request, around all events, instead of once per event."""
    return any(text.strip() == EVENTS for text in texts(tree))


def texts(tree: object) -> Iterator[str]:
    """Every text value in *tree*; not the keys."""
    if isinstance(tree, str):
        yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from texts(inner)


def tokens(tree: object) -> Iterator[str]:
    """Texts in *tree* that look like API tokens."""
    return (token for text in texts(tree) for token in _TOKEN.findall(text))


def _single(payloads: Sequence[bytes]) -> bytes:
    return b"\n".join(map(one_line, payloads))


def _halves(tree: Tree) -> tuple[bytes, bytes]:
    """The encoded text before and after the events, including ``[`` and ``]``."""
    mark = uuid4().hex
    encoded = json.encode({"": _literal(tree, mark)}).removeprefix(b'{"":').removesuffix(b"}")
    before, *after = encoded.split(f'"{mark}"'.encode())
    if len(after) != 1:
        raise ValueError(f"{EVENTS} may occur only once in a body")
    return before + b"[", b"]" + after[0]


def _literal(tree: object, mark: str) -> object:
    if isinstance(tree, dict):
        return {key: _literal(inner, mark) for key, inner in tree.items()}
    if isinstance(tree, list):
        return [_literal(inner, mark) for inner in tree]
    if not isinstance(tree, str):
        return tree
    return mark if tree.strip() == EVENTS else _BRACES.sub(_unescape_brace, tree)


def _unescape_brace(match: re.Match[str]) -> str:
    if len(match[0]) == 1:
        raise ValueError(
            f"a body with {EVENTS} is written once for all events of a request: put templates of single "
            "events under the key event; write {{ for a literal {"
        )
    return match[0][0]
