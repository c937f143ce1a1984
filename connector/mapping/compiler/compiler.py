"""Compiles a mapping or a match to a Python function with the same result as the interpreter.

A mapping becomes two functions. One is for the usual revision: at first sight, without enrichment, each
documented field of the documented type. It has no code for anything else. The other one, for every revision,
is compiled when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, partial
from pathlib import PurePath
from typing import cast

import msgspec

from connector.mapping.compiler.emitter import Emitter, FieldVariables
from connector.mapping.compiler.fields import FieldEmitter
from connector.mapping.compiler.inference import (
    TEXT_KINDS,
    TypeEnvironment,
    infer,
    infer_names,
    rarely_present_root,
    rule_may_lose,
)
from connector.mapping.compiler.record_types import DOCUMENTED, TOP_LEVEL, CheckedRecord, DocumentedRecord
from connector.mapping.compiler.rest_fields import RestEmitter
from connector.mapping.compiler.rules import RuleEmitter
from connector.mapping.compiler.specialization import specialize
from connector.mapping.engine.context import INLINE_CODE, NAMES, ContextValues, change_of
from connector.mapping.engine.interpreter import time_or
from connector.mapping.engine.plan import Derived, Plan, matched_names, order
from connector.mapping.engine.rest import build_rest, record_misfits
from connector.mapping.engine.result import (
    EARLIEST,
    HIGHEST,
    LOWEST,
    MappingResult,
    code_of,
    put,
    severity_of,
)
from connector.mapping.functions import lists, texts
from connector.mapping.functions.predicates import any_holds, any_is_text
from connector.mapping.functions.values import (
    Value,
    append_flat,
    map_elements,
    map_unless_unchanged,
    or_none,
    text,
    walk,
    walk_list,
)
from connector.mapping.language.grammar import RECORD, Match, Ref, match_refs, rule_refs
from connector.mapping.language.pack import CODE, SEVERITY, TIME, Pack
from connector.model import Revision

MapFunction = Callable[[Revision], MappingResult]
Predicate = Callable[[Revision], bool]


_WORTH_CHECKING = 10
"""Fields from which on it costs less to check the types of the whole record than to look at each field."""


def compile_plan(plan: Plan, provider: ContextValues) -> MapFunction:
    """The function that maps a revision by *plan*; it never raises."""

    @cache
    def for_every_revision() -> MapFunction:
        return _compile(plan, plan, provider, None, file=f"{_file(plan.pack)}, every revision")

    usual = specialize(plan)
    rules = [*(item.rule for item in usual.derived), *(step.rule for step in usual.steps)]
    read = {ref.path[0] for rule in rules for ref in rule_refs(rule) if ref.root == RECORD and ref.path}
    if len(read & TOP_LEVEL.keys()) < _WORTH_CHECKING:
        return _compile(plan, plan, provider, None, file=_file(plan.pack))
    return _compile(usual, plan, provider, for_every_revision, file=_file(plan.pack))


def _compile(
    plan: Plan,
    original: Plan,
    provider: ContextValues,
    other: Callable[[], MapFunction] | None,
    *,
    file: str,
) -> MapFunction:
    """*plan*, made of *original*, as a function; tracebacks show its lines under *file*.

    With *other* it is for usual revisions, and what *other* returns maps the others.
    """
    rest = build_rest(original)
    emitter = _emitter(other=other)
    refs = [ref for step in plan.steps for ref in rule_refs(step.rule)]
    refs += [ref for item in plan.derived for ref in rule_refs(item.rule)]
    with emitter.block("def mapping(revision):"):
        _body(emitter)
        known = infer_names(plan.derived, plan.pack, {} if other is None else DOCUMENTED)
        if other is not None:
            _leave_unusual_revisions(emitter)
        reads = FieldVariables(emitter, refs, known)
        _provide(emitter, plan.derived, refs, provider)
        rules = RuleEmitter(emitter, plan.pack, known, reads)
        _derive(emitter, rules, plan.derived)
        writer = None if rest is None else RestEmitter(emitter, reads, rest, checked=other is not None)
        FieldEmitter(emitter, rules, plan, known).document(writer)
        made = {item.name for item in plan.derived}
        severity = _envelope(SEVERITY, "severity({0})", known if SEVERITY in made else {})
        code = _envelope(CODE, "code({0})", known if CODE in made else {})
        emitter.line(f"return mapped((document, moment(n_time), {severity}, {code}, tuple(notes)))")
    return cast(MapFunction, emitter.compiled("mapping", f"<mapping {file}>"))


def _envelope(name: str, checked: str, known: TypeEnvironment) -> str:
    """The derived value *name* as outputs need it; *checked* makes that of any value."""
    static = known.get(name)
    if static is None:
        return checked.format("None")
    variable = f"n_{name}"
    if static.is_list is not False or not static.always_present:
        return checked.format(variable)
    if name == SEVERITY and static.kind == "integer":
        return f"({variable} if {variable} in severities else {checked.format(variable)})"
    return variable if name == CODE and static.kind in TEXT_KINDS else checked.format(variable)


def compile_match(match: Match, pack: Pack, provider: ContextValues) -> Predicate:
    """Compile *match* to a predicate on revisions; the predicate never raises."""
    emitter = _emitter()
    place = next(match_refs(match)).position
    derived = order(pack, matched_names(match, pack))
    refs = [*match_refs(match), *(ref for item in derived for ref in rule_refs(item.rule))]
    with emitter.block("def predicate(revision):"):
        _body(emitter)
        known = infer_names(derived, pack)
        reads = FieldVariables(emitter, refs, known)
        _provide(emitter, derived, refs, provider)
        rules = RuleEmitter(emitter, pack, known, reads)
        _derive(emitter, rules, derived)
        emitter.line(f"return bool({rules.condition(match)})")
    return cast(Predicate, emitter.compiled("predicate", f"<match {place}>"))


def operands(value: Value) -> list[Value]:
    """The values of a reference that a test compares with."""
    return [] if value is None else lists.as_list(value)


def _emitter(**more: object) -> Emitter:
    return Emitter(
        CheckedRecord=CheckedRecord,
        DocumentedRecord=DocumentedRecord,
        append_flat=append_flat,
        change_of=change_of,
        code=code_of,
        convert=msgspec.convert,
        distinct=dict.fromkeys,
        domain=texts.domain,
        any_holds=any_holds,
        any_is_text=any_is_text,
        mapped=partial(tuple.__new__, MappingResult),
        moment=datetime.fromisoformat,
        operands=operands,
        map_elements=map_elements,
        map_unless_unchanged=map_unless_unchanged,
        put=put,
        record_misfits=record_misfits,
        severities=frozenset(range(LOWEST, HIGHEST + 1)),
        severity=severity_of,
        strip_tags=texts.strip_tags,
        or_none=or_none,
        text=text,
        walk_list=walk_list,
        time_or=time_or,
        walk=walk,
        **more,
    )


def _body(emitter: Emitter) -> None:
    """Emit what every function begins with."""
    emitter.line("body = revision.record.body")
    emitter.line("if type(body) is not dict: body = dict(body)")
    emitter.line("get = body.get")
    emitter.line("lost = []; notes = []; returned = set()")


def _leave_unusual_revisions(emitter: Emitter) -> None:
    """Emit the checks of a revision and its record, which becomes the variable ``record``.

    A ``ValueError`` is a value of another type than documented, or a lone surrogate in a name.
    """
    line, block = emitter.line, emitter.block
    line("if revision.previous is not None or revision.gone or revision.throttled or revision.enrichment:")
    line("    return other()(revision)")
    with block("try:"):
        line("record = convert(body, DocumentedRecord)")
        line("documented = True")
    with block("except ValueError:"):
        with block("try:"):
            line("record = convert(body, CheckedRecord)")
            line("documented = False")
        with block("except ValueError:"):
            line("return other()(revision)")


def _provide(
    emitter: Emitter, derived: Sequence[Derived], refs: Sequence[Ref], provider: ContextValues
) -> None:
    """Emit variables for the provided values that the function reads."""
    read = {ref.root for ref in refs}
    for name in NAMES:
        if name in read or name == "collected":
            code = (
                INLINE_CODE.get(name) or f"{emitter.constant(getattr(provider, name), 'provide')}(revision)"
            )
            emitter.line(f"n_{name} = {code}")
    if TIME not in {item.name for item in derived}:
        emitter.line("n_time = n_collected")


def _derive(emitter: Emitter, rules: RuleEmitter, derived: Sequence[Derived]) -> None:
    for item in derived:
        emitter.note = f"{item.rule.position} ${item.name}"
        root = rarely_present_root(item.rule, rules.known)
        if root is not None and item.name != TIME:
            emitter.line(f"n_{item.name} = None")
            with emitter.block(f"if n_{root} is not None:"):
                _derive_one(emitter, rules, item)
        else:
            _derive_one(emitter, rules, item)
    emitter.note = ""


def _derive_one(emitter: Emitter, rules: RuleEmitter, item: Derived) -> None:
    rules.rule(item.rule, f"n_{item.name}")
    if item.name == TIME:
        # A text among dates is a date; what else there may be is looked at.
        dates = infer(item.rule, rules.pack, rules.known).kind == "date"
        unusable = (
            f"if type(n_time) is not str or not {EARLIEST!r} <= n_time <= n_collected: " if dates else ""
        )
        emitter.line(f"{unusable}n_time = time_or(n_collected, n_time, lost, notes)")
    elif not rule_may_lose(item.rule, rules.pack, rules.known):
        return
    with emitter.block("if lost:"):
        reads = emitter.constant(item.reads)
        emitter.line(f"record_misfits({'$' + item.name!a}, {reads}, lost, body, notes, returned)")


def _file(pack: Pack) -> str:
    return PurePath(pack.files[0]).name if pack.files else pack.name
