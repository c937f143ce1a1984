"""Compiles a mapping to one Python function. It does what ``evaluate`` does, without walking rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import cast

from connector.mapping import lists
from connector.mapping.comparisons import holds, holds_text
from connector.mapping.emit import Emitter
from connector.mapping.emit_fields import FieldWriter
from connector.mapping.emit_rule import RuleWriter
from connector.mapping.evaluate import time_or
from connector.mapping.grammar import Match, Ref, match_refs, rule_refs
from connector.mapping.infer import infer, know, loses
from connector.mapping.mapped import Mapped, code_of, put, severity_of
from connector.mapping.pack import CODE, SEVERITY, TIME, Pack
from connector.mapping.plan import Derived, Plan, matched_names, order
from connector.mapping.provided import NAMES, Provider
from connector.mapping.rest import rest_maker, settle
from connector.mapping.values import Value, over, some, text, walk
from connector.model import Revision

MapFunction = Callable[[Revision], Mapped]
Predicate = Callable[[Revision], bool]


def compile_plan(plan: Plan, provider: Provider) -> MapFunction:
    """The function that maps a revision by *plan*; it never raises."""
    make_rest = rest_maker(plan)
    emitter = _emitter(make_rest=make_rest)
    refs = [ref for step in plan.steps for ref in rule_refs(step.rule)]
    with emitter.block("def mapping(revision):"):
        _begin(emitter, plan.derived, refs, provider)
        known = know(plan.derived, plan.pack)
        rules = RuleWriter(emitter, plan.pack, known)
        _derive(emitter, rules, plan.derived)
        FieldWriter(emitter, rules, plan, known).document(rest=make_rest is not None)
        made = {item.name for item in plan.derived}
        severity, code = (f"n_{name}" if name in made else "None" for name in (SEVERITY, CODE))
        emitter.line(
            f"return Mapped(document, moment(n_time), severity({severity}), code({code}), tuple(notes))"
        )
    return cast(MapFunction, emitter.compiled("mapping", f"<mapping {_file(plan.pack)}>"))


def compile_match(match: Match, pack: Pack, provider: Provider) -> Predicate:
    """The function that says whether *match* holds for a revision; it never raises."""
    emitter = _emitter()
    derived = order(pack, matched_names(match, pack))
    with emitter.block("def predicate(revision):"):
        _begin(emitter, derived, list(match_refs(match)), provider)
        rules = RuleWriter(emitter, pack, know(derived, pack))
        _derive(emitter, rules, derived)
        emitter.line(f"return bool({rules.condition(match)})")
    return cast(Predicate, emitter.compiled("predicate", f"<match {_file(pack)}>"))


def operands(value: Value) -> list[Value]:
    """The values that a reference on the right of a test stands for."""
    return [] if value is None else lists.as_list(value)


def _emitter(**more: object) -> Emitter:
    return Emitter(
        Mapped=Mapped, code=code_of, each=lists.each, holds=holds, holds_text=holds_text,
        moment=datetime.fromisoformat, only=lists.only, operands=operands, over=over, pick=lists.pick,
        put=put, settle=settle, severity=severity_of, some=some, text=text, time_or=time_or, walk=walk,
        **more,
    )  # fmt: skip


def _begin(emitter: Emitter, derived: Sequence[Derived], refs: Sequence[Ref], provider: Provider) -> None:
    """What every function starts with: the record, and the provided values that are read."""
    emitter.line("body = revision.record.body")
    emitter.line("if body.__class__ is not dict: body = dict(body)")
    emitter.line("get = body.get")
    emitter.line("lost, notes, back = [], [], set()")
    read = {ref.root for ref in refs} | {ref.root for item in derived for ref in rule_refs(item.rule)}
    for name in NAMES:
        if name in read or name == "collected":
            emitter.line(f"n_{name} = {emitter.constant(getattr(provider, name), 'provide')}(revision)")
    if TIME not in {item.name for item in derived}:
        emitter.line("n_time = n_collected")


def _derive(emitter: Emitter, rules: RuleWriter, derived: Sequence[Derived]) -> None:
    for item in derived:
        name = f"n_{item.name}"
        emitter.note = f"{item.rule.position} ${item.name}"
        rules.rule(item.rule, name)
        if item.name == TIME:
            # A text among dates is a date; what else there may be is looked at.
            dates = infer(item.rule, rules.pack, rules.known).kind == "date"
            doubt = "if n_time.__class__ is not str: " if dates else ""
            emitter.line(f"{doubt}n_time = time_or(n_collected, n_time, lost, notes)")
        if item.name != TIME and not loses(item.rule, rules.pack, rules.known):
            continue
        with emitter.block("if lost:"):
            reads = emitter.constant(item.reads)
            emitter.line(f"settle({'$' + item.name!a}, {reads}, lost, body, notes, back)")
    emitter.note = ""


def _file(pack: Pack) -> str:
    return PurePath(pack.files[0]).name if pack.files else pack.name
