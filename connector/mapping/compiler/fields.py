"""Emits the targets of a mapping: coercion, nesting into objects, labels, misfits that return to the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace

from connector.mapping.compiler.emitter import Emitter, Expression
from connector.mapping.compiler.inference import (
    TEXT_KINDS,
    StaticType,
    TypeEnvironment,
    accepts_any_text,
    always_fits,
    infer,
    infer_own,
    rarely_present_root,
    rule_may_lose,
    target_may_reject,
)
from connector.mapping.compiler.rest_fields import RestEmitter
from connector.mapping.compiler.rules import RuleEmitter
from connector.mapping.engine.plan import Plan, TargetPlan
from connector.mapping.functions.dates import epoch_ms_of_date
from connector.mapping.functions.ip_addresses import is_canonical_ip
from connector.mapping.functions.values import Losses, Value, or_none
from connector.mapping.language.grammar import AllOf, Constant, FirstOf, Rule
from connector.mapping.schemas import Target
from connector.values import dataclass


@dataclass(slots=True)
class ObjectNode:
    """One object of the document.

    Args:
        variable: what holds it.
        fixed: what is in it from the start.
        leaves: how many values may be put into it.
        inner: the objects inside it.
        filled: something is put into it for every record, or by somebody else.
    """

    variable: str
    fixed: dict[str, Value] = field(default_factory=dict)
    leaves: int = 0
    inner: dict[str, ObjectNode] = field(default_factory=dict)
    filled: bool = False

    @property
    def single(self) -> bool:
        """One value makes the whole object."""
        return self.leaves == 1 and not self.fixed and not self.inner and not self.filled

    @property
    def constant(self) -> bool:
        """The same for every record."""
        return bool(self.fixed) and not self.leaves and not self.inner and not self.filled


class DocumentTree:
    """The objects of one document, written into an emitter; the outermost is the variable ``document``."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self.root = ObjectNode("document", filled=True)

    def branch(self, path: Sequence[str]) -> ObjectNode:
        """The object at *path*, created if it does not exist."""
        branch = self.root
        for step in path:
            if step not in branch.inner:
                branch.inner[step] = ObjectNode(self._emitter.fresh("o"))
            branch = branch.inner[step]
        return branch

    def open(self) -> None:
        """Write what comes before any value."""
        self._open(self.root)

    def close(self) -> None:
        """Put every object into the one around it."""
        self._close(self.root)

    def put(self, branch: ObjectNode, name: str, value: str) -> None:
        """Write that the expression *value* belongs into *branch*."""
        if branch.single:
            self._emitter.line(f"{branch.variable} = {{{name!a}: {value}}}")
        else:
            self._emitter.line(f"{branch.variable}[{name!a}] = {value}")

    def _open(self, branch: ObjectNode) -> None:
        if branch.single:
            self._emitter.line(f"{branch.variable} = None")
        elif not branch.constant and not _is_wrapper(branch):
            self._emitter.line(f"{branch.variable} = {self._literal(branch)}")
        for inner in branch.inner.values():
            self._open(inner)

    def _close(self, branch: ObjectNode) -> None:
        for name, inner in branch.inner.items():
            if not _is_wrapper(inner):
                self._close(inner)
            self._attach(f"{branch.variable}[{name!a}]", inner)

    def _attach(self, place: str, branch: ObjectNode) -> None:
        line = self._emitter.line
        if branch.constant:
            line(f"{place} = {self._literal(branch)}")
        elif _is_wrapper(branch):
            [(name, inner)] = branch.inner.items()
            self._close(inner)
            wrapped = f"{{{name!a}: {inner.variable}}}"
            line(f"{place} = {wrapped}" if inner.fixed else f"if {inner.variable}: {place} = {wrapped}")
        else:
            put = f"{place} = {branch.variable}"
            line(put if branch.fixed else f"if {branch.variable}: {put}")

    def _literal(self, branch: ObjectNode) -> str:
        items = [f"{key!a}: {self._emitter.constant(value)}" for key, value in branch.fixed.items()]
        return f"{{{', '.join(items)}}}"


def _is_wrapper(branch: ObjectNode) -> bool:
    """Whether *branch* only wraps one inner object, so it needs no variable of its own."""
    if branch.fixed or branch.leaves or branch.filled or len(branch.inner) != 1:
        return False
    [inner] = branch.inner.values()
    return not inner.single and not inner.constant and not _is_wrapper(inner)


@dataclass(frozen=True, slots=True)
class TargetSlot:
    """Where the value of a target goes."""

    step: TargetPlan
    branch: ObjectNode
    name: str


