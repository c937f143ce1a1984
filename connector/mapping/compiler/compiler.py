"""Compiles a mapping to one Python function. It does what ``evaluate`` does, without walking rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import PurePath
from typing import cast

from connector.mapping.compiler.emitter import Emitter, Reads
from connector.mapping.compiler.fields import FieldWriter
from connector.mapping.compiler.inference import infer, know, loses, seldom_root
from connector.mapping.compiler.rules import RuleWriter
from connector.mapping.engine.context import INLINE, NAMES, Provider, change_of
from connector.mapping.engine.interpreter import time_or
from connector.mapping.engine.plan import Derived, Plan, matched_names, order
from connector.mapping.engine.rest import rest_maker, settle
from connector.mapping.engine.result import Mapped, code_of, put, severity_of
from connector.mapping.functions import lists, texts
from connector.mapping.functions.predicates import holds, holds_text
from connector.mapping.functions.values import Value, add, over, over_kept, some, text, through, walk
from connector.mapping.language.grammar import Match, Ref, match_refs, rule_refs
from connector.mapping.language.pack import CODE, SEVERITY, TIME, Pack
from connector.model import Revision

MapFunction = Callable[[Revision], Mapped]
Predicate = Callable[[Revision], bool]


def compile_plan(plan: Plan, provider: Provider) -> MapFunction:
    """The function that maps a revision by *plan*; it never raises."""
    make_rest = rest_maker(plan)
    emitter = _emitter(make_rest=make_rest)
    refs = [ref for step in plan.steps for ref in rule_refs(step.rule)]
    with emitter.block("def mapping(revision):"):
        known = know(plan.derived, plan.pack)
        rules = RuleWriter(emitter, plan.pack, known, _begin(emitter, plan.derived, refs, provider))
        _derive(emitter, rules, plan.derived)
        FieldWriter(emitter, rules, plan, known).document(rest=make_rest is not None)
        made = {item.name for item in plan.derived}
        severity, code = (f"n_{name}" if name in made else "None" for name in (SEVERITY, CODE))
        emitter.line(
            f"return mapped((document, moment(n_time), severity({severity}), code({code}), tuple(notes)))"
        )
    return cast(MapFunction, emitter.compiled("mapping", f"<mapping {_file(plan.pack)}>"))


def compile_match(match: Match, pack: Pack, provider: Provider) -> Predicate:
    """The function that says whether *match* holds for a revision; it never raises."""
    emitter = _emitter()
    place = next(match_refs(match)).position
    derived = order(pack, matched_names(match, pack))
    with emitter.block("def predicate(revision):"):
        reads = _begin(emitter, derived, list(match_refs(match)), provider)
        rules = RuleWriter(emitter, pack, know(derived, pack), reads)
        _derive(emitter, rules, derived)
        emitter.line(f"return bool({rules.condition(match)})")
    return cast(Predicate, emitter.compiled("predicate", f"<match {place}>"))


def operands(value: Value) -> list[Value]:
    """The values that a reference on the right of a test stands for."""
    return [] if value is None else lists.as_list(value)


def _emitter(**more: object) -> Emitter:
    return Emitter(
        add=add, change_of=change_of, code=code_of, distinct=dict.fromkeys, domains=texts.domain,
        holds=holds, holds_text=holds_text, mapped=partial(tuple.__new__, Mapped),
        moment=datetime.fromisoformat, operands=operands, over=over, over_kept=over_kept, put=put,
        settle=settle, severity=severity_of, some=some, text=text, through=through, time_or=time_or,
        walk=walk, **more,
    )  # fmt: skip


def _begin(emitter: Emitter, derived: Sequence[Derived], refs: Sequence[Ref], provider: Provider) -> Reads:
    """What every function starts with: the fields of the record and the provided values that are read."""
    refs = [*refs, *(ref for item in derived for ref in rule_refs(item.rule))]
    emitter.line("body = revision.record.body")
    emitter.line("if type(body) is not dict: body = dict(body)")
    emitter.line("get = body.get")
    emitter.line("lost = []; notes = []; back = set()")
    reads = Reads(emitter, refs)
    read = {ref.root for ref in refs}
    for name in NAMES:
        if name in read or name == "collected":
            code = INLINE.get(name) or f"{emitter.constant(getattr(provider, name), 'provide')}(revision)"
            emitter.line(f"n_{name} = {code}")
    if TIME not in {item.name for item in derived}:
        emitter.line("n_time = n_collected")
    return reads


def _derive(emitter: Emitter, rules: RuleWriter, derived: Sequence[Derived]) -> None:
    for item in derived:
        emitter.note = f"{item.rule.position} ${item.name}"
        root = seldom_root(item.rule, rules.known)
        if root is not None and item.name != TIME:
            emitter.line(f"n_{item.name} = None")
            with emitter.block(f"if n_{root} is not None:"):
                _derive_one(emitter, rules, item)
        else:
            _derive_one(emitter, rules, item)
    emitter.note = ""


def _derive_one(emitter: Emitter, rules: RuleWriter, item: Derived) -> None:
    rules.rule(item.rule, f"n_{item.name}")
    if item.name == TIME:
        # A text among dates is a date; what else there may be is looked at.
        dates = infer(item.rule, rules.pack, rules.known).kind == "date"
        doubt = "if type(n_time) is not str: " if dates else ""
        emitter.line(f"{doubt}n_time = time_or(n_collected, n_time, lost, notes)")
    elif not loses(item.rule, rules.pack, rules.known):
        return
    with emitter.block("if lost:"):
        reads = emitter.constant(item.reads)
        emitter.line(f"settle({'$' + item.name!a}, {reads}, lost, body, notes, back)")


def _file(pack: Pack) -> str:
    return PurePath(pack.files[0]).name if pack.files else pack.name
