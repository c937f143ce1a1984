"""Evaluates the conditions of generated KQL on rows: the few operators that the Sigma backend writes.

Semantics: learn.microsoft.com/kusto/query. There is no engine of KQL to run here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PATH = r"[A-Za-z_][\w.]*"
_OPERAND = rf"tostring\({_PATH}\)|{_PATH}"
_TEXT = r'"[^"]*"'
_PREDICATE = re.compile(
    rf"set_has_element\((?P<has>{_PATH}), (?P<element>{_TEXT})\)"
    rf"|array_length\(set_intersect\((?P<among>{_PATH}), dynamic\((?P<values>\[[^\]]*\])\)\)\) > 0"
    rf"|isnotempty\((?P<filled>{_OPERAND})\)"
    rf"|tobool\((?P<flag>{_PATH})\) == (?P<is>true|false)"
    rf"|(?P<left>{_OPERAND}) =~ (?P<right>{_TEXT})"
    rf"|(?P<one>{_OPERAND}) in~ \((?P<of>[^)]*)\)"
)


def matches(condition: str, row: Mapping[str, Any]) -> bool:
    """Whether *row* satisfies *condition*, the text after ``where``."""
    parser = _Parser(condition, row)
    result = parser.either()
    assert parser.rest == "", f"not read: {parser.rest}"
    return result


class _Parser:
    """Recursive descent: ``or`` binds less than ``and``, ``and`` less than ``not``."""

    def __init__(self, text: str, row: Mapping[str, Any]) -> None:
        self.rest = text.strip()
        self._row = row

    def either(self) -> bool:
        result = self._both()
        while self._take("or"):
            result = self._both() or result
        return result

    def _both(self) -> bool:
        result = self._one()
        while self._take("and"):
            result = self._one() and result
        return result

    def _one(self) -> bool:
        if self._take("not"):
            return not self._one()
        if self._take("("):
            result = self.either()
            assert self._take(")")
            return result
        match = _PREDICATE.match(self.rest)
        assert match, f"not read: {self.rest}"
        self.rest = self.rest[match.end() :].lstrip()
        return self._holds(match.groupdict())

    def _take(self, word: str) -> bool:
        match = re.match(re.escape(word) + (r"\b" if word.isalpha() else ""), self.rest)
        if match:
            self.rest = self.rest[match.end() :].lstrip()
        return match is not None

    def _holds(self, said: Mapping[str, str | None]) -> bool:
        if said["has"]:
            return json.loads(said["element"] or "") in self._list(said["has"])
        if said["among"]:
            return bool(set(json.loads(said["values"] or "[]")) & set(self._list(said["among"])))
        if said["filled"]:
            return self._text(said["filled"]) != ""
        if said["flag"]:
            return self._value(said["flag"]) is (said["is"] == "true")
        if said["left"]:
            return self._text(said["left"]).lower() == str(json.loads(said["right"] or "")).lower()
        assert said["one"]
        among = {value.lower() for value in json.loads(f"[{said['of']}]")}
        return self._text(said["one"]).lower() in among

    def _value(self, path: str) -> Any:
        value: Any = self._row
        for step in path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value

    def _list(self, path: str) -> list[Any]:
        value = self._value(path)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def _text(self, operand: str) -> str:
        value = self._value(operand.removeprefix("tostring(").removesuffix(")"))
        return "" if value is None else value if isinstance(value, str) else json.dumps(value)