class FieldEmitter:
    """Writes every step of a plan into one emitter, as a document in the variable ``document``."""

    def __init__(self, emitter: Emitter, rules: RuleEmitter, plan: Plan, known: TypeEnvironment) -> None:
        self._emitter = emitter
        self._rules = rules
        self._plan = plan
        self._known = known
        self._tree = DocumentTree(emitter)

    def document(self, rest: RestEmitter | None) -> None:
        """All fields, and the rest where the mapping keeps one."""
        places = [place for place in map(self._place, self._plan.steps) if place is not None]
        into = self._rest_branch()
        if rest is not None:
            into.filled = True
        self._tree.open()
        for place in places:
            self._emitter.note = f"{place.step.place} {place.step.name}"
            root = rarely_present_root(place.step.rule, self._known)
            with self._emitter.block(f"if n_{root} is not None:" if root else ""):
                self._step(place)
        self._emitter.note = ""
        if rest is not None:
            rest.write(into.variable)
        self._tree.close()

    def _place(self, step: TargetPlan) -> TargetSlot | None:
        """The slot of *step*; ``None`` for a constant, which is part of the initial document."""
        *path, name = step.name.split(".") if self._plan.nested else [step.name]
        branch = self._tree.branch(path)
        value = constant_value(step) if self._plan.nested else None
        if value is not None:
            branch.fixed[name] = value
            return None
        branch.leaves += 1
        return TargetSlot(step, branch, name)

    def _rest_branch(self) -> ObjectNode:
        rest = self._plan.pack.rest
        if rest is None or rest.into == "." or not self._plan.nested:
            return self._tree.root
        return self._tree.branch(rest.into.split("."))

    def _step(self, place: TargetSlot) -> None:
        step, rule = place.step, place.step.rule
        if _all_proven(step):
            static = infer(rule, self._plan.pack, self._known)
            expression = Expression(
                self._rules.rule(rule).code, StaticType("text", static.is_list, static.always_present)
            )
            self._aligned(place, expression)
            return
        loses = rule_may_lose(rule, self._plan.pack, self._known)
        if rule.fallback is None or infer_own(rule, self._plan.pack, self._known).always_present:
            self._coerce_and_put(place, self._rules.own(rule), loses=loses)
            return
        value = self._emitter.fresh()
        loses |= self._coerce_into(step, rule, value)
        with self._emitter.block(f"if {value} is not None:"):
            self._put(place, value)
        if loses:
            self._settle(step)

    def _coerce_and_put(self, place: TargetSlot, expression: Expression, *, loses: bool) -> None:
        """Emit the cheapest sufficient check: none if proven, a type test if it usually fits, else coerce."""
        target, static = place.step.target, expression.static
        if static.kind == "boolean" and static.is_list is False and _takes_text_alone(target):
            expression = self._written(expression)
            static = expression.static
        known = always_fits(static, target) or _values_fit(static, place.step)
        known = known or proven_constant(place.step.rule, place.step)
        if known and _shaped(static, target):
            self._aligned(place, expression)
            if loses:
                self._settle(place.step)
            return
        value = self._emitter.named(expression).code
        usual, listed = _usual(place.step, static, value, known=known)
        if not usual and target.kind == "ip" and static.kind in TEXT_KINDS and static.is_list is False:
            there = "" if static.always_present else f"{value} is not None and "
            usual = f"{there}{self._rules.reads.test(is_canonical_ip, value)}"
        there = "" if static.always_present else f"if {value} is not None:"
        if usual:
            with self._emitter.block(f"if {usual}:"):
                self._put(place, f"[{value}]" if target.is_list is True and not listed else value)
            there = "else:" if static.always_present else f"el{there}"
        with self._emitter.block(there):
            coerced = self._emitter.fresh()
            self._emitter.line(f"{coerced} = {self._coerce_call(place.step, value, static)}")
            with self._emitter.block(f"if {coerced} is not None:"):
                self._put(place, coerced)
            if not loses and target_may_reject(target):
                self._settle(place.step)
        if loses:
            self._settle(place.step)

    def _written(self, expression: Expression) -> Expression:
        """One boolean as text."""
        value = self._emitter.named(expression).code
        written = f"('true' if {value} else 'false')"
        if not expression.static.always_present:
            written = f"(None if {value} is None else {written})"
        return Expression(written, replace(expression.static, kind="text"))

    def _aligned(self, place: TargetSlot, expression: Expression) -> None:
        """Emit storing a value that fits, wrapped in a list where the target is one."""
        wrap = place.step.target.is_list is True and expression.static.is_list is False
        if not expression.static.always_present:
            expression = self._emitter.named(expression)
        with self._emitter.block(
            "" if expression.static.always_present else f"if {expression.code} is not None:"
        ):
            self._put(place, f"[{expression.code}]" if wrap else expression.code)

    def _put(self, place: TargetSlot, value: str) -> None:
        self._tree.put(place.branch, place.name, value)
        if place.step.label is not None:
            self._tree.put(place.branch, f"{place.name}Label", self._emitter.constant(place.step.label))

    def _settle(self, step: TargetPlan) -> None:
        reads = self._emitter.constant(step.reads)
        with self._emitter.block("if lost:"):
            self._emitter.line(f"record_misfits({step.name!a}, {reads}, lost, body, notes, returned)")

    def _coerce_into(self, step: TargetPlan, rule: Rule, value: str) -> bool:
        """Emit *rule*, its coercion and its fallbacks into *value*; return whether a value may be lost."""
        expression = self._rules.own(rule, value)
        is_list, loses = step.target.is_list, False
        always_present = always_fits(expression.static, step.target) or proven_constant(rule, step)
        if not always_present or (is_list is not None and expression.static.is_list is not is_list):
            skip = (
                ""
                if always_present or not accepts_any_text(step.target) or is_list is True
                else f" and type({value}) is not str"
            )
            with self._emitter.block(f"if {value} is not None{skip}:"):
                self._emitter.line(f"{value} = {self._coerce_call(step, value)}")
            loses = True
        if rule.fallback is not None:
            with self._emitter.block(f"if {value} is None:"):
                loses |= self._coerce_into(step, rule.fallback, value)
        return loses

    def _coerce_call(self, step: TargetPlan, value: str, static: StaticType | None = None) -> str:
        one_date = static is not None and static.kind == "date" and static.is_list is False
        if one_date and step.target.kind == "epoch_ms" and not step.target.is_list:
            return f"{self._emitter.constant(epoch_ms_of_date, 'fit')}({value}, lost)"
        return f"{self._emitter.constant(step.coerce, 'fit')}({value}, lost)"


