"""Writes the targets of a mapping: fitting, nesting, labels, and what goes back to the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.mapping.compiler.emitter import Emitter, Made
from connector.mapping.compiler.inference import Known, Static, fits, infer, may_lose, seldom_root, takes_text
from connector.mapping.compiler.inference import loses as infers_loss
from connector.mapping.compiler.inference import own as infer_own
from connector.mapping.compiler.rules import RuleWriter
from connector.mapping.engine.plan import Plan, Step
from connector.mapping.functions.values import Lost, Value, some
from connector.mapping.language.grammar import AllOf, Constant, FirstOf, Rule
from connector.mapping.schemas import Target


@dataclass(slots=True)
class Branch:
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
    inner: dict[str, Branch] = field(default_factory=dict)
    filled: bool = False

    @property
    def single(self) -> bool:
        """One value makes the whole object."""
        return self.leaves == 1 and not self.fixed and not self.inner and not self.filled

    @property
    def constant(self) -> bool:
        """The same for every record."""
        return bool(self.fixed) and not self.leaves and not self.inner and not self.filled


class Tree:
    """The objects of one document, written into an emitter; the outermost is the variable ``document``."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self.root = Branch("document", filled=True)

    def branch(self, path: Sequence[str]) -> Branch:
        """The object at *path*, made where there is none yet."""
        branch = self.root
        for step in path:
            if step not in branch.inner:
                branch.inner[step] = Branch(self._emitter.fresh("o"))
            branch = branch.inner[step]
        return branch

    def open(self) -> None:
        """Write what comes before any value."""
        self._open(self.root)

    def close(self) -> None:
        """Put every object into the one around it."""
        self._close(self.root)

    def put(self, branch: Branch, name: str, value: str) -> None:
        """Write that the expression *value* belongs into *branch*."""
        if branch.single:
            self._emitter.line(f"{branch.variable} = {{{name!a}: {value}}}")
        else:
            self._emitter.line(f"{branch.variable}[{name!a}] = {value}")

    def _open(self, branch: Branch) -> None:
        if branch.single:
            self._emitter.line(f"{branch.variable} = None")
        elif not branch.constant and not _hollow(branch):
            self._emitter.line(f"{branch.variable} = {self._literal(branch)}")
        for inner in branch.inner.values():
            self._open(inner)

    def _close(self, branch: Branch) -> None:
        for name, inner in branch.inner.items():
            if not _hollow(inner):
                self._close(inner)
            self._attach(f"{branch.variable}[{name!a}]", inner)

    def _attach(self, place: str, branch: Branch) -> None:
        line = self._emitter.line
        if branch.constant:
            line(f"{place} = {self._literal(branch)}")
        elif _hollow(branch):
            [(name, inner)] = branch.inner.items()
            self._close(inner)
            wrapped = f"{{{name!a}: {inner.variable}}}"
            line(f"{place} = {wrapped}" if inner.fixed else f"if {inner.variable}: {place} = {wrapped}")
        else:
            put = f"{place} = {branch.variable}"
            line(put if branch.fixed else f"if {branch.variable}: {put}")

    def _literal(self, branch: Branch) -> str:
        items = [f"{key!a}: {self._emitter.constant(value)}" for key, value in branch.fixed.items()]
        return f"{{{', '.join(items)}}}"


def _hollow(branch: Branch) -> bool:
    """Whether *branch* is nothing but the way to one object that may be hollow no more."""
    if branch.fixed or branch.leaves or branch.filled or len(branch.inner) != 1:
        return False
    [inner] = branch.inner.values()
    return not inner.single and not inner.constant and not _hollow(inner)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step's value goes."""

    step: Step
    branch: Branch
    name: str


