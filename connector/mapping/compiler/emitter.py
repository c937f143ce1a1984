"""Python source under construction: lines, fresh names, and the namespace that constants live in.

Text of a mapping file enters the source only through ``repr``; every other constant is a name in the
namespace. What cannot be written in this way cannot be injected.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from connector.mapping.emit_made import Made

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
        """A head such as ``if x:`` and what stands below it; without a head, just that."""
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

    def into(self, made: Made, out: str | None) -> Made:
        """*made* in the variable *out*; *made* itself where none is given."""
        if out is None or made.code == out:
            return made
        self.line(f"{out} = {made.code}")
        return Made(out, made.static)

    def held(self, made: Made) -> Made:
        """*made* under a name, so that it can be used more than once."""
        return made if made.code.isidentifier() else self.into(made, self.fresh())

    def fresh(self, start: str = "v") -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"{start}{self._count}"

    def constant(self, value: object, start: str = "c") -> str:
        """How *value* is written: simple texts and numbers as they are, all else by name."""
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
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        return cast(Callable[..., Any], self.namespace[name])