def _takes_text_alone(target: Target) -> bool:
    return accepts_any_text(target) and target.kind != "any"


def _values_fit(static: StaticType, step: TargetPlan) -> bool:
    """Whether all values that are possible fit the target of *step* as they are."""
    return static.values is not None and all(_fits_as_it_is(value, step) for value in static.values)


def _fits_as_it_is(value: Value, step: TargetPlan) -> bool:
    lost: Losses = []
    coerced = step.coerce(value, lost)
    one = coerced[0] if type(coerced) is list and len(coerced) == 1 else coerced
    return not lost and one == value and type(one) is type(value)


def _shaped(static: StaticType, target: Target) -> bool:
    """Whether it is known that a value comes in the shape that *target* has, or needs a list around it."""
    if target.is_list is None:
        return True
    return static.is_list is not None if target.is_list else static.is_list is False


def _usual(step: TargetPlan, static: StaticType, value: str, *, known: bool) -> tuple[str, bool]:
    """The condition under which *value* fits uncoerced, and whether it is a list then; "" for never."""
    if static.kind == step.target.kind == "integer" and static.is_list is False and not step.target.allowed:
        there = "" if static.always_present else f"{value} is not None and "
        return f"{there}{-(1 << 31)} <= {value} < {1 << 31}", False
    if not known:
        return (f"type({value}) is str" if accepts_any_text(step.target) else ""), False
    if step.target.is_list is True and static.usually_list:
        return f"type({value}) is list", True
    there = "" if static.always_present else f"{value} is not None and "
    return f"{there}type({value}) is not list", False


def constant_value(step: TargetPlan) -> Value:
    """The value of a rule that is one constant and nothing else, if it fits its target."""
    rule = step.rule
    if not isinstance(rule.source, Constant) or rule.when or rule.calls or rule.fallback:
        return None
    lost: Losses = []
    value = or_none(rule.source.value)
    value = None if value is None else step.coerce(value, lost)
    return None if lost else value


def proven_constant(rule: Rule, step: TargetPlan) -> bool:
    """Whether *rule* itself can only make constants that fit the target of *step* as they are."""
    if rule.calls:
        return False
    if isinstance(rule.source, FirstOf | AllOf):
        parts = rule.source.rules
        return all(
            proven_constant(part, step) and (not part.fallback or proven_constant(part.fallback, step))
            for part in parts
        )
    if not isinstance(rule.source, Constant) or isinstance(rule.source.value, list):
        return False
    return _fits_as_it_is(rule.source.value, step)


def _all_proven(step: TargetPlan) -> bool:
    """Whether the rule of *step* and its fallback are constants that are proven to fit."""
    other = step.rule.fallback
    if not proven_constant(step.rule, step) or (other is not None and not proven_constant(other, step)):
        return False
    if other is not None and other.fallback is not None:
        return False
    return not isinstance(step.rule.source, FirstOf) and (other is None or isinstance(other.source, Constant))
