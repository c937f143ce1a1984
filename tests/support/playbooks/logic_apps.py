"""A workflow of Azure Logic Apps: actions in the order of ``runAfter``, and its language of expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.playbooks import Send

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(-?\d+)|([A-Za-z_]\w*)|(\?\[|[\[\](),]))")
_BRACES = re.compile(r"@\{((?:[^{}'\"]|'(?:[^']|'')*')*)\}")


class Ended(Exception):
    """A Terminate action; its status and message."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Run:
    """One run of a workflow.

    Args:
        parameters: values of its parameters.
        send: sends requests.
        looped: called before every repetition of an Until.
    """

    parameters: Mapping[str, Any]
    send: Send
    looped: Callable[[], None] = lambda: None
    variables: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    items: dict[str, Any] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def carry_out(self, actions: Mapping[str, Any]) -> str:
        """Run *actions*; the state of the scope: that of what nothing follows."""
        left, states = dict(actions), self.states
        for name in _within(actions):
            states.pop(name, None)
            self.outputs.pop(name, None)
        while left:
            ready = [
                name for name, one in left.items() if all(before in states for before in one["runAfter"])
            ]
            assert ready, f"no action can start: {sorted(left)}"
            for name in ready:
                one = left.pop(name)
                wanted = all(states[before] in allowed for before, allowed in one["runAfter"].items())
                states[name] = self._one(name, one) if wanted else "Skipped"
                if states[name] == "Skipped":
                    states.update(dict.fromkeys(_within(one.get("actions", {})), "Skipped"))
        followed = {before for one in actions.values() for before in one["runAfter"]}
        bad = {states[name] for name in actions if name not in followed} - {"Succeeded", "Skipped"}
        return "Failed" if bad else "Succeeded"

    def _one(self, name: str, action: Mapping[str, Any]) -> str:  # noqa: PLR0911, PLR0912, C901, one case per kind
        inputs: Any = action.get("inputs")
        match action["type"]:
            case "Http":
                filled = self.filled(inputs)
                status, body = self.send(
                    filled["method"], filled["uri"], filled["headers"], filled.get("body")
                )
                self.outputs[name] = {"statusCode": status, "body": body}
                return "Succeeded" if status < 400 else "Failed"
            case "Compose":
                self.outputs[name] = self.filled(inputs)
            case "InitializeVariable":
                self.variables |= {one["name"]: self.filled(one["value"]) for one in inputs["variables"]}
            case "SetVariable":
                self.variables[inputs["name"]] = self.filled(inputs["value"])
            case "AppendToArrayVariable":
                self.variables[inputs["name"]] = [
                    *self.variables[inputs["name"]], self.filled(inputs["value"]),
                ]  # fmt: skip
            case "Query":
                kept = []
                for item in self.filled(inputs["from"]):
                    self.items[""] = item
                    if self.filled(inputs["where"]):
                        kept.append(item)
                self.outputs[name] = {"body": kept}
            case "Foreach":
                ends = set()
                for item in self.filled(action["foreach"]):
                    self.items[name] = item
                    ends.add(self.carry_out(action["actions"]))
                return "Failed" if "Failed" in ends else "Succeeded"
            case "Until":
                for _ in range(action["limit"]["count"]):
                    self.looped()
                    if self.carry_out(action["actions"]) == "Failed":
                        return "Failed"
                    if self.filled(action["expression"]):
                        return "Succeeded"
                return "TimedOut"
            case "Scope":
                return self.carry_out(action["actions"])
            case "If":
                if self._holds(action["expression"]):
                    return self.carry_out(action["actions"])
            case "Terminate":
                raise Ended(inputs["runStatus"], self.filled(inputs["runError"]["message"]))
            case other:
                raise AssertionError(f"an action that nothing here can run: {other}")
        return "Succeeded"

    def _holds(self, condition: Mapping[str, Any]) -> bool:
        [(name, given)] = condition.items()
        if name == "not":
            return not self._holds(given)
        if name in {"and", "or"}:
            return {"and": all, "or": any}[name](self._holds(one) for one in given)
        return bool(FUNCTIONS[name](*self.filled(given)))

    def filled(self, template: Any) -> Any:
        """*template* with its expressions evaluated."""
        if isinstance(template, dict):
            return {name: self.filled(one) for name, one in template.items()}
        if isinstance(template, list):
            return [self.filled(one) for one in template]
        if not isinstance(template, str):
            return template
        if template.startswith("@") and not template.startswith("@{"):
            return self.evaluate(template[1:])
        return _BRACES.sub(lambda found: _text(self.evaluate(found[1])), template)

    def evaluate(self, expression: str) -> Any:
        """The value of *expression*."""
        tokens = _tokens(expression)
        value = self._value(tokens)
        assert not tokens, f"more than one value: {expression}"
        return value

    def _value(self, tokens: list[str]) -> Any:
        token = tokens.pop(0)
        if token.startswith("'"):
            value: Any = token[1:-1].replace("''", "'")
        elif re.fullmatch(r"-?\d+", token):
            value = int(token)
        elif token in {"true", "false", "null"}:
            value = {"true": True, "false": False, "null": None}[token]
        else:
            assert tokens.pop(0) == "("
            arguments = []
            while tokens[0] != ")":
                arguments.append(self._value(tokens))
                if tokens[0] == ",":
                    tokens.pop(0)
            tokens.pop(0)
            value = self._call(token, arguments)
        while tokens and tokens[0] in {"[", "?["}:
            lenient = tokens.pop(0) == "?["
            member = self._value(tokens)
            assert tokens.pop(0) == "]"
            value = (
                value.get(member)
                if lenient and isinstance(value, dict)
                else None
                if lenient
                else value[member]
            )
        return value

    def _call(self, name: str, arguments: list[Any]) -> Any:  # noqa: PLR0911, one case per function
        match name:
            case "parameters":
                return self.parameters[arguments[0]]
            case "variables":
                return self.variables[arguments[0]]
            case "outputs":
                return self.outputs.get(arguments[0])
            case "body":
                return (self.outputs.get(arguments[0]) or {}).get("body")
            case "items":
                return self.items[arguments[0]]
            case "item":
                return self.items[""]
            case "workflow":
                return {"name": "Move-Malicious-Mail"}
        return FUNCTIONS[name](*arguments)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "equals": lambda a, b: a == b,
    "greater": lambda a, b: a > b,
    "and": lambda *all_: all(all_),
    "if": lambda test, yes, no: yes if test else no,
    "concat": lambda *parts: "".join(_text(part) for part in parts),
    "coalesce": lambda *values: next((one for one in values if one is not None), None),
    "contains": lambda collection, value: value in collection,
    "createArray": lambda *values: list(values),
    "join": lambda values, between: between.join(values),
    "length": len,
    "utcNow": lambda _: "Mon, 30 Nov 2026 08:00:00 GMT",
}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _tokens(expression: str) -> list[str]:
    tokens, at = [], 0
    while at < len(expression.rstrip()):
        found = _TOKEN.match(expression, at)
        assert found, f"no expression: {expression[at:]!r} of {expression!r}"
        tokens.append(found[0].strip())
        at = found.end()
    return tokens


def _within(actions: Mapping[str, Any]) -> list[str]:
    """The names of *actions*, and of those inside them."""
    return [*actions, *(name for one in actions.values() for name in _within(one.get("actions", {})))]
