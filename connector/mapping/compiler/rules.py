"""Emits rules as Python: expressions where possible, else statements that assign a variable.

Whatever ``inference`` proves about a value saves a check.
"""

from __future__ import annotations

from itertools import takewhile

from connector.mapping.compiler.calls import CallEmitter
from connector.mapping.compiler.emitter import Emitter, Expression, FieldVariables
from connector.mapping.compiler.inference import (
    TEXT_KINDS,
    StaticType,
    infer,
    infer_constant,
    infer_own,
    infer_ref,
    infer_source,
)
from connector.mapping.compiler.matches import MatchEmitter
from connector.mapping.functions.values import or_none
from connector.mapping.language.grammar import (
    ELEMENT,
    RECORD,
    AllOf,
    Constant,
    FirstOf,
    From,
    Match,
    Ref,
    Rule,
    Source,
    Template,
)
from connector.mapping.language.pack import Pack


class RuleEmitter:
    """Writes the rules of one function. *known* tells of derived and provided values."""

    def __init__(
        self, emitter: Emitter, pack: Pack, known: dict[str, StaticType], reads: FieldVariables
    ) -> None:
        self._emitter = emitter
        self._matches = MatchEmitter(emitter, known, reads)
        self._calls = CallEmitter(emitter, pack, self._matches, self.rule, known, reads)
        self.reads = reads
        self.pack = pack
        self.known = known

    def rule(self, rule: Rule, out: str | None = None, element: str = "") -> Expression:
        """Emit *rule* with its fallback; into the variable *out* if one is given.

        *element* is the variable that ``.`` stands for.
        """
        expression = self._choice(rule, element) or self.own(rule, out, element)
        static = infer(rule, self.pack, self.known)
        if rule.fallback is None or expression.static.always_present:
            return self._emitter.assigned(expression, out)
        out = self._emitter.assigned(expression, out or self._emitter.fresh()).code
        with self._emitter.block(f"if {out} is None:"):
            self.rule(rule.fallback, out, element)
        return Expression(out, static)

    def own(self, rule: Rule, out: str | None = None, element: str = "") -> Expression:
        """Emit *rule* without its fallback: when, source, as."""
        if rule.when is None:
            return self._emitter.assigned(self._valued(rule, out, element), out)
        static = infer_own(rule, self.pack, self.known)
        atom = None if rule.calls else self._atom(rule.source, element)
        condition = self.condition(rule.when, element)
        if atom is not None:
            return self._emitter.assigned(Expression(f"({atom.code} if {condition} else None)", static), out)
        out = out or self._emitter.fresh()
        self._emitter.line(f"{out} = None")
        with self._emitter.block(f"if {condition}:"):
            self._emitter.assigned(self._valued(rule, out, element), out)
        return Expression(out, static)

    def condition(self, match: Match, element: str = "") -> str:
        """An expression that is true where *match* holds."""
        return self._matches.code(match, element)

    def _choice(self, rule: Rule, element: str) -> Expression | None:
        """*rule* as an expression, where it chooses between two values that cost nothing."""
        other = rule.fallback
        if rule.when is None or rule.calls or other is None or other.when or other.calls or other.fallback:
            return None
        left, right = self._atom(rule.source, element), self._atom(other.source, element)
        if left is None or right is None or not left.static.always_present:
            return None
        condition = self.condition(rule.when, element)
        static = infer(rule, self.pack, self.known)
        return Expression(f"({left.code} if {condition} else {right.code})", static)

    def _atom(self, source: Source, element: str) -> Expression | None:
        """*source* as an expression, if it is a fixed value or a variable that is there already."""
        if isinstance(source, Constant):
            return Expression(self._emitter.constant(or_none(source.value)), infer_constant(source.value))
        code = self._variable(source.ref, element) if isinstance(source, From) else None
        return (
            Expression(code, infer_ref(source.ref, self.known)) if isinstance(source, From) and code else None
        )

    def _variable(self, ref: Ref, element: str) -> str | None:
        """An expression for what *ref* leads to, where that takes no steps."""
        if ref.root == RECORD and ref.path:
            return self.reads[ref.path[0]] if len(ref.path) == 1 else None
        if ref.root == "account" and infer_ref(ref, self.known).kind == "text":
            return f"(n_account[{ref.path[0]!a}] or None)"
        if ref.path:
            return None
        if ref.root == ELEMENT:
            if infer_ref(ref, self.known).always_present:
                return element
            return f"({element} if type({element}) is str and {element} else or_none({element}))"
        return "(body or None)" if ref.root == RECORD else f"n_{ref.root}"

    def _valued(self, rule: Rule, out: str | None, element: str) -> Expression:
        source = rule.source
        expression = self._atom(source, element)
        if expression is None:
            static = infer_source(rule, self.pack, self.known)
            if isinstance(source, FirstOf):
                out = out or self._emitter.fresh()
                self._first_of(source.rules, out, element)
                expression = Expression(out, static)
            elif isinstance(source, AllOf):
                expression = Expression(self._all_of(source.rules, element), static)
            elif isinstance(source, Template):
                expression = Expression(self._template(source.parts, static, element), static)
            elif isinstance(source, From):
                expression = self._read(source.ref, out, element)
            else:
                raise TypeError("every fixed value is an expression")
        return self._calls.write(rule.calls, expression, out) if rule.calls else expression

    def _read(self, ref: Ref, out: str | None, element: str) -> Expression:
        """What *ref* leads to, where that takes steps."""
        static, path = infer_ref(ref, self.known), ref.path
        if ref.root == RECORD:
            start, path = self.reads[path[0]], path[1:]
        else:
            start = element if ref.root == ELEMENT else f"n_{ref.root}"
        out = out or self._emitter.fresh()
        line = self._emitter.line
        steps = self._emitter.constant(path)
        line(f"{out} = {start}")
        with self._emitter.block(f"if {start} is not None:"):
            slow = f"walk({start}, {steps})"
            inner = self._reads_checked(ref, static, out, start)
            if inner:
                pass
            elif len(path) > 1:
                line(f"{out} = {slow}")
            elif static.usually_list:
                line(f"{out} = walk_list({start}, {steps}, 1) if type({start}) is list else {slow}")
            else:
                line(f"{out} = {start}.get({path[0]!a}) if type({start}) is dict else {slow}")
                unusual = f"type({out}) is not str or not {out}"
                line(f"if {out} is not None and ({unusual}): {out} = or_none({out})")
        return Expression(out, static)

    def _reads_checked(self, ref: Ref, static: StaticType, out: str, start: str) -> bool:
        """Emit reading a single value in a checked object, or in each of a list; return whether it is one."""
        if ".".join((ref.root, *ref.path)) not in self.known or static.kind == "object":
            return False
        *above, name = ref.path
        owner = self.known.get(".".join((ref.root, *above)))
        if len(above) != (1 if ref.root == RECORD else 0):
            return False
        is_text = static.kind == "text"
        line = self._emitter.line
        if owner is None or not owner.is_list:
            line(f"{out} = {start}.get({name!a}){' or None' if is_text else ''}")
            return True
        element, value = self._emitter.fresh("e"), self._emitter.fresh()
        line(f"{out} = []")
        with self._emitter.block(f"for {element} in {start}:"):
            line(f"{value} = {element}.get({name!a})")
            line(f"if {value}{'' if is_text else ' is not None'}: {out}.append({value})")
        line(f"if not {out}: {out} = None")
        return True

    def _first_of(self, rules: tuple[Rule, ...], out: str, element: str) -> None:
        """Emit one part after the other; constants with conditions share one ``if`` / ``elif`` chain."""
        left = list(rules)
        while left:
            choices = list(takewhile(_fixed_choice, left))
            head = f"if {out} is None:" if len(left) < len(rules) else ""
            with self._emitter.block(head):
                if choices:
                    always_present = self._choices(choices, left[len(choices) :], out, element)
                else:
                    always_present = self.rule(left[0], out, element).static.always_present
            left = [] if always_present else left[len(choices) or 1 :]

    def _choices(self, choices: list[Rule], then: list[Rule], out: str, element: str) -> bool:
        """Emit *choices* and the constant after them; return whether there was one."""
        word = "if"
        for rule in choices:
            if rule.when is not None and isinstance(rule.source, Constant):
                with self._emitter.block(f"{word} {self.condition(rule.when, element)}:"):
                    self._emitter.line(f"{out} = {self._emitter.constant(rule.source.value)}")
            word = "elif"
        last = then[0].source if then and _fixed(then[0]) else None
        with self._emitter.block("else:"):
            value = last.value if isinstance(last, Constant) else None
            self._emitter.line(f"{out} = {self._emitter.constant(value)}")
        return last is not None

    def _all_of(self, rules: tuple[Rule, ...], element: str) -> str:
        """Leading fixed values are in the list from the start, the others are added one by one."""
        ahead = list(takewhile(_fixed, rules))
        fixed = [rule.source.value for rule in ahead if isinstance(rule.source, Constant)]
        expression = self._emitter.fresh("l")
        self._emitter.line(f"{expression} = [{', '.join(map(self._emitter.constant, fixed))}]")
        for rule in rules[len(ahead) :]:
            if _fixed_choice(rule) and rule.when is not None and isinstance(rule.source, Constant):
                value = self._emitter.constant(rule.source.value)
                self._emitter.line(f"if {self.condition(rule.when, element)}: {expression}.append({value})")
            else:
                self._add(self.rule(rule, element=element), expression)
        return expression if fixed else f"({expression} or None)"

    def _add(self, part: Expression, expression: str) -> None:
        line, static = self._emitter.line, part.static
        if static.always_present and static.is_list is not None:
            line(f"{expression} += {part.code}" if static.is_list else f"{expression}.append({part.code})")
            return
        value = self._emitter.named(part).code
        if static.is_list is not None:
            line(
                f"if {value} is not None: {expression}"
                + (f" += {value}" if static.is_list else f".append({value})")
            )
        elif static.usually_list:
            line(f"if type({value}) is list: {expression} += {value}")
            line(f"elif {value} is not None: {expression}.append({value})")
        else:
            line(f"if type({value}) is str: {expression}.append({value})")
            line(f"elif {value} is not None: append_flat({expression}, {value})")

    def _template(self, parts: tuple[str | Ref, ...], static: StaticType, element: str) -> str:
        names: list[str] = []
        pieces: list[str] = []
        for part in parts:
            if isinstance(part, str):
                pieces.append(_quoted(part))
                continue
            read = self._emitter.named(self._reading(part, element))
            names.append(read.code)
            pieces.append(f"{{{_written(read)}}}")
        if not names:
            return ascii("".join(map(str, parts))) if parts else "None"
        expression = f"f'{''.join(pieces)}'"
        if static.always_present:
            return expression
        missing = " is None and ".join(names)
        return f"(None if {missing} is None else {expression} or None)"

    def _reading(self, ref: Ref, element: str) -> Expression:
        return self._atom(From(ref), element) or self._read(ref, None, element)


def _written(value: Expression) -> str:
    """The text of a value in a template."""
    if value.static.is_list is False and value.static.always_present:
        if value.static.kind in TEXT_KINDS:
            return value.code
        if value.static.kind == "integer":
            return value.code
    return f"{value.code} if type({value.code}) is str else text({value.code})"


def _quoted(literal: str) -> str:
    """*literal* as a part of an f-string in single quotes."""
    return ascii(f'"{literal}')[2:-1].replace("{", "{{").replace("}", "}}")


def _fixed(rule: Rule) -> bool:
    """Whether *rule* is one constant that goes into a list as it is."""
    return rule.when is None and _single(rule)


def _fixed_choice(rule: Rule) -> bool:
    """Whether *rule* is one constant under a condition."""
    return rule.when is not None and _single(rule)


def _single(rule: Rule) -> bool:
    if not isinstance(rule.source, Constant) or rule.calls or rule.fallback is not None:
        return False
    return not isinstance(rule.source.value, list) and or_none(rule.source.value) is not None
