"""Builds mappers, predicates and interpreters from a pack; the one place that knows the compiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from connector.errors import ConfigurationError, Problem
from connector.formats import json
from connector.interfaces import Mapper
from connector.mapping.cache import MappingCache
from connector.mapping.compiler.compiler import MapFunction, Predicate, compile_match, compile_plan
from connector.mapping.engine.context import ContextValues
from connector.mapping.engine.interpreter import Interpreter
from connector.mapping.engine.match_check import NO_NAMES, KnownNames, check_match
from connector.mapping.engine.plan import plan
from connector.mapping.functions.values import Value
from connector.mapping.language.grammar import Match
from connector.mapping.language.matches import parse_match
from connector.mapping.language.pack import Pack
from connector.mapping.language.validate import validate_match
from connector.mapping.redaction.redact import Redact
from connector.mapping.schemas.encoding import SHAPES
from connector.model import Event, JsonObject, Record, Revision
from connector.yaml_nodes import Node

Render: TypeAlias = Callable[[Revision, JsonObject], tuple[Value, tuple[str, ...]]]
"""Renders a revision and its mapped document as something else, such as a request body; notes what it cut."""

NO_ACCOUNTS: Mapping[str, str] = MappingProxyType({})


def build_map(
    pack: Pack, *, accounts: Mapping[str, str] = NO_ACCOUNTS, cache: MappingCache | None = None
) -> MapFunction:
    """Compile *pack* to a function from a revision to its document, not yet encoded.

    The function keeps nothing of a revision, so *cache* shares one among outputs, whatever each redacts.
    """

    def compiled() -> tuple[Pack, MapFunction]:
        return pack, compile_plan(plan(pack), ContextValues(accounts))

    if cache is None:
        return compiled()[1]
    # The value holds the pack, so no other pack can have its id.
    return cache.get(("map", id(pack), tuple(accounts.items())), compiled)[1]


def build_interpreter(pack: Pack, *, accounts: Mapping[str, str] = NO_ACCOUNTS) -> Interpreter:
    """The same as ``build_map`` without compiling: slow, for ``explain`` and as the reference in tests."""
    return Interpreter(plan(pack), ContextValues(accounts))


def build_mapper(
    pack: Pack,
    *,
    accounts: Mapping[str, str] = NO_ACCOUNTS,
    when: Predicate | None = None,
    redact: Redact | None = None,
    render: Render | None = None,
    cache: MappingCache | None = None,
) -> Mapper:
    """Everything between a revision and its event: filter, redact, map, render, encode.

    Args:
        pack: the mapping.
        accounts: names of accounts by their ids.
        when: which revisions to map; outputs wrap theirs in ``matches_either_state``.
        redact: removes from a revision what the mapping must not see.
        render: makes the JSON payload instead of the pack's format, such as the body of a webhook.
        cache: shares the compiled mapping with other outputs.
    """
    mapping = build_map(pack, accounts=accounts, cache=cache)
    encode = SHAPES[pack.format].encode

    def mapper(revision: Revision) -> Event | None:
        if when is not None and not when(revision):
            return None
        shown = revision if redact is None else redact(revision)
        document, time, severity, code, notes = mapping(shown)
        if render is None:
            payload, shortened = encode(document)
        else:
            body, shortened = render(shown, document)
            payload = json.encode(body)
        return Event(revision, payload, time, severity, code, notes + shortened)

    return mapper


def compile_matcher(
    node: Node,
    scope: Pack,
    *,
    accounts: Mapping[str, str] = NO_ACCOUNTS,
    known: KnownNames = NO_NAMES,
    may_never_hold: bool = False,
) -> Predicate:
    """Compile a ``when`` to a predicate on revisions.

    Args:
        node: the match as written.
        scope: the mapping whose derived values it may read; ``Library.prelude()`` where there is none.
        accounts: names of accounts by their ids.
        known: names that the configuration defines, for what a match compares with them.
        may_never_hold: accept a match that no record of this mapping satisfies.

    Raises:
        ConfigurationError: with the position of every problem; that no record can satisfy it is one.
    """
    match = _named(parse_match(node), scope)
    errors = () if may_never_hold else check_match(match, scope, known).errors
    if errors:
        raise ConfigurationError(*errors)
    return compile_match(match, scope, ContextValues(accounts))


def match_warnings(node: Node, scope: Pack, *, known: KnownNames = NO_NAMES) -> Sequence[Problem]:
    """What may be a mistake in a ``when`` that works; arguments and errors as for ``compile_matcher``."""
    return check_match(_named(parse_match(node), scope), scope, known).warnings


def _named(match: Match, scope: Pack) -> Match:
    """*match*; an error if it reads names that *scope* does not have."""
    problems = validate_match(match, scope)
    if problems:
        raise ConfigurationError(*problems)
    return match


def matches_either_state(predicate: Predicate) -> Predicate:
    """A predicate that an update satisfies if its new or its previous state does.

    Whoever received the alert must receive its correction.
    """

    def either(revision: Revision) -> bool:
        if predicate(revision):
            return True
        return bool(revision.previous) and predicate(previous_state(revision))

    return either


def previous_state(revision: Revision) -> Revision:
    """*revision* with the fields that changed set back to their previous values."""
    body = {**revision.record.body, **(revision.previous or {})}
    return replace(revision, record=Record(revision.record.id, body))
