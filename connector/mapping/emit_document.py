"""Writes the objects that a document is made of: what they start with, and how they end up in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.mapping.compiler.emitter import Emitter
from connector.mapping.functions.values import Value


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
