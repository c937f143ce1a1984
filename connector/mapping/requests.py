"""Requests of the http output that depend on the event: which path, method and body, by conditions.

A path is a template too. Text of a record can only become (a part of) one segment of the path or one value
of its query: it is percent-encoded as a whole. Some servers and proxies decode before they look for slashes
and dots, so a slash, a backslash, a control character, and a segment that is empty, ``.`` or ``..`` are
errors (the event becomes a dead letter). So a sender can neither choose another path nor another host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from connector.errors import ConfigurationError, Problem
from connector.formats.escaping import Escape
from connector.mapping.engine.match_check import NO_NAMES, KnownNames
from connector.mapping.functions.values import Value, text
from connector.mapping.language.grammar import Ref
from connector.mapping.language.pack import Pack
from connector.mapping.language.rules import parse_template
from connector.mapping.mapper import NO_ACCOUNTS, Render, compile_matcher, match_warnings
from connector.mapping.templates import body_warnings, compile_body
from connector.model import JsonObject, Revision
from connector.values import dataclass
from connector.yaml_nodes import Node

if TYPE_CHECKING:
    from connector.mapping.compiler.compiler import Predicate

PATH, METHOD, BODY = "path", "method", "body"
"""Keys of a rendered request."""

_LONGEST = 2000
"""Bytes of a path and its query together; servers commonly take 8 KiB for the whole request line."""

_LITERAL = re.compile(r"[A-Za-z0-9._~/?&=:@,;!$'()*+%-]*")
_NOWHERE = frozenset({"", ".", ".."})
_FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")


class UnusablePath(ValueError):
    """The values of an event make no path: one is missing or too long, or would change its structure."""


@dataclass(frozen=True, slots=True)
class _Request:
    applies: Predicate | None
    method: str
    parts: Sequence[str | int]
    values: Render | None
    body: Render


def compile_requests(
    node: Node,
    scope: Pack,
    *,
    escape: Escape = str,
    accounts: Mapping[str, str] = NO_ACCOUNTS,
    known: KnownNames = NO_NAMES,
) -> Render:
    """Compile a list of requests to a function that returns path, method and body for an event.

    The first whose ``when`` matches the new state of a revision applies; the last has none.

    Args:
        node: the list as written.
        scope: the mapping whose derived values it may read.
        escape: makes text from an email inert inside other text of bodies.
        accounts: names of accounts by their ids.
        known: names that the configuration defines, for conditions.

    Raises:
        ConfigurationError: with the place of everything that is wrong with it.
    """
    compiled: list[_Request] = []
    problems: list[Problem] = []
    for each in _maps(node):
        try:
            compiled.append(_compile(each, scope, escape, accounts, known))
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(*problems)

    def render(revision: Revision, document: JsonObject) -> tuple[JsonObject, tuple[str, ...]]:
        request = next(one for one in compiled if one.applies is None or one.applies(revision))
        body, notes = request.body(revision, document)
        return {PATH: _path(request, revision, document), METHOD: request.method, BODY: body}, notes

    return render


def request_warnings(node: Node, scope: Pack, *, known: KnownNames = NO_NAMES) -> Sequence[Problem]:
    """What may be a mistake in requests that work."""
    found: list[Problem] = []
    for each in _maps(node):
        found += match_warnings(each["when"], scope, known=known) if "when" in each else ()
        for key in (PATH, BODY):
            found += body_warnings(each[key]) if key in each else ()
    return found


def _maps(node: Node) -> list[dict[str, Node]]:
    items = node.value if isinstance(node.value, list) else []
    return [item.value for item in items if isinstance(item.value, dict)]


def _compile(
    each: Mapping[str, Node], scope: Pack, escape: Escape, accounts: Mapping[str, str], known: KnownNames
) -> _Request:
    when, method = each.get("when"), each.get(METHOD)
    parts, values = _compile_path(each[PATH], scope, accounts) if PATH in each else ((), None)
    return _Request(
        None if when is None else compile_matcher(when, scope, accounts=accounts, known=known),
        "POST" if method is None else str(method.value),
        parts,
        values,
        compile_body(each[BODY], scope, escape=escape, accounts=accounts),
    )


def _compile_path(
    node: Node, scope: Pack, accounts: Mapping[str, str]
) -> tuple[Sequence[str | int], Render | None]:
    """The literals of the path, and the numbers of values between them."""
    template = parse_template(str(node.value), node.position)
    literals = [part for part in template.parts if isinstance(part, str)]
    written = "".join(part if isinstance(part, str) else "x" for part in template.parts)
    path, _, query = written.partition("?")
    usable = all(map(_LITERAL.fullmatch, literals)) and path.startswith("/") and "?" not in query
    if not usable or not _NOWHERE.isdisjoint(path.split("/")[1:]):
        message = "expected a path such as /{$event.id}/close?notify=true, percent-encoded, without . and .."
        raise ConfigurationError(Problem(message, node.position))
    refs = [part for part in template.parts if isinstance(part, Ref)]
    if not refs:
        return literals, None
    # Each value for itself, so that it comes whole and unescaped.
    holes = [Node(f"{{{ref}}}", node.position) for ref in refs]
    numbers = iter(range(len(refs)))
    parts = [part if isinstance(part, str) else next(numbers) for part in template.parts]
    named: dict[str, Node] = {str(number): hole for number, hole in enumerate(holes)}
    keys = dict.fromkeys(named, node.position)
    return parts, compile_body(Node(named, node.position, keys), scope, accounts=accounts)


def _path(request: _Request, revision: Revision, document: JsonObject) -> str:
    if request.values is None:
        return "".join(part for part in request.parts if isinstance(part, str))
    values, _ = request.values(revision, document)
    found = values if isinstance(values, dict) else {}
    rendered = "".join(
        part if isinstance(part, str) else _encoded(found.get(str(part))) for part in request.parts
    )
    if len(rendered) > _LONGEST or not _NOWHERE.isdisjoint(rendered.partition("?")[0].split("/")[1:]):
        raise UnusablePath
    return rendered


def _encoded(value: Value) -> str:
    written = text(value)
    if not written or _FORBIDDEN.search(written):
        raise UnusablePath
    return quote(written, safe="")
