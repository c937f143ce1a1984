"""Templates outside of mappings: bodies of web hooks, made of a revision and its mapped document.

Every text is a template. A text that is one reference and nothing else keeps the kind of its value;
``{$event}`` is the mapped document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from connector.errors import ConfigurationError, Problem
from connector.located import Node, Scalar
from connector.mapping.check import ref_problems
from connector.mapping.evaluate import Evaluation, derive_all
from connector.mapping.grammar import Ref, Template
from connector.mapping.mapper import NO_ACCOUNTS
from connector.mapping.pack import Pack
from connector.mapping.parse import parse_template
from connector.mapping.plan import order
from connector.mapping.provided import Provider
from connector.mapping.values import Value, prune, text
from connector.model import JsonObject, Revision

EVENT = "event"

Escape: TypeAlias = Callable[[str], str]
Render: TypeAlias = Callable[[Revision, JsonObject], Value]
Tree: TypeAlias = Template | Scalar | list["Tree"] | dict[str, "Tree"]


def compile_body(
    node: Node, scope: Pack, *, escape: Escape = str, accounts: Mapping[str, str] = NO_ACCOUNTS
) -> Render:
    """The function that makes a body of a revision and its mapped document.

    Args:
        node: the body as written.
        scope: the mapping whose derived values it may read.
        escape: what makes text from a mail harmless where it is put into other text.
        accounts: names of accounts by their ids.

    Raises:
        ConfigurationError: with the place of everything that is wrong with it.
    """
    refs: list[Ref] = []
    tree = _read(node, refs)
    found: list[Problem] = list(ref_problems([ref for ref in refs if ref.root != EVENT], scope))
    if found:
        raise ConfigurationError(*found)
    derived = order(scope, [ref.root for ref in refs if ref.root in scope.derive])
    provider = Provider(accounts)

    def render(revision: Revision, document: JsonObject) -> Value:
        run = Evaluation(scope, revision.record.body, provider.values(revision))
        derive_all(run, derived, [], set())
        run.names[EVENT] = document
        return _render(tree, run, escape)

    return render


def _read(node: Node, refs: list[Ref]) -> Tree:
    if isinstance(node.value, dict):
        return {key: _read(child, refs) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_read(child, refs) for child in node.value]
    if not isinstance(node.value, str):
        return node.value
    template = parse_template(node.value, node.position)
    refs.extend(part for part in template.parts if isinstance(part, Ref))
    return template


def _render(tree: Tree, run: Evaluation, escape: Escape) -> Value:
    if isinstance(tree, dict):
        return {key: _render(child, run, escape) for key, child in tree.items()}
    if isinstance(tree, list):
        return [_render(child, run, escape) for child in tree]
    if not isinstance(tree, Template):
        return tree
    if len(tree.parts) == 1 and isinstance(tree.parts[0], Ref):
        ref = tree.parts[0]
        value = run.read(ref)
        return value if ref.root == EVENT else _escaped(prune(value), escape)
    return "".join(part if isinstance(part, str) else escape(text(run.read(part))) for part in tree.parts)


def _escaped(value: Value, escape: Escape) -> Value:
    """*value* with every text in it escaped; names inside objects are the API's own."""
    if type(value) is str:
        return escape(value)
    if type(value) is list:
        return [_escaped(item, escape) for item in value]
    if type(value) is dict:
        return {key: _escaped(item, escape) for key, item in value.items()}
    return value
