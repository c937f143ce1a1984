"""Strict YAML parser that keeps the position of every value, for errors with ``file:line:column``.

Stricter than YAML 1.1 on purpose: only ``true``, ``false``, ``null``, ``~``, an empty value and plain
decimal numbers are anything but text (``no``, ``010`` and ``12:30`` stay as written); a key that appears
twice, anchors, aliases and tags are errors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from typing import Protocol, TypeAlias

import yaml

from connector.errors import ConfigurationError, Position, Problem
from connector.values import dataclass

Scalar: TypeAlias = str | int | float | bool | None
Plain: TypeAlias = Scalar | list["Plain"] | dict[str, "Plain"]

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None, "~": None, "": None}
_DEPTH = 64
"""Levels of nesting: deeper than any configuration, and far from where PyYAML exhausts the stack."""

_DIGITS = 40
"""Digits of a number: more than 64 bits need; Python refuses to convert thousands of them."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place. Lists hold nodes; maps hold nodes by key, *keys* the place of each key.

    *empty* tells a value that is not there (``key:``) from one that is ``null``.
    """

    value: Scalar | list[Node] | dict[str, Node] = field(repr=False)  # it may be a secret
    position: Position
    keys: dict[str, Position] = field(default_factory=dict)
    empty: bool = False

    def plain(self) -> Plain:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def place(self, path: Sequence[str | int]) -> Position:
        """Where *path* stands; the nearest place above it for what is not there."""
        node, position = self, self.position
        for step in path:
            if isinstance(node.value, dict) and isinstance(step, str) and step in node.value:
                position = node.keys[step]
                node = node.value[step]
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                position = node.position
            else:
                return position
        return position


def parse(text: str, file: str) -> Node:
    """Read one YAML document; an empty one is an empty map.

    Args:
        text: the document.
        file: what to call it in errors.

    Raises:
        ConfigurationError: with the place of everything that is not acceptable.
    """
    _refuse_characters(text, file)
    try:
        _refuse_indirection(text, file)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError(_syntax_problem(error, file, text)) from None
    if root is None:
        return Node({}, Position(file, 1, 1))
    return _convert(root, file)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that somebody probably meant, if one is close enough."""
    import difflib  # noqa: PLC0415, only errors need it

    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown word: the nearest known one, or the choice where it is small."""
    words = sorted(known)
    close = nearest(word, words)
    if close:
        return f"did you mean {close}?"
    return f"known: {', '.join(words)}" if 0 < len(words) <= 12 else ""  # noqa: PLR2004, a line's worth


def _refuse_characters(text: str, file: str) -> None:
    forbidden = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if forbidden:
        before = text[: forbidden.start()]
        line, column = before.count("\n") + 1, forbidden.start() - before.rfind("\n")
        raise ConfigurationError(
            Problem(
                f"not YAML: the character U+{ord(forbidden[0]):04X} is not allowed",
                Position(file, line, column),
                "write the file as UTF-8, without control characters",
            )
        )


def _refuse_indirection(text: str, file: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        position = _position(event.start_mark, file)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:  # the parser itself would end the process on some thousands
            raise ConfigurationError(Problem(f"more than {_DEPTH} levels of nesting", position))
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigurationError(
                Problem("anchors and aliases are not supported", position, "write the value out, or quote it")
            )
        tag = getattr(event, "tag", None)
        if tag and tag != "!":
            # The tag itself is not shown: it may be a password that starts with "!".
            raise ConfigurationError(
                Problem("tags are not supported", position, 'quote a text that starts with "!"')
            )


def _convert(node: yaml.Node, file: str) -> Node:
    position = _position(node.start_mark, file)
    if isinstance(node, yaml.MappingNode):
        return _convert_map(node, file, position)
    if isinstance(node, yaml.SequenceNode):
        return Node([_convert(item, file) for item in node.value], position)
    return Node(_scalar(node, position), position, empty=_absent(node))


def _convert_map(node: yaml.MappingNode, file: str, position: Position) -> Node:
    values: dict[str, Node] = {}
    keys: dict[str, Position] = {}
    for key_node, value_node in node.value:
        place = _position(key_node.start_mark, file)
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigurationError(Problem("a key must be plain text", place))
        key = str(key_node.value)
        if key in values:
            raise ConfigurationError(
                Problem(f"the key {key} appears twice", place, f"first at line {keys[key].line}")
            )
        values[key] = _convert(value_node, file)
        keys[key] = place
    return Node(values, position, keys)


def _absent(node: yaml.Node) -> bool:
    return node.value == "" and not getattr(node, "style", None)


def _scalar(node: yaml.Node, position: Position) -> Scalar:
    text = str(node.value)
    if getattr(node, "style", None):  # quoted or a block: text as it stands
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
        number = float(text) if "." in text else int(text) if len(text) <= _DIGITS else math.inf
        if math.isinf(number):
            raise ConfigurationError(Problem("the number is too large", position, "quote it to make it text"))
        return number
    return text


class _Mark(Protocol):
    """The part that the marks of PyYAML's two parsers share; counts from 0."""

    line: int
    column: int


def _position(mark: _Mark | None, file: str) -> Position:
    if mark is None:
        return Position(file, 1, 1)
    return Position(file, mark.line + 1, mark.column + 1)


def _syntax_problem(error: yaml.MarkedYAMLError, file: str, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    position = _position(mark, file) if mark else Position(file, 1, 1)
    what = str(error.problem or error.context)
    return Problem(f"not YAML: {what}", position, _syntax_hint(what, text, position))


def _syntax_hint(what: str, text: str, position: Position) -> str:
    lines = text.split("\n")
    line = lines[position.line - 1] if position.line <= len(lines) else ""
    if line[position.column - 1 : position.column] == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces, YAML knows no tabs"
    if "${" in line and "{" in line.replace("${", ""):
        return 'between { and } a reference must be quoted: "${env:NAME}"'
    if what.startswith("could not find expected ':'"):
        return "here or on the line above: missing space after the colon of a key"
    if what.startswith("mapping values"):
        return 'quote a text that holds ": "'
    return ""


def walk(node: Node, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    """Every node with its path, outermost first."""
    yield path, node
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from walk(child, (*path, key))
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from walk(child, (*path, index))
