"""Builds Python source: lines, blocks, fresh variable names, and a namespace for constants.

Text of a mapping file enters the source only through ``ascii`` (a quoted literal); every other constant is a
name in the namespace. So a mapping file cannot inject code.
"""

from __future__ import annotations

import linecache
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, cast

from connector.mapping.compiler.inference import StaticType, TypeEnvironment
from connector.mapping.functions.ip_addresses import is_canonical_ip
from connector.mapping.language.grammar import RECORD, Ref
from connector.mapping.schemas.fields import RECORD_FIELDS


class Expression(NamedTuple):
    """A Python expression and its inferred type. Only an expression that is a variable may be used twice."""

    code: str
    static: StaticType


_Lines: TypeAlias = tuple[int, None, list[str], str]
"""An entry of ``linecache.cache``: size, no time of modification, lines, file."""

_INDENT = "    "


class Emitter:
    """Collects the lines of one function."""

    def __init__(self, **namespace: object) -> None:
        self.namespace: dict[str, object] = dict(namespace)
        self.note = ""
        self._lines: list[str] = []
        self._depth = 0
        self._count = 0

    def line(self, code: str) -> None:
        """One line of code at the present depth, with the present note beside it."""
        remark = f"  # {self.note!a}" if self.note else ""
        self._lines.append(f"{_INDENT * self._depth}{code}{remark}")

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Open a block below *head* such as ``if x:``; without a head, continue at the same depth."""
        if not head:
            yield
            return
        self.line(head)
        self._depth += 1
        before = len(self._lines)
        yield
        if len(self._lines) == before:
            self.line("pass")
        self._depth -= 1

    def assigned(self, expression: Expression, out: str | None) -> Expression:
        """Assign *expression* to the variable *out*, if one is given; return the expression to use."""
        if out is None or expression.code == out:
            return expression
        self.line(f"{out} = {expression.code}")
        return Expression(out, expression.static)

    def named(self, expression: Expression) -> Expression:
        """Assign *expression* to a fresh variable unless it is one, so that it can be used more than once."""
        return expression if expression.code.isidentifier() else self.assigned(expression, self.fresh())

    def fresh(self, start: str = "v") -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"{start}{self._count}"

    def constant(self, value: object, start: str = "c") -> str:
        """The code of a constant: a literal for text, numbers and booleans, else a name in the namespace."""
        if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 1 << 63):
            return repr(value)
        if isinstance(value, str):
            return ascii(value)
        name = self.fresh(start)
        self.namespace[name] = value
        return name

    def compiled(self, name: str, file: str) -> Callable[..., Any]:
        """The function *name* of what was written; tracebacks show its lines under *file*."""
        source = "\n".join(self._lines) + "\n"
        code = compile(source, file, "exec")
        exec(code, self.namespace)  # noqa: S102, source of our own making: see the module's docstring
        function = cast(Callable[..., Any], self.namespace[name])
        lines = (len(source), None, source.splitlines(keepends=True), file)
        linecache.cache[file] = lines
        weakref.finalize(function, _forget_lines, file, lines).atexit = False
        return function


def _forget_lines(file: str, lines: _Lines) -> None:
    """Remove the source of a function that is gone, unless a later one took its place."""
    if linecache.cache.get(file) is lines:
        del linecache.cache[file]


_NAME = re.compile(r"[a-z0-9_]{1,60}")

_UNUSUAL: Mapping[str, str] = MappingProxyType(
    {
        "list": "type({0}) is not list or not {0} or not all({0})",
        "boolean": "type({0}) is not bool",
        "object": "type({0}) is not dict or not {0}",
        "text": "type({0}) is not str or not {0}",
    }
)
"""Conditions under which a field does not have its usual type, so the slow path normalizes it."""


class FieldVariables:
    """Variables by record field; each holds a value, or ``None`` for an absent one.

    What is *known* of fields of a checked record needs no check; such a record is the variable ``record``.
    """

    def __init__(self, emitter: Emitter, refs: Iterable[Ref], known: TypeEnvironment) -> None:
        self._emitter = emitter
        self._known = known
        self._variables: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        for ref in refs:
            if ref.root == RECORD and ref.path:
                self.add(ref.path[0])

    def __getitem__(self, field: str) -> str:
        return self._variables[field]

    def __contains__(self, field: str) -> bool:
        return field in self._variables

    def add(self, field: str) -> str:
        """The variable of *field*, read here unless it has been read before."""
        if field not in self._variables:
            static = self._known.get(f"{RECORD}.{field}")
            read = self._read(field) if static is None else self._read_checked(field, static)
            self._variables[field] = read
        return self._variables[field]

    def received(self, field: str) -> str:
        """The variable of the checked *field* with the elements of a list that are no value."""
        variable = self.add(field)
        return f"b_{field}" if self._known[f"{RECORD}.{field}"].is_list else variable

    def test(self, predicate: Callable[[str], object], variable: str) -> str:
        """An expression for *predicate* of the text in *variable*, which is there."""
        if predicate is is_canonical_ip and variable in self._addresses:
            return self._addresses[variable]
        return f"{self._emitter.constant(predicate, 'kept')}({variable})"

    def _read_checked(self, field: str, static: StaticType) -> str:
        variable, line = f"r_{field}", self._emitter.line
        if static.is_list:
            line(f"{variable} = b_{field} = get({field!a}) or None")
            empty = f'"" in {variable}' if static.kind == "text" else f"not all({variable})"
            line(f"if {variable} is not None and {empty}: {variable} = or_none({variable})")
        elif static.kind == "object":
            line(f"{variable} = get({field!a}) or None")
        else:
            line(f"{variable} = record.{variable}{' or None' if static.kind == 'text' else ''}")
        if RECORD_FIELDS.get(field) == "ip":  # asked by several rules, and by the rest
            self._addresses[variable] = f"ip_{field}"
            test = f"{self._emitter.constant(is_canonical_ip, 'kept')}({variable})"
            line(f"ip_{field} = {variable} is not None and {test}")
        return variable

    def _read(self, field: str) -> str:
        emitter = self._emitter
        variable = f"r_{field}" if _NAME.fullmatch(field) else emitter.fresh("r")
        emitter.line(f"{variable} = get({field!a})")
        unusual = _UNUSUAL[_SHAPES.get(field, "text")].format(variable)
        emitter.line(f"if {variable} is not None and ({unusual}): {variable} = or_none({variable})")
        return variable


def _shapes() -> Mapping[str, str]:
    """The usual type of every documented field."""
    shapes: dict[str, str] = {}
    for path, kind in RECORD_FIELDS.items():
        if path.endswith("[]"):
            shapes[path.removesuffix("[]")] = "list"
        elif kind in ("boolean", "object"):
            shapes[path] = kind
    return MappingProxyType(shapes)


_SHAPES = _shapes()
