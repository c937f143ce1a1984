"""Writes rules as Python statements that leave their value, or ``None``, in a variable.

Whatever is sure of a value before it exists saves a check: see ``infer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

from connector.mapping.emit import Emitter
from connector.mapping.emit_match import ELEMENT_NAME, clean, match_code
from connector.mapping.functions import FUNCTIONS
from connector.mapping.grammar import (
    ELEMENT,
    RECORD,
    All,
    AllOf,
    AnyOf,
    Call,
    Constant,
    FirstOf,
    From,
    Match,
    Not,
    Ref,
    Rule,
    TableName,
    Template,
    Test,
)
from connector.mapping.infer import Static, after, infer, source
from connector.mapping.pack import Pack
from connector.mapping.plan import applied, chained, table_entries
from connector.mapping.values import absent, some

_TEXT = Static("text", many=False)


class RuleWriter:
    """Writes the rules of one pack into one emitter. *known* tells of derived and provided values."""

    def __init__(self, emitter: Emitter, pack: Pack, known: Mapping[str, Static]) -> None:
        self._emitter = emitter
        self.pack = pack
        self.known = known

    def rule(self, rule: Rule, out: str) -> None:
        """*rule*, and what stands in for it."""
        self.own(rule, out)
        if rule.otherwise is not None:
            with self._emitter.block(f"if {out} is None:"):
                self.rule(rule.otherwise, out)

    def own(self, rule: Rule, out: str) -> None:
        """*rule* without what stands in for it: when, source, as."""
        if rule.when is None:
            self._valued(rule, out)
            return
        self._emitter.line(f"{out} = None")
        with self._emitter.block(f"if {self.condition(rule.when)}:"):
            self._valued(rule, out)

    def condition(self, match: Match) -> str:
        """An expression that is true where *match* holds."""
        return match_code(self._emitter, match, self.known)

    def _valued(self, rule: Rule, out: str) -> None:
        static = source(rule, self.pack, self.known)
        match rule.source:
            case From(ref):
                self._from(ref, rule.calls, static, out)
                return
            case FirstOf(rules):
                self.rule(rules[0], out)
                for part in rules[1:]:
                    with self._emitter.block(f"if {out} is None:"):
                        self.rule(part, out)
            case AllOf(rules):
                self._all_of(rules, out)
            case Constant(value):
                self._emitter.line(f"{out} = {self._emitter.constant(some(value))}")
            case Template(parts):
                self._template(parts, out)
        self._calls(rule.calls, static, out)

    def _from(self, ref: Ref, calls: tuple[Call, ...], static: Static, out: str) -> None:
        if ref.root != RECORD or len(ref.path) != 1:
            self.read(ref, out)
            self._calls(calls, static, out)
            return
        self._emitter.line(f"{out} = get({ref.path[0]!a})")
        if calls and not any(map(_structural, calls)):
            self._by_kind(calls, f"{out}.__class__ is str and {out}", out)
            return
        with self._emitter.block(f"if {out} is not None:"):
            self._emitter.line(f"if {out}.__class__ is not str or not {out}: {out} = some({out})")
            self._calls(calls, static, out)

    def _by_kind(self, calls: tuple[Call, ...], is_text: str, out: str) -> None:
        """The short way for a text, one function for everything else."""
        with self._emitter.block(f"if {is_text}:"):
            self._chain(calls, _TEXT, out)
        with self._emitter.block(f"elif {out} is not None:"):
            self._emitter.line(
                f"{out} = {self._emitter.constant(chained(calls, self.pack), 'f')}({out}, lost)"
            )

    def read(self, ref: Ref, out: str) -> None:
        """What *ref* leads to."""
        line = self._emitter.line
        root = ELEMENT_NAME if ref.root == ELEMENT else f"n_{ref.root}"
        if ref.root == RECORD and ref.path:
            line(f"{out} = get({ref.path[0]!a})")
            if len(ref.path) == 1:
                line(f"if {out}.__class__ is not str or not {out}: {out} = some({out})")
            else:
                self._inner(out, ref.path[1:], out)
        elif ref.root != RECORD and ref.path:
            line(f"{out} = {root}")
            self._inner(root, ref.path, out)
        else:
            line(f"{out} = {clean(self._emitter, ref)}")

    def _inner(self, value: str, path: tuple[str, ...], out: str) -> None:
        """What *path* leads to from the variable *value*."""
        slow = f"walk({value}, {self._emitter.constant(path)})"
        with self._emitter.block(f"if {value} is not None:"):
            if len(path) > 1:
                self._emitter.line(f"{out} = {slow}")
                return
            self._emitter.line(f"{out} = {value}.get({path[0]!a}) if {value}.__class__ is dict else {slow}")
            self._emitter.line(f"if {out}.__class__ is not str or not {out}: {out} = some({out})")

    def _all_of(self, rules: tuple[Rule, ...], out: str) -> None:
        """Leading fixed values are in the list from the start, the others are added one by one."""
        ahead = list(takewhile(_fixed, rules))
        fixed = [rule.source.value for rule in ahead if isinstance(rule.source, Constant)]
        start = ", ".join(self._emitter.constant(value) for value in fixed)
        made = self._emitter.fresh()  # a list of its own: rules inside may use *out*
        self._emitter.line(f"{made} = [{start}]")
        for rule in rules[len(ahead) :]:
            part = self._emitter.fresh()
            if _plain_field(rule) and isinstance(rule.source, From):
                self._emitter.line(f"{part} = get({rule.source.ref.path[0]!a})")
                with self._emitter.block(f"if {part}.__class__ is str:"):
                    self._emitter.line(f"if {part}: {made}.append({part})")
                with self._emitter.block(f"elif {part} is not None:"):
                    self._emitter.line(f"{part} = some({part})")
                    self._add(part, Static(), made)
                continue
            self.rule(rule, part)
            self._add(part, infer(rule, self.pack, self.known), made)
        self._emitter.line(f"{out} = {made} or None")

    def _add(self, part: str, static: Static, made: str) -> None:
        if static.many is None:
            self._emitter.line(f"if {part}.__class__ is list: {made}.extend({part})")
            self._emitter.line(f"elif {part} is not None: {made}.append({part})")
        else:
            how = "extend" if static.many else "append"
            self._emitter.line(f"if {part} is not None: {made}.{how}({part})")

    def _template(self, parts: tuple[str | Ref, ...], out: str) -> None:
        names: list[str] = []
        pieces: list[str] = []
        for part in parts:
            if isinstance(part, str):
                pieces.append(ascii(part))
                continue
            name = self._emitter.fresh()
            self.read(part, name)
            names.append(name)
            pieces.append(f"({name} if {name}.__class__ is str else text({name}))")
        made = f"({' + '.join(pieces)}) or None" if pieces else "None"
        if names and len(names) < len(parts):
            missing = " is None and ".join(names)
            made = f"None if {missing} is None else {made}"
        self._emitter.line(f"{out} = {made}")

    def _calls(self, calls: tuple[Call, ...], static: Static, out: str) -> None:
        if not calls:
            return
        unsure = static.many is None and not FUNCTIONS[calls[0].name].whole
        if unsure and not any(map(_structural, calls)):
            self._by_kind(calls, f"{out}.__class__ is str", out)
            return
        with self._emitter.block(f"if {out} is not None:"):
            self._chain(calls, static, out)

    def _chain(self, calls: tuple[Call, ...], static: Static, out: str) -> None:
        call, *more = calls
        self._call(call, static, out)
        if more:
            with self._emitter.block(f"if {out} is not None:"):
                self._chain(tuple(more), after(call, static, self.pack), out)

    def _call(self, call: Call, static: Static, out: str) -> None:
        argument = call.argument
        if isinstance(argument, Test | All | AnyOf | Not):
            holds = f"lambda {ELEMENT_NAME}: {self.condition(argument)}"
            self._emitter.line(f"{out} = {call.name}({out}, {holds})")
        elif isinstance(argument, Mapping):
            self._emitter.line(f"{out} = each({out}, {self._builder(argument)})")
        elif FUNCTIONS[call.name].whole:
            function = self._emitter.constant(applied(call, self.pack), "f")
            self._emitter.line(f"{out} = {function}({out}, lost)")
        else:
            self._emitter.line(f"{out} = {self._element_wise(call, static, out)}")

    def _element_wise(self, call: Call, static: Static, out: str) -> str:
        short = FUNCTIONS[call.name].short(call.argument) if static.kind == "text" else None
        if short is not None and static.many is not None:
            name = self._emitter.constant(short, "f")
            many = f"list(filter(None, map({name}, {out}))) or None"
            return many if static.many else f"{name}({out})"
        function = self._emitter.constant(applied(call, self.pack), "f")
        alone = f"{function}({out}, lost)"
        if isinstance(call.argument, TableName):
            entries = table_entries(call.argument, self.pack)
            default = self._emitter.constant(entries.get("*"))
            found = f"{self._emitter.constant(entries, 't')}.get({out}, {default})"
            alone = found if static == _TEXT else f"({found} if {out}.__class__ is str else {alone})"
        if static.many is False:
            return alone
        many = f"over({function}, {out}, lost)"
        return many if static.many else f"{alone} if {out}.__class__ is not list else {many}"

    def _builder(self, rules: Mapping[str, Rule]) -> str:
        name = self._emitter.fresh("build")
        with self._emitter.block(f"def {name}({ELEMENT_NAME}):"):
            made = self._emitter.fresh("o")
            self._emitter.line(f"{made} = {{}}")
            for key, rule in rules.items():
                value = self._emitter.fresh()
                self.rule(rule, value)
                with self._emitter.block(f"if {value} is not None:"):
                    path = tuple(key.split("."))
                    deep = f"put({made}, {self._emitter.constant(path)}, {value})"
                    self._emitter.line(f"{made}[{key!a}] = {value}" if len(path) == 1 else deep)
            self._emitter.line(f"return {made} or None")
        return name


def _fixed(rule: Rule) -> bool:
    """Whether *rule* is one constant that goes into a list as it is."""
    if not isinstance(rule.source, Constant) or rule.when is not None or rule.calls:
        return False
    return not isinstance(rule.source.value, list) and not absent(rule.source.value)


def _plain_field(rule: Rule) -> bool:
    """Whether *rule* is a field of the record and nothing else."""
    if not isinstance(rule.source, From) or rule.calls or rule.when or rule.otherwise:
        return False
    return rule.source.ref.root == RECORD and len(rule.source.ref.path) == 1


def _structural(call: Call) -> bool:
    """Whether *call* runs a match or rules, which may read anything."""
    return FUNCTIONS[call.name].code is None
