"""Templates in output settings: bodies of webhooks, rendered from a revision and its mapped document.

Every text is a template, except one that comes whole from a file or variable: that may be a secret, and its
braces mean nothing. ``{path}`` alone keeps the type of its value and is left out where there is none.
``{$event}`` is the mapped document, with a path a part of it, and ``{$event_json}`` the document as JSON
text, for collectors that take a line of text; both are inserted as data without escaping. Everything else
that comes from an email is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from connector.errors import ConfigurationError, Position, Problem
from connector.formats import json
from connector.formats.shortening import cut as shortened
from connector.formats.shortening import longest_cut
from connector.mapping.functions.values import Value, prune, text, walk
from connector.mapping.language.file import Field
from connector.mapping.language.grammar import RECORD, From, Ref, Rule, Template
from connector.mapping.language.pack import Pack
from connector.mapping.language.refs import parse_ref
from connector.mapping.language.rules import parse_template
from connector.mapping.language.validate import validate_refs
from connector.mapping.mapper import NO_ACCOUNTS, Render, build_map
from connector.mapping.schemas.encoding import SHAPES
from connector.mapping.schemas.fields import documented_paths
from connector.model import JsonObject, Revision
from connector.secret import Reference
from connector.values import dataclass
from connector.yaml_nodes import Node, Scalar, suggestion

EVENT = "event"
EVENT_JSON = "event_json"
_DOCUMENT = frozenset({EVENT, EVENT_JSON})

MAX_INSERTED = 400
"""Characters one value may take inside other text, after escaping. Chat and ticket APIs refuse a message
that is too long as a whole; a sender must not be able to suppress an alert with a subject of a megabyte."""

# A value that is one ${...} reference and nothing else.
_REFERENCE = re.compile(r"\$\{[^}]*\}")

Read: TypeAlias = Callable[[Revision], JsonObject]
Escape: TypeAlias = Callable[[str], str]
Tree: TypeAlias = Template | Scalar | list["Tree"] | dict[str, "Tree"]


def compile_body(
    node: Node, scope: Pack, *, escape: Escape = str, accounts: Mapping[str, str] = NO_ACCOUNTS
) -> Render:
    """Compile a body to a function of a revision and its mapped document.

    Args:
        node: the body as written.
        scope: the mapping whose derived values it may read.
        escape: makes text from an email inert inside other text.
        accounts: names of accounts by their ids.

    Raises:
        ConfigurationError: with the place of everything that is wrong with it.
    """
    refs: list[Ref] = []
    problems: list[Problem] = []
    tree = _read(node, refs, problems)
    problems += validate_refs([ref for ref in refs if ref.root not in _DOCUMENT], scope)
    problems += [problem for ref in refs if ref.root in _DOCUMENT for problem in _event_problems(ref, scope)]
    if problems:
        raise ConfigurationError(*problems)
    names = {_ref_key(ref): f"v{number}" for number, ref in enumerate(refs) if ref.root not in _DOCUMENT}
    values = _reader(
        {names[_ref_key(ref)]: ref for ref in refs if ref.root not in _DOCUMENT}, scope, accounts
    )

    def render(revision: Revision, document: JsonObject) -> tuple[Value, tuple[str, ...]]:
        rendered = values(revision)

        def read(ref: Ref) -> Value:
            if ref.root == EVENT_JSON:
                return json.encode(document).decode()
            return walk(document, ref.path) if ref.root == EVENT else rendered.get(names[_ref_key(ref)])

        notes: list[str] = []
        return _Renderer(read, escape, notes).tree(tree), tuple(dict.fromkeys(notes))

    return render


def compile_key(
    fields: Sequence[tuple[str, Position]], scope: Pack, *, accounts: Mapping[str, str] = NO_ACCOUNTS
) -> Callable[[Revision], str | None]:
    """Compile paths and ``$names``, with their places, to a function that returns their values as one text.

    Equal values, in any case, give equal text; a revision that has none of them gives ``None``.

    Raises:
        ConfigurationError: with the place of everything that is wrong with it.
    """
    refs = [parse_ref(text, position) for text, position in fields]
    problems = validate_refs(refs, scope)
    if problems:
        raise ConfigurationError(*problems)
    values = _reader({f"v{number}": ref for number, ref in enumerate(refs)}, scope, accounts)

    def key(revision: Revision) -> str | None:
        read = values(revision)
        return json.encode(read).decode().casefold() if read else None

    return key


def _ref_key(ref: Ref) -> tuple[str, tuple[str, ...]]:
    return ref.root, ref.path


def _reader(refs: Mapping[str, Ref], scope: Pack, accounts: Mapping[str, str]) -> Read:
    """A compiled mapping that reads the values of *refs* by name."""
    fields = {name: Field(Rule(From(ref), ref.position), ref.position) for name, ref in refs.items()}
    pack = replace(scope, format="json", fields=fields, labels={}, rest=None)
    mapping = build_map(pack, accounts=accounts)
    return lambda revision: mapping(revision).document


def body_warnings(node: Node) -> Sequence[Problem]:
    """Warnings about a body that works: it reads record fields that the API does not document."""
    refs: list[Ref] = []
    _read(node, refs, [])
    return _undocumented(refs)


def key_warnings(fields: Sequence[tuple[str, Position]]) -> Sequence[Problem]:
    """The same of what ``compile_key`` compiles."""
    return _undocumented([parse_ref(text, position) for text, position in fields])


def watch_warnings(fields: Sequence[tuple[str, Position]]) -> Sequence[Problem]:
    """The same of fields whose changes are watched: fields of the record itself, no paths into one."""
    known = {path.partition(".")[0] for path in documented_paths()}
    problems = []
    for name, position in fields:
        whole = name.partition(".")[0]
        if name not in known:
            what = f"the API documents no record field {name}: its changes create no revision"
            hint = f"watch {whole}, the whole field" if whole in known else suggestion(name, known)
            problems.append(Problem(what, position, hint))
    return problems


def _undocumented(refs: Sequence[Ref]) -> Sequence[Problem]:
    known = documented_paths()
    return [
        Problem(
            f"the API documents no record field {path}",
            ref.position,
            suggestion(path, known),
        )
        for ref in refs
        if ref.root == RECORD and (path := ".".join(ref.path)) not in known
    ]


def _read(node: Node, refs: list[Ref], problems: list[Problem]) -> Tree:
    """Parse the templates in *node*; append references to *refs*, errors to *problems*."""
    if isinstance(node.value, dict):
        return {key: _read(child, refs, problems) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_read(child, refs, problems) for child in node.value]
    if isinstance(node.value, Reference) and _REFERENCE.fullmatch(node.value.written):
        return Template((str(node.value),))
    if not isinstance(node.value, str):
        return node.value
    try:
        template = parse_template(node.value, node.position)
    except ConfigurationError as error:
        problems += error.problems
        return None
    refs.extend(part for part in template.parts if isinstance(part, Ref))
    return template


def _event_problems(ref: Ref, scope: Pack) -> Iterator[Problem]:
    """References to fields that the mapping never fills, judging by its targets."""
    if ref.root == EVENT_JSON and ref.path:
        message = f"{{{ref}}}: $event_json is a text and has no fields"
        yield Problem(message, ref.position, f"use {{$event.{'.'.join(ref.path)}}}")
        return
    if not ref.path or not scope.fields or (scope.rest is not None and scope.rest.into == "."):
        return
    targets = [*scope.fields, *(f"{name}Label" for name in scope.labels)]
    targets += [scope.rest.into] if scope.rest is not None else []
    nested = SHAPES[scope.format].nested
    known = {name: tuple(name.split(".")) if nested else (name,) for name in targets}
    if not any(all(one == two for one, two in zip(ref.path, path, strict=False)) for path in known.values()):
        names = [f"$event.{name}" for name in known]
        yield Problem(
            f"the mapping {scope.name} has no field {'.'.join(ref.path)}",
            ref.position,
            suggestion(f"$event.{'.'.join(ref.path)}", names),
        )


@dataclass(frozen=True, slots=True)
class _Renderer:
    """Fills templates with the values of one revision; appends to *notes* what it cut."""

    read: Callable[[Ref], Value]
    escape: Escape
    notes: list[str]

    def tree(self, tree: Tree) -> Value:
        """*tree* with references replaced by values; entries without a value are left out."""
        if isinstance(tree, dict):
            rendered = {key: self.tree(child) for key, child in tree.items()}
            return {key: value for key, value in rendered.items() if value is not None or tree[key] is None}
        if isinstance(tree, list):
            items = [(child, self.tree(child)) for child in tree]
            return [value for child, value in items if value is not None or child is None]
        if not isinstance(tree, Template):
            return tree
        if len(tree.parts) == 1 and isinstance(tree.parts[0], Ref):
            ref = tree.parts[0]
            value = self.read(ref)
            return value if ref.root in _DOCUMENT else _escaped(prune(value), self.escape)
        return "".join(part if isinstance(part, str) else self._inserted(part) for part in tree.parts)

    def _inserted(self, ref: Ref) -> str:
        """Escaped text, short enough that its author cannot make the whole message too long."""
        value = self.read(ref)
        whole = text(value)
        if len(whole) <= MAX_INSERTED and len(rendered := self.escape(whole)) <= MAX_INSERTED:
            return rendered
        separator = "," if type(value) is list else None
        cut = longest_cut(
            whole,
            MAX_INSERTED,
            lambda uncut, limit: shortened(uncut, limit, separator=separator),
            lambda rendered: len(self.escape(rendered)),
        )
        self.notes.append(f"{ref} cut from {len(whole)} to {len(cut)} characters: it is part of other text")
        return self.escape(cut)


def _escaped(value: Value, escape: Escape) -> Value:
    """*value* with every text in it escaped; keys of objects come from the API, not from the email."""
    if type(value) is str:
        return escape(value)
    if type(value) is list:
        return [_escaped(item, escape) for item in value]
    if type(value) is dict:
        return {key: _escaped(item, escape) for key, item in value.items()}
    return value
