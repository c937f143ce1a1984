"""Writes the targets of a mapping: fitting, nesting, labels, and what goes back to the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.mapping.emit import Emitter
from connector.mapping.emit_rule import RuleWriter
from connector.mapping.grammar import RECORD, AllOf, Constant, FirstOf, From, Rule
from connector.mapping.infer import UNKNOWN, Static, fits, infer, takes_text
from connector.mapping.infer import loses as infers_loss
from connector.mapping.plan import Plan, Step
from connector.mapping.values import Lost, Value, some

Known = dict[str, Static]


@dataclass(slots=True)
class Branch:
    """One object of the document: the variable that holds it, what is in it from the start."""

    variable: str
    fixed: dict[str, Value] = field(default_factory=dict)
    inner: dict[str, Branch] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step's value goes: the beginning of the assignment, and that of its label."""

    step: Step
    put: str
    label: str | None


class FieldWriter:
    """Writes every step of a plan into one emitter, as a document in the variable ``document``."""

    def __init__(self, emitter: Emitter, rules: RuleWriter, plan: Plan, known: Known) -> None:
        self._emitter = emitter
        self._rules = rules
        self._plan = plan
        self._known = known
        self._root = Branch("document")

    def document(self, *, rest: bool) -> None:
        """All fields, and the rest where the mapping keeps one."""
        steps = self._plan.steps
        if self._plan.nested:
            steps = tuple(step for step in steps if not self._fix(step))
        if rest:
            self._rest_branch()
        self._open(self._root)
        for step in steps:
            self._emitter.note = f"{step.place} {step.name}"
            self._step(step)
        self._emitter.note = ""
        if rest:
            self._rest()
        self._close(self._root)

    def _fix(self, step: Step) -> bool:
        """Whether *step* is the same for every record; then it is in the document from the start."""
        branch, name = self._branch(step)
        value = fixed_value(step)
        if value is not None:
            branch.fixed[name] = value
        return value is not None

    def _branch(self, step: Step) -> tuple[Branch, str]:
        if not self._plan.nested:
            return self._root, step.name
        *path, name = step.name.split(".")
        return self._inner(path), name

    def _inner(self, path: Sequence[str]) -> Branch:
        branch = self._root
        for part in path:
            if part not in branch.inner:
                branch.inner[part] = Branch(self._emitter.fresh("o"))
            branch = branch.inner[part]
        return branch

    def _open(self, branch: Branch) -> None:
        items = [f"{key!a}: {self._emitter.constant(value)}" for key, value in branch.fixed.items()]
        self._emitter.line(f"{branch.variable} = {{{', '.join(items)}}}")
        for inner in branch.inner.values():
            self._open(inner)

    def _close(self, branch: Branch) -> None:
        for name, inner in branch.inner.items():
            self._close(inner)
            put = f"{branch.variable}[{name!a}] = {inner.variable}"
            self._emitter.line(put if inner.fixed else f"if {inner.variable}: {put}")

    def _step(self, step: Step) -> None:
        branch, name = self._branch(step)
        label = f"{branch.variable}[{name + 'Label'!a}] = {self._emitter.constant(step.label)}"
        put = f"{branch.variable}[{name!a}] = "
        place = Place(step, put, label if step.label is not None else None)
        if self._straight(place):
            return
        value = self._emitter.fresh()
        self._rules.own(step.rule, value)
        loses = self._fitted(step, step.rule, value)
        with self._emitter.block(f"if {value} is not None:"):
            self._put(place, value)
        if loses or infers_loss(step.rule, self._plan.pack, self._known):
            self._settle(step)

    def _straight(self, place: Place) -> bool:
        """Writes the commonest steps, a field or a derived value as it is, without ado."""
        step = place.step
        rule = step.rule
        if not isinstance(rule.source, From) or rule.calls or rule.when or rule.otherwise:
            return False
        ref = rule.source.ref
        static = self._known.get(ref.root, UNKNOWN)
        if ref.root in self._known and not ref.path and fits(static, step.target):
            if not (step.target.many is None or step.target.many is static.many is False):
                return False
            with self._emitter.block(f"if n_{ref.root} is not None:"):
                self._put(place, f"n_{ref.root}")
            return True
        if ref.root != RECORD or len(ref.path) != 1 or not takes_text(step.target) or step.target.many:
            return False
        value = self._emitter.fresh()
        self._emitter.line(f"{value} = get({ref.path[0]!a})")
        with self._emitter.block(f"if {value}.__class__ is str and {value}:"):
            self._put(place, value)
        with self._emitter.block(f"elif {value} is not None:"):
            self._emitter.line(f"{value} = some({value})")
            self._emitter.line(f"if {value} is not None: {value} = {self._fit(step, value)}")
            with self._emitter.block(f"if {value} is not None:"):
                self._put(place, value)
            self._settle(step)
        return True

    def _put(self, place: Place, value: str) -> None:
        self._emitter.line(place.put + value)
        if place.label is not None:
            self._emitter.line(place.label)

    def _settle(self, step: Step) -> None:
        reads = self._emitter.constant(step.reads)
        with self._emitter.block("if lost:"):
            self._emitter.line(f"settle({step.name!a}, {reads}, lost, body, notes, back)")

    def _fitted(self, step: Step, rule: Rule, value: str) -> bool:
        """Writes the fitting of *value*; says whether it may lose something."""
        own = Rule(rule.source, rule.position, rule.calls)
        static = infer(own, self._plan.pack, self._known)
        code, loses = self._fit_code(step, static, value, sure=fits(static, step.target) or proven(own, step))
        if code:
            with self._emitter.block(f"if {value} is not None:"):
                self._emitter.line(code)
        if rule.otherwise is not None:
            with self._emitter.block(f"if {value} is None:"):
                self._rules.own(rule.otherwise, value)
                loses |= self._fitted(step, rule.otherwise, value)
        return loses

    def _fit(self, step: Step, value: str) -> str:
        return f"{self._emitter.constant(step.fit, 'fit')}({value}, lost)"

    def _fit_code(self, step: Step, static: Static, value: str, *, sure: bool) -> tuple[str, bool]:
        many = step.target.many
        fit = f"{value} = {self._fit(step, value)}"
        if sure:
            if many is True:
                wrap = f"{value} = [{value}]"
                loose = f"if {value}.__class__ is not list: {wrap}"
                return {True: "", False: wrap, None: loose}[static.many], False
            if many is None or static.many is False:
                return "", False
            return f"if {value}.__class__ is list: {fit}", True
        if many is not True and takes_text(step.target):
            return f"if {value}.__class__ is not str: {fit}", True
        return fit, True

    def _rest(self) -> None:
        self._emitter.line("rest = make_rest(body, back)")
        self._emitter.line(f"{self._rest_branch().variable}.update(rest)")

    def _rest_branch(self) -> Branch:
        rest = self._plan.pack.rest
        if rest is None or rest.into == "." or not self._plan.nested:
            return self._root
        return self._inner(rest.into.split("."))


def fixed_value(step: Step) -> Value:
    """The value of a rule that is one constant and nothing else, if it fits its target."""
    rule = step.rule
    if not isinstance(rule.source, Constant) or rule.when or rule.calls or rule.otherwise:
        return None
    lost: Lost = []
    value = some(rule.source.value)
    value = None if value is None else step.fit(value, lost)
    return None if lost else value


def proven(rule: Rule, step: Step) -> bool:
    """Whether *rule* can only make constants that fit the target of *step* as they are."""
    if rule.calls:
        return False
    if isinstance(rule.source, FirstOf | AllOf):
        parts = rule.source.rules
        return all(
            proven(part, step) and (not part.otherwise or proven(part.otherwise, step)) for part in parts
        )
    if not isinstance(rule.source, Constant) or isinstance(rule.source.value, list):
        return False
    lost: Lost = []
    made = step.fit(rule.source.value, lost)
    return not lost and made in (rule.source.value, [rule.source.value])
