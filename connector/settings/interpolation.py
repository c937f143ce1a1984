"""Interpolation: ``${env:NAME}``, ``${env:NAME:-default}`` and ``${file:/path}`` in values, after parsing.

Because values are resolved after parsing, they cannot change the structure of the configuration. ``$${`` is a
literal ``${``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from connector.secret import Reference
from connector.settings.problems import Path as Keys
from connector.settings.problems import PathProblem
from connector.yaml_nodes import Node

_TOKEN = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HINT = "use ${env:NAME}, ${env:NAME:-default} or ${file:/path}; write $${ for a literal ${"
_LARGEST = 64 << 10
"""Bytes of a file that holds one value: a private key with its certificate chain takes a few KiB."""


class UnresolvedReference(LookupError):
    """A reference cannot be resolved; the text says why, without any value."""


class MissingReference(UnresolvedReference):
    """The variable or file is missing; the reference itself is valid."""


class MissingText(str):
    """The text of a reference whose variable or file is missing, where that is allowed."""

    __slots__ = ()


def resolve(
    node: Node, environ: Mapping[str, str], base: Path, *, allow_missing: bool = False
) -> tuple[Node, list[PathProblem]]:
    """Replace the references in every text of *node*; report those that cannot be resolved.

    Args:
        node: the parsed tree.
        environ: variables for ``env``.
        base: directory for relative file names.
        allow_missing: put ``MissingText`` where a variable or file is missing, instead of reporting it.
    """
    problems: list[PathProblem] = []

    def visit(one: Node, path: Keys) -> Node:
        if isinstance(one.value, dict):
            children = {key: visit(child, (*path, key)) for key, child in one.value.items()}
            return replace(one, value=children)
        if isinstance(one.value, list):
            items = [visit(child, (*path, index)) for index, child in enumerate(one.value)]
            return replace(one, value=items)
        if not isinstance(one.value, str) or "${" not in one.value:
            return one
        try:
            return replace(one, value=resolve_text(one.value, environ, base))
        except UnresolvedReference as error:
            if allow_missing and isinstance(error, MissingReference):
                return replace(one, value=MissingText(one.value))
            problems.append(PathProblem(path, str(error)))
            return one

    return visit(node, ()), problems


def read_secret_file(path: Path) -> str:
    """Content of a file, without trailing line breaks.

    Raises:
        UnresolvedReference: it is unreadable, empty, larger than 64 KiB, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a valid file name"
        raise MissingReference(f"cannot read {path}: {why}") from None
    if len(data) > _LARGEST:
        raise UnresolvedReference(f"{path} is larger than {_LARGEST >> 10} KiB")
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UnresolvedReference(f"{path} is not UTF-8 text") from None
    if not text:
        raise MissingReference(f"{path} is empty")
    return text


def read_variable(name: str, environ: Mapping[str, str]) -> str:
    """Value of a variable.

    Raises:
        UnresolvedReference: it is not set, or empty.
    """
    text = environ.get(name)
    if not text:
        raise MissingReference(f"the variable {name} is {'not set' if text is None else 'empty'}")
    return text


def resolve_text(text: str, environ: Mapping[str, str], base: Path) -> str:
    """*text* with references resolved, a ``Reference`` if it has any; raises ``UnresolvedReference``."""
    parts = _parts(text, environ, base)
    if all(isinstance(part, str) for part in parts):
        return "".join(part for part in parts if isinstance(part, str))
    return Reference(lambda: "".join(part if isinstance(part, str) else part() for part in parts), text)


def _parts(text: str, environ: Mapping[str, str], base: Path) -> list[str | Callable[[], str]]:
    parts: list[str | Callable[[], str]] = []
    end = 0
    for match in _TOKEN.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match[0] == "$${":
            parts.append("${")
        elif not match[0].endswith("}"):
            raise UnresolvedReference(f"unterminated reference ({_HINT})")
        else:
            parts.append(_reader(match[1], environ, base))
    return [*parts, text[end:]]


def _reader(inside: str, environ: Mapping[str, str], base: Path) -> Callable[[], str]:
    kind, _, rest = inside.partition(":")
    if kind == "env":
        name, dash, default = rest.partition(":-")
        if _NAME.fullmatch(name):
            return lambda: default if dash and not environ.get(name) else read_variable(name, environ)
    elif kind == "file" and rest:
        return lambda: read_secret_file(base / rest)
    # The text between the braces is not quoted: it may be a password that contains a brace.
    raise UnresolvedReference(f"invalid reference ({_HINT})")
