"""Compiles a mapping or a match to one Python function with the same result as the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import PurePath
from typing import cast

from connector.mapping.compiler.emitter import Emitter, FieldVariables
from connector.mapping.compiler.fields import FieldEmitter
from connector.mapping.compiler.inference import infer, infer_names, rarely_present_root, rule_may_lose
from connector.mapping.compiler.rules import RuleEmitter
from connector.mapping.engine.context import INLINE_CODE, NAMES, ContextValues, change_of
from connector.mapping.engine.interpreter import time_or
from connector.mapping.engine.plan import Derived, Plan, matched_names, order
from connector.mapping.engine.rest import build_rest, record_misfits
from connector.mapping.engine.result import EARLIEST, MappingResult, code_of, put, severity_of
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
from connector.mapping.language.grammar import Match, Ref, match_refs, rule_refs
from connector.mapping.language.pack import CODE, SEVERITY, TIME, Pack
from connector.model import Revision

MapFunction = Callable[[Revision], MappingResult]
Predicate = Callable[[Revision], bool]


def compile_plan(plan: Plan, provider: ContextValues) -> MapFunction:
    """The function that maps a revision by *plan*; it never raises."""
    make_rest = build_rest(plan)
    emitter = _emitter(make_rest=make_rest)
    refs = [ref for step in plan.steps for ref in rule_refs(step.rule)]
    with emitter.block("def mapping(revision):"):
        known = infer_names(plan.derived, plan.pack)
        rules = RuleEmitter(emitter, plan.pack, known, _begin(emitter, plan.derived, refs, provider))
        _derive(emitter, rules, plan.derived)
        FieldEmitter(emitter, rules, plan, known).document(rest=make_rest is not None)
        made = {item.name for item in plan.derived}
        severity, code = (f"n_{name}" if name in made else "None" for name in (SEVERITY, CODE))
        emitter.line(
            f"return mapped((document, moment(n_time), severity({severity}), code({code}), tuple(notes)))"
        )
    return cast(MapFunction, emitter.compiled("mapping", f"<mapping {_file(plan.pack)}>"))


def compile_match(match: Match, pack: Pack, provider: ContextValues) -> Predicate:
    """Compile *match* to a predicate on revisions; the predicate never raises."""
    emitter = _emitter()
    place = next(match_refs(match)).position
    derived = order(pack, matched_names(match, pack))
    with emitter.block("def predicate(revision):"):
        reads = _begin(emitter, derived, list(match_refs(match)), provider)
        rules = RuleEmitter(emitter, pack, infer_names(derived, pack), reads)
        _derive(emitter, rules, derived)
        emitter.line(f"return bool({rules.condition(match)})")
    return cast(Predicate, emitter.compiled("predicate", f"<match {place}>"))


def operands(value: Value) -> list[Value]:
    """The values of a reference that a test compares with."""
    return [] if value is None else lists.as_list(value)


def _emitter(**more: object) -> Emitter:
    return Emitter(
        append_flat=append_flat,
        change_of=change_of,
        code=code_of,
        distinct=dict.fromkeys,
        domains=texts.domain,
        any_holds=any_holds,
        any_is_text=any_is_text,
        mapped=partial(tuple.__new__, MappingResult),
        moment=datetime.fromisoformat,
        operands=operands,
        map_elements=map_elements,
        map_unless_unchanged=map_unless_unchanged,
        put=put,
        record_misfits=record_misfits,
        severity=severity_of,
        or_none=or_none,
        text=text,
        walk_list=walk_list,
        time_or=time_or,
        walk=walk,
        **more,
    )


def _begin(
    emitter: Emitter, derived: Sequence[Derived], refs: Sequence[Ref], provider: ContextValues
) -> FieldVariables:
    """Emit the prologue: variables for the record fields and context values that the function reads."""
    refs = [*refs, *(ref for item in derived for ref in rule_refs(item.rule))]
    emitter.line("body = revision.record.body")
    emitter.line("if type(body) is not dict: body = dict(body)")
    emitter.line("get = body.get")
    emitter.line("lost = []; notes = []; returned = set()")
    reads = FieldVariables(emitter, refs)
    read = {ref.root for ref in refs}
    for name in NAMES:
        if name in read or name == "collected":
            code = (
                INLINE_CODE.get(name) or f"{emitter.constant(getattr(provider, name), 'provide')}(revision)"
            )
            emitter.line(f"n_{name} = {code}")
    if TIME not in {item.name for item in derived}:
        emitter.line("n_time = n_collected")
    return reads


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