class FieldWriter:
    """Writes every step of a plan into one emitter, as a document in the variable ``document``."""

    def __init__(self, emitter: Emitter, rules: RuleWriter, plan: Plan, known: Known) -> None:
        self._emitter = emitter
        self._rules = rules
        self._plan = plan
        self._known = known
        self._tree = Tree(emitter)

    def document(self, *, rest: bool) -> None:
        """All fields, and the rest where the mapping keeps one."""
        places = [place for place in map(self._place, self._plan.steps) if place is not None]
        into = self._rest_branch() if rest else None
        if into is not None:
            into.filled = True
        self._tree.open()
        for place in places:
            self._emitter.note = f"{place.step.place} {place.step.name}"
            root = seldom_root(place.step.rule, self._known)
            with self._emitter.block(f"if n_{root} is not None:" if root else ""):
                self._step(place)
        self._emitter.note = ""
        if into is not None:
            self._emitter.line(f"make_rest(body, back, {into.variable})")
        self._tree.close()

    def _place(self, step: Step) -> Place | None:
        """Where *step* goes; ``None`` if it is the same for every record and in its place from the start."""
        *path, name = step.name.split(".") if self._plan.nested else [step.name]
        branch = self._tree.branch(path)
        value = fixed_value(step) if self._plan.nested else None
        if value is not None:
            branch.fixed[name] = value
            return None
        branch.leaves += 1
        return Place(step, branch, name)

    def _rest_branch(self) -> Branch:
        rest = self._plan.pack.rest
        if rest is None or rest.into == "." or not self._plan.nested:
            return self._tree.root
        return self._tree.branch(rest.into.split("."))

    def _step(self, place: Place) -> None:
        step, rule = place.step, place.step.rule
        if _all_proven(step):
            static = infer(rule, self._plan.pack, self._known)
            made = Made(self._rules.rule(rule).code, Static("text", static.many, static.sure))
            self._aligned(place, made)
            return
        loses = infers_loss(rule, self._plan.pack, self._known)
        if rule.otherwise is None or infer_own(rule, self._plan.pack, self._known).sure:
            self._fit_and_put(place, self._rules.own(rule), loses=loses)
            return
        value = self._emitter.fresh()
        loses |= self._fitted(step, rule, value)
        with self._emitter.block(f"if {value} is not None:"):
            self._put(place, value)
        if loses:
            self._settle(step)

    def _fit_and_put(self, place: Place, made: Made, *, loses: bool) -> None:
        """Looks for the short way first: what fits as it is, then what nearly always does."""
        target, static = place.step.target, made.static
        known = fits(static, target) or proven(place.step.rule, place.step)
        if known and _shaped(static, target):
            self._aligned(place, made)
            if loses:
                self._settle(place.step)
            return
        value = self._emitter.held(made).code
        usual, listed = _usual(place.step, static, value, known=known)
        there = "" if static.sure else f"if {value} is not None:"
        if usual:
            with self._emitter.block(f"if {usual}:"):
                self._put(place, f"[{value}]" if target.many is True and not listed else value)
            there = "else:" if static.sure else f"el{there}"
        with self._emitter.block(there):
            fitted = self._emitter.fresh()
            self._emitter.line(f"{fitted} = {self._fit(place.step, value)}")
            with self._emitter.block(f"if {fitted} is not None:"):
                self._put(place, fitted)
            if not loses and may_lose(target):
                self._settle(place.step)
        if loses:
            self._settle(place.step)

    def _aligned(self, place: Place, made: Made) -> None:
        """Put what fits, with a list around it where one is due."""
        wrap = place.step.target.many is True and made.static.many is False
        if not made.static.sure:
            made = self._emitter.held(made)
        with self._emitter.block("" if made.static.sure else f"if {made.code} is not None:"):
            self._put(place, f"[{made.code}]" if wrap else made.code)

    def _put(self, place: Place, value: str) -> None:
        self._tree.put(place.branch, place.name, value)
        if place.step.label is not None:
            self._tree.put(place.branch, f"{place.name}Label", self._emitter.constant(place.step.label))

    def _settle(self, step: Step) -> None:
        reads = self._emitter.constant(step.reads)
        with self._emitter.block("if lost:"):
            self._emitter.line(f"settle({step.name!a}, {reads}, lost, body, notes, back)")

    def _fitted(self, step: Step, rule: Rule, value: str) -> bool:
        """Writes *rule* and its fitting into *value*, then what stands in; says whether it may lose."""
        made = self._rules.own(rule, value)
        many, loses = step.target.many, False
        sure = fits(made.static, step.target) or proven(rule, step)
        if not sure or (many is not None and made.static.many is not many):
            skip = (
                ""
                if sure or not takes_text(step.target) or many is True
                else f" and type({value}) is not str"
            )
            with self._emitter.block(f"if {value} is not None{skip}:"):
                self._emitter.line(f"{value} = {self._fit(step, value)}")
            loses = True
        if rule.otherwise is not None:
            with self._emitter.block(f"if {value} is None:"):
                loses |= self._fitted(step, rule.otherwise, value)
        return loses

    def _fit(self, step: Step, value: str) -> str:
        return f"{self._emitter.constant(step.fit, 'fit')}({value}, lost)"


def _shaped(static: Static, target: Target) -> bool:
    """Whether it is known that a value comes in the shape that *target* has, or needs a list around it."""
    if target.many is None:
        return True
    return static.many is not None if target.many else static.many is False


def _usual(step: Step, static: Static, value: str, *, known: bool) -> tuple[str, bool]:
    """When *value* fits as it is, and whether it is a list then; "" where that is never sure."""
    if not known:
        return (f"type({value}) is str" if takes_text(step.target) else ""), False
    if step.target.many is True and static.often:
        return f"type({value}) is list", True
    there = "" if static.sure else f"{value} is not None and "
    return f"{there}type({value}) is not list", False


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
    """Whether *rule* itself can only make constants that fit the target of *step* as they are."""
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
    value = rule.source.value
    return not lost and made in (value, [value]) and (type(made) is list or type(made) is type(value))


def _all_proven(step: Step) -> bool:
    """Whether the rule of *step* and what stands in for it are proven, and the shape of both is known."""
    other = step.rule.otherwise
    if not proven(step.rule, step) or (other is not None and not proven(other, step)):
        return False
    if other is not None and other.otherwise is not None:
        return False
    return not isinstance(step.rule.source, FirstOf) and (other is None or isinstance(other.source, Constant))
