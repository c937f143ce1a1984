"""Unparses rules and matches to one line of YAML, for explanations and hints."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from connector.mapping.functions.values import Value
from connector.mapping.language.grammar import (
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
    Operand,
    Ref,
    Rule,
    Source,
    TableRef,
    Template,
    Test,
)
from connector.values import dataclass

_PLAIN = re.compile(r"[A-Za-z$_.][A-Za-z0-9_.$@/;-]*")
_WORDS = frozenset({"true", "false", "null", "~"})


def unparse(rule: Rule) -> str:
    """*rule* as YAML in flow style; reading it again gives the same rule."""
    return _Writer(inside=False).rule(rule)


def unparse_match(match: Match) -> str:
    """*match*, as it stands in a ``when``, as YAML in flow style."""
    return _Writer(inside=False).match(match)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes what stands in one scope: *inside* ``each``, ``pick`` and ``only``, or outside."""

    inside: bool

    def rule(self, rule: Rule) -> str:
        if isinstance(rule.source, From) and not rule.calls and rule.when is None and rule.fallback is None:
            return self._ref(rule.source.ref)
        parts = [self._source(rule.source)]
        if rule.calls:
            calls = [_call(call) for call in rule.calls]
            parts.append(f"as: {calls[0] if len(calls) == 1 else _list(calls)}")
        if rule.when is not None:
            parts.append(f"when: {self.match(rule.when)}")
        if rule.fallback is not None:
            parts.append(f"else: {self._fallback(rule.fallback)}")
        return f"{{{', '.join(parts)}}}"

    def match(self, match: Match) -> str:
        if isinstance(match, Test):
            return f"{{{self._ref(match.ref)}: {self.test(match)}}}"
        if isinstance(match, Not):
            return f"{{not: {self.match(match.part)}}}"
        if isinstance(match, AnyOf):
            return f"{{any: {_list([self.match(part) for part in match.parts])}}}"
        parts = [self.match(part) for part in match.parts]
        keys = [part[1:-1].partition(": ")[0] for part in parts]
        if len(set(keys)) == len(keys) and not any(isinstance(part, All) for part in match.parts):
            return f"{{{', '.join(part[1:-1] for part in parts)}}}"
        return f"{{all: {_list(parts)}}}"

    def test(self, test: Test) -> str:
        operands = [self._operand(operand) for operand in test.operands]
        wanted = operands[0] if len(operands) == 1 else _list(operands)
        return wanted if test.comparison in ("is", "is_verdict") else f"{{{test.comparison}: {wanted}}}"

    def _source(self, source: Source) -> str:
        match source:
            case From(ref):
                return f"from: {self._ref(ref)}"
            case FirstOf(rules):
                return f"first_of: {_list([self.rule(rule) for rule in rules])}"
            case AllOf(rules):
                return f"all_of: {_list([self.rule(rule) for rule in rules])}"
            case Constant(value):
                return f"const: {_value(value)}"
            case Template(parts):
                texts = (
                    f"{{{self._ref(part)}}}" if isinstance(part, Ref) else _braces(part) for part in parts
                )
                return f"template: {_quoted(''.join(texts))}"

    def _fallback(self, rule: Rule) -> str:
        bare = not rule.calls and rule.when is None and rule.fallback is None
        if bare and isinstance(rule.source, Constant) and not isinstance(rule.source.value, dict):
            return self._operand(rule.source)
        written = self.rule(rule)
        return written if written.startswith(("$", "{")) else f"{{from: {written}}}"

    def _operand(self, operand: Operand) -> str:
        if isinstance(operand, Ref):
            written = self._ref(operand)
            return written if written.startswith("$") else f"$record.{written}"
        value = operand.value
        return _value(f"${value}" if isinstance(value, str) and value.startswith("$") else value)

    def _ref(self, ref: Ref) -> str:
        return f"$record.{ref}" if self.inside and ref.root == RECORD and ref.path else str(ref)


_ELEMENT_WRITER = _Writer(inside=True)


def _call(call: Call) -> str:
    argument = call.argument
    if argument is None:
        return call.name
    if isinstance(argument, TableRef):
        written = _value(argument.name)
    elif isinstance(argument, Test) and argument.ref.root == ELEMENT and not argument.ref.path:
        written = _ELEMENT_WRITER.test(argument) if call.name == "only" else _ELEMENT_WRITER.match(argument)
    elif isinstance(argument, Test | All | AnyOf | Not):
        written = _ELEMENT_WRITER.match(argument)
    elif isinstance(argument, Mapping):
        rules = (f"{_value(name)}: {_ELEMENT_WRITER.rule(rule)}" for name, rule in argument.items())
        written = f"{{{', '.join(rules)}}}"
    elif isinstance(argument, tuple):
        written = ".".join(argument) or "."
    else:
        written = _value(argument)
    return f"{{{call.name}: {written}}}"


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _value(value: Value) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if isinstance(value, list):
        return _list([_value(item) for item in value])
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_value(key)}: {_value(item)}' for key, item in value.items())}}}"
    return _quoted(value)


def _quoted(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list(parts: Sequence[str]) -> str:
    return f"[{', '.join(parts)}]"
